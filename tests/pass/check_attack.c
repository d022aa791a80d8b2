/*
 * check_attack.c - every way to write a segment that a process received to read: tried from another
 * process, as another user and as the same one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sealed.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

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

    /* A process that may not list them can still guess. */
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

/* ----------------------------------------------------- who attacks what -- */

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
    expect(MAPSEG_OK, seg, mapseg_send(seg, attacker->ends[0], MAPSEG_READ_ONLY));
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
        expect(MAPSEG_OK, seg, mapseg_write_begin(seg));
        strcpy(mapseg_data(seg), "the creator goes on");
        expect(MAPSEG_OK, seg, mapseg_write_end(seg));
        ck_assert_int_eq(hear(peer.channel), 'y');
        say(peer.channel, 'q');
        ck_assert_int_eq(end_peer(&peer), 0);
        expect(MAPSEG_OK, seg, mapseg_detach(seg));
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

/* ---------------------------------------------------------------- suite -- */

int
main(void)
{
    Suite *suite = new_suite("attack");
    TCase *group = new_case(suite, "attacks", 60);
    bool single_writers = need(has_future_write(), "the kernel has no F_SEAL_FUTURE_WRITE");

    tcase_add_test(group, the_same_user_attacks_a_shared_segment);
    if (single_writers)
        tcase_add_test(group, the_same_user_attacks_a_single_writer);
    if (need(is_root(), "another user takes root")) {
        tcase_add_test(group, nobody_attacks_a_shared_segment);
        if (single_writers)
            tcase_add_test(group, nobody_attacks_a_single_writer);
    }
    return run_suite(suite);
}
