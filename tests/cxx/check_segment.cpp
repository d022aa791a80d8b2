/*
 * check_segment.cpp - segments as objects: how they are made and moved, their data, changes,
 * descriptors, and what is told of them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.hpp"

#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <type_traits>
#include <unistd.h>

using segment = mapseg::segment;
using access_t = mapseg::access;
using std::chrono::seconds;

/* What a segment is, and is not. */
static_assert(!std::is_copy_constructible<segment>::value, "a handle has one owner");
static_assert(!std::is_copy_assignable<segment>::value, "a handle has one owner");
static_assert(std::is_nothrow_move_constructible<segment>::value, "vectors move it");
static_assert(std::is_nothrow_move_assignable<segment>::value, "vectors move it");
static_assert(std::is_nothrow_swappable<segment>::value, "it swaps");
static_assert(!std::is_convertible<std::string, segment>::value, "a text is no segment");
static_assert(!std::is_convertible<mapseg *, segment>::value, "owning is said");
static_assert(std::is_copy_constructible<mapseg::native_key>::value, "a key is a value");
static_assert(!std::is_default_constructible<mapseg>::value, "there are none of it");
static_assert(std::is_aggregate<mapseg::options>::value, "options can be designated");
static_assert(noexcept(std::declval<segment &>().unlock()), "as BasicLockable demands");
static_assert(std::is_nothrow_destructible<mapseg::change>::value, "scopes end");
static_assert(std::is_nothrow_destructible<mapseg::section>::value, "scopes end");
static_assert(std::is_convertible<mapseg::bytes_view, mapseg::const_bytes_view>::value, "reads");
static_assert(!std::is_convertible<mapseg::const_bytes_view, mapseg::bytes_view>::value, "writes");

struct weather {
    int degrees;
    double wind;
};

/* ----------------------------------------------------------------- makes -- */

START_TEST(constructors)
{
    std::string key = new_plain_key();
    segment none;
    segment made(mapseg::create, key, sizeof(weather));
    segment also(mapseg::attach, key.c_str(), access_t::read_only);
    segment third(mapseg::create_or_attach, made.native_key(), sizeof(weather));
    segment later(key);

    need(!none.is_attached() && !none.key() && !none.native_key().is_valid());
    need(made.key() == key && also.key() == key && !third.key());
    need(made.native_key() == third.native_key());
    need(!later.is_attached() && later.size() == 0);
    later.attach();
    need(later.size() == sizeof(weather));
    need(made.describe()->attached == 4);
    need(!later.native_key().text().empty());
    {
        mapseg *raw = later.release();

        need(later.native_handle() == nullptr && mapseg_is_attached(raw));
        segment owner(raw);
        need(owner.native_handle() == raw);
    }
    need(made.describe()->attached == 3);
}
END_TEST

START_TEST(create_or_attach_says_which)
{
    mapseg::native_key key = new_key();
    segment first(key);
    segment second(key);
    std::error_code code = mapseg::errc::corrupt;

    need(first.create_or_attach(10));
    need(!second.create_or_attach(10, access_t::read_only, code) && !code);
    first.detach();
    second.detach(code);
    need(!code);
    need(first.create_or_attach(5, access_t::read_write, {}, code) && !code);
    first.remove();
    second.create(3);
    need(first.size() == 5 && second.size() == 3);
    first.set_key(key);
    need(first.is_attached());
    first.set_key(new_key());
    need(!first.is_attached());
}
END_TEST

