/*
 * guard.c - surviving a file that becomes shorter under its mappings.
 *
 * Each thread has a list of the handles it has open sections on, and notes the handle that a
 * call of the library reads or writes in a section of its own. The handler of SIGBUS looks only
 * at these of the thread that met the fault, so it takes no lock, and what other threads do
 * cannot disturb it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "guard.h"

#include "os/failure.h"
#include "os/os.h"
#include "reach.h"
#include "report.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/** The open sections of a thread on one handle. */
struct section {
    mapseg *seg;
    size_t depth;
};

/** All open sections of a thread. */
struct sections {
    size_t count;
    size_t room;
    struct section section[];
};

_Thread_local struct msi_guard_thread msi_guard_thread __attribute__((tls_model("initial-exec")));

/* Initial-exec: as above. */
static _Thread_local struct sections *_Atomic sections __attribute__((tls_model("initial-exec")));
/** Frees a thread's list when the thread ends. The key is never deleted: threads use it
 *  until the process is gone, and a later key of the same number would find our lists. */
static pthread_key_t sections_key;
static bool sections_have_key;

static pthread_once_t install_once = PTHREAD_ONCE_INIT;
static int install_error;
static size_t page_size;

/** What the program did with SIGBUS before. */
static struct sigaction previous;
static atomic_bool previous_is_spent; /**< its handler was to run once, and has */

/* -------------------------------------------------------------- handler -- */

/** Whether the file has become shorter than the mapping; false, too, where the descriptor
 *  has become another file's. A signal handler may call it. */
static bool
is_shorter(const mapseg *seg)
{
    const struct msi_file *file = &seg->attachment.file;
    struct stat status;

    return msi_os.status(file->fd, &status) >= 0 && status.st_dev == file->device &&
           status.st_ino == file->inode && (uint64_t)status.st_size < seg->attachment.bytes;
}

/** Puts zeros in place of a mapping from the page of the address to its end;
 *  false: the address is not in it, or the system refuses. */
static bool
replace_rest(mapseg *seg, uintptr_t address, const void *base, size_t bytes,
             enum msi_protection protection)
{
    uintptr_t start = (uintptr_t)base;
    uintptr_t end = (start + bytes + page_size - 1) & ~(uintptr_t)(page_size - 1);
    uintptr_t page = address & ~(uintptr_t)(page_size - 1);

    if (base == NULL || address < start || address >= end)
        return false;
    /* Marked before any thread can see zeros. */
    atomic_store(&seg->shrunk, true);
    /* If the file is as long as ever, only this page could not get memory, and the pages
     * behind it are still good. */
    if (!is_shorter(seg))
        end = page + page_size;
    /* Where the system refuses so many pages, replace this one alone. */
    if (msi_os.map_zeros((void *)page, end - page, protection) < 0) {
        end = page + page_size;
        if (msi_os.map_zeros((void *)page, page_size, protection) < 0)
            return false;
    }
    if (seg->no_fork)
        (void)msi_os.hide_from_children((void *)page, end - page);
    return true;
}

/** Puts zeros where the fault was, if that is in one of the handle's mappings. */
static bool
repair_handle(mapseg *seg, uintptr_t address)
{
    const struct msi_attachment *attachment = &seg->attachment;

    return replace_rest(seg, address, attachment->base, attachment->bytes,
                        seg->read_only ? MSI_MAP_READ : MSI_MAP_WRITE) ||
           (attachment->header_mapped_separately &&
            replace_rest(seg, address, attachment->header, MAPSEG_HEADER_BYTES, MSI_MAP_WRITE));
}

/** The same in any handle that this thread has an open section on, or reads at the moment.
 *  False: the address is in none; else the access may be tried again. */
static bool
repair(uintptr_t address)
{
    const struct sections *own = atomic_load_explicit(&sections, memory_order_relaxed);
    mapseg *reading = atomic_load_explicit(&msi_guard_thread.reading, memory_order_relaxed);

    if (reading != NULL && repair_handle(reading, address))
        return true;
    for (size_t i = 0; own != NULL && i < own->count; i++)
        if (repair_handle(own->section[i].seg, address))
            return true;
    return false;
}

static bool
is_handler(const struct sigaction *action)
{
    return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN;
}

