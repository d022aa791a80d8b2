/*
 * text.c - the report for people.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "report.h"

void
print_machine(const struct report *report, FILE *out)
{
    const struct machine *machine = &report->machine;

    fprintf(out, "%s, %d CPUs, %s, %s\n%s\n", machine->processor, machine->cpus, machine->kernel,
            machine->c_library, machine->library);
    for (size_t i = 0; i < report->skipped_count; i++)
        fprintf(out, "skipped: %s (%s)\n", report->skipped[i].name, report->skipped[i].reason);
}

static void
print_rows(const struct table *table, double unit, const char *unit_name, FILE *out)
{
    fprintf(out, "%-15s %9s %9s %9s  %8s\n", "", unit_name, "10 %", "90 %", "ratio");
    for (size_t i = 0; i < table->count; i++) {
        const struct row *row = &table->rows[i];
        fprintf(out, "%-15s %9.2f %9.2f %9.2f  %8.2f  %s\n", row->name, row->time.median / unit,
                row->time.low / unit, row->time.high / unit, row->ratio, row->what);
    }
}

static void
print_contended(const struct contended_table *table, FILE *out)
{
    fprintf(out, "\nContended: %s, %.0f ns under the lock\n", table->setting.what,
            table->setting.hold_ns);
    fprintf(out, "%-14s %9s %9s %9s %9s %17s %12s %12s %13s %11s\n", "", "million/s", "10 %",
            "90 %", "x robust", "slowest/fastest", "p99 wait us", "max wait ms", "p99.9 passed",
            "max passed");
    for (size_t i = 0; i < table->count; i++) {
        const struct contended_row *row = &table->rows[i];
        fprintf(out, "%-14s %9.2f %9.2f %9.2f %9.2f %17.2f %12.2f %12.2f %13.0f %11.0f\n",
                row->name, row->million_per_second.median, row->million_per_second.low,
                row->million_per_second.high, row->ratio, row->fairness.median,
                row->wait_p99_ns / 1e3, row->wait_max_ns / 1e6, row->passed_p999, row->passed_max);
    }
}

static void
print_starve(const struct starve_table *table, FILE *out)
{
    fprintf(out, "\nStarving: one waiter beside %d that lock again at once, ",
            table->setting.relockers);
    if (table->setting.hold_ns > 0)
        fprintf(out, "%.0f us under the lock", (double)table->setting.hold_ns / 1e3);
    else
        fputs("nothing under the lock", out);
    fprintf(out, "; its waits in ms\n%-14s %6s %9s %9s %9s %11s %9s %14s %11s %12s\n", "", "waits",
            "median", "p99", "p99.9", "worst", "x robust", "median passed", "max passed",
            "sections/ms");
    for (size_t i = 0; i < table->count; i++) {
        const struct starve_row *row = &table->rows[i];
        fprintf(out, "%-14s %6zu %9.3f %9.3f %9.3f %2s%9.3f %9.2f %14.0f %11.0f %12.1f\n",
                row->name, row->waits, row->median_ns / 1e6, row->p99_ns / 1e6, row->p999_ns / 1e6,
                row->worst_is_open ? ">=" : "", row->worst_ns / 1e6, row->ratio, row->passed_median,
                row->passed_max, row->sections_per_ms);
    }
}

static void
print_takeover(const struct takeover_table *table, FILE *out)
{
    fprintf(out, "\nTake-over: the owner is killed, another process sleeps on the lock; in ms\n");
    fprintf(out, "%-14s %6s %6s %9s %9s %9s %14s %9s\n", "", "kills", "told", "from kill", "90 %",
            "worst", "from its death", "worst");
    for (size_t i = 0; i < table->count; i++) {
        const struct takeover_row *row = &table->rows[i];
        fprintf(out, "%-14s %6d %6d %9.2f %9.2f %9.2f %14.2f %9.2f", row->name, row->kills,
                row->told, row->after_kill_ns.median / 1e6, row->after_kill_ns.high / 1e6,
                row->worst_after_kill_ns / 1e6, row->median_after_death_ns / 1e6,
                row->worst_after_death_ns / 1e6);
        if (row->resident > 0)
            fprintf(out, "  the owner has %zu MiB", row->resident >> 20);
        if (row->crashed > 0)
            fprintf(out, "  SIGSEGV, cores on, a memfd of %zu MiB", row->crashed >> 20);
        fputc('\n', out);
    }
}

static void
print_sleeper(const struct sleeper_table *table, FILE *out)
{
    fprintf(out, "\nWaiting for a lock that is held: CPU of one waiter\n");
    for (size_t i = 0; i < table->count; i++)
        fprintf(out, "%-14s %8.2f %%\n", table->rows[i].name, table->rows[i].cpu_percent);
}

static void
print_headed(const struct headed_tables *tables, FILE *out)
{
    for (size_t i = 0; i < tables->count; i++) {
        const struct headed_table *headed = &tables->list[i];
        fprintf(out, "\n%s\n", headed->title);
        print_rows(&headed->table, headed->unit_ns, headed->unit_ns > 1 ? "us" : "ns", out);
    }
}

/** Sizes side by side: what matters is how a reader does as records grow. */
static void
print_read_row(const struct read_table *table, size_t row, FILE *out)
{
    const struct row *first = &table->sizes[0].table.rows[row];

    fprintf(out, "%-14s", first->name);
    for (size_t i = 0; i < READ_SIZES; i++) {
        const struct read_size *size = &table->sizes[i];
        fprintf(out, " %10.1f %6.2f", size->table.rows[row].time.median,
                size->table.rows[row].ratio);
        if (!table->setting.written)
            continue;
        fprintf(out, " %6.2f", size->changes_per_us[row]);
        if (size->gave_up[row] > 0)
            fprintf(out, " %3.0f%%", 100 * size->gave_up[row]);
        else
            fprintf(out, "    -");
    }
    fprintf(out, "  %s\n", first->what);
}

