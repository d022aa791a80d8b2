/*
 * check_qt.c - mapseg and a QSharedMemory of the installed Qt in the same System V segment.
 *
 * SPDX-License-Identifier: MIT
 */
#include "system_v_scene.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/** A running qt_peer. */
struct qt {
    pid_t pid;
    FILE *words;
    FILE *answers;
};

static char program[PATH_MAX];
static char plain[KEY_BYTES];
static mapseg_ipc_key *legacy;

/// Whether there is such a program; where this build has no Qt, there is none.
static bool
has_qt(void)
{
    const char *directory = getenv("abs_top_builddir");

    snprintf(program, sizeof program, "%.4000s/tests/foreign/qt_peer",
             directory == NULL ? "." : directory);
    return skip_unless(access(program, X_OK) == 0, "Qt is not installed, or was not found");
}

/// Keys of Qt lie in the temporary directory.
static void
enter(void)
{
    enter_scene();
    ck_assert_int_eq(setenv("TMPDIR", SHM_DIRECTORY, 1), 0);
    unique_name(plain);
    legacy = mapseg_ipc_key_legacy(plain, MAPSEG_KEY_SYSTEMV);
    ck_assert_ptr_nonnull(legacy);
}

static void
leave(void)
{
    ck_assert(!exists(mapseg_ipc_key_name(legacy)));
    mapseg_ipc_key_free(legacy);
    leave_scene();
}

static void
say_line(const struct qt *qt, const char *words)
{
    fprintf(qt->words, "%s\n", words);
    fflush(qt->words);
}

/// The next answer is that one.
static void
need_next(const struct qt *qt, const char *words, const char *expected)
{
    char answer[256];

    ck_assert_ptr_nonnull(fgets(answer, sizeof answer, qt->answers));
    answer[strcspn(answer, "\n")] = '\0';
    ck_assert_msg(strcmp(answer, expected) == 0, "%s: %s, not %s", words, answer, expected);
}

static void
need_answer(const struct qt *qt, const char *words, const char *expected)
{
    say_line(qt, words);
    need_next(qt, words, expected);
}

static struct qt
start_qt(void)
{
    char words[KEY_BYTES + 8];
    struct qt qt;
    int ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    qt.pid = fork();
    ck_assert_int_ge(qt.pid, 0);
    if (qt.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], STDIN_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(program, program, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    qt.words = fdopen(ends[0], "w");
    qt.answers = fdopen(dup(ends[0]), "r");
    snprintf(words, sizeof words, "key %s", plain);
    need_answer(&qt, words, "ok");
    return qt;
}

/// Ends it, as a program ends that destroys its object, or by SIGKILL.
static void
end_qt(struct qt *qt, bool killed)
{
    if (killed)
        kill(qt->pid, SIGKILL);
    else
        need_answer(qt, "end", "ok");
    fclose(qt->words);
    shutdown(fileno(qt->answers), SHUT_RDWR);
    fclose(qt->answers);
    ck_assert_int_eq(end_of(qt->pid), killed ? 128 + SIGKILL : 0);
}

START_TEST(qt_creates)
{
    struct qt qt = start_qt();
    mapseg *seg;

    need_answer(&qt, "create 5000", "ok");
    need_answer(&qt, "write hello", "ok");
    seg = attached(mapseg_ipc_key_text(legacy), MAPSEG_READ_WRITE);
    ck_assert_uint_eq(mapseg_size(seg), 5000);
    ck_assert_str_eq(data_of(seg), "hello");
    memcpy(data_of(seg), "HELLO", 5);
    need_answer(&qt, "read", "HELLO");
    need_answer(&qt, "lock", "ok");
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    need_answer(&qt, "unlock", "ok");
    need_call(MAPSEG_OK, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
    end_qt(&qt, false);
}
END_TEST

START_TEST(mapseg_creates)
{
    struct qt qt = start_qt();
    mapseg *seg;

    need_answer(&qt, "attach", "error 5");
    seg = created(mapseg_ipc_key_text(legacy), 3000);
    need_answer(&qt, "attach", "ok");
    need_answer(&qt, "size", "3000");
    need_answer(&qt, "write hello", "ok");
    ck_assert_str_eq(data_of(seg), "hello");
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    say_line(&qt, "lock");
    need_asleep(qt.pid);
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    need_next(&qt, "lock", "ok");
    need_answer(&qt, "unlock", "ok");
    end_qt(&qt, true);
    mapseg_free(seg);
}
END_TEST

START_TEST(mapseg_leaves_first)
{
    struct qt qt = start_qt();
    mapseg *seg = created(mapseg_ipc_key_text(legacy), 3000);

    need_answer(&qt, "attach", "ok");
    mapseg_free(seg);
    seg = attached(mapseg_ipc_key_text(legacy), MAPSEG_READ_WRITE);
    end_qt(&qt, false);
    mapseg_free(seg);
}
END_TEST

START_TEST(qt_leaves_first)
{
    struct qt qt = start_qt();
    mapseg *seg;

    need_answer(&qt, "create 100", "ok");
    seg = attached(mapseg_ipc_key_text(legacy), MAPSEG_READ_WRITE);
    end_qt(&qt, false);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(qt_is_killed)
{
    struct qt qt = start_qt();
    mapseg *seg;

    need_answer(&qt, "create 100", "ok");
    seg = attached(mapseg_ipc_key_text(legacy), MAPSEG_READ_WRITE);
    need_answer(&qt, "lock", "ok");
    end_qt(&qt, true);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(nothing_is_lost)
{
    struct qt qt = start_qt();
    mapseg *seg = created(mapseg_ipc_key_text(legacy), 4096);
    volatile uint64_t *number = (volatile uint64_t *)(void *)((char *)data_of(seg) + 1024);
    char words[32];

    need_answer(&qt, "attach", "ok");
    snprintf(words, sizeof words, "increment %d", INCREMENTS);
    say_line(&qt, words);
    for (int i = 0; i < INCREMENTS; i++) {
        need_call(MAPSEG_OK, seg, mapseg_lock(seg));
        *number = *number + 1;
        need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    }
    need_next(&qt, words, "ok");
    ck_assert_uint_eq(*number, 2 * INCREMENTS);
    end_qt(&qt, false);
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("a running Qt");
    TCase *group = new_case(suite, "a running Qt");

    tcase_add_checked_fixture(group, enter, leave);
    if (has_qt()) {
        tcase_add_test(group, qt_creates);
        tcase_add_test(group, mapseg_creates);
        tcase_add_test(group, mapseg_leaves_first);
        tcase_add_test(group, qt_leaves_first);
        tcase_add_test(group, qt_is_killed);
        tcase_add_test(group, nothing_is_lost);
    }
    return run_suite(suite);
}
