/*
 * peer32.c - the 32-bit side of check_bits: does what it reads, line by line,
 * and answers each line with one line, until its input ends.
 */

#include "mapseg.h"
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
    bool alone = true;

    for (unsigned long round = 0; round < rounds; round++) {
        alone = mapseg_lock(seg) == MAPSEG_OK && alone;
        alone = record_add(mapseg_data(seg)) && alone;
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
    mapseg_information *information = NULL;
    mapseg_result result = mapseg_info(seg, &information);

    if (result != MAPSEG_OK) {
        say_result(result);
        return;
    }
    (void)printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %d ",
                 information->data_size, information->data_offset, information->created_ns,
                 information->user_tag, information->attached, (int)information->use);
    for (size_t i = 0; i < sizeof(information->id); i++)
        (void)printf("%02x", information->id[i]);
    (void)puts("");
    mapseg_information_free(information);
}

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
    while (fgets(line, sizeof(line), stdin) != NULL) {
        const char *word = strtok(line, " \n");
        const char *argument = strtok(NULL, "\n");

        if (argument == NULL)
            argument = "";
        if (word == NULL || (!obey_attaching(word, argument) && !obey_locking(word, argument)))
            (void)puts("what?");
        (void)fflush(stdout);
    }
    mapseg_free(seg);
    return 0;
}