START_TEST(options_reach_the_library)
{
    mapseg::native_key key = new_key();
    mapseg::options with;
    int calls = 0;

    with.flags = mapseg::flag::fair | mapseg::flag::lazy;
    with.mode = 0640;
    with.user_tag = 77;
    with.label = "a label";
    with.initialize = [&](mapseg::bytes_view data) {
        need(data.size() == 5);
        calls++;
        std::memcpy(data.data(), "begun", 5);
    };
    segment made(mapseg::create, key, 5, access_t::read_only, with);
    mapseg::description seen = made.describe();
    need(calls == 1);
    need(std::memcmp(made.const_data().data(), "begun", 5) == 0);
    need((seen->mode & 0777) == 0640 && seen->user_tag == 77);
    need(std::strcmp(seen->label, "a label") == 0);
    need((with.flags & mapseg::flag::fair) == mapseg::flag::fair);

    mapseg::options demand;
    demand.flags = mapseg::flag::require_tag | mapseg::flag::require_id;
    demand.user_tag = 77;
    std::memcpy(demand.id.data(), seen->id, demand.id.size());
    segment accepted(mapseg::attach, key, access_t::read_only, demand);
    demand.id[3] ^= 1;
    need_thrown(not_found, segment(mapseg::attach, key, access_t::read_only, demand));
    demand = {};
    demand.minimum_size = 6;
    need_thrown(invalid_size, segment(mapseg::attach, key, access_t::read_only, demand));
    demand.wait = std::chrono::milliseconds(1);
    need_thrown(not_found, segment(mapseg::attach, new_key(), access_t::read_only, demand));
}
END_TEST

START_TEST(initialiser_that_throws)
{
    mapseg::native_key key = new_key();
    segment seg(key);
    mapseg::options with;
    std::error_code code;
    int thrown = 0;

    with.initialize = [](mapseg::bytes_view) { throw std::range_error("not today"); };
    for (int i = 0; i < 2; i++)
        try {
            if (i == 0)
                seg.create(5, access_t::read_write, with);
            else
                seg.create_or_attach(5, access_t::read_write, with, code);
        } catch (const std::range_error &error) {
            thrown += std::string(error.what()) == "not today" ? 1 : 0;
        }
    need(thrown == 2 && !seg.is_attached());
    need_thrown(not_found, seg.attach());
}
END_TEST

START_TEST(moves)
{
    mapseg::native_key key = new_key();
    segment first(mapseg::create, key, sizeof(int));
    std::error_code code;
    mapseg *raw = first.native_handle();

    first.as<int>() = 5;
    first.lock();
    segment second(std::move(first));
    /* NOLINTNEXTLINE(bugprone-use-after-move): which is what is tried */
    need(second.native_handle() == raw && first.native_handle() == nullptr);
    need(second.as<int>() == 5);
    second.unlock(code);
    need(!code);

    /* One that was moved from refuses all. */
    need(!first.is_attached() && first.size() == 0 && !first.key());
    need(!first.native_key().is_valid() && first.read_retry(0));
    need_thrown(not_attached, first.attach());
    need_thrown(not_attached, first.create(1));
    need_thrown(not_attached, first.lock());
    need_thrown(not_attached, first.try_lock());
    need_thrown(not_attached, first.changing());
    need_thrown(not_attached, first.data());
    need_thrown(not_attached, std::as_const(first).data());
    need_thrown(not_attached, first.as<int>());
    need_thrown(not_attached, first.read<int>());
    need_thrown(not_attached, first.write(1));
    need_thrown(not_attached, first.describe());
    need_thrown(not_attached, first.guard());
    need_thrown(not_attached, first.set_key(key));
    need(first.data(code).empty() && code == mapseg::errc::not_attached);
    need(!first.error_string().empty());
    first.unlock();

    /* It detaches what it had. */
    segment third(mapseg::create, new_key(), 1);
    third = std::move(second);
    need(third.native_handle() == raw && third.describe()->attached == 1);
    segment &itself = third;
    third = std::move(itself);
    need(third.native_handle() == raw);
    segment fourth;
    swap(third, fourth);
    need(fourth.native_handle() == raw && !third.is_attached());
}
END_TEST

