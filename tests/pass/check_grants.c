/*
 * check_grants.c - what a descriptor of a memory file grants its receiver, and what it does not.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* QSharedMemory: seals are tried on a file that cannot be sealed. */
START_TEST(memfd_is_sealed)
{
    mapseg *seg = handle_for("memfd:");
    struct stat status;
    int fd;

    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10000, MAPSEG_READ_WRITE));
    memset(mapseg_data(seg), 0x5a, 10000);
    fd = exported_fd(seg, MAPSEG_READ_WRITE);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
                     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    ck_assert_int_eq(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE, 0);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0600);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    mapseg_free(seg);
}
END_TEST

/// Every way to shorten the file, from the process itself.
static int
try_to_truncate(void *argument)
{
    int fd = *(int *)argument;
    char name[64];

    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (ftruncate(fd, 0) == 0 || ftruncate(fd, 4096) == 0 || ftruncate(fd, 1 << 20) == 0)
        return 1;
    if (truncate(name, 0) == 0)
        return 2;
    fd = open(name, O_RDWR | O_TRUNC | O_CLOEXEC);
    if (fd != -1)
        return 3;
    fd = open(name, O_RDWR | O_CLOEXEC);
    if (fd == -1 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0)
        return 4;
    return 0;
}

/* QSharedMemory: a peer's truncation is a SIGBUS. */
START_TEST(no_peer_can_truncate_a_memfd)
{
    mapseg *seg = handle_for("memfd:");
    int fd;

    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10000, MAPSEG_READ_WRITE));
    memset(mapseg_data(seg), 0x5a, 10000);
    fd = exported_fd(seg, MAPSEG_READ_WRITE);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(in_child(try_to_truncate, &fd), 0);
    for (int i = 0; i < 10000; i++)
        ck_assert_int_eq(((unsigned char *)mapseg_data(seg))[i], 0x5a);
    close(fd);
    mapseg_free(seg);
}
END_TEST

/// With a descriptor for reading another user finds no way to write.
static int
try_to_write(void *argument)
{
    int fd = *(int *)argument;
    char name[64];
    void *memory;

    if (is_root())
        become_nobody();
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (write(fd, "x", 1) != -1 || ftruncate(fd, 0) == 0)
        return 1;
    if (open(name, O_RDWR | O_CLOEXEC) != -1 || open(name, O_WRONLY | O_CLOEXEC) != -1)
        return 2;
    if (mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED)
        return 3;
    memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED || mprotect(memory, 4096, PROT_READ | PROT_WRITE) == 0)
        return 4;
    if (fchmod(fd, 0777) == 0)
        return 5;
    return 0;
}

START_TEST(descriptor_for_reading_does_not_write)
{
    mapseg *seg = handle_for("memfd:");
    int fd;

    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10000, MAPSEG_READ_WRITE));
    fd = exported_fd(seg, MAPSEG_READ_ONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    ck_assert_int_eq(in_child(try_to_write, &fd), 0);
    close(fd);
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("grants");
    TCase *group = new_case(suite, "grants");

    tcase_add_test(group, memfd_is_sealed);
    tcase_add_test(group, no_peer_can_truncate_a_memfd);
    if (skip_unless(is_root(), "descriptor_for_reading_does_not_write: only root can be two users"))
        tcase_add_test(group, descriptor_for_reading_does_not_write);
    return run_suite(suite);
}
