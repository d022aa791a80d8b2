/*
 * handlers.c - the program's own handlers of SIGBUS.
 *
 * SPDX-License-Identifier: MIT
 */
#include "handlers.h"

#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static sigjmp_buf back;
volatile sig_atomic_t calls;
void *volatile called_for;
volatile int called_code;
volatile int called_value;
volatile bool usr1_was_blocked;
volatile bool bus_was_blocked;
volatile bool had_context;

static void
note_call(int number)
{
    sigset_t mask;

    sigprocmask(SIG_SETMASK, NULL, &mask);
    usr1_was_blocked = sigismember(&mask, SIGUSR1) == 1;
    bus_was_blocked = sigismember(&mask, SIGBUS) == 1;
    calls += number == SIGBUS;
}

void
jump_with_info(int number, siginfo_t *info, void *context)
{
    note_call(number);
    called_for = info->si_addr;
    called_code = info->si_code;
    had_context = context != NULL;
    siglongjmp(back, 1);
}

void
jump_plainly(int number)
{
    note_call(number);
    siglongjmp(back, 1);
}

void
return_with_info(int number, siginfo_t *info, void *context)
{
    note_call(number);
    called_code = info->si_code;
    called_value = info->si_value.sival_int;
    had_context = context != NULL;
}

void
handle(void (*with_info)(int, siginfo_t *, void *), void (*plain)(int), int flags)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_flags = flags;
    if (with_info != NULL) {
        action.sa_flags |= SA_SIGINFO;
        action.sa_sigaction = with_info;
        sigaddset(&action.sa_mask, SIGUSR1);
    } else {
        action.sa_handler = plain;
    }
    ck_assert_int_eq(sigaction(SIGBUS, &action, NULL), 0);
}

volatile char *
broken_page(void)
{
    int fd = memfd_create("mapseg test", MFD_CLOEXEC);
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    ck_assert_ptr_ne(page, MAP_FAILED);
    close(fd);
    return page;
}

bool
jumps_at(const volatile char *address)
{
    if (sigsetjmp(back, 1) != 0)
        return true;
    (void)*address;
    return false;
}

mapseg *
guarded(void)
{
    char key[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    seg = created(key, SIZE);
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    need_call(MAPSEG_OK, seg, mapseg_guard_end(seg));
    return seg;
}
