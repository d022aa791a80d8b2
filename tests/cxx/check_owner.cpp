/*
 * check_owner.cpp - the lock in C++: the standard's locks take it, and a dead owner is not
 * overlooked.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.hpp"

#include <mutex>
#include <stdexcept>
#include <sys/mman.h>
#include <thread>
#include <vector>

using segment = mapseg::segment;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

/* ------------------------------------------------------- locks that live -- */

START_TEST(the_standards_locks_take_it)
{
    mapseg::native_key key = new_key();
    segment seg(mapseg::create, key, 1);
    segment other(mapseg::attach, key);

    {
        std::lock_guard<segment> guard(seg);

        need(!other.try_lock());
        need(!other.try_lock_for(milliseconds(1)));
        need(!other.try_lock_for(nanoseconds(-1)));
        need(!other.try_lock_for(std::chrono::duration<double, std::milli>(0.5)));
        need(!other.try_lock_until(std::chrono::steady_clock::now() + milliseconds(1)));
        need(!other.try_lock_until(std::chrono::system_clock::now() - hours(1)));
        need(!std::unique_lock<segment>(other, std::try_to_lock).owns_lock());
        need(!std::unique_lock<segment>(other, milliseconds(1)).owns_lock());
    }
    {
        std::unique_lock<segment> lock(other, std::defer_lock);

        need(lock.try_lock_for(hours(24 * 366 * 200)));
        need(!seg.try_lock());
        lock.unlock();
        need(lock.try_lock_for(nanoseconds::max()));
    }
    need(seg.try_lock());
    seg.unlock();
    need(seg.try_lock_until(std::chrono::system_clock::time_point::max()));
    seg.unlock();
    need(seg.try_lock_for(std::chrono::duration<long double>(1e300L)));
    seg.unlock();
}
END_TEST

START_TEST(thread_that_has_it)
{
    mapseg::native_key key = new_key();
    segment seg(mapseg::create, key, 1);
    segment other(mapseg::attach, key);
    std::error_code code;

    seg.lock();
    need(!seg.try_lock());
    need(!seg.try_lock(code) && !code);
    need_thrown(already_locked, seg.lock());
    try {
        seg.lock();
    } catch (const std::system_error &error) {
        need(error.code() == std::errc::resource_deadlock_would_occur);
    }
    /* It is held as before, once. */
    need(!other.try_lock());
    seg.unlock(code);
    need(!code);
    need(other.try_lock());
    other.unlock();
    need_code(not_locked, code, seg.unlock(code));
    seg.unlock();
}
END_TEST

START_TEST(threads_of_one_segment_take_turns)
{
    segment seg(mapseg::create, mapseg::native_key::from_text("memfd:"), sizeof(int));
    int &count = seg.as<int>();
    std::vector<std::thread> threads;

    for (int i = 0; i < 4; i++)
        threads.emplace_back([&] {
            for (int turn = 0; turn < 5000; turn++) {
                std::lock_guard<segment> guard(seg);

                count = count + 1;
            }
        });
    for (std::thread &thread : threads)
        thread.join();
    need(count == 20000);
}
END_TEST

/* --------------------------------------------------------- two at once -- */

#define TURNS 1000

/** Two segments, which each process takes in its own order. */
struct pair {
    mapseg::native_key keys[2] = {new_key(), new_key()};
    bool repairs = false;
    bool backwards = false;
    int turns = TURNS;
};

/** Moves one from the first to the second, which together stay 0 in each order. */
static int
take_both(int channel, void *argument)
{
    auto *both = static_cast<pair *>(argument);
    segment a(mapseg::attach, both->keys[0]);
    segment b(mapseg::attach, both->keys[1]);
    auto repair = [](segment &) {};

    if (both->repairs) {
        a.on_owner_died(repair);
        b.on_owner_died(repair);
    }
    say(channel, 'a');
    for (int turn = 0; both->turns == 0 || turn < both->turns; turn++) {
        if (both->backwards) {
            std::scoped_lock<segment, segment> lock(b, a);

            a.as<int>()++;
            b.as<int>()--;
        } else {
            std::scoped_lock<segment, segment> lock(a, b);

            a.as<int>()++;
            b.as<int>()--;
        }
    }
    return 0;
}