/** Does what would happen without this handler. */
static void
pass_on(int number, siginfo_t *info, void *context)
{
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    /* Raised by the instruction itself, not by kill(): it recurs on return. */
    bool recurs = info->si_code > 0 && info->si_code != BUS_MCEERR_AO;
    bool once = (previous.sa_flags & (int)SA_RESETHAND) != 0;

    if (is_handler(&previous) && !(once && atomic_exchange(&previous_is_spent, true))) {
        if (previous.sa_flags & SA_SIGINFO)
            previous.sa_sigaction(number, info, context);
        else
            previous.sa_handler(number);
        return;
    }
    /* A process can ignore a SIGBUS that was sent, but not one that an instruction raised. */
    if (previous.sa_handler == SIG_IGN && !recurs)
        return;
    (void)msi_os.signal_action(number, &by_default, NULL);
    if (!recurs)
        msi_os.signal_raise(number);
}

static void
on_fault(int number, siginfo_t *info, void *context)
{
    int error = errno;

    if (info->si_code != BUS_ADRERR || !repair((uintptr_t)info->si_addr))
        pass_on(number, info, context);
    errno = error;
}

/* --------------------------------------------------------- installation -- */

static bool
is_ours(const struct sigaction *action)
{
    return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == on_fault;
}

/** Frees the list of a thread that ends. */
static void
free_sections(void *list)
{
    atomic_store_explicit(&sections, NULL, memory_order_relaxed);
    free(list);
}

/** Puts the handler before the one that the program has, for good: other
 *  threads are in sections while exit() runs the destructors of libraries, and a
 *  later handler of the program's calls this one. So the library is linked such
 *  that dlclose() leaves it mapped. */
static int
install_handler(void)
{
    struct sigaction action = {.sa_sigaction = on_fault};
    struct sigaction old;
    int error = msi_os.signal_action(SIGBUS, NULL, &old);

    /* A child that was forked in the middle of this has the handler already. */
    if (error < 0 || is_ours(&old))
        return error;
    previous = old;
    action.sa_mask = old.sa_mask;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | (old.sa_flags & (SA_NODEFER | SA_RESTART));
    if (!is_handler(&old))
        /* An ignored signal interrupted no system call. */
        action.sa_flags |= SA_RESTART;
    return msi_os.signal_action(SIGBUS, &action, NULL);
}

static void
install(void)
{
    page_size = msi_os.page_size();
    if (!sections_have_key)
        sections_have_key = pthread_key_create(&sections_key, free_sections) == 0;
    install_error = sections_have_key ? install_handler() : -ENOMEM;
}

int
msi_guard_install(void)
{
    (void)pthread_once(&install_once, install);
    return install_error;
}

mapseg_result
msi_guard_install_for(struct msi_failure *failure)
{
    int error = msi_guard_install();

    return error < 0 ? msi_system_failed(failure, -error, "its memory cannot be guarded")
                     : MAPSEG_OK;
}

/** Unblocks SIGBUS in this thread: a fault while it is blocked kills. */
int
msi_guard_get_ready(void)
{
    sigset_t fault;
    int error;

    if (msi_guard_thread.ready)
        return 0;
    error = msi_guard_install();
    if (error < 0)
        return error;
    sigemptyset(&fault);
    sigaddset(&fault, SIGBUS);
    error = -pthread_sigmask(SIG_UNBLOCK, &fault, NULL);
    msi_guard_thread.ready = error == 0;
    return error;
}

/* ------------------------------------------------------------- sections -- */

static struct section *
find(mapseg *seg)
{
    struct sections *own = atomic_load_explicit(&sections, memory_order_relaxed);

    for (size_t i = 0; own != NULL && i < own->count; i++)
        if (own->section[i].seg == seg)
            return &own->section[i];
    return NULL;
}

/** A larger list for this thread, with what the old one has. The old one stays
 *  whole until the handler cannot find it any more. */
