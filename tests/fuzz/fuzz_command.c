/*
 * fuzz_command.c - the whole command, with any arguments, in a process of its
 * own for each run. It sees nothing of the machine but /proc, to read, and an
 * empty /dev/shm: a tmpfs is its root directory.
 *
 * Input: the arguments, each ended by a newline; what is behind an empty one is
 * standard input.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fuzz.h"
#include "tool_main.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS 12

/** Longer than any wait that the command was not asked for. */
#define HANG_SECONDS 20

/* A report must not look like one of the command's own failures. */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

const char *
__asan_default_options(void)
{
    return "abort_on_error=1:detect_leaks=0";
}

const char *
__ubsan_default_options(void)
{
    return "abort_on_error=1";
}

/* ------------------------------------------------------------------ seeds -- */

static const char *const seeds[] = {
    "create\n--size\n4096\nkey\n",
    "create\n--size=1G\nkey\n",
    "create\n--size\n16K\n--mode=0660\n--reclaim\n--lazy\nshm:name\n",
    "create\n--size=1\nmemfd:\n",
    "create\n--plain\n-s1\nfile:/tmp/a\n",
    "write\n--create\nkey\n\nstandard input",
    "write\nkey\n-\n\n\xff\xfe",
    "write\nshm:made\n--allow-other-owner\n\nabc",
    "read\nkey\n",
    "read\nshm:made\n--offset=4\n--size=8\n",
    "read\nshm:made\n--offset=18446744073709551615\n--size=2\n",
    "rm\nshm:made\nkey\n",
    "rm\n--plain\nfile:/tmp/a\n",
    "reclaim\nshm:made\n",
    "reclaim\n--all\n",
    "show\nshm:made\n",
    "show\n--json\nfile:/dev/shm/made\n",
    "show\n--json\nmemfd:0\n",
    "ls\n",
    "ls\n-Jb\n-o\nKEY,size,path\n",
    "ls\n--raw\n--noheadings\n--output\n+OWNER\n",
    "lock\n--timeout=0.1\nshm:made\ntrue\n",
    "lock\n-n\nshm:made\n--\n/nothing\n",
    "exec\n--size=1M\n--\n/nothing\n",
    "--plain\nshow\nshm:made\n",
    "--version\n",
    "--help\n",
    "demo\n--help\n",
    "\n",
};

size_t
fuzz_seed(size_t number, uint8_t seed[INPUT_BYTES])
{
    if (number >= sizeof seeds / sizeof *seeds)
        return 0;
    memcpy(seed, seeds[number], strlen(seeds[number]));
    return strlen(seeds[number]);
}

/* --------------------------------------------------------------- the place -- */

static bool
make_root(void)
{
    return hide_shared_memory() && mkdir("/dev/shm/proc", 0755) == 0 &&
           mkdir("/dev/shm/tmp", 01777) == 0 && mkdir("/dev/shm/run", 0700) == 0 &&
           mkdir("/dev/shm/dev", 0755) == 0 && mkdir("/dev/shm/dev/shm", 01777) == 0 &&
           mount("/proc", "/dev/shm/proc", NULL, MS_BIND, NULL) == 0 &&
           mount(NULL, "/dev/shm/proc", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0 &&
           mount("tmpfs", "/dev/shm/dev/shm", "tmpfs", 0, "size=4m,mode=1777") == 0 &&
           chroot("/dev/shm") == 0 && chdir("/") == 0;
}

const char *
fuzz_objection(void)
{
    if (getuid() != 0)
        return "only root can have a root directory of its own";
    if (!make_root())
        return "there are no private mount namespaces here";
    setenv("XDG_RUNTIME_DIR", "/run", 1);
    return NULL;
}

static void
empty(const char *directory)
{
    DIR *stream = opendir(directory);
    const struct dirent *entry;

    while (stream != NULL && (entry = readdir(stream)) != NULL)
        (void)unlinkat(dirfd(stream), entry->d_name, 0);
    if (stream != NULL)
        closedir(stream);
}

/** The only segment there is when a run begins. */
static void
tidy(void)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = mapseg_new();

    empty("/dev/shm");
    empty("/run/mapseg");
    empty("/tmp");
    options.flags = MAPSEG_PERSISTENT;
    claim(seg != NULL && mapseg_set_native_key(seg, "shm:made") == MAPSEG_OK);
    claim(mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options) == MAPSEG_OK);
    mapseg_free(seg);
}

/* ---------------------------------------------------------------- the run -- */

/** What the input says. */
struct call {
    char text[INPUT_BYTES + 1];
    char *arguments[ARGUMENTS + 2];
    int count;
    int input; /**< a descriptor */
};

static void
read_call(struct call *call, const uint8_t *data, size_t bytes)
{
    static char name[] = "mapseg";
    char *at = call->text;

    memset(call, 0, sizeof *call);
    memcpy(call->text, data, bytes < INPUT_BYTES ? bytes : INPUT_BYTES);
    call->arguments[call->count++] = name;
    while (call->count <= ARGUMENTS && *at != '\0' && *at != '\n') {
        char *end = at + strcspn(at, "\n");

        call->arguments[call->count++] = at;
        at = *end == '\0' ? end : end + 1;
        *end = '\0';
    }
    call->input = memfd_create("input", MFD_CLOEXEC);
    claim(call->input >= 0 && write(call->input, at, strlen(at)) == (ssize_t)strlen(at) &&
          lseek(call->input, 0, SEEK_SET) == 0);
}

/** demo starts this very program again, which is another one here. */
static bool
is_harmless(const struct call *call)
{
    for (int i = 1; i < call->count; i++)
        if (strncmp(call->arguments[i], "demo", 4) == 0 &&
            (i + 1 == call->count || strcmp(call->arguments[i + 1], "--help") != 0))
            return false;
    return true;
}

static _Noreturn void
run(struct call *call)
{
    /* Memory files count as files; no run may take the machine's memory. */
    const struct rlimit small = {16 << 20, 16 << 20};
    int nothing = memfd_create("output", MFD_CLOEXEC);

    if (dup2(call->input, STDIN_FILENO) < 0 || dup2(nothing, STDOUT_FILENO) < 0)
        _exit(EXIT_FAILURE);
    if (getenv("MAPSEG_FUZZ_VERBOSE") == NULL && dup2(nothing, STDERR_FILENO) < 0)
        _exit(EXIT_FAILURE);
    close(call->input);
    close(nothing);
    alarm(HANG_SECONDS);
    if (setrlimit(RLIMIT_FSIZE, &small) < 0)
        _exit(EXIT_FAILURE);
    exit(command_main(call->count, call->arguments));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct call call;
    int status;
    pid_t child;

    read_call(&call, data, bytes);
    if (is_harmless(&call)) {
        tidy();
        fflush(NULL);
        child = fork();
        if (child == 0)
            run(&call);
        claim(child > 0 && waitpid(child, &status, 0) == child);
        /* 126 and 127: there is no program to run. */
        claim(WIFEXITED(status));
        claim(WEXITSTATUS(status) <= 2 || WEXITSTATUS(status) == 126 || WEXITSTATUS(status) == 127);
    }
    close(call.input);
    return 0;
}
