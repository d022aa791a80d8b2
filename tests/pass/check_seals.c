/*
 * check_seals.c - memory files: what their seals forbid, to whom, and what is said about it.
 *
 * Every way to write a segment that somebody was only to read is tried, from another process, as
 * another user and as the same one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "sandbox.h"
#include "support.h"

#include "mapseg-format.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if !defined(F_SEAL_FUTURE_WRITE)
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#if !defined(F_SEAL_EXEC)
#define F_SEAL_EXEC 0x0020
#endif
#if !defined(MFD_NOEXEC_SEAL)
#define MFD_NOEXEC_SEAL 8U
#endif

#define SHARED_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

#define SIZE 20000
#define FILE_BYTES (MAPSEG_HEADER_BYTES + SIZE)

static bool
has_exec_seal(void)
{
    int fd = memfd_create("probe", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

    close(fd);
    return fd >= 0;
}

static bool
has_future_write(void)
{
    int fd = memfd_create("probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    bool has = fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0;

    close(fd);
    return has;
}

static mapseg *
created_with(const char *key, uint32_t flags, uint32_t mode)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);

    options.flags = flags;
    options.mode = mode;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    return seg;
}

static mapseg_writers
writers_of(mapseg *seg)
{
    mapseg_info *information = describe(seg);
    mapseg_writers writers = information->writers;

    mapseg_info_free(information);
    return writers;
}

/* ------------------------------------------------------------ what is set -- */

static void
check_seals(uint32_t flags, int expected)
{
    mapseg *seg = created_with("memfd:", flags, 0);
    mapseg_info *information = describe(seg);
    struct stat status;
    int fd = exported_fd(seg, MAPSEG_READ_ONLY);

    if (has_exec_seal())
        expected |= F_SEAL_EXEC;
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_GET_SEALS), expected);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0600);
    ck_assert_int_eq(information->seals, expected);
    ck_assert_uint_eq(information->mode, 0600);
    ck_assert(!information->can_shrink);
    ck_assert(is_one_line(information->safety_text));
    ck_assert_str_eq(information->limitations, "");
    ck_assert_int_eq(information->verdict, MAPSEG_OK);
    ck_assert_int_eq(information->writers,
                     flags & MAPSEG_SINGLE_WRITER ? MAPSEG_WRITERS_CREATOR : MAPSEG_WRITERS_OWNER);
    mapseg_info_free(information);
    close(fd);
    mapseg_free(seg);
}

START_TEST(seals_of_a_shared_segment)
{
    static const uint32_t flags[] = {0, MAPSEG_FAIR, MAPSEG_LAZY, MAPSEG_NO_FORK,
                                     MAPSEG_UNTRUSTED_PEER};

    check_seals(flags[_i], SHARED_SEALS);
}
END_TEST

START_TEST(seals_of_a_single_writer)
{
    static const uint32_t flags[] = {0, MAPSEG_FAIR, MAPSEG_NO_FORK, MAPSEG_UNTRUSTED_PEER};

    check_seals(flags[_i] | MAPSEG_SINGLE_WRITER, SHARED_SEALS | F_SEAL_FUTURE_WRITE);
}
END_TEST

START_TEST(created_to_read)
{
    mapseg *seg = handle_for("memfd:");
    mapseg_info *information;

    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_ONLY));
    information = describe(seg);
    ck_assert_int_eq(information->seals & ~F_SEAL_EXEC, SHARED_SEALS);
    mapseg_info_free(information);
    mapseg_free(seg);
}
END_TEST

START_TEST(a_mode_of_its_own)
{
    static const struct {
        uint32_t mode;
        mapseg_writers writers;
    } modes[] = {{0600, MAPSEG_WRITERS_OWNER},  {0640, MAPSEG_WRITERS_OWNER},
                 {0644, MAPSEG_WRITERS_OWNER},  {0660, MAPSEG_WRITERS_OTHERS},
                 {0602, MAPSEG_WRITERS_OTHERS}, {0666, MAPSEG_WRITERS_OTHERS}};
    mapseg *seg = created_with("memfd:", 0, modes[_i].mode);
    mapseg_info *information = describe(seg);

    ck_assert_uint_eq(information->mode, modes[_i].mode);
    ck_assert_int_eq(information->writers, modes[_i].writers);
    ck_assert_int_eq(information->seals & ~F_SEAL_EXEC, SHARED_SEALS);
    mapseg_info_free(information);
    mapseg_free(seg);
}
END_TEST

