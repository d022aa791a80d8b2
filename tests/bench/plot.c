/*
 * plot.c - the report as a picture, drawn by gnuplot.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "report.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/** Starts gnuplot; its input is returned, NULL if there is no gnuplot. */
static FILE *
start_gnuplot(pid_t *plotter)
{
    char name[] = "gnuplot";
    char *arguments[] = {name, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];
    int failed;

    if (pipe(ends) != 0)
        return NULL;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    failed = posix_spawnp(plotter, name, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[0]);
    if (failed == 0)
        return fdopen(ends[1], "w");
    close(ends[1]);
    fprintf(stderr, "bench: no plot: gnuplot: %s\n", strerror(failed));
    return NULL;
}

static void
set_up_plots(const struct report *report, const char *path, size_t count, FILE *plot)
{
    size_t rows = (count + 1) / 2;

    fprintf(plot, "set terminal svg size %d,%zu font 'sans-serif,12' background 'white'\n",
            count > 1 ? 1100 : 560, 60 + rows * 330);
    fprintf(plot, "set output '%s'\n", path);
    fprintf(plot, "set multiplot layout %zu,%d title \"%s, %d CPUs, %s\" noenhanced\n", rows,
            count > 1 ? 2 : 1, report->machine.processor, report->machine.cpus,
            report->machine.kernel);
    fputs("set style fill solid 0.8\nset boxwidth 0.7\nset grid ytics\nset border 3\n"
          "set tics nomirror\nset xtics rotate by 35 right noenhanced\nset key off\n",
          plot);
}

/** One bar: what, how much, and from where to where it varied. */
static void
add_bar(const char *name, const struct spread *spread, double unit, FILE *plot)
{
    bool ours = strncmp(name, "mapseg", 6) == 0;

    fprintf(plot, "\"%s\" %.6f %.6f %.6f %d\n", name, spread->median / unit, spread->low / unit,
            spread->high / unit, ours ? 0x2a6fbb : 0x999999);
}

static void
begin_bars(const char *title, const char *axis, bool logarithmic, FILE *plot)
{
    fprintf(plot, "set title \"%s\"\nset ylabel \"%s\"\n%s\n", title, axis,
            logarithmic ? "set logscale y" : "unset logscale y");
    fputs("$bars << end\n", plot);
}

/** A logarithmic axis has no zero for the bars to stand on. */
static void
end_bars(bool logarithmic, FILE *plot)
{
    fprintf(plot,
            "end\nset yrange [%s:*]\n"
            "plot $bars using 0:2:5:xtic(1) with boxes linecolor rgb variable, "
            "$bars using 0:2:3:4 with yerrorbars linecolor rgb 'black' pointtype 0\n",
            logarithmic ? "1" : "0");
}

static void
plot_table(const struct table *table, const char *title, const char *axis, double unit,
           bool logarithmic, FILE *plot)
{
    begin_bars(title, axis, logarithmic, plot);
    for (size_t i = 0; i < table->count; i++)
        add_bar(table->rows[i].name, &table->rows[i].time, unit, plot);
    end_bars(logarithmic, plot);
}

static void
plot_contended(const struct contended_table *table, FILE *plot)
{
    begin_bars(table->setting.what, "million per second", false, plot);
    for (size_t i = 0; i < table->count; i++)
        add_bar(table->rows[i].name, &table->rows[i].million_per_second, 1, plot);
    end_bars(false, plot);
}

static size_t
count_plots(const struct report *report)
{
    const struct table *const tables[] = {&report->pair, &report->pair_write, &report->reach,
                                          &report->fill};
    size_t count = report->contended_count;

    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (tables[i]->count > 0)
            count++;
    }
    return count;
}

static void
plot_all(const struct report *report, FILE *plot)
{
    if (report->pair.count > 0)
        plot_table(&report->pair, "lock and unlock, uncontended", "ns", 1, true, plot);
    if (report->pair_write.count > 0)
        plot_table(&report->pair_write, "lock, write a word, unlock, uncontended", "ns", 1, true,
                   plot);
    for (size_t i = 0; i < report->contended_count; i++)
        plot_contended(&report->contended[i], plot);
    if (report->reach.count > 0)
        plot_table(&report->reach, "attach and detach", "microseconds", 1e3, false, plot);
    if (report->fill.count > 0)
        plot_table(&report->fill, "create and fill 64 MiB", "ms", 1e6, false, plot);
    fputs("unset multiplot\n", plot);
}

bool
draw_svg(const struct report *report, const char *path)
{
    size_t count = count_plots(report);
    pid_t plotter;
    int status = -1;
    FILE *plot;

    if (count == 0 || strchr(path, '\'') != NULL || strchr(path, '\n') != NULL) {
        fprintf(stderr, "bench: no plot: %s\n",
                count == 0 ? "nothing was measured that can be drawn"
                           : "the file's name has a quote or a line break");
        return false;
    }
    signal(SIGPIPE, SIG_IGN);
    plot = start_gnuplot(&plotter);
    if (plot == NULL)
        return false;
    set_up_plots(report, path, count, plot);
    plot_all(report, plot);
    fclose(plot);
    while (waitpid(plotter, &status, 0) < 0 && errno == EINTR)
        ;
    if (status != 0)
        fprintf(stderr, "bench: no plot: gnuplot failed\n");
    return status == 0;
}
