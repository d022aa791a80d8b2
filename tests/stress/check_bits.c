/*
 * check_bits.c - a 64-bit and a 32-bit program share one segment.
 *
 * SPDX-License-Identifier: MIT
 */

#include "support.h"
#include "record.h"
#include "versions.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 70001 /* no multiple of anything */

extern char **environ;

/** A running peer32. */
struct peer32 {
    pid_t pid;
    FILE *to;
    FILE *from;
    char answer[300];
};

/* ------------------------------------------------------------------ peer -- */

static const char *
peer_program(void)
{
    static char path[4096];
    const char *directory = getenv("abs_top_builddir");

    (void)snprintf(path, sizeof path, "%s/tests/stress/peer32",
                   directory != NULL ? directory : ".");
    return path;
}

/** A segment's descriptor that peers inherit, as this number; -1: none. */
#define PEER_DESCRIPTOR 9
static int shared_descriptor = -1;

/** Starts a peer; NULL: there is none, or it does not run here. */
static struct peer32 *
start_peer32(void)
{
    struct peer32 *peer = calloc(1, sizeof *peer);
    char *arguments[] = {(char[]){"peer32"}, NULL};
    posix_spawn_file_actions_t actions;
    int to[2];
    int from[2];
    bool started;

    if (peer == NULL || pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        return NULL;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
    if (shared_descriptor >= 0)
        (void)posix_spawn_file_actions_adddup2(&actions, shared_descriptor, PEER_DESCRIPTOR);
    started = posix_spawn(&peer->pid, peer_program(), &actions, NULL, arguments, environ) == 0;
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(to[0]);
    (void)close(from[1]);
    peer->to = fdopen(to[1], "w");
    peer->from = fdopen(from[0], "r");
    return started ? peer : NULL;
}

/** Tells the peer what to do, and does not wait for it. */
static void tell_peer32(struct peer32 *peer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
tell_peer32(struct peer32 *peer, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vfprintf(peer->to, format, arguments);
    va_end(arguments);
    need(fputc('\n', peer->to) == '\n' && fflush(peer->to) == 0);
}

/** The peer's next answer. */
static const char *
hear_peer32(struct peer32 *peer)
{
    if (fgets(peer->answer, sizeof peer->answer, peer->from) == NULL)
        return "(nothing: it is gone)";
    peer->answer[strcspn(peer->answer, "\n")] = '\0';
    return peer->answer;
}

static void
need_answer_at(int line, struct peer32 *peer, const char *expected)
{
    const char *answer = hear_peer32(peer);

    if (strcmp(answer, expected) != 0)
        broken_at(__FILE__, line, "the peer says '%s', not '%s'", answer, expected);
}

#define need_answer(peer, expected) need_answer_at(__LINE__, peer, expected)

/** Tells, and hears what is expected. */
#define need_said(peer, expected, ...) (tell_peer32(peer, __VA_ARGS__), need_answer(peer, expected))

/** A peer whose handle has the stage's key. */
static struct peer32 *
peer_at(const struct stage *stage)
{
    struct peer32 *peer = start_peer32();

    need(peer != NULL);
    need_said(peer, "32", "bits");
    if (shared_descriptor >= 0)
        need_said(peer, "MAPSEG_OK", "key memfd:%d", PEER_DESCRIPTOR);
    else
        need_said(peer, "MAPSEG_OK", "key %s", stage->place.key);
    return peer;
}

/** Closes the peer's input and sees it end well. */
static void
end_peer32(struct peer32 *peer)
{
    (void)fclose(peer->to);
    finish(peer->pid);
    (void)fclose(peer->from);
    free(peer);
}

static void
kill_peer32(struct peer32 *peer)
{
    kill_and_reap(peer->pid);
    (void)fclose(peer->to);
    (void)fclose(peer->from);
    free(peer);
}

/* ------------------------------------------------------------------ data -- */

static void
fill(mapseg *seg, uint8_t seed)
{
    uint8_t *data = mapseg_data(seg);

    for (size_t i = 0; i < mapseg_size(seg); i++)
        data[i] = (uint8_t)(seed + i * 7);
}

static bool
is_filled(mapseg *seg, uint8_t seed)
{
    const uint8_t *data = mapseg_const_data(seg);

    for (size_t i = 0; i < mapseg_size(seg); i++)
        if (data[i] != (uint8_t)(seed + i * 7))
            return false;
    return true;
}

/** What peer32's describe says, of this side. */
static void
describe_here(mapseg *seg, char *text, size_t bytes)
{
    mapseg_info *information;
    int length;

    need_result(MAPSEG_OK, mapseg_info_new(seg, &information));
    length =
        snprintf(text, bytes, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %d ",
                 information->data_size, information->data_offset, information->created_ns,
                 information->user_tag, information->attached, (int)information->use);
    for (size_t i = 0; i < sizeof information->id; i++)
        length += snprintf(text + length, bytes - (size_t)length, "%02x", information->id[i]);
    (void)snprintf(text + length, bytes - (size_t)length,
                   " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s",
                   information->recoveries, information->contended, information->slept,
                   information->longest_wait_ns, information->version, information->label);
    mapseg_info_free(information);
}

/** Both sides see the same of the segment, attachments included. */
static void
need_same_description(mapseg *seg, struct peer32 *peer)
{
    int64_t deadline = now_ns() + HANG;
    char text[300];

    do {
        describe_here(seg, text, sizeof text);
        tell_peer32(peer, "describe");
        if (strcmp(hear_peer32(peer), text) == 0)
            return;
    } while (now_ns() < deadline);
    broken("'%s' here is '%s' there", text, peer->answer);
}

START_TEST(data_made_here_is_read_there)
{
    struct stage *stage = new_stage();
    struct peer32 *peer = peer_at(stage);
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(stage->place.key);

    options.user_tag = UINT64_C(0xfedcba9876543210);
    need_result(MAPSEG_OK, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    fill(seg, 3);
    need_said(peer, "MAPSEG_OK", "attach");
    need_said(peer, "70001", "size");
    need_said(peer, "yes", "compare 3");
    need_said(peer, "no", "compare 4");
    need_said(peer, "70001", "fill 5");
    need(is_filled(seg, 5));
    need_same_description(seg, peer);
    mapseg_free(seg);
    end_peer32(peer);
    need(!exists(stage->place.path));
}
END_TEST

START_TEST(data_made_there_is_read_here)
{
    struct stage *stage = new_stage();
    struct peer32 *peer = peer_at(stage);
    mapseg *seg = handle_for(stage->place.key);

    need_said(peer, "MAPSEG_OK", "create %d", DATA_BYTES);
    need_said(peer, "70001", "fill 9");
    need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_number(DATA_BYTES, mapseg_size(seg));
    need(is_filled(seg, 9));
    need_same_description(seg, peer);
    need_said(peer, "MAPSEG_ALREADY_EXISTS", "create 1");
    need_said(peer, "MAPSEG_OK", "detach");
    need(exists(stage->place.path));
    mapseg_free(seg);
    need(!exists(stage->place.path));
    end_peer32(peer);
}
END_TEST

/** What one side writes into the header the other finds in the same fields. */
START_TEST(fields_are_the_same)
{
    struct stage *stage = new_stage();
    struct peer32 *peer = peer_at(stage);
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(stage->place.key);
    struct mapseg_header *header;

    options.label = "gr\u00fc\u00dfe from here";
    need_result(MAPSEG_OK, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    header = map_header(stage->place.path);
    need_said(peer, "MAPSEG_OK", "attach");
    need_said(peer, "gr\u00fc\u00dfe from here 0 0 0 0 0 0 0 0 0", "header");
    header->suffering = 0xfffffff1;
    header->recoveries = UINT64_C(0x200000001);
    header->contended = UINT64_C(0x300000002);
    header->slept = UINT64_C(0x400000003);
    header->longest_wait = UINT64_C(0x500000004);
    header->version = UINT64_C(0x600000006);
    header->watchers = 0xfffffff2;
    header->limit = UINT64_C(0x700000005);
    need_said(peer,
              "gr\u00fc\u00dfe from here 0 4294967281 8589934593 12884901890 17179869187 "
              "21474836484 25769803782 4294967282 30064771077",
              "header");
    need_same_description(seg, peer);
    header->suffering = 0;
    header->watchers = 0;
    mapseg_free(seg);
    end_peer32(peer);
    need(!exists(stage->place.path));
}
END_TEST

START_TEST(label_made_there_is_read_here)
{
    struct peer32 *peer = start_peer32();
    mapseg_info *information;
    mapseg *seg = mapseg_new();
    char key[KEY_BYTES];

    need(peer != NULL && seg != NULL);
    unique_name(key);
    need_result(MAPSEG_OK, mapseg_set_key(seg, key));
    need_said(peer, mapseg_native_key(seg), "plain %s", key);
    need_said(peer, "MAPSEG_OK", "create 10");
    information = describe(seg);
    need(strcmp(information->label, key) == 0);
    mapseg_info_free(information);
    need_same_description(seg, peer);
    mapseg_free(seg);
    end_peer32(peer);
}
END_TEST

START_TEST(plain_keys_meet)
{
    char longest[201];
    const char *const keys[] = {"a", "a key, with \xc3\xbcmlaut", "/x/../y", longest};
    struct peer32 *peer = start_peer32();
    mapseg *seg = mapseg_new();

    need(peer != NULL && seg != NULL);
    memset(longest, 'l', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    for (size_t i = 0; i < 4; i++) {
        need_result(MAPSEG_OK, mapseg_set_key(seg, keys[i]));
        need_said(peer, mapseg_native_key(seg), "plain %s", keys[i]);
    }
    mapseg_free(seg);
    end_peer32(peer);
}
END_TEST

/** More than 32 bits can address: there it is seen, but not attached. */
START_TEST(too_large_for_one_of_them)
{
    struct stage *stage = new_stage();
    struct peer32 *peer = peer_at(stage);
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(stage->place.key);
    mapseg_result result;

    options.flags = MAPSEG_LAZY;
    result = mapseg_create_with(seg, (size_t)UINT64_C(0x140000000), MAPSEG_READ_WRITE, &options);
    if (result != MAPSEG_OUT_OF_RESOURCES) {
        need_result(MAPSEG_OK, result);
        need_same_description(seg, peer);
        need_said(peer, "MAPSEG_OUT_OF_RESOURCES", "attach");
        need_said(peer, "0", "size");
        need_attached(1, stage->place.key);
    }
    end_peer32(peer);
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

/* ------------------------------------------------------------------ lock -- */

#define ROUNDS 20000

static void
count_up(mapseg *seg)
{
    for (int round = 0; round < ROUNDS; round++) {
        need_result(MAPSEG_OK, mapseg_lock(seg));
        need(record_add(data_of(seg)));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    }
}

START_TEST(both_count)
{
    struct stage *stage = new_stage();
    struct peer32 *peers[2] = {peer_at(stage), peer_at(stage)};
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);

    record_init(data_of(seg));
    for (int i = 0; i < 2; i++)
        need_said(peers[i], "MAPSEG_OK", "attach");
    tell_peer32(peers[0], "count %d", ROUNDS);
    tell_peer32(peers[1], "fork %d", ROUNDS);
    count_up(seg);
    need_answer(peers[0], "yes");
    need_answer(peers[1], "yes");
    need_number(3 * ROUNDS, ((struct record *)data_of(seg))->count);
    need_number(0, lock_word(header));
    need_number(0, recoveries_of(header));
    for (int i = 0; i < 2; i++)
        end_peer32(peers[i]);
    mapseg_free(seg);
}
END_TEST

START_TEST(each_waits_for_the_other)
{
    struct stage *stage = new_stage();
    struct peer32 *peer = peer_at(stage);
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);

    need_said(peer, "MAPSEG_OK", "attach");
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_said(peer, "MAPSEG_WOULD_BLOCK", "try_lock");
    need_said(peer, "MAPSEG_NOT_LOCKED", "unlock");
    tell_peer32(peer, "lock");
    await_word(header, MAPSEG_LOCK_SLEEPERS);
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_answer(peer, "MAPSEG_OK");
    need_number(slot_in_maps(peer->pid, stage->place.path), lock_word(header) & MAPSEG_LOCK_OWNER);
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    tell_peer32(peer, "unlock");
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_answer(peer, "MAPSEG_OK");
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    end_peer32(peer);
    mapseg_free(seg);
}
END_TEST

static void *
lock_in_thread(void *argument)
{
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(argument));
    need_result(MAPSEG_OK, mapseg_consistent(argument));
    need_result(MAPSEG_OK, mapseg_unlock(argument));
    return NULL;
}

START_TEST(owner_dies_there)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);

    for (int round = 1; round <= 5; round++) {
        struct peer32 *peer = peer_at(stage);
        pthread_t thread;

        need_said(peer, "MAPSEG_OK", "attach");
        need_said(peer, "MAPSEG_OK", "lock");
        need(pthread_create(&thread, NULL, lock_in_thread, seg) == 0);
        await_word(header, MAPSEG_LOCK_SLEEPERS);
        kill_peer32(peer);
        need(pthread_join(thread, NULL) == 0);
        need_number(round, recoveries_of(header));
        need_number(0, lock_word(header));
    }
    mapseg_free(seg);
}
END_TEST

/** Holds the lock until it is killed. */
static void
hold(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need(mapseg_result_owes_unlock(mapseg_lock(seg)));
    atomic_fetch_add(&stage->ready, 1);
    for (;;)
        (void)pause();
}

START_TEST(owner_dies_here)
{
    struct stage *stage = new_stage();
    struct peer32 *peer = peer_at(stage);
    struct mapseg_header *header;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    need_said(peer, "MAPSEG_OK", "attach");
    for (int round = 1; round <= 5; round++) {
        pid_t holder = start(hold, stage);

        await(&stage->ready, round);
        tell_peer32(peer, "lock");
        await_word(header, MAPSEG_LOCK_SLEEPERS);
        kill_and_reap(holder);
        need_answer(peer, "MAPSEG_OWNER_DIED");
        need_number(round, recoveries_of(header));
        need_said(peer, "MAPSEG_OK", "consistent");
        need_said(peer, "MAPSEG_OK", "unlock");
        need_number(0, lock_word(header));
    }
    end_peer32(peer);
    remove_persistent(stage->place.key);
}
END_TEST

/* -------------------------------------------------------------- presence -- */

START_TEST(both_are_counted)
{
    struct stage *stage = new_stage();
    struct peer32 *peers[2] = {peer_at(stage), peer_at(stage)};
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    uint32_t slots[2];

    for (int i = 0; i < 2; i++) {
        need_said(peers[i], "MAPSEG_OK", "attach");
        need_attached(2 + (uint32_t)i, stage->place.key);
        slots[i] = slot_in_maps(peers[i]->pid, stage->place.path);
        need(slots[i] >= MAPSEG_FIRST_SLOT && slots[i] <= MAPSEG_LAST_SLOT);
    }
    need(slots[0] != slots[1]);
    kill_peer32(peers[0]);
    need_attached(2, stage->place.key);
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need(exists(stage->place.path));
    need_result(MAPSEG_IN_USE, mapseg_reclaim(seg));
    need_said(peers[1], "MAPSEG_OK", "detach");
    need(!exists(stage->place.path));
    need_said(peers[1], "MAPSEG_OK", "create 100");
    kill_peer32(peers[1]);
    need_number(MAPSEG_USE_STALE, use_of(stage->place.key));
    need_result(MAPSEG_OK, mapseg_reclaim(seg));
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------------- versions -- */

#define PAYLOAD_BYTES 4096

/** A show that peers can attach to: a file with a name, or, in memory, one
 *  that they inherit. */
static struct stage *
show_for_peers(void)
{
    struct stage *stage = new_show(PAYLOAD_BYTES);

    if (in_memory)
        need(sscanf(stage->place.key, "memfd:%d", &shared_descriptor) == 1);
    return stage;
}

/** One answer that has a number in it. */
static void
need_number_said(struct peer32 *peer, const char *prefix, uint64_t number)
{
    char text[64];

    (void)snprintf(text, sizeof text, "%s%" PRIu64, prefix, number);
    need_answer(peer, text);
}

START_TEST(versions_are_the_same)
{
    struct stage *stage = show_for_peers();
    struct peer32 *peer = peer_at(stage);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_said(peer, "MAPSEG_OK", "attach");
    for (uint64_t round = 0; round < 10; round++) {
        need_said(peer, "yes", "change 1");
        need_number((int64_t)(4 * round + 2), (int64_t)need_whole(seg));
        make_change(seg);
        tell_peer32(peer, "read");
        need_number_said(peer, "", 4 * round + 4);
    }
    end_peer32(peer);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

#define EDGE_CHANGES 400
#define EDGE_ROUNDS 30

/** One writer and one reader of each kind go over the end of the low half. */
static void
go_over_the_edge(struct peer32 *const peers[2], mapseg *seg, uint64_t first)
{
    uint64_t end = first + 4 * EDGE_CHANGES;
    uint64_t last = 0;

    tell_peer32(peers[0], "watch %" PRIu64, end);
    tell_peer32(peers[1], "change %d", EDGE_CHANGES);
    for (int i = 0; i < EDGE_CHANGES; i++) {
        uint64_t version;

        make_change(seg);
        version = need_whole(seg);
        need(version > last && version > first && version <= end);
        last = version;
    }
    need_answer(peers[0], "yes");
    need_answer(peers[1], "yes");
    need_number((int64_t)end, (int64_t)need_whole(seg));
}

START_TEST(versions_go_over_the_low_half)
{
    struct stage *stage = show_for_peers();
    struct peer32 *peers[2] = {peer_at(stage), peer_at(stage)};
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct mapseg_header *header = map_header(stage->place.path);

    for (int i = 0; i < 2; i++)
        need_said(peers[i], "MAPSEG_OK", "attach");
    for (uint64_t round = 0; round < EDGE_ROUNDS; round++) {
        uint64_t first = (round * round * round) << 32 | (UINT64_C(0x100000000) - 2 * EDGE_CHANGES);

        set_version(header, first);
        payload_fill(data_of(seg), 0, PAYLOAD_BYTES, first);
        go_over_the_edge(peers, seg, first);
    }
    for (int i = 0; i < 2; i++)
        end_peer32(peers[i]);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

START_TEST(each_waits_for_the_other_to_change)
{
    static const uint64_t firsts[] = {0, UINT64_C(0xfffffffe), UINT64_C(0x7fffffffe),
                                      UINT64_C(0x123456789abcdef0)};
    struct stage *stage = show_for_peers();
    struct peer32 *peer = peer_at(stage);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct mapseg_header *header = map_header(stage->place.path);

    need_said(peer, "MAPSEG_OK", "attach");
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        uint64_t version = 1;

        set_version(header, firsts[i]);
        tell_peer32(peer, "wait %" PRIu64, firsts[i]);
        nap(5 * MILLISECOND);
        need_asleep(peer->pid);
        make_change(seg);
        need_number_said(peer, "MAPSEG_OK ", firsts[i] + 2);
        tell_peer32(peer, "change 1");
        need_result(MAPSEG_OK, mapseg_wait(seg, firsts[i] + 2, &version, HANG));
        need_number((int64_t)firsts[i] + 4, (int64_t)version);
        need_answer(peer, "yes");
    }
    /* The same low half, and yet another version. */
    set_version(header, 8);
    tell_peer32(peer, "wait %" PRIu64, UINT64_C(0x500000008));
    need_number_said(peer, "MAPSEG_OK ", 8);
    end_peer32(peer);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

START_TEST(writer_dies_there)
{
    struct stage *stage = show_for_peers();
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct mapseg_header *header = map_header(stage->place.path);

    for (uint64_t round = 0; round < 5; round++) {
        struct peer32 *peer = peer_at(stage);
        uint64_t word;

        set_version(header, round << 32 | UINT64_C(0xfffffffe));
        need_said(peer, "MAPSEG_OK", "attach");
        need_said(peer, "MAPSEG_OK", "half");
        need_result(MAPSEG_TIMED_OUT,
                    mapseg_read_for(seg, 0, &word, sizeof word, NULL, 20 * MILLISECOND));
        kill_peer32(peer);
        need_result(MAPSEG_OWNER_DIED,
                    mapseg_read_for(seg, 0, &word, sizeof word, NULL, 20 * MILLISECOND));
        repair(seg);
        need(need_whole(seg) >= (round + 1) << 32);
    }
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

START_TEST(writer_dies_here)
{
    struct stage *stage = show_for_peers();
    struct peer32 *peer = peer_at(stage);
    struct mapseg_header *header = map_header(stage->place.path);

    need_said(peer, "MAPSEG_OK", "attach");
    for (uint64_t round = 0; round < 5; round++) {
        set_version(header, round << 32 | UINT64_C(0xfffffffe));
        let_writer_die(stage);
        need_said(peer, "MAPSEG_OWNER_DIED", "write 5");
        need(version_of(header) % 2 == 1);
        need_said(peer, "MAPSEG_OWNER_DIED", "repair");
        need(version_of(header) % 2 == 0 && version_of(header) >= (round + 1) << 32);
        tell_peer32(peer, "read");
        need_number_said(peer, "", version_of(header));
    }
    end_peer32(peer);
    end_show(stage);
}
END_TEST

/* ------------------------------------------------------------------ main -- */

/** Whether there are 32-bit programs here. */
static bool
peer_runs(void)
{
    struct peer32 *peer;
    bool runs = false;

    (void)signal(SIGPIPE, SIG_IGN);
    if (access(peer_program(), X_OK) != 0)
        return false;
    peer = start_peer32();
    if (peer != NULL) {
        (void)fputs("bits\n", peer->to);
        (void)fflush(peer->to);
        runs = strcmp(hear_peer32(peer), "32") == 0;
        (void)fclose(peer->to);
        (void)waitpid(peer->pid, NULL, 0);
        (void)fclose(peer->from);
        free(peer);
    }
    return runs;
}

int
main(void)
{
    Suite *suite = new_suite("bits");
    TCase *data = new_case(suite, "data");
    TCase *lock = new_case(suite, "lock");
    TCase *versions[] = {new_case(suite, "versions"), new_case(suite, "versions, in memory")};

    if (!skip_unless(sizeof(void *) == 8 && peer_runs(), "no 32-bit program could be built or run"))
        return EXIT_SKIPPED;
    tcase_add_test(data, data_made_here_is_read_there);
    tcase_add_test(data, data_made_there_is_read_here);
    tcase_add_test(data, fields_are_the_same);
    tcase_add_test(data, label_made_there_is_read_here);
    tcase_add_test(data, plain_keys_meet);
    tcase_add_test(data, too_large_for_one_of_them);
    tcase_add_test(lock, both_count);
    tcase_add_test(lock, each_waits_for_the_other);
    tcase_add_test(lock, owner_dies_there);
    tcase_add_test(lock, owner_dies_here);
    tcase_add_test(new_case(suite, "presence"), both_are_counted);
    tcase_add_checked_fixture(versions[1], use_memory_files, NULL);
    for (int i = 0; i < 2; i++) {
        tcase_add_test(versions[i], versions_are_the_same);
        tcase_add_test(versions[i], versions_go_over_the_low_half);
        tcase_add_test(versions[i], each_waits_for_the_other_to_change);
        tcase_add_test(versions[i], writer_dies_there);
        tcase_add_test(versions[i], writer_dies_here);
    }
    return run_suite(suite);
}