/** Seals keep others from writing whatever the mode says. */
START_TEST(a_single_writer_that_all_may_open)
{
    mapseg *seg = created_with("memfd:", MAPSEG_SINGLE_WRITER, 0666);

    ck_assert_int_eq(writers_of(seg), MAPSEG_WRITERS_CREATOR);
    mapseg_free(seg);
}
END_TEST

START_TEST(what_is_said)
{
    mapseg *shared = created_with("memfd:", 0, 0);
    mapseg *single = created_with("memfd:", MAPSEG_SINGLE_WRITER, 0);
    char key[KEY_BYTES];
    mapseg *named;
    mapseg_info *of_shared, *of_single, *of_named;

    unique_key(key);
    named = created_with(key, 0, 0);
    of_shared = describe(shared);
    of_single = describe(single);
    of_named = describe(named);
    ck_assert(is_one_line(of_named->safety_text));
    ck_assert_str_ne(of_shared->safety_text, of_single->safety_text);
    ck_assert_str_ne(of_shared->safety_text, of_named->safety_text);
    ck_assert(of_named->can_shrink);
    ck_assert_int_eq(of_named->writers, MAPSEG_WRITERS_OWNER);
    ck_assert_str_eq(of_named->limitations, "");
    mapseg_info_free(of_shared);
    mapseg_info_free(of_single);
    mapseg_info_free(of_named);
    mapseg_free(shared);
    mapseg_free(single);
    mapseg_free(named);
}
END_TEST

/* -------------------------------------------------------- single writer -- */

START_TEST(single_writer_refusals)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct footprint before;
    char key[KEY_BYTES], path[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    path_of(path, key);
    seg = handle_for(key);
    take_footprint(&before, NULL);
    options.flags = MAPSEG_SINGLE_WRITER;
    need_call(MAPSEG_NOT_SUPPORTED, seg,
              mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(!exists(path));
    ck_assert(!mapseg_is_attached(seg));
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, "memfd:"));
    need_call(MAPSEG_INVALID_ARGUMENT, seg,
              mapseg_create_with(seg, SIZE, MAPSEG_READ_ONLY, &options));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(!mapseg_is_attached(seg));
    mapseg_free(seg);
    check_footprint(&before, NULL);
}
END_TEST

/** A call ignores the flags that do not concern it. */
START_TEST(single_writer_does_not_concern_attaching)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = created_with("memfd:", MAPSEG_SINGLE_WRITER, 0), *reader = mapseg_new();
    int fd = exported_fd(seg, MAPSEG_READ_ONLY);

    options.flags = MAPSEG_SINGLE_WRITER | MAPSEG_UNTRUSTED_PEER;
    need_call(MAPSEG_OK, reader, mapseg_attach_fd_with(reader, fd, MAPSEG_READ_ONLY, &options));
    ck_assert_int_eq(writers_of(reader), MAPSEG_WRITERS_CREATOR);
    mapseg_free(reader);
    mapseg_free(seg);
}
END_TEST

/** Children made by fork() inherit the one mapping that can write. */
START_TEST(children_of_a_single_writer)
{
    mapseg *seg = created_with("memfd:", MAPSEG_SINGLE_WRITER | (_i == 0 ? 0 : MAPSEG_NO_FORK), 0);
    char *data = mapseg_data(seg);
    pid_t child;

    strcpy(data, "parent");
    child = fork();
    if (child == 0) {
        if (_i != 0)
            _exit(!mapseg_is_attached(seg) && mapseg_const_data(seg) == NULL ? 0 : 1);
        if (mapseg_write_begin(seg) != MAPSEG_OK)
            _exit(2);
        strcpy(mapseg_data(seg), "child");
        _exit(mapseg_write_end(seg) == MAPSEG_OK ? 0 : 3);
    }
    ck_assert_int_eq(end_of(child), 0);
    ck_assert_str_eq(data, _i == 0 ? "child" : "parent");
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
}
END_TEST