START_TEST(two_segments_by_processes)
{
    pair both;
    segment a(mapseg::create, both.keys[0], sizeof(int));
    segment b(mapseg::create, both.keys[1], sizeof(int));
    std::vector<peer> peers;

    for (int i = 0; i < 4; i++) {
        both.backwards = i % 2 == 1;
        peers.push_back(start_peer(take_both, &both));
    }
    for (peer &one : peers)
        need(end_peer(&one) == 0);
    need(a.as<int>() == 4 * TURNS);
    need(b.as<int>() == -4 * TURNS);
}
END_TEST

START_TEST(two_segments_and_deaths)
{
    pair both;
    segment a(mapseg::create, both.keys[0], sizeof(int));
    segment b(mapseg::create, both.keys[1], sizeof(int));

    both.repairs = true;
    for (int death = 0; death < 20; death++) {
        both.turns = 0;
        both.backwards = death % 2 == 1;
        peer endless = start_peer(take_both, &both);
        both.turns = 100;
        both.backwards = !both.backwards;
        peer brief = start_peer(take_both, &both);

        need(hear(endless.channel) == 'a');
        need(hear(brief.channel) == 'a');
        kill_peer(&endless);
        need(end_peer(&brief) == 0);
    }
}
END_TEST

START_TEST(the_second_of_two_has_a_dead_owner)
{
    pair both;
    segment a(mapseg::create, both.keys[0], 1);
    segment b(mapseg::create, both.keys[1], 1);
    segment other(mapseg::attach, both.keys[0]);

    let_owner_die(both.keys[1]);
    need_thrown(owner_died, std::scoped_lock<segment, segment>(a, b));
    need_thrown(owner_died, std::scoped_lock<segment, segment>(b, a));
    need_thrown(owner_died, std::lock(a, b));
    need(other.try_lock());
    other.unlock();
    b.on_owner_died([](segment &) {});
    std::scoped_lock<segment, segment> lock(a, b);
    need(!other.try_lock());
}
END_TEST

/* ------------------------------------------------------------ dead owners -- */

/** Whether the lock is free, and the next owner is told of a death. */
static bool
next_is_told(const mapseg::native_key &key)
{
    mapseg_result result;
    segment next(mapseg::attach, key);

    result = mapseg_try_lock(next.native_handle());
    next.unlock();
    return result == MAPSEG_OWNER_DIED;
}

START_TEST(nothing_is_held_where_lock_throws)
{
    mapseg::native_key key = new_key();
    segment seg(mapseg::create, key, 1);
    std::unique_lock<segment> lock(seg, std::defer_lock);
    std::error_code code;
    bool was_thrown = false;

    let_owner_die(key);
    try {
        lock.lock();
    } catch (const mapseg::owner_died &error) {
        was_thrown = true;
        need(error.code() == std::errc::owner_dead);
        need(std::string(error.what()).find(key.name()) != std::string::npos);
    }
    need(was_thrown && !lock.owns_lock());
    need_code(not_locked, code, seg.unlock(code));
    need(next_is_told(key));
    need_thrown(owner_died, std::lock_guard<segment>(seg));
    need_thrown(owner_died, seg.try_lock_for(hours(1)));
    need_thrown(owner_died, lock.try_lock());
    need(!lock.owns_lock() && next_is_told(key));
    /* With a code, too. */
    need(!seg.try_lock(code) && code == mapseg::errc::owner_died);
    need(!seg.try_lock_for(hours(1), code) && code == mapseg::errc::owner_died);
    need_code(owner_died, code, seg.lock(code));
    need(next_is_told(key));
}
END_TEST

START_TEST(repaired_by_the_function)
{
    mapseg::native_key key = new_key();
    segment seg(mapseg::create, key, sizeof(int));
    segment other(mapseg::attach, key);
    int repairs = 0;

    seg.on_owner_died([&](segment &dead) {
        need(&dead == &seg);
        need(!other.try_lock());
        dead.as<int>() = ++repairs;
    });
    let_owner_die(key);
    {
        std::lock_guard<segment> guard(seg);

        need(repairs == 1);
        need(!other.try_lock());
    }
    other.lock();
    other.unlock();
    need(repairs == 1 && seg.as<int>() == 1);
    let_owner_die(key);
    need(seg.try_lock());
    seg.unlock();
    let_owner_die(key);
    need(seg.try_lock_for(hours(1)));
    seg.unlock();
    let_owner_die(key);
    seg.changing().end();
    let_owner_die(key);
    seg.write(77);
    need(repairs == 5 && other.read<int>() == 77);
    seg.on_owner_died(nullptr);
    let_owner_die(key);
    need_thrown(owner_died, seg.lock());
}
END_TEST