static void
print_read(const struct read_table *table, FILE *out)
{
    bool written = table->setting.written;

    fprintf(out, "\nReading a record: %s%s\n%-14s", table->setting.what,
            written ? "; the changes that were made per us, and reads that gave up after 5 ms" : "",
            "");
    for (size_t i = 0; i < READ_SIZES; i++)
        fprintf(out, written ? " %17zu bytes     " : " %11zu bytes", table->sizes[i].bytes);
    fprintf(out, "\n%-14s", "");
    for (size_t i = 0; i < READ_SIZES; i++)
        fprintf(out, " %10s %6s%s", "ns", "ratio", written ? "   /us  gave" : "");
    fputc('\n', out);
    for (size_t row = 0; row < table->sizes[0].table.count; row++)
        print_read_row(table, row, out);
}

void
print_measure(const struct report *report, enum measure measure, FILE *out)
{
    switch (measure) {
    case MEASURE_PAIR:
        fprintf(out, "\nUncontended: one lock and one unlock, %d rounds of 1 ms each\n",
                report->effort.pair_rounds);
        print_rows(&report->pair, 1, "ns", out);
        fprintf(out, "\nUncontended: the same, and one word written under the lock\n");
        print_rows(&report->pair_write, 1, "ns", out);
        break;
    case MEASURE_CONTENDED:
        for (size_t i = 0; i < report->contended_count; i++)
            print_contended(&report->contended[i], out);
        break;
    case MEASURE_TAKEOVER:
        print_takeover(&report->takeover, out);
        break;
    case MEASURE_SLEEPER:
        print_sleeper(&report->sleeper, out);
        break;
    case MEASURE_REACH:
        fprintf(out, "\nAttach and detach: %zu KiB\n", report->reach_bytes >> 10);
        print_rows(&report->reach, 1e3, "us", out);
        break;
    case MEASURE_FILL:
        fprintf(out, "\nCreate and fill: %zu MiB\n", report->fill_bytes >> 20);
        print_rows(&report->fill, 1e6, "ms", out);
        break;
    case MEASURE_READ:
        for (size_t i = 0; i < report->read_count; i++)
            print_read(&report->read[i], out);
        break;
    case MEASURE_WAKE:
        print_headed(&report->wake, out);
        break;
    case MEASURE_MESSAGE:
        print_headed(&report->message, out);
        break;
    case MEASURE_CALLS:
        print_headed(&report->calls, out);
        break;
    case MEASURE_STARVE:
        for (size_t i = 0; i < report->starve_count; i++)
            print_starve(&report->starve[i], out);
        break;
    case MEASURE_CHANGE:
        print_headed(&report->change, out);
        break;
    case MEASURE_ALL:
        break;
    }
    for (int i = 0; i < MEASURES; i++) {
        if (measure == 1u << i && report->used_by_others[i] > 1)
            fprintf(out, "(other programs used %.0f %% of the CPUs meanwhile)\n",
                    report->used_by_others[i]);
    }
    fflush(out);
}

void
print_comparisons(const struct report *report, FILE *out)
{
    struct readme_comparison comparisons[COMPARISONS_MAX];
    size_t count = compare_with_readme(report, comparisons);

    if (count > 0)
        fputs("\nThe figures of README.md\n", out);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "here: %.2f; README: %s (%s)\n", comparisons[i].here,
                comparisons[i].range[0] == '\0' ? "not yet" : comparisons[i].range,
                comparisons[i].what);
}