/** A descriptor of a single writer's segment is to read, or useless to write. */
START_TEST(a_single_writer_cannot_share_writing)
{
    mapseg *seg = created_with("memfd:", MAPSEG_SINGLE_WRITER, 0), *other = mapseg_new();
    int ends[2], fd = exported_fd(seg, MAPSEG_READ_WRITE);

    if (fd < 0) {
        ck_assert(is_one_line(mapseg_error_string(seg)));
        fd = exported_fd(seg, MAPSEG_READ_ONLY);
    }
    ck_assert_int_ge(fd, 0);
    ck_assert_ptr_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    ck_assert_int_eq(pwrite(fd, "x", 1, 5000), -1);
    need_call(MAPSEG_PERMISSION_DENIED, other, mapseg_attach_fd(other, fd, MAPSEG_READ_WRITE));
    ck_assert(!mapseg_is_attached(other));
    need_call(MAPSEG_OK, other, mapseg_attach_fd(other, fd, MAPSEG_READ_ONLY));
    need_call(MAPSEG_PERMISSION_DENIED, other, mapseg_lock(other));
    need_call(MAPSEG_PERMISSION_DENIED, other, mapseg_write_begin(other));
    need_call(MAPSEG_OK, other, mapseg_detach(other));

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    need_call(MAPSEG_PERMISSION_DENIED, other, mapseg_receive(other, ends[1], MAPSEG_READ_WRITE));
    close(ends[0]);
    close(ends[1]);
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------------- attacks -- */

/* Each tries one way to alter the file behind a descriptor; whether the system let it. */

static int creator; /* the process that made the segment */

static bool
write_mapping(void *address, size_t bytes)
{
    if (address == MAP_FAILED)
        return false;
    memset(address, '!', bytes);
    munmap(address, bytes);
    return true;
}

static int
reopen(int fd, int flags)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, flags | O_CLOEXEC);
}

static bool
map_to_write(int fd)
{
    return write_mapping(mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
                         FILE_BYTES);
}

static bool
protect_mapping(int fd)
{
    void *address = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);

    if (address == MAP_FAILED || mprotect(address, FILE_BYTES, PROT_READ | PROT_WRITE) != 0)
        return false;
    return write_mapping(address, FILE_BYTES);
}

/** All that the library itself has mapped of it here. */
static bool
protect_own_mappings(int fd)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    unsigned long from, to;
    int found = 0, altered = 0;

    (void)fd;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        if (strstr(line, "memfd:") == NULL || sscanf(line, "%lx-%lx", &from, &to) != 2)
            continue;
        found++;
        altered += mprotect((void *)from, to - from, PROT_READ | PROT_WRITE) == 0;
    }
    /* That none was found would be no proof. */
    return maps == NULL || fclose(maps) != 0 || found == 0 || altered != 0;
}

static bool
remove_through_mapping(int fd)
{
    void *address = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    bool done = address != MAP_FAILED && madvise(address, FILE_BYTES, MADV_REMOVE) == 0;

    if (address != MAP_FAILED)
        munmap(address, FILE_BYTES);
    return done;
}

static bool
write_descriptor(int fd)
{
    return lseek(fd, 5000, SEEK_SET) == 5000 && write(fd, "!!!!", 4) > 0;
}

static bool
write_at(int fd)
{
    return pwrite(fd, "!!!!", 4, 5000) > 0;
}

static bool
send_file(int fd)
{
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    bool done = lseek(fd, 5000, SEEK_SET) == 5000 && sendfile(fd, from, NULL, 100) > 0;

    close(from);
    return done;
}

static bool
change_flags(int fd)
{
    return fcntl(fd, F_SETFL, O_RDWR) == 0 && pwrite(fd, "!!!!", 4, 5000) > 0;
}

static bool
with_reopened(int fd, int flags, bool (*attack)(int fd))
{
    int again = reopen(fd, flags);
    bool done = again >= 0 && attack(again);

    if (again >= 0)
        close(again);
    return done;
}

static bool
reopen_and_map(int fd)
{
    return with_reopened(fd, O_RDWR, map_to_write);
}

static bool
reopen_and_write(int fd)
{
    return with_reopened(fd, O_RDWR, write_at) || with_reopened(fd, O_WRONLY, write_at) ||
           with_reopened(fd, O_WRONLY | O_APPEND, write_descriptor);
}

static bool
cut(int fd)
{
    return ftruncate(fd, 4096) == 0 || ftruncate(fd, 0) == 0;
}

static bool
grow(int fd)
{
    return ftruncate(fd, 1 << 20) == 0 || fallocate(fd, 0, 0, 1 << 20) == 0;
}

static bool
punch(int fd)
{
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192) == 0 ||
           fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 4096, 8192) == 0 ||
           fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 4096, 4096) == 0;
}

static bool
reopen_and_cut(int fd)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (truncate(path, 4096) == 0)
        return true;
    return with_reopened(fd, O_RDWR, cut);
}

