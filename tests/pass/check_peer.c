/*
 * check_peer.c - MAPSEG_UNTRUSTED_PEER: no file that a peer can make shorter, unless the program
 * says that it is guarded.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "sealed.h"

#include <string.h>
#include <unistd.h>

/** A memory file with a segment in it, made by another program and sealed so. */
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

/** Attaches where no process may be able to make the file shorter. */
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

/** Huge pages of their own file system: a process that touches them may find none left. */
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

/* ---------------------------------------------------- a seal and a size -- */

static struct msi_os_operations healthy;
static int hostile_fd = -1;

static int
shorten_and_tell_seals(int fd)
{
    if (hostile_fd >= 0) {
        ck_assert_int_eq(ftruncate(hostile_fd, MAPSEG_HEADER_BYTES), 0);
        ck_assert_int_eq(fcntl(hostile_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
                         0);
        hostile_fd = -1;
    }
    return healthy.seals(fd);
}

/** A peer shortens its memory and seals it then, between two looks of ours. */
START_TEST(size_is_asked_after_the_seals)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    unsigned char header[MAPSEG_HEADER_BYTES];
    mapseg *seg = mapseg_new();
    mapseg *model;
    int fd;

    healthy = msi_os;
    model = created_with("memfd:", 0, 0);
    fd = exported_fd(model, MAPSEG_READ_ONLY);
    ck_assert_int_eq(pread(fd, header, sizeof header, 0), sizeof header);
    close(fd);
    mapseg_free(model);
    fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_eq(fchmod(fd, 0600), 0);
    ck_assert_int_eq(ftruncate(fd, FILE_BYTES), 0);
    ck_assert_int_eq(pwrite(fd, header, sizeof header, 0), sizeof header);

    hostile_fd = fd;
    msi_os.seals = shorten_and_tell_seals;
    options.flags = MAPSEG_UNTRUSTED_PEER;
    need_call(MAPSEG_CORRUPT, seg, mapseg_attach_fd_with(seg, fd, MAPSEG_READ_ONLY, &options));
    msi_os = healthy;
    close(fd);
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

int
main(void)
{
    Suite *suite = new_suite("peer");
    TCase *group = new_case(suite, "untrusted peers");

    tcase_add_loop_test(group, what_can_shrink, 0, 6);
    tcase_add_test(group, own_memory_files_cannot_shrink);
    tcase_add_test(group, without_a_peer_it_does_not_matter);
    tcase_add_test(group, named_segments_can_shrink);
    tcase_add_test(group, huge_memory_files);
    tcase_add_test(group, size_is_asked_after_the_seals);
    return run_suite(suite);
}
