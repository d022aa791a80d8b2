/*
 * peer32.c - the 32-bit side of check_bits: does what it reads, line by line,
 * and answers each line with one line, until its input ends.
 *
 * SPDX-License-Identifier: MIT
 */

#include "mapseg-format.h"
#include "mapseg.h"
#include "payload.h"
#include "record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static mapseg *seg;

static void
say_result(mapseg_result result)
{
    (void)puts(mapseg_result_name(result));
}

static void
say_number(uint64_t number)
{
    (void)printf("%" PRIu64 "\n", number);
}

static void
say_truth(bool truth)
{
    (void)puts(truth ? "yes" : "no");
}

static void
fill(uint8_t seed)
{
    uint8_t *data = mapseg_data(seg);

    for (size_t i = 0; i < mapseg_size(seg); i++)
        data[i] = (uint8_t)(seed + i * 7);
    say_number(mapseg_size(seg));
}

static void
compare(uint8_t seed)
{
    const uint8_t *data = mapseg_const_data(seg);
    bool same = mapseg_size(seg) > 0;

    for (size_t i = 0; i < mapseg_size(seg); i++)
        same = same && data[i] == (uint8_t)(seed + i * 7);
    say_truth(same);
}

/** Adds to the record under the lock; whether it was always alone there. */
static bool
count_up(unsigned long rounds)
{
    struct record *record = mapseg_data(seg);
    bool alone = record != NULL;

    for (unsigned long round = 0; record != NULL && round < rounds; round++) {
        alone = mapseg_lock(seg) == MAPSEG_OK && alone;
        alone = record_add(record) && alone;
        alone = mapseg_unlock(seg) == MAPSEG_OK && alone;
    }
    return alone;
}