static bool
reopen_to_cut(int fd)
{
    struct stat status;
    int again = reopen(fd, O_RDWR | O_TRUNC);

    if (again >= 0)
        close(again);
    return fstat(fd, &status) != 0 || status.st_size == 0;
}

static bool
reopen_and_grow(int fd)
{
    return with_reopened(fd, O_RDWR, grow);
}

static bool
reopen_and_punch(int fd)
{
    return with_reopened(fd, O_RDWR, punch);
}

static bool
seal_more(int fd)
{
    static const int seals[] = {F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_SHRINK};

    for (size_t i = 0; i < sizeof seals / sizeof *seals; i++)
        if (fcntl(fd, F_ADD_SEALS, seals[i]) == 0)
            return true;
    return false;
}

static bool
reopen_and_seal(int fd)
{
    return with_reopened(fd, O_RDWR, seal_more);
}

static bool
make_executable(int fd)
{
    return fchmod(fd, 0700) == 0;
}

static bool
change_mode(int fd)
{
    return fchmod(fd, 0666) == 0;
}

static bool
change_owner(int fd)
{
    return fchown(fd, 65534, 65534) == 0;
}

/** Alters the segment that `fd` is on through another name of it, if the path is one. */
static bool
alter_through(const char *path, int fd)
{
    struct stat own, other;
    int found = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    bool done = found >= 0 && fstat(fd, &own) == 0 && fstat(found, &other) == 0 &&
                own.st_dev == other.st_dev && own.st_ino == other.st_ino &&
                (map_to_write(found) || write_at(found) || punch(found) || cut(found));

    if (found >= 0)
        close(found);
    return done;
}

/** What the creator has open and mapped. */
static bool
through_directory(const char *directory, int fd)
{
    DIR *names;
    struct dirent *entry;
    char path[PATH_MAX], target[256];
    bool done = false;

    snprintf(path, sizeof path, "/proc/%d/%s", creator, directory);
    names = opendir(path);
    if (names == NULL)
        return false;
    while (!done && (entry = readdir(names)) != NULL) {
        ssize_t length;

        snprintf(path, sizeof path, "/proc/%d/%s/%.64s", creator, directory, entry->d_name);
        length = readlink(path, target, sizeof target - 1);
        if (length <= 0)
            continue;
        target[length] = '\0';
        done = strstr(target, "memfd:") != NULL && alter_through(path, fd);
    }
    closedir(names);
    return done;
}

static bool
through_creators_descriptors(int fd)
{
    char path[64];

    /* Who may not list them can still guess. */
    for (int i = 0; i < 64; i++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", creator, i);
        if (alter_through(path, fd))
            return true;
    }
    return through_directory("fd", fd);
}

static bool
through_creators_mappings(int fd)
{
    return through_directory("map_files", fd);
}

static const struct attack {
    const char *name;
    bool (*run)(int fd);
    bool owner_may; /* it is the owner's right, and does no harm */
} attacks[] = {
    {"map to write", map_to_write, false},
    {"make a mapping writable", protect_mapping, false},
    {"make the library's mappings writable", protect_own_mappings, false},
    {"remove through a mapping", remove_through_mapping, false},
    {"write", write_descriptor, false},
    {"pwrite", write_at, false},
    {"sendfile", send_file, false},
    {"change the descriptor's flags", change_flags, false},
    {"reopen and map", reopen_and_map, false},
    {"reopen and write", reopen_and_write, false},
    {"cut", cut, false},
    {"grow", grow, false},
    {"punch", punch, false},
    {"reopen and cut", reopen_and_cut, false},
    {"reopen to cut", reopen_to_cut, false},
    {"reopen and grow", reopen_and_grow, false},
    {"reopen and punch", reopen_and_punch, false},
    {"seal more", seal_more, false},
    {"reopen and seal", reopen_and_seal, false},
    {"through the creator's descriptors", through_creators_descriptors, false},
    {"through the creator's mappings", through_creators_mappings, false},
    {"change the mode", change_mode, true},
    {"change the owner", change_owner, true},
};

#define ATTACKS (int)(sizeof attacks / sizeof *attacks)

/** A process that has received the segment, to read. */
struct attacker {
    int ends[2];
    bool nobody;
    bool may_lock;
    bool executable_is_sealed;
    bool (*only)(int fd); /* this attack alone; NULL: all */
};

