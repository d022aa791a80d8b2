/*
 * check_info.c - what can be seen of segments: descriptions, lists, exported descriptors, digests.
 *
 * Run with "--read KEY" it attaches to that key, which is that of a descriptor it inherited, and
 * prints the text it finds: a test starts it so.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include "mapseg-format.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#define HEX_ID_BYTES 33

static char key[KEY_BYTES];
static char path[KEY_BYTES];

static void
choose_key(void)
{
    unique_key(key);
    path_of(path, key);
}

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

/// The description of the segment of this test, through a handle that is not attached.
static mapseg_info *
look(void)
{
    mapseg *seg = handle_for(key);
    mapseg_info *information = describe(seg);

    mapseg_free(seg);
    return information;
}

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

static void
hex_id(char text[HEX_ID_BYTES], const uint8_t id[16])
{
    for (int i = 0; i < 16; i++)
        snprintf(text + (size_t)2 * (size_t)i, 3, "%02x", id[i]);
}

/* --------------------------------------------------------- descriptions -- */

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

/* What a killed creator leaves where files cannot be without a name: list, look and reclaim agree
 * on it, and a file whose name only resembles such a one is nobody's. */
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

/* ---------------------------------------------------------------- lists -- */

/// The entry of that native key; NULL: none.
static const mapseg_info *
find(const mapseg_list *list, const char *native_key)
{
    for (size_t i = 0; i < mapseg_list_count(list); i++)
        if (strcmp(mapseg_list_get(list, i)->native_key, native_key) == 0)
            return mapseg_list_get(list, i);
    return NULL;
}

static mapseg_list *
take_list(void)
{
    mapseg_list *list = NULL;

    ck_assert_int_eq(mapseg_list_new(&list), MAPSEG_OK);
    ck_assert_ptr_nonnull(list);
    return list;
}

START_TEST(list_shows_segments)
{
    char live_key[KEY_BYTES], stale_key[KEY_BYTES], persistent_key[KEY_BYTES];
    const mapseg_info *information;
    mapseg *seg;
    mapseg_list *list;

    unique_key(live_key);
    unique_key(stale_key);
    unique_key(persistent_key);
    leave_debris(stale_key, 20, 1);
    leave_persistent(persistent_key, 30, 0);
    seg = created(live_key, 10);
    list = take_list();
    information = find(list, live_key);
    ck_assert_ptr_nonnull(information);
    ck_assert_int_eq(information->use, MAPSEG_USE_LIVE);
    ck_assert_uint_eq(information->data_size, 10);
    ck_assert_uint_eq(information->attached, 1);
    information = find(list, stale_key);
    ck_assert_ptr_nonnull(information);
    ck_assert_int_eq(information->use, MAPSEG_USE_STALE);
    ck_assert_uint_eq(information->attached, 0);
    information = find(list, persistent_key);
    ck_assert_ptr_nonnull(information);
    ck_assert_int_eq(information->use, MAPSEG_USE_PERSISTENT);
    for (size_t i = 1; i < mapseg_list_count(list); i++) {
        const mapseg_info *before = mapseg_list_get(list, i - 1);

        information = mapseg_list_get(list, i);
        ck_assert(before != NULL && information != NULL);
        ck_assert_int_lt(strcmp(before->native_key, information->native_key), 0);
    }
    ck_assert_ptr_null(mapseg_list_get(list, mapseg_list_count(list)));
    ck_assert_ptr_null(mapseg_list_get(list, SIZE_MAX));
    mapseg_list_free(list);
    mapseg_list_free(NULL);
    mapseg_free(seg);
    path_of(path, stale_key);
    ck_assert_int_eq(unlink(path), 0);
    path_of(path, persistent_key);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(list_passes_other_files_over)
{
    char link_key[KEY_BYTES], link_path[KEY_BYTES], fifo_key[KEY_BYTES], fifo_path[KEY_BYTES];
    char directory_key[KEY_BYTES], directory[KEY_BYTES], live_key[KEY_BYTES];
    struct footprint before;
    mapseg_list *list;
    mapseg *seg;
    int fd;

    unique_key(link_key);
    unique_key(fifo_key);
    unique_key(directory_key);
    unique_key(live_key);
    path_of(link_path, link_key);
    path_of(fifo_path, fifo_key);
    path_of(directory, directory_key);
    seg = created(live_key, 10);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, "foreign", 7), 7);
    close(fd);
    ck_assert_int_eq(symlink("nowhere", link_path), 0);
    ck_assert_int_eq(mkfifo(fifo_path, 0600), 0);
    ck_assert_int_eq(mkdir(directory, 0700), 0);
    take_footprint(&before, NULL);
    list = take_list();
    ck_assert_ptr_nonnull(find(list, live_key));
    ck_assert_ptr_null(find(list, key));
    ck_assert_ptr_null(find(list, link_key));
    ck_assert_ptr_null(find(list, fifo_key));
    ck_assert_ptr_null(find(list, directory_key));
    mapseg_list_free(list);
    check_footprint(&before, NULL);
    mapseg_free(seg);
    ck_assert_int_eq(unlink(path) | unlink(link_path) | unlink(fifo_path) | rmdir(directory), 0);
}
END_TEST

