/*
 * check_info.c - descriptions of segments: what mapseg_info_new says, and that looking changes
 * nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mapseg-format.h"
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static char key[KEY_BYTES];
static char path[KEY_BYTES];

static void
choose_key(void)
{
    unique_key(key);
    path_of(path, key);
}

/// The description of the segment of this test, through a handle that is not attached.
static mapseg_info *
look(void)
{
    mapseg *seg = handle_for(key);
    mapseg_info *information = describe(seg);

    mapseg_free(seg);
    return information;
}

/* --------------------------------------------------------- what is said -- */

START_TEST(named_segment_is_described)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);
    struct mapseg_header header;
    mapseg_info *information;
    struct timespec now;
    struct stat status;
    int fd;

    options.flags = MAPSEG_FAIR;
    options.user_tag = 77;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10000, MAPSEG_READ_WRITE, &options));
    clock_gettime(CLOCK_REALTIME, &now);
    information = look();
    ck_assert_str_eq(information->native_key, key);
    ck_assert_str_eq(information->path, path);
    ck_assert_str_eq(information->file_system, "tmpfs");
    ck_assert_int_eq(information->type, MAPSEG_KEY_SHM);
    ck_assert_int_eq(information->use, MAPSEG_USE_LIVE);
    ck_assert_int_eq(information->verdict, MAPSEG_OK);
    ck_assert_ptr_nonnull(information->verdict_text);

    fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(read(fd, &header, sizeof header), sizeof header);
    ck_assert_int_eq(fstat(fd, &status), 0);
    close(fd);
    ck_assert_uint_eq(information->data_size, 10000);
    ck_assert_uint_eq(information->data_offset, header.data_offset);
    ck_assert_uint_eq(information->header_flags, MAPSEG_HEADER_FAIR);
    ck_assert_uint_eq(information->header_flags, header.flags);
    ck_assert_uint_eq(information->created_ns, header.created);
    ck_assert_uint_le(information->created_ns / 1000000000, (uint64_t)now.tv_sec);
    ck_assert_uint_ge(information->created_ns / 1000000000 + 60, (uint64_t)now.tv_sec);
    ck_assert_uint_eq(information->user_tag, 77);
    ck_assert_uint_eq(information->recoveries, 0);
    ck_assert_uint_eq(information->format, 1);
    ck_assert_mem_eq(information->id, header.id, 16);

    ck_assert_uint_eq(information->file_size, (uint64_t)status.st_size);
    ck_assert_uint_eq(information->file_bytes, (uint64_t)status.st_blocks * 512);
    ck_assert_uint_ge(information->file_bytes, 10000 + 4096);
    ck_assert_uint_eq(information->mode, 0600);
    ck_assert_uint_eq(information->uid, geteuid());
    ck_assert_uint_eq(information->gid, status.st_gid);
    ck_assert_uint_eq(information->links, 1);
    mapseg_info_free(information);

    /* The attached handle says the same. */
    information = describe(seg);
    ck_assert_str_eq(information->path, path);
    ck_assert_mem_eq(information->id, header.id, 16);
    ck_assert_uint_eq(information->attached, 1);
    mapseg_info_free(information);
    mapseg_free(seg);
    mapseg_info_free(NULL);
}
END_TEST

START_TEST(memfd_is_described)
{
    mapseg *seg = handle_for("memfd:");
    mapseg_info *information;

    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10000, MAPSEG_READ_WRITE));
    information = describe(seg);
    ck_assert_int_eq(information->type, MAPSEG_KEY_MEMFD);
    ck_assert_str_eq(information->path, "");
    ck_assert_str_eq(information->file_system, "memfd");
    ck_assert_int_eq(information->seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
                     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    ck_assert_uint_eq(information->mode, 0600);
    ck_assert_uint_eq(information->data_size, 10000);
    ck_assert_uint_eq(information->attached, 1);
    ck_assert_int_eq(information->use, MAPSEG_USE_LIVE);
    ck_assert_int_eq(information->verdict, MAPSEG_OK);
    mapseg_info_free(information);
    mapseg_free(seg);
}
END_TEST

START_TEST(ids_name_lives)
{
    mapseg_info *first, *second;
    mapseg *seg = created(key, 10);

    first = describe(seg);
    mapseg_free(seg);
    seg = created(key, 10);
    second = describe(seg);
    mapseg_free(seg);
    ck_assert_mem_ne(first->id, second->id, 16);
    mapseg_info_free(first);
    mapseg_info_free(second);
}
END_TEST

