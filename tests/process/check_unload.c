/*
 * check_unload.c - a program that opens the library with dlopen() and closes it again.
 *
 * It is not linked with the library, or dlclose() would have nothing to do.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mapseg.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/// The calls that are used, found by their names.
static struct {
    mapseg *(*create_handle)(void);
    mapseg_result (*set_native_key)(mapseg *seg, const char *key);
    mapseg_result (*create)(mapseg *seg, size_t size, mapseg_access access);
    mapseg_result (*access_begin)(mapseg *seg);
    mapseg_result (*access_end)(mapseg *seg);
    mapseg_result (*unlock)(mapseg *seg);
    void (*free)(mapseg *seg);
} call;

static char library_path[PATH_MAX];

/// The line of the check that failed becomes the end of the process.
static void
check_at(int line, const char *text, int condition)
{
    if (condition)
        return;
    fprintf(stderr, "check_unload.c:%d: not true: %s\n", line, text);
    _exit(1);
}
#define check(condition) check_at(__LINE__, #condition, condition)

static void *
library_open(void)
{
    static const char *const names[] = {
        "mapseg_new",       "mapseg_set_native_key", "mapseg_create", "mapseg_guard_begin",
        "mapseg_guard_end", "mapseg_unlock",         "mapseg_free"};
    void *library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);
    void *symbols[sizeof names / sizeof names[0]];

    if (library == NULL)
        fprintf(stderr, "%s\n", dlerror());
    check(library != NULL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        symbols[i] = dlsym(library, names[i]);
        check(symbols[i] != NULL);
    }
    _Static_assert(sizeof symbols == sizeof call, "a name for each call");
    memcpy(&call, symbols, sizeof call);
    return library;
}

/// Has the library install its handler, for a segment that is gone again afterwards.
static void
use_library(void)
{
    char key[64];
    mapseg *seg = call.create_handle();

    (void)snprintf(key, sizeof key, "shm:mapseg-unload-%ld", (long)getpid());
    check(seg != NULL && call.set_native_key(seg, key) == MAPSEG_OK);
    check(call.create(seg, 4096, MAPSEG_READ_WRITE) == MAPSEG_OK);
    check(call.access_begin(seg) == MAPSEG_OK && call.access_end(seg) == MAPSEG_OK);
    check(call.unlock(seg) == MAPSEG_NOT_LOCKED);
    call.free(seg);
}

/// Touches memory behind the end of a file that has nothing to do with the library: the handler
/// ends the process.
static _Noreturn void
fault(void)
{
    char name[] = "/dev/shm/mapseg-unload-XXXXXX";
    int fd = mkstemp(name);
    volatile char *memory;

    check(fd >= 0 && unlink(name) == 0);
    memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(memory != MAP_FAILED);
    (void)*memory;
    _exit(1);
}

/* ---------------------------------------------------------- handlers -- */

static struct sigaction replaced;

static void
last_handler(int number)
{
    (void)number;
    _exit(0);
}

static void
chaining_handler(int number, siginfo_t *info, void *context)
{
    if (replaced.sa_flags & SA_SIGINFO)
        replaced.sa_sigaction(number, info, context);
    else if (replaced.sa_handler == SIG_DFL)
        _exit(1);
    else
        replaced.sa_handler(number);
}

static void
install_last_handler(void)
{
    struct sigaction action = {.sa_handler = last_handler};

    check(sigaction(SIGBUS, &action, NULL) == 0);
}

static void
install_chaining_handler(void)
{
    struct sigaction action = {.sa_sigaction = chaining_handler, .sa_flags = SA_SIGINFO};

    check(sigaction(SIGBUS, &action, &replaced) == 0);
}

/* ------------------------------------------------------------- cases -- */

/// The handler of the program that was there before.
static _Noreturn void
earlier_handler_is_reached(void)
{
    void *library;

    install_last_handler();
    library = library_open();
    use_library();
    check(dlclose(library) == 0);
    fault();
}

/// One that was installed later, and calls the library's as it should.
static _Noreturn void
later_handler_calls_what_it_replaced(void)
{
    void *library;

    install_last_handler();
    library = library_open();
    use_library();
    install_chaining_handler();
    check(dlclose(library) == 0);
    fault();
}

static _Noreturn void
default_is_reached(void)
{
    void *library;

    /* A sanitizer has one of its own. */
    check(signal(SIGBUS, SIG_DFL) != SIG_ERR);
    library = library_open();
    use_library();
    install_chaining_handler();
    check(dlclose(library) == 0);
    fault();
}

static pthread_barrier_t both;

static void *
use_and_outlast(void *argument)
{
    use_library();
    (void)pthread_barrier_wait(&both);
    (void)pthread_barrier_wait(&both);
    return argument;
}

/// A thread that has used the library ends after it was closed.
static void
thread_outlasts_library(void)
{
    void *library = library_open();
    pthread_t thread;

    check(pthread_barrier_init(&both, NULL, 2) == 0);
    check(pthread_create(&thread, NULL, use_and_outlast, NULL) == 0);
    (void)pthread_barrier_wait(&both);
    check(dlclose(library) == 0);
    (void)pthread_barrier_wait(&both);
    check(pthread_join(thread, NULL) == 0);
}

static void
opened_again_it_works(void)
{
    pid_t child;

    for (int i = 0; i < 3; i++) {
        void *library = library_open();

        use_library();
        check(dlclose(library) == 0);
    }
    install_chaining_handler();
    check(dlclose(library_open()) == 0);
    child = fork();
    if (child == 0)
        _exit(0);
    check(child > 0 && waitpid(child, NULL, 0) == child);
}

static const struct {
    const char *name;
    void (*run)(void);
    int signal; /* that ends the process */
} cases[] = {
    {"earlier handler", earlier_handler_is_reached, 0},
    {"later handler", later_handler_calls_what_it_replaced, 0},
    {"no handler", default_is_reached, SIGBUS},
    {"thread", thread_outlasts_library, 0},
    {"opened again", opened_again_it_works, 0},
};

/// The case ends as it must; false: it does not, and this says so.
static int
passes(size_t i)
{
    pid_t child = fork();
    int status = 0;
    int well;

    if (child == 0) {
        (void)alarm(60);
        cases[i].run();
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 0;
    well = cases[i].signal != 0 ? WIFSIGNALED(status) && WTERMSIG(status) == cases[i].signal
                                : WIFEXITED(status) && WEXITSTATUS(status) == 0;
    printf("%s: %s (wait status %#x)\n", well ? "ok" : "FAIL", cases[i].name, (unsigned)status);
    (void)fflush(stdout);
    return well;
}

int
main(void)
{
    const char *top = getenv("abs_top_builddir");
    int failed = 0;

    (void)snprintf(library_path, sizeof library_path, "%s/lib/.libs/libmapseg.so",
                   top == NULL ? "." : top);
    if (access(library_path, R_OK) != 0) {
        printf("skipped: no shared library was built (%s)\n", library_path);
        return 77;
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        failed += !passes(i);
    return failed != 0;
}
