/*
 * check_lock_rules.c - rules of the lock that no outside view shows for sure: which process
 * wakes which, what is held meanwhile, and when an owner is looked at. The operating system is
 * replaced where that makes the rule visible.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define DATA_BYTES 4096

static struct msi_os_operations real;
static struct mapseg_header *header;
static struct place place;
static mapseg *seg;

/** A slot that no attachment holds. */
static uint32_t
free_slot(void)
{
    return slot_in_maps(getpid(), place.path) % MAPSEG_LAST_SLOT + 1;
}

static void
set_up(void)
{
    real = msi_os;
    new_place(&place);
    seg = created(place.key, DATA_BYTES);
    header = map_header(place.path);
}

static void
tear_down(void)
{
    msi_os = real;
    mapseg_free(seg);
    need(!exists(place.path));
}

/* --------------------------------------------------------------- waking -- */

static int wakes;

static bool
count_wake(const uint32_t *word)
{
    wakes++;
    return real.wake_one(word);
}

START_TEST(release_wakes_one_if_somebody_sleeps)
{
    msi_os.wake_one = count_wake;
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(0, wakes);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    set_lock_word(header, lock_word(header) | MAPSEG_LOCK_SLEEPERS);
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(1, wakes);
    need_number(0, lock_word(header));
    need_result(MAPSEG_OK, mapseg_lock(seg));
    set_lock_word(header, lock_word(header) | MAPSEG_LOCK_SLEEPERS);
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need_number(2, wakes);
}
END_TEST

static int64_t fake_time;
static int64_t longest_sleep;
static int64_t slept;
static int sleeps;

static int64_t
read_fake_clock(void)
{
    return fake_time;
}

/** Time passes in sleep alone, and every sleep is as long as was asked for. */
static void
sleep_well(const uint32_t *word, uint32_t value, int64_t ns)
{
    (void)word;
    (void)value;
    sleeps++;
    if (ns > longest_sleep)
        longest_sleep = ns;
    fake_time += ns;
}

START_TEST(who_gives_up_passes_the_wake_on)
{
    mapseg *other = attached(place.key, MAPSEG_READ_WRITE);

    /* With a clock that only sleep moves, it has slept when it gives up. */
    msi_os.monotonic_ns = read_fake_clock;
    msi_os.sleep_on = sleep_well;
    msi_os.wake_one = count_wake;
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(other, 5 * MILLISECOND));
    need_number(1, wakes);
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(other));
    need_number(1, wakes);
    mapseg_free(other);
}
END_TEST

static uint32_t word_after_sleep;

/** While it slept the word has become another, without a sleepers' bit: others
 *  may still be asleep. */
static void
sleep_until_changed(const uint32_t *word, uint32_t value, int64_t ns)
{
    (void)word;
    need((value & MAPSEG_LOCK_SLEEPERS) != 0);
    need_number(value, lock_word(header));
    set_lock_word(header, word_after_sleep);
    real.nap(ns);
}

START_TEST(who_has_slept_speaks_for_the_others)
{
    mapseg *other = attached(place.key, MAPSEG_READ_WRITE);
    uint32_t own;

    msi_os.sleep_on = sleep_until_changed;
    need_result(MAPSEG_OK, mapseg_lock(other));
    word_after_sleep = 0;
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need((lock_word(header) & MAPSEG_LOCK_SLEEPERS) != 0);
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(other);
    /* The same where the lock is taken from a dead owner. */
    own = slot_in_maps(getpid(), place.path);
    word_after_sleep = free_slot();
    set_lock_word(header, word_after_sleep);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_number(own | MAPSEG_LOCK_DIED | MAPSEG_LOCK_SLEEPERS, lock_word(header));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}
END_TEST

/* -------------------------------------------------------------- looking -- */

/** Time passes in sleep alone, and every sleep is cut short. */
static void
sleep_badly(const uint32_t *word, uint32_t value, int64_t ns)
{
    (void)word;
    (void)value;
    sleeps++;
    if (ns > longest_sleep)
        longest_sleep = ns;
    fake_time += ns < 50 * MICROSECOND ? ns : 50 * MICROSECOND;
}

START_TEST(interrupted_sleeps_do_not_put_off_the_look)
{
    fake_time = SECOND;
    msi_os.monotonic_ns = read_fake_clock;
    msi_os.sleep_on = sleep_badly;
    set_lock_word(header, free_slot());
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need(fake_time - SECOND <= 2 * MILLISECOND);
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}
END_TEST

START_TEST(an_owner_is_looked_at_often_enough)
{
    mapseg *owner = attached(place.key, MAPSEG_READ_WRITE);
    int64_t timeout = 10 * SECOND;

    fake_time = SECOND;
    msi_os.monotonic_ns = read_fake_clock;
    msi_os.sleep_on = sleep_well;
    need_result(MAPSEG_OK, mapseg_lock(owner));
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, timeout));
    /* Take-over within 100 ms needs looks at least that often; and a waiter
     * that looks all the time costs the machine. */
    need(longest_sleep <= 64 * MILLISECOND);
    need(sleeps < 250);
    need_number(SECOND + timeout, fake_time);
    mapseg_free(owner);
}
END_TEST