START_TEST(keys_are_values)
{
    using type = mapseg::key_type;
    mapseg::native_key key(type::shm, "a b");
    mapseg::native_key copy = key;
    mapseg::native_key none = mapseg::native_key::from_text("no key");

    need(key == copy && !(key != copy) && key.text() == "shm:a b" && key.name() == "a b");
    need(key.is_valid() && !key.is_empty() && key.legacy_key().empty() && key.id().empty());
    copy = mapseg::native_key::from_text("file:/x%23");
    need(copy.type() == type::file && copy.name() == "/x#" && copy != key);
    need(!none.is_valid() && none.text().empty() && none.type() == type::invalid);
    need(mapseg::native_key().is_valid() && mapseg::native_key().is_empty());
    need(!mapseg::native_key::from_text(std::string("shm:a\0b", 7)).is_valid());
    need(!mapseg::native_key(type::shm, std::string("a\0b", 3)).is_valid());
    need(mapseg::native_key::derive("x") == segment("x").native_key());
    copy = mapseg::native_key::legacy("myapp", type::posix);
    need(copy.name() == "/qipc_sharedmemory_myapp94e7d341f71ff6f43253f1c5e813057b22f91cda");
    need(copy.legacy_key() == "myapp");
    copy = mapseg::native_key::legacy_semaphore("myapp", type::posix);
    need(copy.name() == "/qipc_systemsem_myapp94e7d341f71ff6f43253f1c5e813057b22f91cda");
    need(mapseg::native_key::is_supported(type::memfd));
    need(!mapseg::native_key::is_supported(type::windows));
}
END_TEST

/* -------------------------------------------------------------- the data -- */

START_TEST(views)
{
    segment seg(mapseg::create, new_key(), 10);
    const segment &constant = seg;
    mapseg::bytes_view data = seg.data();
    mapseg::const_bytes_view read = data;
    int sum = 0;

    need(data.size() == 10 && data.size_bytes() == 10 && !data.empty());
    need(data.data() == mapseg_data(seg.native_handle()));
    need(static_cast<const void *>(data.data()) == constant.data().data());
    for (std::byte &each : data)
        each = std::byte{3};
    data[4] = std::byte{5};
    for (std::byte each : read)
        sum += std::to_integer<int>(each);
    need(sum == 32 && read[4] == std::byte{5});
    need(mapseg::bytes_view().empty() && mapseg::bytes_view().data() == nullptr);
#if defined(__cpp_lib_span)
    std::span<std::byte> span = data;
    std::span<const std::byte> to_read = constant.data();
    need(span.size() == 10 && to_read.data() == span.data());
#endif
}
END_TEST

START_TEST(objects)
{
    mapseg::native_key key = new_key();
    segment seg(mapseg::create, key, sizeof(weather) + 7);
    segment reader(mapseg::attach, key, access_t::read_only);
    std::error_code code = mapseg::errc::corrupt;

    seg.as<weather>().degrees = 21;
    need(seg.as<const weather>().degrees == 21);
    need(std::as_const(seg).as<weather>().degrees == 21);
    need(reader.as<const weather>().degrees == 21);
    need(std::as_const(reader).as<weather>().degrees == 21);
    need(reader.as<const weather>(0, code)->degrees == 21 && !code);
    need(seg.as<char>(sizeof(weather) + 6) == 0);
    need_thrown(invalid_size, seg.as<weather>(8));
    need_thrown(invalid_size, seg.as<char>(sizeof(weather) + 7));
    need_thrown(invalid_size, reader.as<const weather>(SIZE_MAX));
    need_thrown(invalid_argument, seg.as<int>(1));
    need(reader.as<weather>(0, code) == nullptr && code == mapseg::errc::permission_denied);
    need(seg.as<weather>(0, code) != nullptr && !code);
    need(seg.as_array<int>().size() == (sizeof(weather) + 7) / sizeof(int));
    need(seg.as_array<int>(4).data() == seg.as_array<int>().data() + 1);
    need(reader.as_array<const weather>().size() == 1);
}
END_TEST

/* --------------------------------------------------------------- changes -- */

START_TEST(versions)
{
    mapseg::native_key key = new_key();
    segment writer(mapseg::create, key, sizeof(weather));
    segment reader(mapseg::attach, key, access_t::read_only);
    std::uint64_t seen = reader.version();
    std::uint64_t now = 0;
    std::error_code code = mapseg::errc::corrupt;

    need(!reader.wait_for(seen, seconds(0)));
    need(!reader.wait_for(seen, std::chrono::milliseconds(1), code) && !code);
    writer.write(weather{1, 2});
    need(reader.wait(seen) > seen);
    need(*reader.wait_for(seen, seconds(-1)) > seen);
    need(reader.read<weather>(0, &now).wind == 2.0);
    need(now == reader.version() && now == reader.wait(mapseg::any_version));
    {
        mapseg::change change = writer.changing();
        mapseg::change moved = std::move(change);

        writer.as<weather>().wind = 3;
        need(!reader.wait_for(now, seconds(0)));
        change.end(); /* NOLINT(bugprone-use-after-move): nothing happens */
        need(!reader.try_lock());
        moved.end();
        need(reader.try_lock());
        reader.unlock();
        moved.end();
    }
    need(reader.wait(now, code) > now && !code);
    need(reader.read<weather>(0, nullptr, code).wind == 3.0 && !code);
    seen = reader.read_begin();
    need(reader.as<const weather>().degrees == 1 && !reader.read_retry(seen));
    writer.write(9);
    need(reader.read_retry(seen));
    int copied = 0;
    reader.read_bytes_for(&copied, sizeof copied, 0, nullptr, seconds(600));
    need(copied == 9);
}
END_TEST

