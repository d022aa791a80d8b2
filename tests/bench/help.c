/*
 * help.c - what --help prints: the options, the measures, and the keys of --json.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "report.h"

static const char options[] =
    "Usage: bench [OPTION...]\n"
    "Measures mapseg beside other ways to do the same, all in one run, which takes about four\n"
    "minutes. A peer that hangs is ended and named; none makes it endless.\n"
    "\n"
    "  --quick          less of everything: about half a minute\n"
    "  --only NAMES     these locks and memories alone, separated by commas\n"
    "  --measure NAMES  these measures alone, see below\n"
    "  --check          measure the pair (or --measure), and fail if mapseg's is too slow\n"
    "  --json           print one JSON object instead of text\n"
    "  --svg FILE       also draw a plot; needs gnuplot\n"
    "  --list           print the names of the peers\n"
    "  --readme         print the table of figures that README.md has\n"
    "  --help           print this\n";

static const char measures[] =
    "\n"
    "Measures, in the order in which they run:\n"
    "  pair       lock and unlock that no other process wants, with nothing under the lock\n"
    "             and with one word written there; ratios to the atomic operations alone\n"
    "  contended  2 and 8 processes that want the lock at once, or again after 250 ns\n"
    "  takeover   from the death of an owner to the next one\n"
    "  sleeper    CPU time of one that waits for a lock held\n"
    "  attach     attach and detach\n"
    "  fill       create and fill\n"
    "  read       read a record that no process writes, or that another one does\n"
    "  wake       wake each other in turn\n"
    "  message    make, receive and answer a message\n"
    "  calls      changes, access sections, passing a segment on\n"
    "  starve     one that waits beside 1, 2 and 8 that lock again at once and hold the lock\n"
    "             for nothing, 100 us and 1 ms; a minute and a quarter\n"
    "  change     a change that no process waits for, by who may read the segment\n"
    "\n"
    "\"x robust\" is against glibc's robust mutex in the same run. A waiter is passed by each\n"
    "section that another process begins from when the waiter asks until it has the lock;\n"
    "where it lost its CPU meanwhile, these are many with any lock. In the rows of starve, >=\n"
    "marks a wait that was not over when its round of a second ended.\n";

static const char keys[] =
    "\n"
    "The keys of --json; times are in nanoseconds, and what was not measured is not there.\n"
    "A spread is an object with median, p10 and p90.\n"
    "  machine    processor, cpus, kernel, c_library, library\n"
    "  skipped    each: name, reason\n"
    "  used_by_others_percent   what other programs used of the CPUs, a number for each\n"
    "             measure in the order above\n"
    "  pair, pair_write, attach_detach, create_fill   each: name, what, ns (a spread), ratio\n"
    "             to the first one's\n"
    "  wake, message, calls, change   each: setting, and the same\n"
    "  read       each: setting, bytes, the same, changes_per_us, gave_up (a share)\n"
    "  contended  each: setting, processes, hold_ns, pause_ns, name, million_per_second (a\n"
    "             spread), slowest_to_fastest (a spread), ratio_to_glibc_robust,\n"
    "             wait_p99_ns, wait_max_ns, passed_p999, passed_max\n"
    "  starve     each: setting, relockers, hold_ns, name, waits (how many), wait_median_ns,\n"
    "             wait_p99_ns, wait_p999_ns, wait_max_ns, wait_max_is_open (it was not over),\n"
    "             ratio_to_glibc_robust (of wait_p99_ns), passed_median, passed_max,\n"
    "             sections_per_ms (of the relockers)\n"
    "  takeover   each: name, owner_resident_bytes, crashed_memfd_bytes, kills, told,\n"
    "             after_kill_ns (a spread), worst_after_kill_ns, median_after_death_ns,\n"
    "             worst_after_death_ns\n"
    "  sleeper    each: name, cpu_percent\n"
    "  readme     each: what, here, range (README.md's; empty: not there yet)\n";

void
print_help(FILE *out)
{
    fputs(options, out);
    fputs(measures, out);
    fputs(keys, out);
}
