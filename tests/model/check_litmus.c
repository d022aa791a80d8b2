/*
 * check_litmus.c - runs the litmus tests in tests/model/litmus by weak.h: each comes to what it
 * expects. herd7 reads the same files, see run.sh.
 *
 * Of herd7's language for C this knows what those files have: loads, stores, exchanges, fetch_or
 * and fences, one in a line, and at the end of the file "exists" with terms between "and" (/\)
 * and "or" (\/).
 *
 * SPDX-License-Identifier: MIT
 */
#include "weak.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATEMENTS 16

#define TERMS 16

#define NAME_BYTES 32

#define LINE_BYTES 128

enum kind { LOAD, STORE, EXCHANGE, FETCH_OR, FENCE };

struct statement {
    enum kind kind;
    int place;
    uint32_t value;
    memory_order order;
    char result[NAME_BYTES];
    uint32_t number; /**< what it came to in the last run */
};

/** In what must not be, or may be. */
struct term {
    int thread; /**< -1: a place, when all is over */
    char name[NAME_BYTES];
    uint32_t number;
    int alternative; /**< how many "or" stand before it */
};

/** A file. */
static struct litmus {
    char places[WEAK_PLACES][NAME_BYTES];
    uint32_t values[WEAK_PLACES];
    int place_count;
    struct statement statements[WEAK_THREADS][STATEMENTS];
    int counts[WEAK_THREADS];
    int thread_count;
    struct term terms[TERMS];
    int term_count;
    bool expected; /**< "Sometimes" */
} litmus;

static uint32_t memory[WEAK_PLACES];

/* ----------------------------------------------------------------- running -- */

static void
run(int thread)
{
    for (int i = 0; i < litmus.counts[thread]; i++) {
        struct statement *statement = &litmus.statements[thread][i];
        uint32_t *place = &memory[statement->place];

        switch (statement->kind) {
        case LOAD:
            statement->number = weak_load(place, statement->order);
            break;
        case STORE:
            weak_store(place, statement->value, statement->order);
            break;
        case EXCHANGE:
            statement->number = weak_update(place, 0, statement->value, statement->order);
            break;
        case FETCH_OR:
            statement->number = weak_update(place, UINT32_MAX, statement->value, statement->order);
            break;
        case FENCE:
            weak_fence(statement->order);
        }
    }
}

static void
run_first(void)
{
    run(0);
}

static void
run_second(void)
{
    run(1);
}

static void
run_third(void)
{
    run(2);
}

static bool
holds(const struct term *term, const uint32_t *values)
{
    if (term->thread < 0) {
        for (int i = 0; i < litmus.place_count; i++)
            if (strcmp(litmus.places[i], term->name) == 0)
                return values[i] == term->number;
        abort();
    }
    for (int i = 0; i < litmus.counts[term->thread]; i++)
        if (strcmp(litmus.statements[term->thread][i].result, term->name) == 0)
            return litmus.statements[term->thread][i].number == term->number;
    abort();
}

/** Whether what "exists" says is so. */
static bool
is_there(const uint32_t *values)
{
    bool all = true;

    for (int i = 0; i < litmus.term_count; i++) {
        if (i > 0 && litmus.terms[i].alternative != litmus.terms[i - 1].alternative) {
            if (all)
                return true;
            all = true;
        }
        all = all && holds(&litmus.terms[i], values);
    }
    return all;
}

/* ----------------------------------------------------------------- reading -- */

static int
place_of(const char *name)
{
    for (int i = 0; i < litmus.place_count; i++)
        if (strcmp(litmus.places[i], name) == 0)
            return i;
    return -1;
}

static memory_order
order_of(const char *name)
{
    static const struct {
        const char *name;
        memory_order order;
    } orders[] = {{"relaxed", memory_order_relaxed},
                  {"acquire", memory_order_acquire},
                  {"release", memory_order_release},
                  {"seq_cst", memory_order_seq_cst}};

    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        if (strcmp(orders[i].name, name) == 0)
            return orders[i].order;
    abort();
}

/** { [low] = 2; [high] = 0; } */
static void
read_places(const char *line)
{
    while ((line = strchr(line, '[')) != NULL) {
        int i = litmus.place_count++;

        if (i == WEAK_PLACES ||
            sscanf(line, "[%31[a-z]] = %u;", litmus.places[i], &litmus.values[i]) != 2)
            abort();
        line++;
    }
}

