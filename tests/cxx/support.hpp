/*
 * support.hpp - what the suites in C++ share, and what they take of tests/support.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_CXX_SUPPORT_HPP
#define TESTS_CXX_SUPPORT_HPP

#include "mapseg-shared-memory.hpp"
#include "mapseg.hpp"

#include <string>
#include <utility>

extern "C" {
#include "peers.h"
#include "places.h"
#include "skips.h"
#include "suites.h"

/* Of headers that are C alone. */
[[noreturn]] void broken_at(const char *file, int line, const char *format, ...);
bool is_one_line(const char *text);
void need_asleep_at(const char *file, int line, pid_t pid);
}

/* Old words of check.h, which the standard library has as names. */
#undef fail
#undef fail_if
#undef fail_unless

/** As in assertions.h: also for children. */
#define need(condition)                                                                            \
    ((condition) ? static_cast<void>(0) : broken_at(__FILE__, __LINE__, "not true: %s", #condition))

/** The call throws a mapseg::error of that result, whose words are a sentence. */
#define need_thrown(expected, ...)                                                                 \
    need_thrown_at(__FILE__, __LINE__, #__VA_ARGS__, mapseg::errc::expected,                       \
                   [&] { static_cast<void>(__VA_ARGS__); })

template <class Call>
void
need_thrown_at(const char *file, int line, const char *text, mapseg::errc expected, Call call)
{
    try {
        call();
    } catch (const mapseg::error &error) {
        if (error.result() != expected || error.code() != expected)
            broken_at(file, line, "%s throws: %s", text, error.what());
        if (!is_one_line(error.what()) || std::string(error.what()).find("; ") == std::string::npos)
            broken_at(file, line, "%s does not say what to do: %s", text, error.what());
        return;
    }
    broken_at(file, line, "%s throws nothing", text);
}

/** The call, which has `code` as its last argument, sets it to that result. */
#define need_code(expected, code, ...)                                                             \
    (static_cast<void>(__VA_ARGS__),                                                               \
     (code) == mapseg::errc::expected                                                              \
         ? static_cast<void>(0)                                                                    \
         : broken_at(__FILE__, __LINE__, "%s gave: %s", #__VA_ARGS__, (code).message().c_str()))

/** A native key that no other test has. */
inline mapseg::native_key
new_key()
{
    char text[KEY_BYTES];

    unique_key(text);
    return mapseg::native_key::from_text(text);
}

/** A plain key that no other test has, which also shows in the name of its file. */
inline std::string
new_plain_key()
{
    char name[KEY_BYTES];

    unique_name(name);
    return name;
}

/** A process that obeys, as obedient_peer does, attached to the segment of that key. */
inline peer
new_peer(const mapseg::native_key &key)
{
    std::string text = key.text();
    peer made = start_peer(obedient_peer, text.data());

    need(hear(made.channel) == 'a');
    return made;
}

/** Leaves the segment's lock in the hands of a process that was killed. */
inline void
let_owner_die(const mapseg::native_key &key)
{
    peer owner = new_peer(key);

    tell(&owner, 'l');
    kill_peer(&owner);
}

#endif
