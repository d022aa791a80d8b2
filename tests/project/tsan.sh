#!/bin/sh
# A program built with -fsanitize=thread that guards plain data with the lock
# of a library that is built without gets no report of a race; the same program
# without the lock does. And a library that is built with it reads while others
# write without a report; a program that reads in its place with memcpy does not.
# SPDX-License-Identifier: MIT
set -u

[ -z "${SANITIZER_FLAGS-}" ] || { echo "skipped: the library itself has sanitizers"; exit 77; }

library=$abs_top_builddir/lib/.libs
[ -e "$library/libmapseg.so" ] || { echo "skipped: no shared library was built"; exit 77; }
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
status=0

cat >"$work/empty.c" <<'END'
int main(void)
{
    return 0;
}
END

# The flags may be words of a compiler's name.
# shellcheck disable=SC2086
compile()
{
    ${CC:-cc} -std=gnu11 -g -O1 -fsanitize=thread -pthread -I"$abs_top_srcdir/include" "$@" \
        -L"$library" -Wl,-rpath,"$library" -lmapseg
}

compile -o "$work/empty" "$work/empty.c" >"$work/log" 2>&1 ||
    { echo "skipped: the compiler has no thread sanitizer"; exit 77; }

# With much randomness in its addresses the kernel puts things where the
# sanitizer has its own.
run=
"$work/empty" >"$work/log" 2>&1 || run='setarch -R'
$run "$work/empty" >"$work/log" 2>&1 ||
    { echo "skipped: programs with a thread sanitizer do not run here"; exit 77; }

cat >"$work/program.c" <<'END'
#include <mapseg.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TURNS 2000

static mapseg *seg;
static long private_data; /* as plain as what is shared */
static int how;

static void need(int condition)
{
    if (!condition) {
        fprintf(stderr, "a call failed: %s\n", mapseg_error_string(seg));
        exit(3);
    }
}

static void linger(void)
{
    struct timespec time = {0, 5000000};

    nanosleep(&time, NULL);
}

static int take(void)
{
#ifdef WITHOUT_LOCK
    return 1;
#else
    mapseg_result result = how == 1   ? mapseg_try_lock(seg)
                           : how == 2 ? mapseg_lock_for(seg, 20000)
                                      : mapseg_lock(seg);

    need(mapseg_result_owes_unlock(result) || how == 1 || how == 2);
    return mapseg_result_owes_unlock(result);
#endif
}

static void release(void)
{
#ifndef WITHOUT_LOCK
    need(mapseg_unlock(seg) == MAPSEG_OK);
#endif
}

static void *work(void *argument)
{
    long *shared = mapseg_data(seg);
    int turns = how == 3 ? 8 : TURNS;

    (void)argument;
    for (int i = 0; i < turns; i++) {
        if (!take())
            continue;
        ++*shared;
        ++private_data;
        if (how == 3)
            linger(); /* long enough for the other to fall asleep */
        release();
    }
    return NULL;
}

int main(int argc, char **argv)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    pthread_t threads[2];

    how = argc > 1 ? atoi(argv[1]) : 0;
    if (how == 4)
        options.flags = MAPSEG_FAIR;
    seg = mapseg_new();
    need(seg != NULL && mapseg_set_native_key(seg, "memfd:") == MAPSEG_OK);
    need(mapseg_create_with(seg, sizeof(long), MAPSEG_READ_WRITE, &options) == MAPSEG_OK);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, work, NULL) != 0)
            return 3;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
#ifndef WITHOUT_LOCK
    need(*(long *)mapseg_data(seg) == private_data && private_data > 0);
#endif
    mapseg_free(seg);
    return 0;
}
END

for way in with without; do
    define=
    [ $way = with ] || define=-DWITHOUT_LOCK
    # Nothing where there is nothing to define.
    # shellcheck disable=SC2086
    compile $define -o "$work/$way" "$work/program.c" >"$work/log" 2>&1 ||
        { echo "FAIL: the program $way the lock does not compile"; cat "$work/log"; exit 1; }
done

