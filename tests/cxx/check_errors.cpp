/*
 * check_errors.cpp - what each result is in C++: a code, a condition of the system, an exception.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.hpp"

#include <cstring>
#include <fstream>
#include <functional>
#include <sys/stat.h>
#include <unistd.h>

using segment = mapseg::segment;
using errc = mapseg::errc;

#define DATA_BYTES 100
/** A descriptor that no process has. */
#define NO_FD 1000000

/* ----------------------------------------------------------------- codes -- */

/* clang-format off */
static const struct {
    errc result;
    int condition; /**< 0: none means the same */
} conditions[] = {
    {errc::permission_denied, EACCES},
    {errc::invalid_size, EINVAL},
    {errc::key_error, EINVAL},
    {errc::already_exists, EEXIST},
    {errc::not_found, ENOENT},
    {errc::lock_error, ENOLCK},
    {errc::out_of_resources, ENOMEM},
    {errc::unknown_error, 0},
    {errc::timed_out, ETIMEDOUT},
    {errc::would_block, EWOULDBLOCK},
    {errc::owner_died, EOWNERDEAD},
    {errc::already_locked, EDEADLK},
    {errc::not_locked, EPERM},
    {errc::not_attached, ENOTCONN},
    {errc::already_attached, EISCONN},
    {errc::not_a_segment, 0},
    {errc::corrupt, EBADMSG},
    {errc::too_new, ENOTSUP},
    {errc::untrusted, EPERM},
    {errc::file_shrunk, EIO},
    {errc::invalid_argument, EINVAL},
    {errc::not_supported, ENOTSUP},
    {errc::in_use, EBUSY},
    {errc::meant_to_stay, 0},
    {errc::descriptor_closed, EBADF},
    {errc::wrong_tag, 0},
    {errc::no_writer, 0},
};
/* clang-format on */
#define CONDITIONS (static_cast<int>(sizeof conditions / sizeof *conditions))

START_TEST(code_of_a_result)
{
    std::error_code code = conditions[_i].result;
    auto result = static_cast<mapseg_result>(code.value());

    need(code.category() == mapseg::category());
    need(std::strcmp(code.category().name(), "mapseg") == 0);
    need(code == conditions[_i].result);
    need(code.message() == mapseg_result_text(result));
    need(code.message() != "unknown");
    if (conditions[_i].condition != 0)
        need(code == std::error_condition(conditions[_i].condition, std::generic_category()));
    else
        need(code.default_error_condition().category() == mapseg::category());
    need(code != std::error_code(code.value(), std::generic_category()));
}
END_TEST

START_TEST(every_result_has_a_code)
{
    int results = 0;

    for (int number = 1; number < 1000; number++)
        if (std::strcmp(mapseg_result_name(static_cast<mapseg_result>(number)), "MAPSEG_?") != 0)
            results++;
    need(results == CONDITIONS);
}
END_TEST

START_TEST(exception_can_be_copied)
{
    std::string sentence = "cannot attach: why; what to do";
    mapseg::error first(errc::not_found, sentence);
    mapseg::error second = first;
    const std::system_error &base = second;

    sentence.clear();
    need(std::strcmp(base.what(), "cannot attach: why; what to do") == 0);
    need(base.code() == std::errc::no_such_file_or_directory);
    need(std::is_nothrow_copy_constructible<mapseg::error>::value);
    need(std::is_nothrow_copy_constructible<mapseg::owner_died>::value);
}
END_TEST

/* ------------------------------------------------------------ both forms -- */

/** What both forms of a call are tried on. */
struct scene {
    mapseg::native_key key = new_key();
    segment seg = segment(key);
    /** Without a key. */
    segment none;
    /** The file behind the key. */
    std::string path = [this] {
        char text[KEY_BYTES];

        path_of(text, key.text().c_str());
        return std::string(text);
    }();

    /** What was left on purpose goes with the scene. */
    ~scene()
    {
        unlink(path.c_str());
    }

