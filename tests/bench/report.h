/*
 * report.h - what the measures find out, and the forms it is shown in.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "peer.h"
#include "statistics.h"

#include <stdint.h>
#include <stdio.h>

#define PEERS_MAX 16
#define SETTINGS_MAX 8

/** The measures, as bits of a choice. */
enum measure {
    MEASURE_PAIR = 1,
    MEASURE_CONTENDED = 2,
    MEASURE_TAKEOVER = 4,
    MEASURE_SLEEPER = 8,
    MEASURE_REACH = 16,
    MEASURE_FILL = 32,
    MEASURE_READ = 64,
    MEASURE_WAKE = 128,
    MEASURE_MESSAGE = 256,
    MEASURE_CALLS = 512,
    MEASURE_STARVE = 1024,
    MEASURE_CHANGE = 2048,
    MEASURE_ALL = 4095
};
#define MEASURES 12

/** How much of everything is done. */
struct effort {
    int pair_rounds;
    int contended_rounds;
    long contended_ms;
    int kills;
    long sleeper_ms;
    int reach_rounds;
    int fill_rounds;
    int read_rounds;
    int wake_rounds;
    int message_rounds;
    int call_rounds;
    int starve_rounds;
    /** Of one round of one peer: no wait is longer. */
    long starve_ms;
    int change_rounds;
};

struct machine {
    char processor[128];
    char kernel[128];
    char c_library[64];
    char library[512];
    int cpus;
};

/** Nanoseconds of one operation; `ratio` is the median of what the rounds gave, each against the
 *  first row's time in the same round. */
struct row {
    const char *name;
    const char *what;
    struct spread time;
    double ratio;
};
struct table {
    struct row rows[PEERS_MAX];
    size_t count;
};

/** One of the tables of a measure that has several; `unit_ns` is what the text counts in. */
struct headed_table {
    const char *name;
    const char *title;
    double unit_ns;
    struct table table;
};
#define HEADED_MAX 4
struct headed_tables {
    struct headed_table list[HEADED_MAX];
    size_t count;
};

/** What happens to a record while it is read. `every_ns` is 0 for a writer without a pause. */
struct read_setting {
    const char *name;
    const char *what;
    bool written;
    double every_ns;
};
/** Readers of records of one size. For each: how often the writer beside it wrote, and the share of
 *  reads that gave up, because there was always a change under way. */
struct read_size {
    size_t bytes;
    struct table table;
    double changes_per_us[PEERS_MAX];
    double gave_up[PEERS_MAX];
};
#define READ_SIZES 4
struct read_table {
    struct read_setting setting;
    struct read_size sizes[READ_SIZES];
};

/** Who wants the lock, and how soon again. */
struct setting {
    const char *name;
    const char *what;
    int processes;
    double hold_ns;
    double pause_ns;
};
struct contended_row {
    const char *name;
    struct spread million_per_second;
    /** The slowest process' share of the fastest one's. */
    struct spread fairness;
    /** Against glibc's robust mutex, the median of the rounds; 0: that was not measured. */
    double ratio;
    double wait_p99_ns;
    double wait_max_ns;
    /** Sections that others began from when a waiter asked until it had the lock. */
    double passed_p999;
    double passed_max;
};
struct contended_table {
    struct setting setting;
    struct contended_row rows[PEERS_MAX];
    size_t count;
};

/** One waiter, beside how many that lock again at once, and how long these hold the lock. */
struct starve_setting {
    const char *name;
    int relockers;
    int64_t hold_ns;
};
struct starve_row {
    const char *name;
    size_t waits;
    double median_ns;
    double p99_ns;
    double p999_ns;
    double worst_ns;
    /** The longest wait was not over when its round ended. */
    bool worst_is_open;
    /** The p99 against that of glibc's robust mutex; 0: that was not measured. */
    double ratio;
    /** Sections that others began from when the waiter asked until it had the lock. */
    double passed_median;
    double passed_max;
    /** What the relockers got, all together. */
    double sections_per_ms;
};
struct starve_table {
    struct starve_setting setting;
    struct starve_row rows[PEERS_MAX];
    size_t count;
};
#define STARVE_SETTINGS_MAX 9