static int64_t
read_stopped_clock(void)
{
    return SECOND;
}

static void
sleep_without_clock(const uint32_t *word, uint32_t value, int64_t ns)
{
    (void)word;
    (void)value;
    slept += ns;
}

START_TEST(clock_that_stands_still_makes_no_owner_immortal)
{
    msi_os.monotonic_ns = read_stopped_clock;
    msi_os.sleep_on = sleep_without_clock;
    set_lock_word(header, free_slot());
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}
END_TEST

START_TEST(clock_that_stands_still_makes_no_deadline_infinite)
{
    mapseg *owner = attached(place.key, MAPSEG_READ_WRITE);

    msi_os.monotonic_ns = read_stopped_clock;
    msi_os.sleep_on = sleep_without_clock;
    need_result(MAPSEG_OK, mapseg_lock(owner));
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, 50 * MILLISECOND));
    need(slept >= 50 * MILLISECOND);
    mapseg_free(owner);
}
END_TEST

/* -------------------------------------------------------------- healing -- */

static bool haunted;

/** Has the word name every slot that is claimed, as if its last owner had died
 *  with the lock. */
static int
claim_haunted_slot(int fd, enum msi_range_kind kind, int64_t first, int64_t bytes)
{
    int result = real.lock_range_ofd(fd, kind, first, bytes);
    int64_t slot = first - MAPSEG_PRESENCE_BASE;

    if (haunted && result >= 0 && kind == MSI_RANGE_EXCLUSIVE && bytes == 1 &&
        slot >= MAPSEG_FIRST_SLOT && slot <= MAPSEG_LAST_SLOT) {
        set_lock_word(header, (uint32_t)slot | MAPSEG_LOCK_SLEEPERS);
        haunted = false;
    }
    return result;
}

START_TEST(newcomer_heals_the_word_as_it_claims_its_slot)
{
    mapseg *other = handle_for(place.key);

    msi_os.lock_range_ofd = claim_haunted_slot;
    msi_os.wake_one = count_wake;
    haunted = true;
    need_result(MAPSEG_OK, mapseg_attach(other, MAPSEG_READ_WRITE));
    need(!haunted);
    need_number(MAPSEG_LOCK_DIED, lock_word(header) & ~MAPSEG_LOCK_SLEEPERS);
    need_number(1, wakes);
    need_number(1, recoveries_of(header));
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(_i == 0 ? other : seg));
    need_result(MAPSEG_OK, mapseg_consistent(_i == 0 ? other : seg));
    need_result(MAPSEG_OK, mapseg_unlock(_i == 0 ? other : seg));
    mapseg_free(other);
}
END_TEST

START_TEST(fork_heals_the_word_that_names_the_childs_slot)
{
    pid_t pid;

    msi_os.lock_range_ofd = claim_haunted_slot;
    msi_os.wake_one = count_wake;
    haunted = true;
    pid = fork();
    need(pid >= 0);
    if (pid == 0) {
        need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
        need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
        need_result(MAPSEG_OK, mapseg_detach(seg));
        _exit(0);
    }
    need(!haunted);
    need_number(1, wakes);
    finish(pid);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}
END_TEST

/* ---------------------------------------------------------- taking over -- */

static uint32_t dead_slot;
static int dead_description = -1;
static bool swapped_in_hand;

/** Notes which description holds the dead owner's byte, and that the word still names it. */
static int
watch_hold(int fd, enum msi_range_kind kind, int64_t first, int64_t bytes)
{
    int result = real.lock_range_ofd(fd, kind, first, bytes);

    if (result >= 0 && kind == MSI_RANGE_EXCLUSIVE &&
        first == MAPSEG_PRESENCE_BASE + (int64_t)dead_slot) {
        need_number(dead_slot, lock_word(header) & MAPSEG_LOCK_OWNER);
        dead_description = fd;
    }
    return result;
}

/** The word has changed hands before the byte is let go. */
static void
watch_close(int fd)
{
    if (fd == dead_description) {
        swapped_in_hand = (lock_word(header) & MAPSEG_LOCK_OWNER) != dead_slot;
        dead_description = -1;
    }
    real.close(fd);
}

START_TEST(swap_has_the_dead_owners_byte_in_hand)
{
    dead_slot = free_slot();
    msi_os.lock_range_ofd = watch_hold;
    msi_os.close = watch_close;
    set_lock_word(header, dead_slot);
    need_result(MAPSEG_OWNER_DIED, mapseg_try_lock(seg));
    need(dead_description == -1);
    need(swapped_in_hand);
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}
END_TEST

/** Another process has got the dead owner's slot and the lock meanwhile. */
static int
lose_the_race(int fd, enum msi_range_kind kind, int64_t first, int64_t bytes)
{
    int result = real.lock_range_ofd(fd, kind, first, bytes);

    if (kind == MSI_RANGE_EXCLUSIVE && first == MAPSEG_PRESENCE_BASE + (int64_t)dead_slot)
        set_lock_word(header, dead_slot + 1);
    return result;
}