static int
attack_all(int fd, const struct attacker *attacker)
{
    int failed = 0;

    for (int i = 0; i < ATTACKS; i++) {
        if (attacks[i].owner_may && !attacker->nobody)
            continue;
        if (attacks[i].run(fd)) {
            printf("not refused: %s\n", attacks[i].name);
            failed++;
        }
    }
    if ((attacker->executable_is_sealed || attacker->nobody) && make_executable(fd)) {
        printf("not refused: make executable\n");
        failed++;
    }
    fflush(stdout);
    return failed;
}

/** Receives, attacks when told, then reads when told. */
static int
attack_when_told(int channel, void *argument)
{
    const struct attacker *attacker = argument;
    mapseg *seg = mapseg_new();
    uint64_t version = 1, now;
    char text[32];
    int fd;

    creator = getppid();
    close(attacker->ends[0]);
    if (attacker->nobody)
        become_nobody();
    if (mapseg_receive(seg, attacker->ends[1], MAPSEG_READ_ONLY) != MAPSEG_OK ||
        sscanf(mapseg_native_key(seg), "memfd:%d?", &fd) != 1)
        return 1;
    if (mapseg_read(seg, 0, text, sizeof text, &version) != MAPSEG_OK)
        return 2;
    say(channel, 'r');
    if (hear(channel) != 'g')
        return 3;
    if (attacker->only != NULL)
        say(channel, attacker->only(fd) ? 'y' : 'n');
    else
        say(channel, attack_all(fd, attacker) == 0 ? 'n' : 'y');
    if (hear(channel) != 'w' || mapseg_wait(seg, version, &now, -1) != MAPSEG_OK ||
        mapseg_read(seg, 0, text, sizeof text, &version) != MAPSEG_OK)
        return 4;
    if (!attacker->may_lock && mapseg_lock(seg) != MAPSEG_PERMISSION_DENIED)
        return 5;
    if (mapseg_data(seg) != NULL || mapseg_write_begin(seg) != MAPSEG_PERMISSION_DENIED)
        return 6;
    say(channel, strcmp(text, "the creator goes on") == 0 ? 'y' : 'n');
    (void)hear(channel);
    mapseg_free(seg);
    return 0;
}

/** Creates, sends to read, and lets it be attacked; `altered`: whether that is to succeed. */
static void
be_attacked(struct attacker *attacker, uint32_t flags, bool altered)
{
    static unsigned char before[FILE_BYTES], after[FILE_BYTES];
    struct peer peer;
    struct stat status;
    mapseg *seg;
    int fd;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, attacker->ends), 0);
    attacker->executable_is_sealed = has_exec_seal();
    peer = start_peer(attack_when_told, attacker);
    close(attacker->ends[1]);
    seg = created_with("memfd:", flags, 0);
    memset(mapseg_data(seg), 0x5a, SIZE);
    fd = exported_fd(seg, MAPSEG_READ_ONLY);
    need_call(MAPSEG_OK, seg, mapseg_send(seg, attacker->ends[0], MAPSEG_READ_ONLY));
    ck_assert_int_eq(hear(peer.channel), 'r');
    ck_assert_int_eq(pread(fd, before, sizeof before, 0), sizeof before);
    say(peer.channel, 'g');
    ck_assert_int_eq(hear(peer.channel), altered ? 'y' : 'n');
    ck_assert_int_eq(pread(fd, after, sizeof after, 0), sizeof after);
    ck_assert_int_eq(memcmp(before, after, sizeof before) != 0, altered);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_int_ge(status.st_size, FILE_BYTES);
    ck_assert_uint_eq(status.st_mode & 07777, 0600);
    close(fd);
    if (altered) {
        kill_peer(&peer);
    } else {
        say(peer.channel, 'w');
        need_call(MAPSEG_OK, seg, mapseg_write_begin(seg));
        strcpy(mapseg_data(seg), "the creator goes on");
        need_call(MAPSEG_OK, seg, mapseg_write_end(seg));
        ck_assert_int_eq(hear(peer.channel), 'y');
        say(peer.channel, 'q');
        ck_assert_int_eq(end_peer(&peer), 0);
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    }
    mapseg_free(seg);
    close(attacker->ends[0]);
}

START_TEST(nobody_attacks_a_shared_segment)
{
    struct attacker attacker = {.nobody = true};

    be_attacked(&attacker, 0, false);
}
END_TEST

START_TEST(nobody_attacks_a_single_writer)
{
    struct attacker attacker = {.nobody = true};

    be_attacked(&attacker, MAPSEG_SINGLE_WRITER, false);
}
END_TEST

START_TEST(the_same_user_attacks_a_single_writer)
{
    struct attacker attacker = {.nobody = false};

    be_attacked(&attacker, MAPSEG_SINGLE_WRITER, false);
}
END_TEST