static int
list_as_nobody(void *argument)
{
    mapseg_list *list;

    (void)argument;
    become_nobody();
    list = take_list();
    ck_assert_ptr_null(find(list, key));
    mapseg_list_free(list);
    return 0;
}

START_TEST(list_passes_over_what_may_not_be_read)
{
    leave_persistent(key, 10, 0);
    ck_assert_int_eq(in_child(list_as_nobody, NULL), 0);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(list_holds_odd_names)
{
    char odd[KEY_BYTES + 64], name[KEY_BYTES];
    mapseg_list *list;
    mapseg *seg;

    unique_name(name);
    snprintf(odd, sizeof odd, "shm:%s %%0A%%25\xff", name);
    seg = created(odd, 10);
    list = take_list();
    ck_assert_ptr_nonnull(find(list, odd));
    mapseg_list_free(list);
    mapseg_free(seg);
}
END_TEST

START_TEST(list_shows_runtime_segments)
{
    char directory[] = "/dev/shm/mapsegtestruntimeXXXXXX", below[64];
    const mapseg_info *information;
    mapseg_list *list;
    mapseg *seg;

    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", directory, 1), 0);
    list = take_list();
    mapseg_list_free(list);
    seg = created("runtime:name", 10);
    list = take_list();
    information = find(list, "runtime:name");
    ck_assert_ptr_nonnull(information);
    ck_assert_int_eq(information->type, MAPSEG_KEY_RUNTIME);
    mapseg_list_free(list);
    mapseg_free(seg);
    snprintf(below, sizeof below, "%s/mapseg", directory);
    rmdir(below);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

/* ---------------------------------------------------------- descriptors -- */

/// "memfd:N" with the segment's id, or one that differs from it in a bit.
static void
descriptor_key(char text[KEY_BYTES], mapseg *seg, int fd, bool right)
{
    mapseg_info *information = describe(seg);
    char id[HEX_ID_BYTES];

    information->id[15] ^= right ? 0 : 1;
    hex_id(id, information->id);
    snprintf(text, KEY_BYTES, "memfd:%d?id=%s", fd, id);
    mapseg_info_free(information);
}

static mapseg *
created_memfd(const char *content)
{
    mapseg *seg = handle_for("memfd:");

    need_call(MAPSEG_OK, seg, mapseg_create(seg, 1000, MAPSEG_READ_WRITE));
    strcpy(mapseg_data(seg), content);
    return seg;
}

START_TEST(exported_descriptor_is_attached_by_number)
{
    mapseg *seg = created_memfd("hello"), *other;
    int fd = exported_fd(seg, MAPSEG_READ_WRITE);
    struct footprint before;
    char text[KEY_BYTES];

    ck_assert_int_ge(fd, 0);
    take_footprint(&before, NULL);
    snprintf(text, sizeof text, "memfd:%d", fd);
    other = attached(text, MAPSEG_READ_WRITE);
    ck_assert_uint_eq(mapseg_size(other), 1000);
    ck_assert_str_eq(mapseg_data(other), "hello");
    ck_assert_ptr_ne(mapseg_data(other), mapseg_data(seg));
    strcpy(mapseg_data(other), "world");
    ck_assert_str_eq(mapseg_data(seg), "world");
    need_call(MAPSEG_OK, other, mapseg_lock(other));
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    mapseg_free(other);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    /* The number stays the caller's. */
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    check_footprint(&before, NULL);
    close(fd);
    mapseg_free(seg);
}
END_TEST

START_TEST(descriptor_is_attached_by_its_id)
{
    mapseg *seg = created_memfd("hello"), *other, *stranger;
    int fd = exported_fd(seg, MAPSEG_READ_WRITE);
    struct footprint before;
    char text[KEY_BYTES];

    descriptor_key(text, seg, fd, true);
    other = attached(text, MAPSEG_READ_WRITE);
    ck_assert_str_eq(mapseg_native_key(other), text);
    ck_assert_str_eq(mapseg_data(other), "hello");
    mapseg_free(other);

    descriptor_key(text, seg, fd, false);
    stranger = handle_for(text);
    take_footprint(&before, NULL);
    ck_assert_int_ne(mapseg_attach(stranger, MAPSEG_READ_WRITE), MAPSEG_OK);
    ck_assert(is_one_line(mapseg_error_string(stranger)));
    ck_assert(!mapseg_is_attached(stranger));
    ck_assert_int_ne(mapseg_attach(stranger, MAPSEG_READ_ONLY), MAPSEG_OK);
    check_footprint(&before, NULL);
    mapseg_free(stranger);
    close(fd);
    mapseg_free(seg);
}
END_TEST

START_TEST(memfd_outlives_its_creator)
{
    mapseg *seg = created_memfd("hello"), *other;
    int fd = exported_fd(seg, MAPSEG_READ_WRITE);
    char text[KEY_BYTES];

    descriptor_key(text, seg, fd, true);
    mapseg_free(seg);
    for (int i = 0; i < 2; i++) {
        other = attached(text, MAPSEG_READ_WRITE);
        ck_assert_str_eq(mapseg_data(other), "hello");
        mapseg_free(other);
    }
    close(fd);
    other = handle_for(text);
    ck_assert_int_ne(mapseg_attach(other, MAPSEG_READ_WRITE), MAPSEG_OK);
    mapseg_free(other);
}
END_TEST

START_TEST(descriptor_for_reading_only_reads)
{
    mapseg *seg = created_memfd("hello"), *reader, *writer;
    int fd = exported_fd(seg, MAPSEG_READ_ONLY);
    struct footprint before;
    char text[KEY_BYTES];

    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    snprintf(text, sizeof text, "memfd:%d", fd);
    reader = attached(text, MAPSEG_READ_ONLY);
    ck_assert_str_eq(mapseg_const_data(reader), "hello");
    ck_assert_ptr_null(mapseg_data(reader));
    mapseg_free(reader);
    writer = handle_for(text);
    take_footprint(&before, NULL);
    need_call(MAPSEG_PERMISSION_DENIED, writer, mapseg_attach(writer, MAPSEG_READ_WRITE));
    ck_assert(is_one_line(mapseg_error_string(writer)));
    check_footprint(&before, NULL);
    mapseg_free(writer);
    close(fd);
    mapseg_free(seg);
}
END_TEST

/// Every export is a description of its own: a flag or offset set on one is not seen on another.
START_TEST(exports_share_nothing)
{
    mapseg *seg = created_memfd("hello");
    int first = exported_fd(seg, MAPSEG_READ_WRITE);
    int second = exported_fd(seg, MAPSEG_READ_WRITE);

    ck_assert_int_ge(first, 0);
    ck_assert_int_ge(second, 0);
    ck_assert_int_ne(first, second);
    ck_assert_int_eq(lseek(first, 100, SEEK_SET), 100);
    ck_assert_int_eq(lseek(second, 0, SEEK_CUR), 0);
    close(first);
    close(second);
    mapseg_free(seg);
}
END_TEST

/// The descriptor of a named segment knows no name: who attaches by it removes none.
START_TEST(descriptor_of_a_named_segment)
{
    mapseg *seg = created(key, 1000), *other;
    int fd = exported_fd(seg, MAPSEG_READ_WRITE);
    char text[KEY_BYTES];

    ck_assert_int_ge(fd, 0);
    snprintf(text, sizeof text, "memfd:%d", fd);
    other = handle_for(text);
    need_call(MAPSEG_OK, other, mapseg_attach(other, MAPSEG_READ_WRITE));
    strcpy(mapseg_data(other), "hello");
    ck_assert_str_eq(mapseg_data(seg), "hello");
    mapseg_free(seg);
    ck_assert(exists(path));
    mapseg_free(other);
    ck_assert(exists(path));
    close(fd);
    seg = handle_for(key);
    await_deserted(path);
    need_call(MAPSEG_OK, seg, mapseg_reclaim(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(nothing_to_export)
{
    mapseg *seg = handle_for(key);

    ck_assert_int_eq(exported_fd(seg, MAPSEG_READ_WRITE), -1);
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_NOT_ATTACHED);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    mapseg_free(seg);
}
END_TEST

/// Numbers that lead to no segment are refused, and what they lead to is left alone.
START_TEST(descriptors_that_are_no_segments)
{
    char text[KEY_BYTES];
    struct footprint before;
    int ends[2], fd;
    mapseg *seg;

    ck_assert_int_eq(pipe(ends), 0);
    switch (_i) {
    case 0:
        fd = ends[0];
        break;
    case 1:
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        break;
    case 2:
        fd = open("/", O_RDONLY | O_CLOEXEC);
        break;
    case 3:
        fd = memfd_create("foreign", MFD_CLOEXEC);
        ck_assert_int_eq(ftruncate(fd, 65536), 0);
        ck_assert_int_eq(fchmod(fd, 0600), 0);
        break;
    default:
        fd = 1000;
        break;
    }
    snprintf(text, sizeof text, "memfd:%d", fd);
    seg = handle_for(text);
    take_footprint(&before, NULL);
    need_call(_i == 4 ? MAPSEG_NOT_FOUND : MAPSEG_NOT_A_SEGMENT, seg,
              mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert_int_ne(mapseg_create(seg, 10, MAPSEG_READ_WRITE), MAPSEG_OK);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(!mapseg_is_attached(seg));
    check_footprint(&before, NULL);
    ck_assert_int_eq(fcntl(fd, F_GETFD) == -1, _i == 4);
    mapseg_free(seg);
    close(fd);
    if (_i != 0)
        close(ends[0]);
    close(ends[1]);
}
END_TEST

/// Creating makes a new one each time; attaching needs a number.
START_TEST(memfd_without_a_number)
{
    mapseg *first = created_memfd("first"), *second = created_memfd("second");
    mapseg *other = handle_for("memfd:");

    ck_assert_str_eq(mapseg_data(first), "first");
    ck_assert_str_eq(mapseg_data(second), "second");
    ck_assert_int_ne(mapseg_attach(other, MAPSEG_READ_WRITE), MAPSEG_OK);
    ck_assert(is_one_line(mapseg_error_string(other)));
    mapseg_free(first);
    mapseg_free(second);
    mapseg_free(other);
}
END_TEST

/// Inherits the descriptor and attaches in a program of its own.
static int
start_reader(void *argument)
{
    const char *text = argument;
    int fd = atoi(text + strlen("memfd:"));
    char program[PATH_MAX];

    own_program(program);
    if (fcntl(fd, F_SETFD, 0) != 0)
        return 90;
    execl(program, "check_info", "--read", text, (char *)NULL);
    return 91;
}

START_TEST(descriptor_travels_to_another_program)
{
    mapseg *seg = created_memfd("for the child");
    int fd = exported_fd(seg, _i == 0 ? MAPSEG_READ_ONLY : MAPSEG_READ_WRITE);
    char text[KEY_BYTES];

    descriptor_key(text, seg, fd, true);
    ck_assert_int_eq(in_child(start_reader, text), 0);
    descriptor_key(text, seg, fd, false);
    ck_assert_int_eq(in_child(start_reader, text), 2);
    close(fd);
    mapseg_free(seg);
}
END_TEST

/// The other program: 0 if it found the text, 2 if it could not attach.
static int
read_inherited(const char *text)
{
    mapseg *seg = mapseg_new();
    int status = 1;

    if (mapseg_set_native_key(seg, text) != MAPSEG_OK ||
        mapseg_attach(seg, MAPSEG_READ_ONLY) != MAPSEG_OK)
        status = 2;
    else if (mapseg_size(seg) == 1000 && strcmp(mapseg_const_data(seg), "for the child") == 0)
        status = 0;
    mapseg_free(seg);
    return status;
}

/* -------------------------------------------------------------- digests -- */

START_TEST(digest_is_xxh3)
{
    static const size_t sizes[] = {0,   1,    2,    3,    4,    7,     8,      9,
                                   16,  17,   32,   128,  129,  240,   241,    256,
                                   512, 1023, 1024, 1025, 4096, 65537, 1 << 20};
    const size_t size = sizes[_i];
    unsigned char *bytes = malloc(size + 1);
    uint64_t digest;

    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 251);
    digest = mapseg_digest(bytes, size);
    ck_assert_uint_eq(digest, XXH3_64bits(bytes, size));
    if (size > 0) {
        bytes[size - 1] ^= 1;
        ck_assert_uint_ne(mapseg_digest(bytes, size), digest);
    }
    free(bytes);
}
END_TEST

START_TEST(digest_of_nothing)
{
    ck_assert_uint_eq(mapseg_digest("", 0), UINT64_C(0x2d06800538d394c2));
    ck_assert_uint_eq(mapseg_digest(NULL, 0), UINT64_C(0x2d06800538d394c2));
}
END_TEST

START_TEST(digest_of_shared_data)
{
    mapseg *seg = created(key, 100000), *other;

    for (size_t i = 0; i < 100000; i++)
        ((unsigned char *)mapseg_data(seg))[i] = (unsigned char)(i * 7);
    other = attached(key, MAPSEG_READ_ONLY);
    ck_assert_uint_eq(mapseg_digest(mapseg_data(seg), mapseg_size(seg)),
                      mapseg_digest(mapseg_const_data(other), mapseg_size(other)));
    mapseg_free(seg);
    mapseg_free(other);
}
END_TEST

/* ------------------------------------------------------------- program -- */

static TCase *
new_group(Suite *suite, const char *name)
{
    TCase *group = new_case(suite, name);

    tcase_add_checked_fixture(group, choose_key, NULL);
    return group;
}

static void
add_descriptions(Suite *suite)
{
    TCase *group = new_group(suite, "descriptions");

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
}

static void
add_lists(Suite *suite)
{
    TCase *group = new_group(suite, "lists");

    tcase_add_test(group, list_shows_segments);
    tcase_add_test(group, list_passes_other_files_over);
    if (skip_unless(is_root(), "list_passes_over_what_may_not_be_read: only root can be two users"))
        tcase_add_test(group, list_passes_over_what_may_not_be_read);
    tcase_add_test(group, list_holds_odd_names);
    tcase_add_test(group, list_shows_runtime_segments);
}

static void
add_descriptors(Suite *suite)
{
    TCase *group = new_group(suite, "descriptors");

    tcase_add_test(group, exported_descriptor_is_attached_by_number);
    tcase_add_test(group, descriptor_is_attached_by_its_id);
    tcase_add_test(group, memfd_outlives_its_creator);
    tcase_add_test(group, descriptor_for_reading_only_reads);
    tcase_add_test(group, exports_share_nothing);
    tcase_add_test(group, descriptor_of_a_named_segment);
    tcase_add_test(group, nothing_to_export);
    tcase_add_loop_test(group, descriptors_that_are_no_segments, 0, 5);
    tcase_add_test(group, memfd_without_a_number);
    tcase_add_loop_test(group, descriptor_travels_to_another_program, 0, 2);
}

static void
add_digests(Suite *suite)
{
    TCase *group = new_group(suite, "digests");

    tcase_add_loop_test(group, digest_is_xxh3, 0, 23);
    tcase_add_test(group, digest_of_nothing);
    tcase_add_test(group, digest_of_shared_data);
}

int
main(int argc, char **argv)
{
    Suite *suite;

    if (argc == 3 && strcmp(argv[1], "--read") == 0)
        return read_inherited(argv[2]);
    suite = new_suite("info");
    add_descriptions(suite);
    add_lists(suite);
    add_descriptors(suite);
    add_digests(suite);
    return run_suite(suite);
}