# try NAME HOW - no race is reported with the lock, and one is without.
try()
{
    TSAN_OPTIONS='exitcode=66' $run "$work/with" "$2" >"$work/log" 2>&1
    code=$?
    if [ $code -ne 0 ] || grep -q 'WARNING: ThreadSanitizer' "$work/log"; then
        echo "FAIL: $1: exit status $code, or a report, with the lock"
        cat "$work/log"
        status=1
    else
        echo "ok: $1"
    fi
    TSAN_OPTIONS='exitcode=66' $run "$work/without" "$2" >"$work/log" 2>&1
    code=$?
    if [ $code -ne 66 ] || ! grep -q 'WARNING: ThreadSanitizer: data race' "$work/log"; then
        echo "FAIL: $1: no race was reported without the lock (exit status $code)"
        cat "$work/log"
        status=1
    fi
}

try 'lock and unlock' 0
try 'attempts' 1
try 'deadlines' 2
try 'lock handed over to a sleeper' 3
try 'fair lock' 4

# -------------------------------------------------------------- versions --

cat >"$work/versions.c" <<'END'
#include <mapseg.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES 203 /* no whole number of words, and from an odd address on */
#define TURNS 20000

static mapseg *seg;
static atomic_int done;
static atomic_int reads; /* relaxed: that orders nothing */
static atomic_int sum; /* or nothing of a copy would remain */

static void need(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "%s: %s\n", what, mapseg_error_string(seg));
        exit(3);
    }
}

static void *write_much(void *argument)
{
    char block[BYTES];

    /* Until enough was read meanwhile, too, however the threads come to run. */
    for (int i = 0; i < TURNS || atomic_load_explicit(&reads, memory_order_relaxed) < TURNS; i++) {
        memset(block, i & 0x7f, sizeof block);
        need(mapseg_write(seg, 3, block, sizeof block) == MAPSEG_OK, "write");
    }
    atomic_store(&done, 1);
    return argument;
}

static void *read_much(void *argument)
{
    uint64_t last = 0;
    uint64_t version = 0;
    char block[BYTES];

    while (!atomic_load(&done)) {
#ifdef IN_PLACE
        memcpy(block, (const char *)mapseg_const_data(seg) + 3, sizeof block);
        sum += block[version % BYTES];
#else
        need(mapseg_read(seg, 3, block, sizeof block, &version) == MAPSEG_OK, "read");
        need(version >= last && version % 2 == 0, "version");
        for (int i = 1; i < BYTES; i++)
            need(block[i] == block[0], "half of a change");
        last = version;
#endif
        atomic_fetch_add_explicit(&reads, 1, memory_order_relaxed);
    }
    return argument;
}

int main(void)
{
    pthread_t threads[3];

    seg = mapseg_new();
    need(seg != NULL && mapseg_set_native_key(seg, "memfd:") == MAPSEG_OK, "key");
    need(mapseg_create(seg, BYTES + 3, MAPSEG_READ_WRITE) == MAPSEG_OK, "create");
    for (int i = 0; i < 3; i++)
        if (pthread_create(&threads[i], NULL, i == 0 ? write_much : read_much, NULL) != 0)
            return 3;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    mapseg_free(seg);
    return 0;
}
END

# The library with the sanitizer, and copies that it can see.
compile_whole()
{
    # shellcheck disable=SC2086
    ${CC:-cc} -std=gnu11 -g -O1 -fsanitize=thread -pthread -DMSI_COPY_IN_WORDS \
        -include "$abs_top_builddir/config.h" -I"$abs_top_srcdir/include" \
        -I"$abs_top_srcdir/lib" "$@" "$work/versions.c" "$abs_top_srcdir"/lib/*.c "$abs_top_srcdir"/lib/*/*.c -lxxhash
}

for way in copying in-place; do
    define=
    [ $way = copying ] || define=-DIN_PLACE
    # shellcheck disable=SC2086
    compile_whole $define -o "$work/$way" >"$work/log" 2>&1 ||
        { echo "FAIL: the library does not compile with the sanitizer"; cat "$work/log"; exit 1; }
    TSAN_OPTIONS='exitcode=66' $run "$work/$way" >"$work/log" 2>&1
    code=$?
    reports=$(grep -c 'WARNING: ThreadSanitizer: data race' "$work/log")
    if [ $way = copying ] && { [ $code -ne 0 ] || [ "$reports" -ne 0 ]; }; then
        echo "FAIL: exit status $code, $reports reports with mapseg_read"
        cat "$work/log"
        status=1
    elif [ $way = in-place ] && { [ $code -ne 66 ] || [ "$reports" -eq 0 ]; }; then
        echo "FAIL: no race was reported where memcpy reads (exit status $code)"
        status=1
    else
        echo "ok: reading while others write, $way"
    fi
done

exit $status