/** How many are attached while a forked child counts too. */
static void
count_in_child(unsigned long rounds)
{
    pid_t pid = fork();
    int status = -1;

    if (pid == 0)
        _exit(mapseg_is_attached(seg) && count_up(rounds) ? 0 : 1);
    say_truth(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

static void
describe(void)
{
    mapseg_info *information = NULL;
    mapseg_result result = mapseg_info_new(seg, &information);

    if (result != MAPSEG_OK) {
        say_result(result);
        return;
    }
    (void)printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %d ",
                 information->data_size, information->data_offset, information->created_ns,
                 information->user_tag, information->attached, (int)information->use);
    for (size_t i = 0; i < sizeof information->id; i++)
        (void)printf("%02x", information->id[i]);
    (void)printf(" %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n",
                 information->recoveries, information->contended, information->slept,
                 information->longest_wait_ns, information->version, information->label);
    mapseg_info_free(information);
}

/** What lies where this program's compiler puts the fields that change. */
static void
show_header(void)
{
    const char *data = mapseg_const_data(seg);
    const struct mapseg_header *header = NULL;
    mapseg_info *information = NULL;

    if (mapseg_info_new(seg, &information) == MAPSEG_OK && data != NULL)
        header = (const void *)(data - information->data_offset);
    if (header == NULL)
        (void)puts("nothing");
    else
        (void)printf("%.*s %" PRIu32 " %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                     " %" PRIu64 " %" PRIu32 " %" PRIu64 "\n",
                     MAPSEG_LABEL_BYTES, header->label, header->lock, header->suffering,
                     header->recoveries, header->contended, header->slept, header->longest_wait,
                     header->version, header->watchers, header->limit);
    mapseg_info_free(information);
}

/* ------------------------------------------------------------ versions -- */

#define PAYLOAD_BYTES 4096

/** Reads the payload; whether it is whole. */
static bool
read_whole(uint64_t *version)
{
    static uint64_t copy[PAYLOAD_BYTES / sizeof(uint64_t)];

    return mapseg_read_for(seg, 0, copy, sizeof copy, version, INT64_C(20000000000)) == MAPSEG_OK &&
           payload_is(copy, sizeof copy, *version);
}

/** Reads until the version is that large; whether all was whole on the way, and
 *  versions only grew. */
static bool
watch(uint64_t end)
{
    uint64_t last = 0;

    while (last < end) {
        uint64_t version;

        if (!read_whole(&version) || version < last)
            return false;
        last = version;
    }
    return last == end;
}

static bool
change(unsigned long rounds)
{
    bool fine = true;

    for (unsigned long round = 0; round < rounds; round++)
        fine = payload_change(seg, PAYLOAD_BYTES) == MAPSEG_OK && fine;
    return fine;
}

/** Waits, then says the result and the version. */
static void
wait_for_another(uint64_t seen)
{
    uint64_t version = 77;
    mapseg_result result = mapseg_wait(seg, seen, &version, INT64_C(20000000000));

    (void)printf("%s %" PRIu64 "\n", mapseg_result_name(result), version);
}

/** Begins a change, and writes half of it. */
static void
change_half(void)
{
    mapseg_result result = mapseg_write_begin(seg);

    if (mapseg_result_owes_unlock(result))
        payload_fill(mapseg_data(seg), 0, PAYLOAD_BYTES / 2, 99);
    say_result(result);
}

/** Repairs what a dead owner left half done. */
static void
repair(void)
{
    mapseg_result result = mapseg_write_begin(seg);

    if (result == MAPSEG_OWNER_DIED) {
        payload_fill(mapseg_data(seg), 0, PAYLOAD_BYTES, payload_next_version(seg));
        (void)mapseg_consistent(seg);
    }
    if (mapseg_result_owes_unlock(result))
        (void)mapseg_write_end(seg);
    say_result(result);
}

static bool
obey_versions(const char *word, const char *argument)
{
    uint64_t number = strtoull(argument, NULL, 10);

    if (strcmp(word, "change") == 0)
        say_truth(change((unsigned long)number));
    else if (strcmp(word, "half") == 0)
        change_half();
    else if (strcmp(word, "repair") == 0)
        repair();
    else if (strcmp(word, "read") == 0)
        say_number(read_whole(&number) ? number : 1);
    else if (strcmp(word, "watch") == 0)
        say_truth(watch(number));
    else if (strcmp(word, "wait") == 0)
        wait_for_another(number);
    else if (strcmp(word, "write") == 0)
        say_result(mapseg_write(seg, 0, &number, sizeof number));
    else
        return false;
    return true;
}

/* ---------------------------------------------------------- other words -- */

/** Whether the word was one that concerns keys and attachments. */
static bool
obey_attaching(const char *word, const char *argument)
{
    if (strcmp(word, "key") == 0)
        say_result(mapseg_set_native_key(seg, argument));
    else if (strcmp(word, "plain") == 0)
        (void)puts(mapseg_set_key(seg, argument) == MAPSEG_OK ? mapseg_native_key(seg) : "");
    else if (strcmp(word, "create") == 0)
        say_result(mapseg_create(seg, (size_t)strtoull(argument, NULL, 10), MAPSEG_READ_WRITE));
    else if (strcmp(word, "attach") == 0)
        say_result(mapseg_attach(seg, MAPSEG_READ_WRITE));
    else if (strcmp(word, "detach") == 0)
        say_result(mapseg_detach(seg));
    else if (strcmp(word, "size") == 0)
        say_number(mapseg_size(seg));
    else if (strcmp(word, "fill") == 0)
        fill((uint8_t)atoi(argument));
    else if (strcmp(word, "compare") == 0)
        compare((uint8_t)atoi(argument));
    else if (strcmp(word, "describe") == 0)
        describe();
    else if (strcmp(word, "header") == 0)
        show_header();
    else
        return false;
    return true;
}

static bool
obey_locking(const char *word, const char *argument)
{
    if (strcmp(word, "lock") == 0)
        say_result(mapseg_lock(seg));
    else if (strcmp(word, "try_lock") == 0)
        say_result(mapseg_try_lock(seg));
    else if (strcmp(word, "unlock") == 0)
        say_result(mapseg_unlock(seg));
    else if (strcmp(word, "consistent") == 0)
        say_result(mapseg_consistent(seg));
    else if (strcmp(word, "count") == 0)
        say_truth(count_up(strtoul(argument, NULL, 10)));
    else if (strcmp(word, "fork") == 0)
        count_in_child(strtoul(argument, NULL, 10));
    else if (strcmp(word, "bits") == 0)
        say_number(8 * sizeof(void *));
    else
        return false;
    return true;
}

int
main(void)
{
    char line[300];

    seg = mapseg_new();
    if (seg == NULL)
        return 1;
    while (fgets(line, sizeof line, stdin) != NULL) {
        const char *word = strtok(line, " \n");
        const char *argument = strtok(NULL, "\n");

        if (argument == NULL)
            argument = "";
        if (word == NULL || (!obey_attaching(word, argument) && !obey_locking(word, argument) &&
                             !obey_versions(word, argument)))
            (void)puts("what?");
        (void)fflush(stdout);
    }
    mapseg_free(seg);
    return 0;
}