START_TEST(change_under_a_lock)
{
    mapseg::native_key key = new_key();
    segment writer(mapseg::create, key, sizeof(int));
    segment reader(mapseg::attach, key, access_t::read_only);
    std::error_code code = mapseg::errc::corrupt;
    std::uint64_t seen = reader.version();

    writer.lock();
    {
        mapseg::change outer = writer.changing();
        mapseg::change inner = writer.changing(code);

        need(!code);
        writer.as<int>() = 3;
    }
    /* The lock is held still, and the change goes on with it. */
    need(!reader.try_lock());
    need(!reader.wait_for(seen, seconds(0)));
    writer.unlock();
    need(reader.wait(seen) > seen);
    need(reader.read<int>() == 3);
}
END_TEST

START_TEST(exception_ends_the_change)
{
    mapseg::native_key key = new_key();
    segment writer(mapseg::create, key, sizeof(int));
    std::uint64_t seen = writer.version();

    try {
        mapseg::change change = writer.changing();

        writer.as<int>() = 4;
        throw std::range_error("half way");
    } catch (const std::range_error &) {
    }
    need(writer.wait(seen) > seen && writer.read<int>() == 4);
    need(writer.try_lock());
    writer.unlock();
}
END_TEST

START_TEST(descriptor_for_changes)
{
    mapseg::native_key key = new_key();
    segment writer(mapseg::create, key, sizeof(int));
    segment reader(mapseg::attach, key, access_t::read_only);
    pollfd poller = {reader.notify_fd(), POLLIN, 0};
    std::error_code code = mapseg::errc::corrupt;

    need(reader.notify_fd(code) == poller.fd && !code);
    static_cast<void>(reader.version());
    writer.write(1);
    need(poll(&poller, 1, 60000) == 1);
    need(reader.read<int>() == 1);
}
END_TEST

/* ------------------------------------------------- sections, descriptors -- */

START_TEST(sections)
{
    char path[KEY_BYTES];
    mapseg::native_key key = new_key();
    segment seg(mapseg::create, key, 100000);
    std::error_code code = mapseg::errc::corrupt;

    path_of(path, key.text().c_str());
    {
        mapseg::section outer = seg.guard();
        mapseg::section inner = std::move(outer);

        seg.data()[99999] = std::byte{1};
        inner.end();
        need_thrown(invalid_argument, inner.end());
        /* NOLINTNEXTLINE(bugprone-use-after-move) */
        need_code(invalid_argument, code, outer.end(code));
    }
    seg.guard(code).end();
    need(!code);
    mapseg::section section = seg.guard();
    need(truncate(path, 8192) == 0);
    need(seg.const_data()[99999] == std::byte{0});
    need_thrown(file_shrunk, section.end());
}
END_TEST

START_TEST(descriptors)
{
    segment seg(mapseg::create, mapseg::native_key(mapseg::key_type::memfd, ""), sizeof(int));
    mapseg::descriptor fd = seg.export_fd(access_t::read_write);
    segment other;
    std::error_code code = mapseg::errc::corrupt;
    int number = fd.get();

    other.attach_fd(fd);
    need(fd.get() == -1);
    other.as<int>() = 8;
    need(seg.as<int>() == 8);
    fd = seg.export_fd(access_t::read_only, code);
    need(!code && fd.get() >= 0);
    segment reader;
    reader.attach_fd(fd, access_t::read_write, {}, code);
    need(code == mapseg::errc::permission_denied && fd.get() >= 0);
    reader.attach_fd(fd, access_t::read_only, {}, code);
    need(!code && reader.read<int>() == 8);
    number = seg.export_fd(access_t::read_only).release();
    mapseg::descriptor(number).close();
    need(close(number) == -1);
}
END_TEST