    void create(mapseg::flag flags = mapseg::flag::none)
    {
        mapseg::options with;

        with.flags = flags;
        seg.create(DATA_BYTES, mapseg::access::read_write, with);
    }
};

static const mapseg::access rw = mapseg::access::read_write;
static const mapseg::access ro = mapseg::access::read_only;

/** Options with flags, and what belongs to some. */
static mapseg::options
with(mapseg::flag flags)
{
    mapseg::options options;

    options.flags = flags;
    return options;
}

struct failing_call {
    errc result;
    const char *what;
    std::function<void(scene &)> before;
    std::function<void(scene &)> throwing;
    std::function<void(scene &, std::error_code &)> coded;
};

static void
leave_alone(scene &)
{
}

static void
make(scene &on)
{
    on.create();
}

static void
make_to_read(scene &on)
{
    on.seg.create(DATA_BYTES, ro);
}

static void
make_and_lock(scene &on)
{
    on.create();
    on.seg.lock();
}

static void
make_other_file(scene &on)
{
    std::ofstream(on.path) << "this is no segment";
    need(chmod(on.path.c_str(), 0600) == 0);
}

static void
make_damaged(scene &on)
{
    on.create();
    need(truncate(on.path.c_str(), 4096) == 0);
}

static void
make_untrusted(scene &on)
{
    on.create();
    need(chmod(on.path.c_str(), 0666) == 0);
}

static void
make_persistent(scene &on)
{
    on.create(mapseg::flag::persistent);
    on.seg.detach();
}

static void
make_dead(scene &on)
{
    on.create();
    let_owner_die(on.key);
}