static int
grow(struct sections *old)
{
    size_t room = old == NULL ? 4 : 2 * old->room;
    struct sections *larger = calloc(1, sizeof *larger + room * sizeof larger->section[0]);

    if (larger == NULL)
        return -ENOMEM;
    if (old != NULL)
        memcpy(larger, old, sizeof *old + old->count * sizeof old->section[0]);
    larger->room = room;
    if (pthread_setspecific(sections_key, larger) != 0) {
        free(larger);
        return -ENOMEM;
    }
    atomic_store_explicit(&sections, larger, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    free(old);
    return 0;
}

/** The first section on a handle. */
static int
add(mapseg *seg)
{
    struct sections *own = atomic_load_explicit(&sections, memory_order_relaxed);
    int error = msi_guard_get_ready();

    if (error >= 0 && (own == NULL || own->count == own->room))
        error = grow(own);
    if (error < 0)
        return error;
    own = atomic_load_explicit(&sections, memory_order_relaxed);
    own->section[own->count].seg = seg;
    own->section[own->count].depth = 1;
    atomic_signal_fence(memory_order_seq_cst);
    own->count++;
    return 0;
}

static void
take_away(struct section *section)
{
    struct sections *own = atomic_load_explicit(&sections, memory_order_relaxed);

    *section = own->section[own->count - 1];
    own->count--;
}

/** Begins a section of this thread. */
static int
enter(mapseg *seg)
{
    struct section *section = find(seg);
    int error = 0;

    if (section != NULL)
        section->depth++;
    else
        error = add(seg);
    /* The accesses that follow must not move before this. */
    atomic_signal_fence(memory_order_seq_cst);
    return error;
}

/** Ends the innermost section; true: it was the outermost, too. */
static bool
leave(struct section *section)
{
    atomic_signal_fence(memory_order_seq_cst);
    if (--section->depth > 0)
        return false;
    take_away(section);
    return true;
}

bool
msi_guard_is_within(mapseg *seg)
{
    return find(seg) != NULL;
}

void
msi_guard_forget(mapseg *seg)
{
    struct section *section = find(seg);

    if (section != NULL)
        take_away(section);
    /* A handler of the program's may have jumped out of a call that read. */
    if (atomic_load_explicit(&msi_guard_thread.reading, memory_order_relaxed) == seg)
        msi_guard_end_reading();
}

/* ------------------------------------------------------------ interface -- */

mapseg_result
mapseg_guard_begin(mapseg *seg)
{
    struct msi_failure failure;
    int error = 0;

    if (!msi_handle_is_attached(seg)) {
        msi_failed(&failure, MAPSEG_NOT_ATTACHED, 0,
                   "the handle is not attached; create or attach first");
        return msi_report(seg, "access", &failure);
    }
    if (atomic_load(&seg->shrunk)) {
        msi_failed(&failure, MAPSEG_FILE_SHRUNK, 0,
                   "the file has become shorter; leave it, and make the segment anew");
        return msi_report(seg, "access", &failure);
    }
    if (msi_handle_can_shrink(seg))
        error = enter(seg);
    if (error < 0) {
        msi_system_failed(&failure, -error, "its memory cannot be guarded");
        return msi_report(seg, "access", &failure);
    }
    if (msi_handle_can_shrink(seg))
        msi_reach_guard(seg);
    return msi_succeed(seg);
}

/** Notices a shorter file also if no thread has touched what is missing, or if only a part
 *  of a page is. */
static void
look_at_file(mapseg *seg)
{
    /* A descriptor that the program has closed is opened anew. */
    (void)msi_file_fd(&seg->attachment.file);
    if (is_shorter(seg))
        atomic_store(&seg->shrunk, true);
}

mapseg_result
mapseg_guard_end(mapseg *seg)
{
    struct section *section = find(seg);
    struct msi_failure failure;

    /* Sections on a file that cannot become shorter are not counted. */
    if (section == NULL && (!msi_handle_is_attached(seg) || msi_handle_can_shrink(seg))) {
        msi_failed(&failure, MAPSEG_INVALID_ARGUMENT, 0,
                   "this thread has no section on it to end; begin one first");
        return msi_report(seg, "end access to", &failure);
    }
    if (section != NULL && leave(section))
        look_at_file(seg);
    if (atomic_load(&seg->shrunk)) {
        msi_failed(&failure, MAPSEG_FILE_SHRUNK, 0,
                   "the file has become shorter, so that zeros may have been read, and what was "
                   "written is lost; leave it, and make the segment anew");
        return msi_report(seg, "access", &failure);
    }
    return msi_succeed(seg);
}