struct takeover_row {
    const char *name;
    /** Memory that the killed owner has to give back first. */
    size_t resident;
    /** The segment's bytes where the owner crashes with core dumps on; 0: it is killed. */
    size_t crashed;
    int kills;
    /** How often the next owner was told of the death. */
    int told;
    /** From the kill, and from when the kernel reported the owner gone. */
    struct spread after_kill_ns;
    double worst_after_kill_ns;
    double median_after_death_ns;
    double worst_after_death_ns;
};
struct takeover_table {
    struct takeover_row rows[PEERS_MAX];
    size_t count;
};

struct sleeper_row {
    const char *name;
    double cpu_percent;
};
struct sleeper_table {
    struct sleeper_row rows[PEERS_MAX];
    size_t count;
};

struct skipped {
    const char *name;
    const char *reason;
};

struct report {
    unsigned measured;
    struct machine machine;
    struct effort effort;
    struct skipped skipped[PEERS_MAX];
    size_t skipped_count;
    /** Of all CPUs, in percent, while each measure ran, in the order of their bits. */
    double used_by_others[MEASURES];
    struct table pair;
    struct table pair_write;
    struct contended_table contended[SETTINGS_MAX];
    size_t contended_count;
    struct takeover_table takeover;
    struct sleeper_table sleeper;
    struct table reach;
    size_t reach_bytes;
    struct table fill;
    size_t fill_bytes;
    struct read_table read[SETTINGS_MAX];
    size_t read_count;
    struct headed_tables wake;
    struct headed_tables message;
    struct headed_tables calls;
    struct starve_table starve[STARVE_SETTINGS_MAX];
    size_t starve_count;
    struct headed_tables change;
};

/** The peers to measure. */
struct choice {
    const struct peer *peers[PEERS_MAX];
    size_t peer_count;
    const struct memory *memories[PEERS_MAX];
    size_t memory_count;
};

/* The measures. False: something failed, and the error stream says what. */
bool measure_pair(struct report *report, const struct choice *choice);
bool measure_contended(struct report *report, const struct choice *choice);
bool measure_takeover(struct report *report, const struct choice *choice);
bool measure_sleeper(struct report *report, const struct choice *choice);
bool measure_reach(struct report *report, const struct choice *choice);
bool measure_fill(struct report *report, const struct choice *choice);
bool measure_read(struct report *report, const struct choice *choice);
bool measure_wake(struct report *report, const struct choice *choice);
bool measure_message(struct report *report, const struct choice *choice);
bool measure_calls(struct report *report, const struct choice *choice);
bool measure_starve(struct report *report, const struct choice *choice);
bool measure_change(struct report *report, const struct choice *choice);

void describe_machine(struct machine *machine);

/** CPU time, of this program with its children and of all. */
struct cpu_use {
    int64_t at;
    double own;
    double all;
};
struct cpu_use cpu_use_now(void);
/** Of all CPUs since then, in percent: what other programs used. */
double used_by_others(const struct cpu_use *since);

#define RANGE_BYTES 64
/** One of README.md's figures: what it is here, and on the processors that it was measured on. */
struct readme_comparison {
    const char *what;
    double here;
    /** "1.1 to 1.5"; "": on none yet. */
    char range[RANGE_BYTES];
};
#define COMPARISONS_MAX 16
/** Those that were measured now; how many. */
size_t compare_with_readme(const struct report *report, struct readme_comparison *comparisons);
/** README.md's table. */
void print_readme(FILE *out);

/** All of --help. */
void print_help(FILE *out);

/* As text, each part when it is there. */
void print_machine(const struct report *report, FILE *out);
void print_measure(const struct report *report, enum measure measure, FILE *out);
void print_comparisons(const struct report *report, FILE *out);
/* As one JSON object. */
void print_json(const struct report *report, FILE *out);
/* As a picture. False: it could not be drawn, and the error stream says why. */
bool draw_svg(const struct report *report, const char *path);

#endif
