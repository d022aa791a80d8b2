#define _GNU_SOURCE 1 /* seals, fallocate */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <mapseg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES 4096
#define NOBODY 65534

static bool all_refused = true;

static void
fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* Reports a system call that must fail. */
static void
tried(const char *how, bool worked)
{
    printf("%s: %s\n", how, worked ? "IT WORKED" : strerror(errno));
    all_refused = all_refused && !worked;
}

/* What can be tried with a descriptor. */
static void
try_descriptor(int fd, off_t size)
{
    char byte = 'x';

    tried("  mmap", mmap(NULL, BYTES, PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
    tried("  write", write(fd, &byte, 1) >= 0);
    tried("  ftruncate", ftruncate(fd, size - 1) == 0);
    tried("  fallocate", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size) == 0);
    tried("  seal", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
}

static void
try_to_write(mapseg *seg, int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char path[40];

    if (size < 0)
        fail("the descriptor has no end");
    printf("the memory\n");
    tried("  mprotect",
          mprotect((void *)(uintptr_t)mapseg_const_data(seg), BYTES, PROT_READ | PROT_WRITE) == 0);
    printf("the descriptor\n");
    try_descriptor(fd, size);

    printf("the file anew\n");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int again = open(path, O_RDWR | O_CLOEXEC);
    if (again < 0)
        tried("  open", false);
    else /* the same user may open it, but the seals hold */
        try_descriptor(again, size);
}

static void
show(mapseg *seg, uint64_t *version)
{
    char text[BYTES];

    if (mapseg_read(seg, 0, text, BYTES, version) != MAPSEG_OK)
        fail(mapseg_error_string(seg));
    printf("version %" PRIu64 ": %.*s\n", *version, BYTES, text);
}

/* The consumer: has a descriptor, and no rights. */
static int
consume(int fd, int ready)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = mapseg_new();
    uint64_t version;

    if (getuid() == 0 && (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
        fail("cannot become nobody");
    if (prctl(PR_SET_DUMPABLE, 1) != 0) /* its /proc/self is its own, as after execve */
        fail("cannot become dumpable");

    options.flags = MAPSEG_UNTRUSTED_PEER;
    if (seg == NULL || mapseg_attach_fd_with(seg, fd, MAPSEG_READ_ONLY, &options) != MAPSEG_OK)
        fail(seg ? mapseg_error_string(seg) : "out of memory");
    show(seg, &version);
    close(ready); /* lets the producer go on */
    if (mapseg_wait(seg, version, NULL, 10000000000) != MAPSEG_OK)
        fail(mapseg_error_string(seg));
    show(seg, &version);
    try_to_write(seg, fd);
    mapseg_free(seg);
    return fflush(stdout) == 0 && all_refused ? 0 : 1;
}

/* A segment that no process but this one can ever write. */
static mapseg *
make(void)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = mapseg_new();

    /* A child made by fork() would inherit the mapping that writes. */
    options.flags = MAPSEG_SINGLE_WRITER | MAPSEG_NO_FORK;
    if (seg == NULL || mapseg_set_native_key(seg, "memfd:") != MAPSEG_OK ||
        mapseg_create_with(seg, BYTES, MAPSEG_READ_WRITE, &options) != MAPSEG_OK)
        fail(seg ? mapseg_error_string(seg) : "out of memory");
    return seg;
}

int
main(void)
{
    int ready[2];
    int status;
    char byte;
    mapseg *seg = make();
    int fd;

    if (pipe2(ready, O_CLOEXEC) != 0)
        fail("no pipe");
    if (mapseg_export_fd(seg, MAPSEG_READ_ONLY, &fd) != MAPSEG_OK ||
        mapseg_write(seg, 0, "one", 4) != MAPSEG_OK)
        fail(mapseg_error_string(seg));
    pid_t child = fork();
    if (child == 0) {
        close(ready[0]);
        _exit(consume(fd, ready[1]));
    }
    close(fd); /* the consumer has its own */
    close(ready[1]);
    if (child < 0 || read(ready[0], &byte, 1) != 0 || mapseg_write(seg, 0, "two", 4) != MAPSEG_OK)
        fail("no consumer");
    if (waitpid(child, &status, 0) != child || status != 0)
        fail("the consumer failed");
    if (strcmp(mapseg_const_data(seg), "two") != 0)
        fail("the consumer wrote");
    printf("nothing was written\n");
    mapseg_free(seg);
    return fflush(stdout) != 0;
}