/** Against the same user a shared segment does not hold, as its description says. */
START_TEST(the_same_user_attacks_a_shared_segment)
{
    static bool (*const successes[])(int fd) = {reopen_and_map, reopen_and_write, reopen_and_punch,
                                                through_creators_descriptors};
    static bool (*const failures[])(int fd) = {
        map_to_write,          protect_mapping, write_at,        cut,
        reopen_and_cut,        reopen_to_cut,   reopen_and_grow, reopen_and_seal,
        remove_through_mapping};
    struct attacker attacker = {.may_lock = true};

    for (size_t i = 0; i < sizeof successes / sizeof *successes; i++) {
        attacker.only = successes[i];
        be_attacked(&attacker, 0, true);
    }
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        attacker.only = failures[i];
        be_attacked(&attacker, 0, false);
    }
}
END_TEST

/* ---------------------------------------------------------- old kernels -- */

static struct msi_os_operations healthy;
static int dropped;      /* seals that the kernel forgets silently */
static int unknown;      /* seals that it does not know */
static int refused_with; /* the error of all sealing */

static int
old_add_seals(int fd, int seals)
{
    if (refused_with != 0)
        return -refused_with;
    if (seals & unknown)
        return -EINVAL;
    seals &= ~dropped;
    return seals == 0 ? 0 : healthy.add_seals(fd, seals);
}

/** Creates on a kernel that is not what it should be: refused, and nothing is left. */
static mapseg_result
create_on_old_kernel(uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for("memfd:");
    struct footprint before;
    mapseg_result result;

    /* A process's first attachment also prepares for forks. */
    mapseg_free(created_with("memfd:", 0, 0));
    healthy = msi_os;
    msi_os.add_seals = old_add_seals;
    take_footprint(&before, NULL);
    options.flags = flags;
    result = mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options);
    ck_assert_int_ne(result, MAPSEG_OK);
    ck_assert_int_eq(mapseg_error(seg), result);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(!mapseg_is_attached(seg));
    check_footprint(&before, NULL);
    msi_os = healthy;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
    return result;
}

START_TEST(seals_that_are_forgotten)
{
    static const int seals[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL, SHARED_SEALS};
    const uint32_t flags = _i % 2 == 0 ? 0 : MAPSEG_SINGLE_WRITER;

    dropped = seals[_i / 2];
    (void)create_on_old_kernel(flags);
}
END_TEST

START_TEST(a_single_writer_seal_that_is_forgotten)
{
    dropped = F_SEAL_FUTURE_WRITE;
    (void)create_on_old_kernel(MAPSEG_SINGLE_WRITER);
}
END_TEST

START_TEST(sealing_that_fails)
{
    static const int errors[] = {EPERM, EINVAL, EBUSY, EIO, ENOSYS};

    refused_with = errors[_i / 2];
    (void)create_on_old_kernel(_i % 2 == 0 ? 0 : MAPSEG_SINGLE_WRITER);
}
END_TEST

/** Never a shared segment instead. */
START_TEST(no_seal_for_a_single_writer)
{
    unknown = F_SEAL_FUTURE_WRITE;
    ck_assert_int_eq(create_on_old_kernel(MAPSEG_SINGLE_WRITER), MAPSEG_NOT_SUPPORTED);
    msi_os.add_seals = old_add_seals;
    mapseg_free(created_with("memfd:", 0, 0));
}
END_TEST

/** The body in a process whose memfd_create knows no such flags. */
static int
create_without_flag(void *argument)
{
    const struct sandbox_rule *rule = argument;
    struct stat status;
    mapseg *seg;
    int fd;

    enter_sandbox(rule, 1, ALLOW);
    seg = mapseg_new();
    if (mapseg_set_native_key(seg, "memfd:") != MAPSEG_OK)
        return 1;
    if (mapseg_create(seg, SIZE, MAPSEG_READ_WRITE) != MAPSEG_OK)
        return 100 + (int)mapseg_error(seg);
    fd = exported_fd(seg, MAPSEG_READ_ONLY);
    if (fstat(fd, &status) != 0 || (status.st_mode & 07777) != 0600)
        return 2;
    if (fcntl(fd, F_GET_SEALS) != SHARED_SEALS)
        return 3;
    mapseg_free(seg);
    return 0;
}

START_TEST(memory_files_without_the_exec_flag)
{
    struct sandbox_rule rule = {SYS_memfd_create, EINVAL, 1, MFD_NOEXEC_SEAL, MFD_NOEXEC_SEAL};

    ck_assert_int_eq(in_child(create_without_flag, &rule), 0);
}
END_TEST