static void
check_use(mapseg_use use, uint32_t attached_count, uint32_t readers)
{
    mapseg_info *information = look();

    ck_assert_int_eq(information->use, use);
    ck_assert_uint_eq(information->attached, attached_count);
    ck_assert_uint_eq(information->readers, readers);
    ck_assert_int_eq(information->verdict, MAPSEG_OK);
    mapseg_info_free(information);
}

START_TEST(persistent_segment_is_described)
{
    mapseg_info *information;
    mapseg *seg;

    leave_persistent(key, 10, 0);
    check_use(MAPSEG_USE_PERSISTENT, 0, 0);
    information = look();
    ck_assert_uint_eq(information->header_flags, MAPSEG_HEADER_PERSISTENT);
    mapseg_info_free(information);
    seg = attached(key, MAPSEG_READ_WRITE);
    check_use(MAPSEG_USE_LIVE, 1, 0);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(damaged_segment_is_described)
{
    mapseg_info *information;
    uint64_t wrong = 0;
    int fd;

    leave_persistent(key, 10, 0);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(pwrite(fd, &wrong, sizeof wrong, 72), sizeof wrong);
    close(fd);
    information = look();
    ck_assert_int_eq(information->use, MAPSEG_USE_DAMAGED);
    ck_assert_int_eq(information->verdict, MAPSEG_CORRUPT);
    ck_assert(is_one_line(information->verdict_text));
    ck_assert_str_eq(information->path, path);
    ck_assert_uint_eq(information->mode, 0600);
    mapseg_info_free(information);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

/* What a killed creator leaves where files cannot be without a name: list, look and reclaim agree
 * on it, and a file whose name only resembles such a one is left alone. */
START_TEST(half_made_segment_is_debris)
{
    static const struct {
        const char *name;
        bool ours;
    } files[] = {{".mapseg-00000000000000aa", true}, {".mapseg-notes", false}};

    if (can_mount())
        use_tiny_shm("size=1m");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char native[KEY_BYTES], file_path[KEY_BYTES];
        mapseg_info *information;
        mapseg_list *list;
        bool listed = false;
        mapseg *seg;
        int fd;

        (void)snprintf(native, sizeof native, "shm:%s", files[i].name);
        path_of(file_path, native);
        fd = open(file_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        ck_assert_int_ge(fd, 0);
        close(fd);
        seg = handle_for(native);
        need_call(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
        ck_assert_int_eq(information->use, files[i].ours ? MAPSEG_USE_STALE : MAPSEG_USE_DAMAGED);
        mapseg_info_free(information);
        ck_assert_int_eq(mapseg_list_new(&list), MAPSEG_OK);
        for (size_t j = 0; j < mapseg_list_count(list); j++)
            if (strcmp(mapseg_list_get(list, j)->native_key, native) == 0)
                listed = mapseg_list_get(list, j)->use == MAPSEG_USE_STALE;
        mapseg_list_free(list);
        ck_assert(listed == files[i].ours);
        need_call(files[i].ours ? MAPSEG_OK : MAPSEG_NOT_A_SEGMENT, seg, mapseg_reclaim(seg));
        ck_assert(exists(file_path) != files[i].ours);
        (void)unlink(file_path);
        mapseg_free(seg);
    }
}
END_TEST

START_TEST(nothing_to_describe)
{
    mapseg *seg = handle_for(key), *keyless = mapseg_new(), *closed = handle_for("memfd:1000000");
    mapseg_info *information = NULL;

    need_call(MAPSEG_NOT_FOUND, seg, mapseg_info_new(seg, &information));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_KEY_ERROR, keyless, mapseg_info_new(keyless, &information));
    ck_assert_int_ne(mapseg_info_new(closed, &information), MAPSEG_OK);
    mapseg_free(seg);
    mapseg_free(keyless);
    mapseg_free(closed);
}
END_TEST

/* ---------------------------------------------------------- attachments -- */

static int
obey_when_called(int channel, void *argument)
{
    return hear(channel) == 'g' ? obedient_peer(channel, argument) : 1;
}

static void
call(const struct peer *peer)
{
    say(peer->channel, 'g');
    ck_assert_int_eq(hear(peer->channel), 'a');
}

/// Every attachment counts, whose and of whatever process it is.
START_TEST(attachments_are_counted)
{
    struct peer peers[3];
    mapseg *seg, *second, *reader;

    for (int i = 0; i < 3; i++)
        peers[i] = start_peer(obey_when_called, key);
    seg = created(key, 10);
    check_use(MAPSEG_USE_LIVE, 1, 0);
    second = attached(key, MAPSEG_READ_WRITE);
    reader = attached(key, MAPSEG_READ_ONLY);
    /* It can lock, so it is not one of those that cannot. */
    check_use(MAPSEG_USE_LIVE, 3, 0);
    for (int i = 0; i < 3; i++)
        call(&peers[i]);
    check_use(MAPSEG_USE_LIVE, 6, 0);
    mapseg_free(second);
    mapseg_free(reader);
    check_use(MAPSEG_USE_LIVE, 4, 0);
    kill_peer(&peers[0]);
    tell(&peers[1], 'd');
    check_use(MAPSEG_USE_LIVE, 2, 0);
    mapseg_free(seg);
    check_use(MAPSEG_USE_LIVE, 1, 0);
    kill_peer(&peers[2]);
    await_deserted(path);
    check_use(MAPSEG_USE_STALE, 0, 0);
    say(peers[1].channel, 'q');
    ck_assert_int_eq(end_peer(&peers[1]), 0);
    seg = handle_for(key);
    need_call(MAPSEG_OK, seg, mapseg_reclaim(seg));
    mapseg_free(seg);
}
END_TEST

/// Takes and drops locks on a file of its own, which moves lines about in the kernel's table.
static int
lock_something_else(int channel, void *argument)
{
    int fd = memfd_create("elsewhere", MFD_CLOEXEC);
    uint32_t *stop = argument;

    (void)channel;
    for (int i = 0; __atomic_load_n(stop, __ATOMIC_SEQ_CST) == 0; i++) {
        struct flock lock = {.l_whence = SEEK_SET, .l_start = i % 300 * 2, .l_len = 1};

        lock.l_type = (short)(rand() % 2 == 0 ? F_UNLCK : F_WRLCK);
        if (fcntl(fd, F_OFD_SETLK, &lock) != 0)
            return 1;
    }
    return 0;
}

/// What others lock meanwhile, on whatever file, makes no difference.
START_TEST(attachments_are_counted_while_others_lock)
{
    enum { ATTACHED = 20 };
    uint32_t *stop = shared_memory(sizeof *stop);
    struct peer other = start_peer(lock_something_else, stop);
    mapseg *segs[ATTACHED];

    segs[0] = created(key, 10);
    for (int i = 1; i < ATTACHED; i++)
        segs[i] = attached(key, MAPSEG_READ_WRITE);
    for (int i = 0; i < 1000; i++)
        check_use(MAPSEG_USE_LIVE, ATTACHED, 0);
    for (int i = 0; i < ATTACHED; i++)
        mapseg_free(segs[i]);
    __atomic_store_n(stop, 1, __ATOMIC_SEQ_CST);
    ck_assert_int_eq(end_peer(&other), 0);
}
END_TEST

static int
read_as_nobody(int channel, void *argument)
{
    mapseg *seg = handle_for(key);

    (void)argument;
    become_nobody();
    if (hear(channel) != 'g')
        return 1;
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    say(channel, 'a');
    return hear(channel) == 'q' ? 0 : 2;
}

START_TEST(readers_that_cannot_lock_are_told_apart)
{
    struct peer readers[2];
    mapseg *seg;

    for (int i = 0; i < 2; i++)
        readers[i] = start_peer(read_as_nobody, NULL);
    seg = created(key, 10);
    ck_assert_int_eq(chmod(path, 0644), 0);
    call(&readers[0]);
    check_use(MAPSEG_USE_LIVE, 2, 1);
    call(&readers[1]);
    check_use(MAPSEG_USE_LIVE, 3, 2);
    for (int i = 0; i < 2; i++)
        kill_peer(&readers[i]);
    check_use(MAPSEG_USE_LIVE, 1, 0);
    mapseg_free(seg);
    ck_assert(!exists(path));
}
END_TEST

/* ------------------------------------------------------------- the lock -- */

static void
check_lock(mapseg_lock_state state, bool inconsistent, pid_t pid)
{
    mapseg_info *information = look();

    ck_assert_int_eq(information->lock, state);
    ck_assert_int_eq(information->lock_inconsistent, inconsistent);
    if (pid != 0) {
        ck_assert_uint_eq(information->lock_pid, (uint32_t)pid);
        ck_assert_uint_ge(information->lock_slot, MAPSEG_FIRST_SLOT);
        ck_assert_uint_le(information->lock_slot, MAPSEG_LAST_SLOT);
    } else {
        ck_assert_uint_eq(information->lock_slot, 0);
    }
    mapseg_info_free(information);
}

START_TEST(state_of_the_lock_is_shown)
{
    struct peer peer = start_peer(obey_when_called, key);
    mapseg *seg = created(key, 10);
    mapseg_info *information;
    const pid_t peer_pid = peer.pid;

    check_lock(MAPSEG_LOCK_STATE_FREE, false, 0);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    check_lock(MAPSEG_LOCK_STATE_HELD, false, getpid());
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    check_lock(MAPSEG_LOCK_STATE_FREE, false, 0);
    call(&peer);
    tell(&peer, 'l');
    check_lock(MAPSEG_LOCK_STATE_HELD, false, peer_pid);
    kill_peer(&peer);
    check_lock(MAPSEG_LOCK_STATE_OWNER_DIED, false, peer_pid);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock(seg));
    check_lock(MAPSEG_LOCK_STATE_HELD, true, getpid());
    information = look();
    ck_assert_uint_eq(information->recoveries, 1);
    mapseg_info_free(information);
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    check_lock(MAPSEG_LOCK_STATE_INCONSISTENT, true, 0);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_consistent(seg));
    check_lock(MAPSEG_LOCK_STATE_HELD, false, getpid());
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    check_lock(MAPSEG_LOCK_STATE_FREE, false, 0);
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------------- looking -- */

/// Looking takes nothing, not for an instant: the last one out is not disturbed.
START_TEST(looking_changes_nothing)
{
    mapseg *seg, *looker = handle_for(key);
    struct file_state state;
    struct footprint before;

    leave_persistent(key, 10, 0);
    take_file_state(&state, path);
    take_footprint(&before, path);
    for (int i = 0; i < 10; i++) {
        mapseg_info_free(look());
        mapseg_info_free(describe(looker));
    }
    check_footprint(&before, path);
    check_file_state(&state, path);
    ck_assert(!mapseg_is_attached(looker));
    need_call(MAPSEG_OK, looker, mapseg_remove(looker));
    mapseg_free(looker);

    seg = created(key, 10);
    take_footprint(&before, path);
    mapseg_info_free(describe(seg));
    check_footprint(&before, path);
    mapseg_free(seg);
}
END_TEST

static int
look_all_the_time(int channel, void *argument)
{
    mapseg *seg = handle_for(key);
    uint32_t *stop = argument;

    (void)channel;
    while (__atomic_load_n(stop, __ATOMIC_SEQ_CST) == 0) {
        mapseg_info *information = NULL;

        if (mapseg_info_new(seg, &information) == MAPSEG_OK)
            mapseg_info_free(information);
    }
    mapseg_free(seg);
    return 0;
}

START_TEST(last_one_out_is_not_disturbed_by_who_looks)
{
    uint32_t *stop = shared_memory(sizeof *stop);
    struct peer looker = start_peer(look_all_the_time, stop);

    for (int i = 0; i < 1000; i++) {
        mapseg_free(created(key, 10));
        ck_assert_msg(!exists(path), "round %d: the name is left", i);
    }
    __atomic_store_n(stop, 1, __ATOMIC_SEQ_CST);
    ck_assert_int_eq(end_peer(&looker), 0);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("info");
    TCase *group = new_case(suite, "info");

    tcase_add_checked_fixture(group, choose_key, NULL);
    tcase_add_test(group, named_segment_is_described);
    tcase_add_test(group, memfd_is_described);
    tcase_add_test(group, ids_name_lives);
    tcase_add_test(group, attachments_are_counted);
    tcase_add_test(group, attachments_are_counted_while_others_lock);
    tcase_add_test(group, half_made_segment_is_debris);
    tcase_add_test(group, persistent_segment_is_described);
    if (skip_unless(is_root(),
                    "readers_that_cannot_lock_are_told_apart: only root can be two users"))
        tcase_add_test(group, readers_that_cannot_lock_are_told_apart);
    tcase_add_test(group, state_of_the_lock_is_shown);
    tcase_add_test(group, looking_changes_nothing);
    tcase_add_test(group, last_one_out_is_not_disturbed_by_who_looks);
    tcase_add_test(group, nothing_to_describe);
    tcase_add_test(group, damaged_segment_is_described);
    return run_suite(suite);
}