/** Whether the line is a statement, which it then adds to the thread. */
static bool
read_statement(const char *line)
{
    struct statement statement = {.kind = LOAD};
    char place[NAME_BYTES] = "";
    char operation[NAME_BYTES];
    char order[NAME_BYTES];
    int thread = litmus.thread_count - 1;

    if (sscanf(line, " atomic_thread_fence(memory_order_%31[a-z_]);", order) == 1)
        statement.kind = FENCE;
    else if (sscanf(line, " atomic_store_explicit(%31[a-z], %u, memory_order_%31[a-z_]);", place,
                    &statement.value, order) == 3)
        statement.kind = STORE;
    else if (sscanf(line, " int %31[a-z] = atomic_load_explicit(%31[a-z], memory_order_%31[a-z_]);",
                    statement.result, place, order) == 3)
        statement.kind = LOAD;
    else if (sscanf(line, " int %31[a-z] = atomic_%31[a-z_](%31[a-z], %u, memory_order_%31[a-z_]);",
                    statement.result, operation, place, &statement.value, order) == 5)
        statement.kind = strcmp(operation, "exchange_explicit") == 0 ? EXCHANGE : FETCH_OR;
    else
        return false;
    statement.order = order_of(order);
    statement.place = statement.kind == FENCE ? 0 : place_of(place);
    if (thread < 0 || litmus.counts[thread] == STATEMENTS || statement.place < 0)
        abort();
    litmus.statements[thread][litmus.counts[thread]++] = statement;
    return true;
}

/** exists (0:seen = 0 /\ low = 1) */
static void
read_terms(const char *line)
{
    int ors = 0;

    for (; *line != '\0'; line++) {
        struct term term = {.thread = -1, .alternative = ors};

        ors += line[0] == '\\' && line[1] == '/';
        if ((line[-1] != '(' && line[-1] != ' ') || line[0] == ' ')
            continue;
        if (sscanf(line, "%d:%31[a-z] = %u", &term.thread, term.name, &term.number) != 3) {
            term.thread = -1;
            if (sscanf(line, "%31[a-z] = %u", term.name, &term.number) != 2)
                continue;
        }
        if (litmus.term_count == TERMS)
            abort();
        litmus.terms[litmus.term_count++] = term;
    }
}

static bool
read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[LINE_BYTES];

    if (file == NULL)
        return false;
    memset(&litmus, 0, sizeof litmus);
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] == '{' && line[1] == ' ')
            read_places(line);
        else if (line[0] == 'P')
            litmus.thread_count++;
        else if (strncmp(line, "exists (", 8) == 0)
            read_terms(line + 8);
        else if (strstr(line, "Expected: Sometimes") != NULL)
            litmus.expected = true;
        else if (strstr(line, "atomic_") != NULL && !read_statement(line))
            abort();
    }
    (void)fclose(file);
    return litmus.thread_count > 1 && litmus.term_count > 0;
}

/* --------------------------------------------------------------------- all -- */

/** Whether the test comes to what it expects. */
static bool
try_file(const char *path, const char *name)
{
    static void (*const threads[])(void) = {run_first, run_second, run_third};
    struct weak_scene scene = {.without_fence = WEAK_NO_THREAD, .is_wrong = is_there};
    bool found;
    long states;

    if (!read_file(path))
        return false;
    for (int i = 0; i < litmus.thread_count; i++)
        scene.threads[i] = threads[i];
    for (int i = 0; i < litmus.place_count; i++) {
        scene.places[i] = &memory[i];
        scene.values[i] = litmus.values[i];
    }
    found = weak_search(&scene, &states) == WEAK_REFUSED;
    (void)printf("%-40s %6ld states  %s%s\n", name, states, found ? "Sometimes" : "Never",
                 found == litmus.expected ? "" : ": WRONG");
    return found == litmus.expected;
}

int
main(void)
{
    const char *source = getenv("abs_top_srcdir");
    char directory[2048];
    struct dirent **entries;
    int tests = 0;
    int wrong = 0;
    int count;

    (void)snprintf(directory, sizeof directory, "%s/tests/model/litmus",
                   source != NULL ? source : ".");
    count = scandir(directory, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[4096];

        (void)snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
        if (strstr(entries[i]->d_name, ".litmus") != NULL) {
            tests++;
            wrong += !try_file(path, entries[i]->d_name);
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    (void)printf("%d tests, %d wrong\n", tests, wrong);
    return tests > 0 && wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
