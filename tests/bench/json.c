/*
 * json.c - the report for programs: one object; times in nanoseconds.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "report.h"

static void
print_string(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            fprintf(out, "\\%c", byte);
        else if (byte < 0x20)
            fprintf(out, "\\u%04x", byte);
        else
            fputc(byte, out);
    }
    fputc('"', out);
}

static void
print_member(const char *name, const char *text, FILE *out)
{
    fprintf(out, "\"%s\":", name);
    print_string(text, out);
}

static void
print_spread(const char *name, const struct spread *spread, FILE *out)
{
    fprintf(out, "\"%s\":{\"median\":%.4f,\"p10\":%.4f,\"p90\":%.4f}", name, spread->median,
            spread->low, spread->high);
}

/** Between the members of a list. */
static void
separate(size_t index, FILE *out)
{
    fputs(index > 0 ? ",\n    " : "\n    ", out);
}

static void
print_about(const struct report *report, FILE *out)
{
    const struct machine *machine = &report->machine;

    fputs("{\n  \"machine\":{", out);
    print_member("processor", machine->processor, out);
    fprintf(out, ",\"cpus\":%d,", machine->cpus);
    print_member("kernel", machine->kernel, out);
    fputc(',', out);
    print_member("c_library", machine->c_library, out);
    fputc(',', out);
    print_member("library", machine->library, out);
    fputs("},\n  \"skipped\":[", out);
    for (size_t i = 0; i < report->skipped_count; i++) {
        separate(i, out);
        fputc('{', out);
        print_member("name", report->skipped[i].name, out);
        fputc(',', out);
        print_member("reason", report->skipped[i].reason, out);
        fputc('}', out);
    }
    fputs("],\n  \"used_by_others_percent\":[", out);
    for (int i = 0; i < MEASURES; i++)
        fprintf(out, "%s%.1f", i > 0 ? "," : "", report->used_by_others[i]);
    fputc(']', out);
}

/** Without the closing brace: more may follow. */
static void
print_row(const struct row *row, FILE *out)
{
    print_member("name", row->name, out);
    fputc(',', out);
    print_member("what", row->what, out);
    fputc(',', out);
    print_spread("ns", &row->time, out);
    fprintf(out, ",\"ratio\":%.4f", row->ratio);
}

static void
print_table(const char *name, const struct table *table, FILE *out)
{
    fprintf(out, ",\n  \"%s\":[", name);
    for (size_t i = 0; i < table->count; i++) {
        separate(i, out);
        fputc('{', out);
        print_row(&table->rows[i], out);
        fputc('}', out);
    }
    fputc(']', out);
}

/** One list, whose members say which table they are from. */
static void
print_headed(const char *name, const struct headed_tables *tables, FILE *out)
{
    size_t printed = 0;

    fprintf(out, ",\n  \"%s\":[", name);
    for (size_t i = 0; i < tables->count; i++) {
        const struct headed_table *headed = &tables->list[i];
        for (size_t row = 0; row < headed->table.count; row++) {
            separate(printed++, out);
            fputc('{', out);
            print_member("setting", headed->name, out);
            fputc(',', out);
            print_row(&headed->table.rows[row], out);
            fputc('}', out);
        }
    }
    fputc(']', out);
}

static void
print_read_size(const struct read_setting *setting, const struct read_size *size, size_t *printed,
                FILE *out)
{
    for (size_t row = 0; row < size->table.count; row++) {
        separate((*printed)++, out);
        fputc('{', out);
        print_member("setting", setting->name, out);
        fprintf(out, ",\"bytes\":%zu,", size->bytes);
        print_row(&size->table.rows[row], out);
        fprintf(out, ",\"changes_per_us\":%.4f,\"gave_up\":%.4f}", size->changes_per_us[row],
                size->gave_up[row]);
    }
}

static void
print_read(const struct report *report, FILE *out)
{
    size_t printed = 0;

    fputs(",\n  \"read\":[", out);
    for (size_t i = 0; i < report->read_count; i++) {
        for (size_t size = 0; size < READ_SIZES; size++)
            print_read_size(&report->read[i].setting, &report->read[i].sizes[size], &printed, out);
    }
    fputc(']', out);
}

static void
print_contended_row(const struct setting *setting, const struct contended_row *row, FILE *out)
{
    fputc('{', out);
    print_member("setting", setting->name, out);
    fprintf(out, ",\"processes\":%d,\"hold_ns\":%.0f,\"pause_ns\":%.0f,", setting->processes,
            setting->hold_ns, setting->pause_ns);
    print_member("name", row->name, out);
    fputc(',', out);
    print_spread("million_per_second", &row->million_per_second, out);
    fputc(',', out);
    print_spread("slowest_to_fastest", &row->fairness, out);
    fprintf(out, ",\"ratio_to_glibc_robust\":%.4f,\"wait_p99_ns\":%.0f,\"wait_max_ns\":%.0f,",
            row->ratio, row->wait_p99_ns, row->wait_max_ns);
    fprintf(out, "\"passed_p999\":%.0f,\"passed_max\":%.0f}", row->passed_p999, row->passed_max);
}

