/*
 * victims.c - processes that do everything with a segment whose header is scribbled on. What
 * they are told may be anything; what they touch is there, and each call ends.
 *
 * SPDX-License-Identifier: MIT
 */
#include "arena.h"

#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/** This victim has locked, and reads what it finds. */
static bool may_hold;

static void
count(enum tally tally)
{
    atomic_fetch_add(&arena->tallies[tally], 1);
}

static mapseg_access
any_access(void)
{
    return my_number == READER || draw(2) == 0 ? MAPSEG_READ_ONLY : MAPSEG_READ_WRITE;
}

/** What reads beyond the data dies of it. */
static void
fence(const mapseg *seg, void **page)
{
    const uintptr_t size = 4096;
    uintptr_t end = (uintptr_t)mapseg_const_data(seg) + mapseg_size(seg);

    *page = mmap((void *)((end + size - 1) / size * size), size, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (*page == MAP_FAILED)
        *page = NULL;
}

/* ------------------------------------------------- what a victim does -- */

static mapseg_result
attach_descriptor(mapseg *seg)
{
    int fd = dup(my_number == READER ? arena->read_fd : arena->fd);
    mapseg_result result;

    need(fd >= 0);
    result = in_time_result(PATIENCE, mapseg_attach_fd(seg, fd, any_access()));
    if (result != MAPSEG_OK)
        need(close(fd) == 0);
    return result;
}

static mapseg_result
attach_name(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    bool created = false;
    mapseg_result result;

    if (draw(4) == 0) {
        result = in_time_result(2 * PATIENCE,
                                mapseg_create_or_attach(seg, DATA_BYTES, any_access(), &created));
        need(!created);
        return result;
    }
    options.timeout_ns = 50 * MILLISECOND;
    options.flags = draw(2) == 0 ? MAPSEG_NO_FORK : 0;
    return in_time_result(50 * MILLISECOND, mapseg_attach_with(seg, any_access(), &options));
}

static void
enter(mapseg *seg)
{
    mapseg_result result;
    const volatile unsigned char *data;

    if (arena->fd >= 0)
        result = attach_descriptor(seg);
    else
        result = attach_name(seg);
    (void)explained(seg, result);
    need(result != MAPSEG_NOT_FOUND || arena->fd >= 0);
    count(result == MAPSEG_OK ? ATTACHED : REFUSED);
    may_hold = false;
    if (result != MAPSEG_OK)
        return;
    /* Whatever geometry was believed is there. */
    data = mapseg_const_data(seg);
    need(data != NULL && mapseg_size(seg) > 0);
    (void)data[0];
    (void)data[mapseg_size(seg) - 1];
    (void)data[draw((uint32_t)mapseg_size(seg))];
}

static void
write_something(mapseg *seg)
{
    static const char text[100] = "text";
    size_t size = mapseg_size(seg);
    char *data = mapseg_data(seg);
    mapseg_result result = in_time_result(0, mapseg_write_begin(seg));

    /* A scribbler may have taken the lock from the word meanwhile. */
    if (!mapseg_result_owes_unlock(explained(seg, result)))
        return;
    if (data != NULL) {
        data[draw((uint32_t)size)] = 1;
        if (size >= sizeof text)
            (void)in_time(0, mapseg_write(seg, size - sizeof text, text, sizeof text));
    }
    if (draw(2) == 0)
        (void)in_time(0, mapseg_consistent(seg));
    if (draw(8) != 0)
        (void)in_time(0, mapseg_write_end(seg));
}

static void
use_lock(mapseg *seg)
{
    int64_t limit = draw(5) * 3 * MILLISECOND;
    mapseg_result result;

    if (draw(3) == 0)
        result = in_time_result(0, mapseg_try_lock(seg));
    else
        result = in_time_result(limit, mapseg_lock_for(seg, limit));
    (void)explained(seg, result);
    count(mapseg_result_owes_unlock(result) ? LOCKED : NOT_LOCKED);
    if (!mapseg_result_owes_unlock(result))
        return;
    may_hold = true;
    if (draw(2) == 0)
        write_something(seg);
    if (draw(4) == 0)
        (void)in_time(0, mapseg_consistent(seg));
    if (draw(16) != 0)
        (void)in_time(0, mapseg_unlock(seg));
}

static void
read_something(mapseg *seg)
{
    static unsigned char to[DATA_BYTES];
    size_t size = mapseg_size(seg);
    size_t bytes = size < sizeof to ? size : sizeof to;
    uint64_t version = 0;
    mapseg_result result;

    switch (draw(5)) {
    case 0:
        result = in_time_result(PATIENCE, mapseg_read(seg, size - bytes, to, bytes, &version));
        break;
    case 1:
        result = in_time_result(PATIENCE, mapseg_read_begin(seg, &version));
        if (result == MAPSEG_OK)
            (void)in_time(0, mapseg_read_retry(seg, version));
        break;
    default:
        result =
            in_time_result(3 * MILLISECOND, mapseg_read_for(seg, draw((uint32_t)(size - bytes + 1)),
                                                            to, bytes, &version, 3 * MILLISECOND));
    }
    count(explained(seg, result) == MAPSEG_OK ? READ : NOT_READ);
    if (result == MAPSEG_OK)
        need(version % 2 == 0 || may_hold);
}

static void
wait_for_something(mapseg *seg)
{
    uint64_t seen = draw(2) == 0 ? draw(10) : 1;
    int64_t limit = draw(3) * 2 * MILLISECOND;
    uint64_t version = 0;
    mapseg_result result =
        in_time_result(limit, mapseg_wait(seg, seen, draw(2) == 0 ? NULL : &version, limit));

    (void)explained(seg, result);
    count(WAITED);
}

static void
poll_for_something(mapseg *seg)
{
    struct pollfd poller = {.events = POLLIN};

    poller.fd = in_time(0, notify_fd(seg));
    need(poller.fd >= 0);
    (void)poll(&poller, 1, 2);
}

static void
list_all(void)
{
    mapseg_list *list = NULL;

    if (in_time_result(0, mapseg_list_new(&list)) != MAPSEG_OK)
        broken("no list");
    /* To the reader most of them are closed. */
    need(my_number == READER || mapseg_list_count(list) >= 6);
    mapseg_list_free(list);
    count(LISTED);
}

static void
pass_on(mapseg *seg)
{
    mapseg *receiver = mapseg_new();
    mapseg_result result;
    int ends[2];

    need(receiver != NULL && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    result = in_time_result(PATIENCE, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    if (explained(seg, result) == MAPSEG_OK) {
        result = in_time_result(2 * PATIENCE, mapseg_receive(receiver, ends[1], MAPSEG_READ_ONLY));
        (void)explained(receiver, result);
    }
    begin_call("mapseg_free", PATIENCE);
    mapseg_free(receiver);
    (void)end_call(0);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void
guard(mapseg *seg)
{
    const volatile unsigned char *data = mapseg_const_data(seg);
    mapseg_result result = in_time_result(0, mapseg_guard_begin(seg));

    if (explained(seg, result) != MAPSEG_OK)
        return;
    (void)data[draw((uint32_t)mapseg_size(seg))];
    if (my_number == READER)
        read_something(seg);
    need_result(MAPSEG_OK, in_time_result(0, mapseg_guard_end(seg)));
}

/** A child takes over what the header lets it. */
static void
bear_child(mapseg *seg)
{
    int status = -1;
    pid_t pid;

    pid = in_time(0, fork());
    if (pid == 0) {
        mapseg_result result = in_time_result(MILLISECOND, mapseg_lock_for(seg, MILLISECOND));

        (void)explained(seg, result);
        (void)in_time(0, mapseg_detach(seg));
        _exit(0);
    }
    need(pid > 0);
    need(in_time(PATIENCE, waitpid(pid, &status, 0)) == pid);
    need(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/** No peer disturbs what a victim does with a segment of its own. */
static void
make_own(void)
{
    char key[KEY_BYTES + 32];
    mapseg *seg;

    (void)snprintf(key, sizeof key, "%s-own%d", arena->place.key, my_number);
    seg = handle_for(key);
    need_result(MAPSEG_OK, in_time_result(0, mapseg_create(seg, 100, MAPSEG_READ_WRITE)));
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    mapseg_free(seg);
}

/** What only who is not attached does. */
static void
stay_out(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg_result result;

    switch (draw(8)) {
    case 0:
        if (arena->fd >= 0)
            break;
        options.flags = draw(2) == 0 ? MAPSEG_RECLAIM : 0;
        result =
            in_time_result(PATIENCE, mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options));
        need(explained(seg, result) != MAPSEG_OK);
        break;
    case 1:
        if (arena->fd >= 0)
            break;
        /* The process that stays is attached all the time. */
        result = in_time_result(PATIENCE, mapseg_reclaim(seg));
        need(explained(seg, result) != MAPSEG_OK && result != MAPSEG_NOT_FOUND);
        break;
    case 2:
        make_own();
        break;
    default:
        enter(seg);
    }
}

static void
take_part(mapseg *seg)
{
    void *page = NULL;

    fence(seg, &page);
    switch (draw(18)) {
    case 0:
        (void)in_time(0, mapseg_detach(seg));
        break;
    case 1:
        inspect(seg);
        break;
    case 2:
        try_export(seg);
        break;
    case 3:
        pass_on(seg);
        break;
    case 4:
        guard(seg);
        break;
    case 5:
        list_all();
        break;
    case 6:
        poll_for_something(seg);
        break;
    case 7:
    case 8:
        wait_for_something(seg);
        break;
    case 9:
        bear_child(seg);
        break;
    case 10:
    case 11:
    case 12:
        read_something(seg);
        break;
    default:
        use_lock(seg);
    }
    if (page != NULL)
        need(munmap(page, 4096) == 0);
}

void
live(struct stage *stage)
{
    mapseg *seg;

    (void)stage;
    chance = (uint32_t)my_number * 7919 + 17;
    watch_hangs();
    if (my_number == READER)
        become_nobody();
    seg = arena->fd >= 0 ? mapseg_new() : handle_for(arena->place.key);
    need(seg != NULL);
    while (goes_on()) {
        if (mapseg_is_attached(seg))
            take_part(seg);
        else
            stay_out(seg);
    }
    begin_call("mapseg_free", 0);
    mapseg_free(seg);
    (void)end_call(0);
}