START_TEST(repair_that_throws)
{
    mapseg::native_key key = new_key();
    segment seg(mapseg::create, key, sizeof(int));
    std::error_code code;
    int failures = 0;
    auto fails = [&](auto call) {
        try {
            call();
        } catch (const std::range_error &) {
            failures++;
        }
        need_code(not_locked, code, seg.unlock(code));
        need(next_is_told(key));
    };

    seg.on_owner_died([](segment &) { throw std::range_error("beyond repair"); });
    let_owner_die(key);
    fails([&] { seg.lock(); });
    fails([&] { seg.lock(code); });
    fails([&] { static_cast<void>(seg.try_lock()); });
    fails([&] { static_cast<void>(seg.changing()); });
    fails([&] { seg.write(1); });
    fails([&] { std::lock_guard<segment> guard(seg); });
    need(failures == 6);
    /* Which may also lose the lock. */
    seg.on_owner_died([](segment &lost) { lost.unlock(); });
    need_thrown(not_locked, seg.lock());
    need(next_is_told(key));
}
END_TEST

START_TEST(locked_to_repair)
{
    mapseg::native_key key = new_key();
    segment seg(mapseg::create, key, sizeof(int));
    segment other(mapseg::attach, key);
    std::error_code code = mapseg::errc::corrupt;

    seg.on_owner_died([](segment &) { broken_at(__FILE__, __LINE__, "is not called"); });
    need(!seg.lock_to_repair());
    seg.unlock();
    need(!seg.lock_to_repair(hours(1), code) && !code);
    seg.unlock();
    let_owner_die(key);
    need(seg.lock_to_repair());
    need(!other.try_lock());
    seg.unlock();
    need(seg.lock_to_repair(code) && !code);
    seg.unlock();
    need(seg.lock_to_repair(hours(1)));
    std::unique_lock<segment> guard(seg, std::adopt_lock);
    seg.consistent();
    guard.unlock();
    other.lock();
    other.unlock();
}
END_TEST

START_TEST(the_moved_one_repairs)
{
    mapseg::native_key key = new_key();
    segment first(mapseg::create, key, sizeof(int));
    int repairs = 0;

    first.on_owner_died([&](segment &) { repairs++; });
    segment second(std::move(first));
    let_owner_die(key);
    second.lock();
    first = std::move(second);
    first.unlock();
    let_owner_die(key);
    first.lock();
    first.unlock();
    need(repairs == 2);
}
END_TEST

/** Begins a change and dies. */
static int
die_in_change(int channel, void *argument)
{
    segment seg(mapseg::attach, *static_cast<mapseg::native_key *>(argument));
    mapseg::change change = seg.changing();

    seg.as<int>() = 13;
    say(channel, 'a');
    return hear(channel);
}

START_TEST(writer_died)
{
    mapseg::native_key key = new_key();
    segment seg(mapseg::create, key, sizeof(int));
    std::uint64_t before = 0;
    std::uint64_t after = 0;

    seg.write(12);
    need(seg.read<int>(0, &before) == 12);
    peer writer = start_peer(die_in_change, &key);
    need(hear(writer.channel) == 'a');
    kill_peer(&writer);
    need_thrown(owner_died, seg.read<int>());
    need_thrown(owner_died, seg.wait(before));
    need_thrown(owner_died, seg.changing());
    need_thrown(owner_died, seg.read<int>());
    seg.on_owner_died([](segment &dead) { dead.as<int>() = 14; });
    {
        mapseg::change change = seg.changing();

        seg.as<int>()++;
    }
    need(seg.read<int>(0, &after) == 15);
    need(after > before && after % 2 == 0);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main()
{
    Suite *suite = new_suite("the lock in C++");
    TCase *tcase = new_case(suite, "live");

    tcase_add_test(tcase, the_standards_locks_take_it);
    tcase_add_test(tcase, thread_that_has_it);
    tcase_add_test(tcase, threads_of_one_segment_take_turns);
    tcase_add_test(tcase, two_segments_by_processes);
    tcase = new_case(suite, "dead");
    tcase_add_test(tcase, two_segments_and_deaths);
    tcase_add_test(tcase, the_second_of_two_has_a_dead_owner);
    tcase_add_test(tcase, nothing_is_held_where_lock_throws);
    tcase_add_test(tcase, repaired_by_the_function);
    tcase_add_test(tcase, repair_that_throws);
    tcase_add_test(tcase, locked_to_repair);
    tcase_add_test(tcase, the_moved_one_repairs);
    tcase_add_test(tcase, writer_died);
    return run_suite(suite);
}