static void
print_contended(const struct report *report, FILE *out)
{
    size_t printed = 0;

    fputs(",\n  \"contended\":[", out);
    for (size_t i = 0; i < report->contended_count; i++) {
        const struct contended_table *table = &report->contended[i];
        for (size_t j = 0; j < table->count; j++) {
            separate(printed++, out);
            print_contended_row(&table->setting, &table->rows[j], out);
        }
    }
    fputc(']', out);
}

static void
print_starve_row(const struct starve_setting *setting, const struct starve_row *row, FILE *out)
{
    fputc('{', out);
    print_member("setting", setting->name, out);
    fprintf(out, ",\"relockers\":%d,\"hold_ns\":%lld,", setting->relockers,
            (long long)setting->hold_ns);
    print_member("name", row->name, out);
    fprintf(out,
            ",\"waits\":%zu,\"wait_median_ns\":%.0f,\"wait_p99_ns\":%.0f,"
            "\"wait_p999_ns\":%.0f,\"wait_max_ns\":%.0f,\"wait_max_is_open\":%s,",
            row->waits, row->median_ns, row->p99_ns, row->p999_ns, row->worst_ns,
            row->worst_is_open ? "true" : "false");
    fprintf(out,
            "\"ratio_to_glibc_robust\":%.4f,\"passed_median\":%.0f,\"passed_max\":%.0f,"
            "\"sections_per_ms\":%.3f}",
            row->ratio, row->passed_median, row->passed_max, row->sections_per_ms);
}

static void
print_starve(const struct report *report, FILE *out)
{
    size_t printed = 0;

    fputs(",\n  \"starve\":[", out);
    for (size_t i = 0; i < report->starve_count; i++) {
        const struct starve_table *table = &report->starve[i];
        for (size_t j = 0; j < table->count; j++) {
            separate(printed++, out);
            print_starve_row(&table->setting, &table->rows[j], out);
        }
    }
    fputc(']', out);
}

static void
print_takeover(const struct takeover_table *table, FILE *out)
{
    fputs(",\n  \"takeover\":[", out);
    for (size_t i = 0; i < table->count; i++) {
        const struct takeover_row *row = &table->rows[i];
        separate(i, out);
        fputc('{', out);
        print_member("name", row->name, out);
        fprintf(out,
                ",\"owner_resident_bytes\":%zu,\"crashed_memfd_bytes\":%zu,\"kills\":%d,"
                "\"told\":%d,",
                row->resident, row->crashed, row->kills, row->told);
        print_spread("after_kill_ns", &row->after_kill_ns, out);
        fprintf(out,
                ",\"worst_after_kill_ns\":%.0f,\"median_after_death_ns\":%.0f,"
                "\"worst_after_death_ns\":%.0f}",
                row->worst_after_kill_ns, row->median_after_death_ns, row->worst_after_death_ns);
    }
    fputc(']', out);
}

static void
print_sleeper(const struct sleeper_table *table, FILE *out)
{
    fputs(",\n  \"sleeper\":[", out);
    for (size_t i = 0; i < table->count; i++) {
        separate(i, out);
        fputc('{', out);
        print_member("name", table->rows[i].name, out);
        fprintf(out, ",\"cpu_percent\":%.3f}", table->rows[i].cpu_percent);
    }
    fputc(']', out);
}

static void
print_readme_figures(const struct report *report, FILE *out)
{
    struct readme_comparison comparisons[COMPARISONS_MAX];
    size_t count = compare_with_readme(report, comparisons);

    fputs(",\n  \"readme\":[", out);
    for (size_t i = 0; i < count; i++) {
        separate(i, out);
        fputc('{', out);
        print_member("what", comparisons[i].what, out);
        fprintf(out, ",\"here\":%.4f,", comparisons[i].here);
        print_member("range", comparisons[i].range, out);
        fputc('}', out);
    }
    fputc(']', out);
}

void
print_json(const struct report *report, FILE *out)
{
    print_about(report, out);
    if (report->measured & MEASURE_PAIR)
        print_table("pair", &report->pair, out);
    if (report->measured & MEASURE_PAIR)
        print_table("pair_write", &report->pair_write, out);
    if (report->measured & MEASURE_CONTENDED)
        print_contended(report, out);
    if (report->measured & MEASURE_TAKEOVER)
        print_takeover(&report->takeover, out);
    if (report->measured & MEASURE_SLEEPER)
        print_sleeper(&report->sleeper, out);
    if (report->measured & MEASURE_REACH)
        print_table("attach_detach", &report->reach, out);
    if (report->measured & MEASURE_FILL)
        print_table("create_fill", &report->fill, out);
    if (report->measured & MEASURE_READ)
        print_read(report, out);
    if (report->measured & MEASURE_WAKE)
        print_headed("wake", &report->wake, out);
    if (report->measured & MEASURE_MESSAGE)
        print_headed("message", &report->message, out);
    if (report->measured & MEASURE_CALLS)
        print_headed("calls", &report->calls, out);
    if (report->measured & MEASURE_STARVE)
        print_starve(report, out);
    if (report->measured & MEASURE_CHANGE)
        print_headed("change", &report->change, out);
    print_readme_figures(report, out);
    fputs("\n}\n", out);
}