START_TEST(word_is_read_again_with_the_byte_in_hand)
{
    int held;

    dead_slot = free_slot();
    held = hold_bytes(place.path, dead_slot + 1, 1);
    msi_os.lock_range_ofd = lose_the_race;
    set_lock_word(header, dead_slot);
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    need_number(dead_slot + 1, lock_word(header) & MAPSEG_LOCK_OWNER);
    set_lock_word(header, 0);
    (void)close(held);
}
END_TEST

static atomic_int byte_in_hand;

/** Keeps the dead owner's byte long enough for a fork to come between. */
static int
linger_with_byte(int fd, enum msi_range_kind kind, int64_t first, int64_t bytes)
{
    int result = real.lock_range_ofd(fd, kind, first, bytes);

    if (kind == MSI_RANGE_EXCLUSIVE && first == MAPSEG_PRESENCE_BASE + (int64_t)dead_slot) {
        atomic_store(&byte_in_hand, 1);
        real.nap(150 * MILLISECOND);
    }
    return result;
}

static void *
take_over_in_thread(void *argument)
{
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(argument));
    need_result(MAPSEG_OK, mapseg_consistent(argument));
    need_result(MAPSEG_OK, mapseg_unlock(argument));
    return NULL;
}

START_TEST(fork_waits_for_a_take_over)
{
    struct stage *stage = new_stage();
    pthread_t thread;
    pid_t pid;

    dead_slot = free_slot();
    msi_os.lock_range_ofd = linger_with_byte;
    set_lock_word(header, dead_slot);
    need(pthread_create(&thread, NULL, take_over_in_thread, seg) == 0);
    await(&byte_in_hand, 1);
    pid = fork();
    need(pid >= 0);
    if (pid == 0) {
        await(&stage->go, 1);
        _exit(0);
    }
    need(pthread_join(thread, NULL) == 0);
    /* No copy of a descriptor in the child goes on holding the byte. */
    (void)close(hold_bytes(place.path, dead_slot, 1));
    atomic_store(&stage->go, 1);
    finish(pid);
}
END_TEST

static int
no_description(int fd, int flags)
{
    (void)fd;
    (void)flags;
    return -EMFILE;
}

START_TEST(take_over_without_a_descriptor_to_spare)
{
    msi_os.reopen = no_description;
    set_lock_word(header, free_slot());
    need_result(MAPSEG_OWNER_DIED, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    msi_os.reopen = real.reopen;
    /* The byte has been given back, and the own one kept. */
    need_attached(1, place.key);
}
END_TEST

static int
no_access(int fd, int flags)
{
    (void)fd;
    (void)flags;
    return -EACCES;
}

/** Presence lies on the working descriptor: the own byte must not look free
 *  through it. */
START_TEST(own_byte_is_never_taken)
{
    mapseg *memory = handle_for("memfd:");
    uint32_t own;
    struct mapseg_header *head;

    msi_os.reopen = no_access;
    need_result(MAPSEG_OK, mapseg_create(memory, DATA_BYTES, MAPSEG_READ_WRITE));
    need_result(MAPSEG_OK, mapseg_lock(memory));
    head = (struct mapseg_header *)(void *)((char *)mapseg_data(memory) - MAPSEG_HEADER_BYTES);
    own = lock_word(head);
    need(own >= MAPSEG_FIRST_SLOT && own <= MAPSEG_LAST_SLOT);
    need_result(MAPSEG_OK, mapseg_unlock(memory));
    /* As another thread of this handle would hold it. */
    set_lock_word(head, own);
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(memory));
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(memory, 20 * MILLISECOND));
    need_number(own, lock_word(head) & MAPSEG_LOCK_OWNER);
    set_lock_word(head, 0);
    msi_os.reopen = real.reopen;
    need_attached_through(1, memory);
    mapseg_free(memory);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("lock rules");
    TCase *tcase = tcase_create("rules");

    tcase_set_timeout(tcase, TEST_TIMEOUT);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, release_wakes_one_if_somebody_sleeps);
    tcase_add_test(tcase, who_gives_up_passes_the_wake_on);
    tcase_add_test(tcase, who_has_slept_speaks_for_the_others);
    tcase_add_test(tcase, interrupted_sleeps_do_not_put_off_the_look);
    tcase_add_test(tcase, an_owner_is_looked_at_often_enough);
    tcase_add_test(tcase, clock_that_stands_still_makes_no_owner_immortal);
    tcase_add_test(tcase, clock_that_stands_still_makes_no_deadline_infinite);
    tcase_add_loop_test(tcase, newcomer_heals_the_word_as_it_claims_its_slot, 0, 2);
    tcase_add_test(tcase, fork_heals_the_word_that_names_the_childs_slot);
    tcase_add_test(tcase, swap_has_the_dead_owners_byte_in_hand);
    tcase_add_test(tcase, word_is_read_again_with_the_byte_in_hand);
    tcase_add_test(tcase, fork_waits_for_a_take_over);
    tcase_add_test(tcase, take_over_without_a_descriptor_to_spare);
    tcase_add_test(tcase, own_byte_is_never_taken);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