START_TEST(no_memory_files)
{
    struct sandbox_rule rule = {SYS_memfd_create, ENOSYS, 0, 0, 0};

    ck_assert_int_eq(in_child(create_without_flag, &rule), 100 + MAPSEG_NOT_SUPPORTED);
}
END_TEST

/** The kernel's fcntl itself: an F_ADD_SEALS that does nothing, and one that fails. */
START_TEST(kernels_that_do_not_seal)
{
    struct sandbox_rule rule = {SYS_fcntl, _i == 0 ? 0 : EINVAL, 1, UINT32_MAX, F_ADD_SEALS};
    int status = in_child(create_without_flag, &rule);

    /* Refused, and not with one of the other ends. */
    ck_assert_msg(status == 100 + MAPSEG_NOT_SUPPORTED || status == 100 + MAPSEG_UNKNOWN_ERROR,
                  "%d", status);
}
END_TEST

/* ----------------------------------------------------- untrusted peers -- */

/** A memory file with a segment in it that somebody else has made, sealed so. */
static int
foreign_memory(int seals)
{
    static unsigned char bytes[FILE_BYTES];
    mapseg *seg = created_with("memfd:", 0, 0);
    int from = exported_fd(seg, MAPSEG_READ_ONLY);
    int fd = memfd_create("foreign", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fchmod(fd, 0600), 0);
    ck_assert_int_eq(pread(from, bytes, sizeof bytes, 0), sizeof bytes);
    ck_assert_int_eq(write(fd, bytes, sizeof bytes), sizeof bytes);
    if (seals != 0)
        ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
    close(from);
    mapseg_free(seg);
    return fd;
}

static mapseg_result
attach_with(mapseg *seg, int fd, uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = flags;
    return mapseg_attach_fd_with(seg, fd, MAPSEG_READ_WRITE, &options);
}

/** Demands that nobody can make it shorter. */
static void
check_peer(int fd, bool can_shrink)
{
    mapseg *seg = mapseg_new();
    mapseg_info *information;

    if (can_shrink) {
        need_call(MAPSEG_UNTRUSTED, seg, attach_with(seg, fd, MAPSEG_UNTRUSTED_PEER));
        ck_assert(is_one_line(mapseg_error_string(seg)));
        ck_assert_ptr_nonnull(strstr(mapseg_error_string(seg), "MAPSEG_GUARDED"));
        ck_assert(!mapseg_is_attached(seg));
        need_call(MAPSEG_OK, seg, attach_with(seg, fd, MAPSEG_UNTRUSTED_PEER | MAPSEG_GUARDED));
    } else {
        need_call(MAPSEG_OK, seg, attach_with(seg, fd, MAPSEG_UNTRUSTED_PEER));
    }
    information = describe(seg);
    ck_assert_int_eq(information->can_shrink, can_shrink);
    ck_assert_int_eq(information->seals & F_SEAL_SHRINK, can_shrink ? 0 : F_SEAL_SHRINK);
    mapseg_info_free(information);
    mapseg_free(seg);
}

START_TEST(what_can_shrink)
{
    static const int seals[] = {0,
                                F_SEAL_GROW,
                                F_SEAL_GROW | F_SEAL_SEAL,
                                F_SEAL_SHRINK,
                                F_SEAL_SHRINK | F_SEAL_GROW,
                                SHARED_SEALS};

    check_peer(foreign_memory(seals[_i]), (seals[_i] & F_SEAL_SHRINK) == 0);
}
END_TEST

START_TEST(own_memory_files_cannot_shrink)
{
    mapseg *seg = created_with("memfd:", 0, 0);

    check_peer(exported_fd(seg, MAPSEG_READ_WRITE), false);
    mapseg_free(seg);
}
END_TEST

START_TEST(without_a_peer_it_does_not_matter)
{
    mapseg *seg = mapseg_new();

    need_call(MAPSEG_OK, seg, attach_with(seg, foreign_memory(0), 0));
    mapseg_free(seg);
}
END_TEST