static const failing_call calls[] = {
    {errc::key_error, "create without a key", leave_alone, [](scene &on) { on.none.create(1); },
     [](scene &on, std::error_code &code) { on.none.create(1, rw, code); }},
    {errc::key_error, "attach without a key", leave_alone, [](scene &on) { on.none.attach(); },
     [](scene &on, std::error_code &code) { on.none.attach(rw, code); }},
    {errc::key_error, "a key that is none", leave_alone,
     [](scene &on) { on.seg.set_key(mapseg::native_key::from_text("no key")); },
     [](scene &on, std::error_code &code) {
         on.seg.set_key(mapseg::native_key::from_text("x"), code);
     }},
    {errc::key_error, "a key with a zero byte", leave_alone,
     [](scene &on) { on.seg.set_key(std::string("a\0b", 3)); },
     [](scene &on, std::error_code &code) { on.seg.set_key(std::string("a\0b", 3), code); }},
    {errc::invalid_size, "create of nothing", leave_alone, [](scene &on) { on.seg.create(0); },
     [](scene &on, std::error_code &code) { on.seg.create(0, rw, code); }},
    {errc::invalid_size, "create_or_attach of more than there is", make,
     [](scene &on) { segment(mapseg::create_or_attach, on.key, DATA_BYTES + 1); },
     [](scene &on, std::error_code &code) {
         segment(on.key).create_or_attach(DATA_BYTES + 1, rw, code);
     }},
    {errc::invalid_size, "an object beyond the end", make,
     [](scene &on) { on.seg.as<int>(DATA_BYTES - 2); },
     [](scene &on, std::error_code &code) { on.seg.as<int>(DATA_BYTES - 2, code); }},
    {errc::invalid_size, "an object at the end of all memory", make,
     [](scene &on) { std::as_const(on.seg).as<int>(SIZE_MAX - 1); },
     [](scene &on, std::error_code &code) { std::as_const(on.seg).as<int>(SIZE_MAX - 1, code); }},
    {errc::invalid_argument, "an object that cannot begin there", make,
     [](scene &on) { on.seg.as<int>(2); },
     [](scene &on, std::error_code &code) { on.seg.as<int>(2, code); }},
    {errc::already_exists, "create of an existing one", make,
     [](scene &on) { segment(mapseg::create, on.key, 1); },
     [](scene &on, std::error_code &code) { segment(on.key).create(1, rw, {}, code); }},
    {errc::already_exists, "create while attached", make, [](scene &on) { on.seg.create(1); },
     [](scene &on, std::error_code &code) { on.seg.create(1, rw, code); }},
    {errc::not_found, "attach to nothing", leave_alone,
     [](scene &on) { segment(mapseg::attach, on.key); },
     [](scene &on, std::error_code &code) { on.seg.attach(rw, {}, code); }},
    {errc::not_found, "remove of nothing", leave_alone, [](scene &on) { on.seg.remove(); },
     [](scene &on, std::error_code &code) { on.seg.remove({}, code); }},
    {errc::not_found, "describe nothing", leave_alone, [](scene &on) { on.seg.describe(); },
     [](scene &on, std::error_code &code) { on.seg.describe(code); }},
    {errc::lock_error, "lock before attaching", leave_alone, [](scene &on) { on.seg.lock(); },
     [](scene &on, std::error_code &code) { on.seg.lock(code); }},
    {errc::lock_error, "try_lock before attaching", leave_alone,
     [](scene &on) { (void)on.seg.try_lock(); },
     [](scene &on, std::error_code &code) { (void)on.seg.try_lock(code); }},
    {errc::lock_error, "try_lock_for before attaching", leave_alone,
     [](scene &on) { (void)on.seg.try_lock_for(std::chrono::seconds(1)); },
     [](scene &on, std::error_code &code) {
         (void)on.seg.try_lock_for(std::chrono::seconds(1), code);
     }},
    {errc::lock_error, "changing before attaching", leave_alone,
     [](scene &on) { (void)on.seg.changing(); },
     [](scene &on, std::error_code &code) { (void)on.seg.changing(code); }},
    {errc::already_locked, "a second lock", make_and_lock, [](scene &on) { on.seg.lock(); },
     [](scene &on, std::error_code &code) { on.seg.lock(code); }},
    {errc::already_locked, "a second lock to repair", make_and_lock,
     [](scene &on) { (void)on.seg.lock_to_repair(); },
     [](scene &on, std::error_code &code) { (void)on.seg.lock_to_repair(code); }},
    {errc::timed_out, "a lock to repair that another has", make_and_lock,
     [](scene &on) {
         (void)segment(mapseg::attach, on.key).lock_to_repair(std::chrono::seconds(0));
     },
     [](scene &on, std::error_code &code) {
         (void)segment(mapseg::attach, on.key).lock_to_repair(std::chrono::seconds(-1), code);
     }},
    {errc::not_locked, "consistent without the lock", make, [](scene &on) { on.seg.consistent(); },
     [](scene &on, std::error_code &code) { on.seg.consistent(code); }},
    {errc::owner_died, "lock after a death", make_dead, [](scene &on) { on.seg.lock(); },
     [](scene &on, std::error_code &code) { on.seg.lock(code); }},
    {errc::owner_died, "try_lock after a death", make_dead,
     [](scene &on) { (void)on.seg.try_lock(); },
     [](scene &on, std::error_code &code) { (void)on.seg.try_lock(code); }},
    {errc::owner_died, "try_lock_until after a death", make_dead,
     [](scene &on) { (void)on.seg.try_lock_until(std::chrono::steady_clock::now()); },
     [](scene &on, std::error_code &code) {
         (void)on.seg.try_lock_until(std::chrono::system_clock::now(), code);
     }},
    {errc::owner_died, "changing after a death", make_dead,
     [](scene &on) { (void)on.seg.changing(); },
     [](scene &on, std::error_code &code) { (void)on.seg.changing(code); }},
    {errc::owner_died, "write after a death", make_dead, [](scene &on) { on.seg.write(1); },
     [](scene &on, std::error_code &code) { on.seg.write(1, 0, code); }},
    {errc::not_attached, "detach while detached", leave_alone, [](scene &on) { on.seg.detach(); },
     [](scene &on, std::error_code &code) { on.seg.detach(code); }},
    {errc::not_attached, "the data of nothing", leave_alone, [](scene &on) { on.seg.data(); },
     [](scene &on, std::error_code &code) { on.seg.data(code); }},
    {errc::not_attached, "the data of nothing, to read", leave_alone,
     [](scene &on) { on.seg.const_data(); },
     [](scene &on, std::error_code &code) { on.seg.const_data(code); }},
    {errc::not_attached, "an object in nothing", leave_alone,
     [](scene &on) { on.seg.as<const int>(); },
     [](scene &on, std::error_code &code) { on.seg.as<const int>(0, code); }},
    {errc::not_attached, "read from nothing", leave_alone, [](scene &on) { on.seg.read<int>(); },
     [](scene &on, std::error_code &code) { on.seg.read<int>(0, nullptr, code); }},
    {errc::not_attached, "the version of nothing", leave_alone, [](scene &on) { on.seg.version(); },
     [](scene &on, std::error_code &code) { on.seg.version(code); }},
    {errc::not_attached, "wait for nothing", leave_alone, [](scene &on) { on.seg.wait(0); },
     [](scene &on, std::error_code &code) { on.seg.wait_for(0, std::chrono::seconds(1), code); }},
    {errc::not_attached, "a descriptor for changes of nothing", leave_alone,
     [](scene &on) { on.seg.notify_fd(); },
     [](scene &on, std::error_code &code) { on.seg.notify_fd(code); }},
    {errc::not_attached, "a section on nothing", leave_alone,
     [](scene &on) { (void)on.seg.guard(); },
     [](scene &on, std::error_code &code) { (void)on.seg.guard(code); }},
    {errc::not_attached, "export nothing", leave_alone,
     [](scene &on) { (void)on.seg.export_fd(ro); },
     [](scene &on, std::error_code &code) { (void)on.seg.export_fd(ro, code); }},
    {errc::not_attached, "a child of nothing", leave_alone,
     [](scene &on) { (void)on.seg.prepare_child(ro, nullptr); },
     [](scene &on, std::error_code &code) { (void)on.seg.prepare_child(ro, nullptr, code); }},
    {errc::not_attached, "send nothing", leave_alone, [](scene &on) { on.seg.send(0, ro); },
     [](scene &on, std::error_code &code) { on.seg.send(0, ro, code); }},
    {errc::already_attached, "attach twice", make, [](scene &on) { on.seg.attach(); },
     [](scene &on, std::error_code &code) { on.seg.attach(rw, code); }},
    {errc::permission_denied, "the data to write of one that reads", make_to_read,
     [](scene &on) { on.seg.data(); }, [](scene &on, std::error_code &code) { on.seg.data(code); }},
    {errc::permission_denied, "an object to write of one that reads", make_to_read,
     [](scene &on) { on.seg.as<int>(); },
     [](scene &on, std::error_code &code) { on.seg.as<int>(0, code); }},
    {errc::permission_denied, "changing of one that reads", make_to_read,
     [](scene &on) { (void)on.seg.changing(); },
     [](scene &on, std::error_code &code) { (void)on.seg.changing(code); }},
    {errc::permission_denied, "write of one that reads", make_to_read,
     [](scene &on) { on.seg.write(1); },
     [](scene &on, std::error_code &code) { on.seg.write(1, 0, code); }},
    {errc::not_a_segment, "attach to another file", make_other_file,
     [](scene &on) { on.seg.attach(); },
     [](scene &on, std::error_code &code) { on.seg.attach(rw, code); }},
    {errc::corrupt, "attach to half a segment", make_damaged,
     [](scene &on) { segment(mapseg::attach, on.key); },
     [](scene &on, std::error_code &code) { segment(on.key).attach(rw, code); }},
    {errc::untrusted, "attach to what each user may write", make_untrusted,
     [](scene &on) { segment(mapseg::attach, on.key); },
     [](scene &on, std::error_code &code) { segment(on.key).attach(rw, code); }},
    {errc::invalid_argument, "read beyond the end", make,
     [](scene &on) { on.seg.read<int>(DATA_BYTES - 2); },
     [](scene &on, std::error_code &code) { on.seg.read<int>(DATA_BYTES - 2, nullptr, code); }},
    {errc::invalid_argument, "write beyond the end", make,
     [](scene &on) { on.seg.write(1, DATA_BYTES); },
     [](scene &on, std::error_code &code) { on.seg.write(1, DATA_BYTES, code); }},
    {errc::not_supported, "create on another system", leave_alone,
     [](scene &) {
         segment(mapseg::create, mapseg::native_key(mapseg::key_type::windows, "x"), 1);
     },
     [](scene &on, std::error_code &code) {
         on.seg.set_key(mapseg::native_key(mapseg::key_type::windows, "x"));
         on.seg.create(1, rw, code);
     }},
    {errc::in_use, "reclaim what is used", make, [](scene &on) { on.seg.reclaim(); },
     [](scene &on, std::error_code &code) { on.seg.reclaim({}, code); }},
    {errc::meant_to_stay, "reclaim what is to stay", make_persistent,
     [](scene &on) { on.seg.reclaim(with(mapseg::flag::stale_only)); },
     [](scene &on, std::error_code &code) {
         on.seg.reclaim(with(mapseg::flag::stale_only), code);
     }},
    {errc::wrong_tag, "attach to another tag", make,
     [](scene &on) {
         mapseg::options other = with(mapseg::flag::require_tag);
         other.user_tag = 7;
         segment(mapseg::attach, on.key, rw, other);
     },
     [](scene &on, std::error_code &code) {
         mapseg::options other = with(mapseg::flag::require_tag);
         other.user_tag = 7;
         segment(on.key).attach(rw, other, code);
     }},
    {errc::no_writer, "wait where no process writes", make,
     [](scene &on) {
         segment reader(mapseg::attach, on.key, ro, with(mapseg::flag::watch_writers));
         on.seg.detach();
         reader.wait(0);
     },
     [](scene &on, std::error_code &code) {
         segment reader(mapseg::attach, on.key, ro, with(mapseg::flag::watch_writers));
         on.seg.detach();
         reader.wait_for(0, mapseg::for_ever, code);
     }},
    {errc::not_found, "a descriptor that is none", leave_alone,
     [](scene &on) {
         mapseg::descriptor fd(NO_FD);
         on.seg.attach_fd(fd);
     },
     [](scene &on, std::error_code &code) {
         mapseg::descriptor fd(NO_FD);
         on.seg.attach_fd(fd, rw, {}, code);
         need(fd.release() == NO_FD);
     }},
    {errc::invalid_argument, "receive from no socket", leave_alone,
     [](scene &on) { on.seg.receive(NO_FD); },
     [](scene &on, std::error_code &code) { on.seg.receive(NO_FD, rw, {}, code); }},
};
#define CALLS (static_cast<int>(sizeof calls / sizeof *calls))

START_TEST(both_forms_fail_alike)
{
    const failing_call &call = calls[_i];

    for (bool throwing : {true, false}) {
        scene on;
        std::error_code code = errc::unknown_error;

        call.before(on);
        if (!throwing) {
            call.coded(on, code);
            if (code != call.result)
                broken_at(__FILE__, __LINE__, "%s: %s", call.what, code.message().c_str());
            continue;
        }
        need_thrown_at(__FILE__, __LINE__, call.what, call.result, [&] { call.throwing(on); });
    }
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main()
{
    Suite *suite = new_suite("errors in C++");
    TCase *tcase = new_case(suite, "errors");

    tcase_add_loop_test(tcase, code_of_a_result, 0, CONDITIONS);
    tcase_add_test(tcase, every_result_has_a_code);
    tcase_add_test(tcase, exception_can_be_copied);
    tcase_add_loop_test(tcase, both_forms_fail_alike, 0, CALLS);
    return run_suite(suite);
}