START_TEST(sockets)
{
    segment seg(mapseg::create, mapseg::native_key::from_text("memfd:"), sizeof(int));
    segment received;
    int ends[2];

    need(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    mapseg::descriptor here(ends[0]);
    mapseg::descriptor there(ends[1]);
    seg.write(31);
    seg.send(here.get(), access_t::read_only);
    received.receive(there.get(), access_t::read_only);
    need(received.read<int>() == 31);
    here.close();
    segment nothing;
    need_thrown(not_found, nothing.receive(there.get()));
}
END_TEST

START_TEST(children)
{
    segment seg(mapseg::create, mapseg::native_key::from_text("memfd:"), sizeof(int));
    std::error_code code;

    need(unsetenv("MAPSEG_KEY") == 0);
    need_thrown(not_found, segment::from_environment());
    need(!segment::from_environment(code).is_attached() && code == mapseg::errc::not_found);
    seg.as<int>() = 17;
    mapseg::child_segment child = seg.prepare_child(access_t::read_only, nullptr);
    need(putenv(child.variable.data()) == 0);
    mapseg::options with;
    with.flags = mapseg::flag::take_descriptor;
    segment inherited = segment::from_environment();
    inherited.attach(access_t::read_only, with);
    need(child.fd.release() >= 0);
    need(inherited.read<int>() == 17);
    need(inherited.describe()->presence != MAPSEG_PRESENCE_NONE);
    need(unsetenv("MAPSEG_KEY") == 0);
}
END_TEST

/* ---------------------------------------------------------------- seen -- */

START_TEST(lists)
{
    segment seg(mapseg::create, new_plain_key(), 3);
    std::error_code code = mapseg::errc::corrupt;
    mapseg::segment_list list(code);
    std::string text = seg.native_key().text();
    int found = 0;

    need(!code);
    for (const mapseg_info &each : list)
        found += text == each.native_key ? 1 : 0;
    need(found == 1 && list.size() >= 1);
    need(list[0].native_key != nullptr);
    seg.repair(false, code);
    need(code == mapseg::errc::not_supported);
    for (const mapseg_info &each : mapseg::segment_list(mapseg::foreign, code))
        need(text != each.native_key);
    need(!code);
    need(std::string(mapseg::library_version()) == mapseg_version());
    need(mapseg::digest("abc", 3) == mapseg_digest("abc", 3));
}
END_TEST

START_TEST(words_of_a_code)
{
    segment seg(new_key());
    std::error_code code;
    std::string thrown;

    seg.attach(access_t::read_write, code);
    std::string said = seg.error_string();
    try {
        seg.attach();
    } catch (const mapseg::error &error) {
        thrown = error.what();
    }
    need(said == thrown && said.find("cannot attach") == 0);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main()
{
    Suite *suite = new_suite("segments in C++");
    TCase *tcase = new_case(suite, "make");

    tcase_add_test(tcase, constructors);
    tcase_add_test(tcase, create_or_attach_says_which);
    tcase_add_test(tcase, options_reach_the_library);
    tcase_add_test(tcase, initialiser_that_throws);
    tcase_add_test(tcase, moves);
    tcase_add_test(tcase, keys_are_values);
    tcase = new_case(suite, "data");
    tcase_add_test(tcase, views);
    tcase_add_test(tcase, objects);
    tcase = new_case(suite, "change");
    tcase_add_test(tcase, versions);
    tcase_add_test(tcase, change_under_a_lock);
    tcase_add_test(tcase, exception_ends_the_change);
    tcase_add_test(tcase, descriptor_for_changes);
    tcase = new_case(suite, "pass");
    tcase_add_test(tcase, sections);
    tcase_add_test(tcase, descriptors);
    tcase_add_test(tcase, sockets);
    tcase_add_test(tcase, children);
    tcase = new_case(suite, "see");
    tcase_add_test(tcase, lists);
    tcase_add_test(tcase, words_of_a_code);
    return run_suite(suite);
}