/** Files with names never are sealed. */
START_TEST(named_segments_can_shrink)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    char key[KEY_BYTES], path[KEY_BYTES];
    struct footprint before;
    mapseg *seg, *other;

    unique_key(key);
    path_of(path, key);
    seg = handle_for(key);
    take_footprint(&before, NULL);
    options.flags = MAPSEG_UNTRUSTED_PEER;
    need_call(MAPSEG_UNTRUSTED, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(!exists(path));
    check_footprint(&before, NULL);
    options.flags |= MAPSEG_GUARDED;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));

    other = handle_for(key);
    need_call(MAPSEG_OK, other, mapseg_attach_with(other, MAPSEG_READ_ONLY, &options));
    need_call(MAPSEG_OK, other, mapseg_detach(other));
    options.flags = MAPSEG_UNTRUSTED_PEER;
    need_call(MAPSEG_UNTRUSTED, other, mapseg_attach_with(other, MAPSEG_READ_ONLY, &options));
    ck_assert_ptr_nonnull(strstr(mapseg_error_string(other), "MAPSEG_GUARDED"));
    ck_assert(!mapseg_is_attached(other));
    check_peer(exported_fd(seg, MAPSEG_READ_WRITE), true);
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/** Huge pages of their own file system: whoever touches them may find none left. */
START_TEST(huge_memory_files)
{
    int fd = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
    mapseg *seg = mapseg_new();
    struct stat status;

    /* Without a page to be had it is empty, and all the same refused. */
    if (fd >= 0) {
        ck_assert_int_eq(fchmod(fd, 0600), 0);
        ck_assert_int_eq(fstat(fd, &status), 0);
        ck_assert_int_eq(ftruncate(fd, 2 * status.st_blksize), 0);
        ck_assert_int_ne(attach_with(seg, fd, MAPSEG_UNTRUSTED_PEER), MAPSEG_OK);
        ck_assert(is_one_line(mapseg_error_string(seg)));
        ck_assert(!mapseg_is_attached(seg));
        close(fd);
    }
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

static void
add_seals(Suite *suite)
{
    TCase *group = new_case(suite, "seals");

    tcase_add_loop_test(group, seals_of_a_shared_segment, 0, 5);
    tcase_add_test(group, created_to_read);
    tcase_add_loop_test(group, a_mode_of_its_own, 0, 6);
    tcase_add_test(group, single_writer_refusals);
    if (skip_unless(has_future_write(), "the kernel has no F_SEAL_FUTURE_WRITE")) {
        tcase_add_loop_test(group, seals_of_a_single_writer, 0, 4);
        tcase_add_test(group, a_single_writer_that_all_may_open);
        tcase_add_test(group, what_is_said);
        tcase_add_test(group, single_writer_does_not_concern_attaching);
        tcase_add_loop_test(group, children_of_a_single_writer, 0, 2);
        tcase_add_test(group, a_single_writer_cannot_share_writing);
    }
}

static void
add_attacks(Suite *suite)
{
    TCase *group = new_case(suite, "attacks");

    tcase_add_test(group, the_same_user_attacks_a_shared_segment);
    if (has_future_write())
        tcase_add_test(group, the_same_user_attacks_a_single_writer);
    if (skip_unless(is_root(), "another user takes root")) {
        tcase_add_test(group, nobody_attacks_a_shared_segment);
        if (has_future_write())
            tcase_add_test(group, nobody_attacks_a_single_writer);
    }
}

static void
add_old_kernels(Suite *suite)
{
    TCase *group = new_case(suite, "old kernels");

    if (has_future_write()) {
        tcase_add_loop_test(group, seals_that_are_forgotten, 0, 8);
        tcase_add_test(group, a_single_writer_seal_that_is_forgotten);
        tcase_add_loop_test(group, sealing_that_fails, 0, 10);
        tcase_add_test(group, no_seal_for_a_single_writer);
    }
    if (skip_unless(has_sandbox() && !under_valgrind(), "seccomp filters are not to be had")) {
        tcase_add_test(group, memory_files_without_the_exec_flag);
        tcase_add_test(group, no_memory_files);
        tcase_add_loop_test(group, kernels_that_do_not_seal, 0, 2);
    }
}

static void
add_peers(Suite *suite)
{
    TCase *group = new_case(suite, "untrusted peers");

    tcase_add_loop_test(group, what_can_shrink, 0, 6);
    tcase_add_test(group, own_memory_files_cannot_shrink);
    tcase_add_test(group, without_a_peer_it_does_not_matter);
    tcase_add_test(group, named_segments_can_shrink);
    tcase_add_test(group, huge_memory_files);
}

int
main(void)
{
    Suite *suite = new_suite("seals");

    add_seals(suite);
    add_attacks(suite);
    add_old_kernels(suite);
    add_peers(suite);
    return run_suite(suite);
}
