#!/bin/sh
# The headers for C++: each compiler and standard there is takes them without a warning; what must
# not compile does not; each call, result and flag of mapseg.h has its place there; and a program
# that was written for QSharedMemory does the same with both.
# SPDX-License-Identifier: MIT
#
# shellcheck disable=SC2154 # the makefile sets abs_top_...
set -u

include=$abs_top_srcdir/include
tests=$abs_top_srcdir/tests/cxx
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
status=0
tried=0
strict='-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast
    -Wnon-virtual-dtor -Werror'

fail()
{
    echo "FAIL: $*"
    status=1
}

if [ -z "${CXX17_FLAGS-}" ]; then
    echo 'skipped: there is no C++17 compiler'
    exit 77
fi

# compile COMPILER STANDARD FLAG... - the program on standard input.
compile()
{
    compiler=$1 standard=$2
    shift 2
    cat >"$work/program.cpp"
    # The compiler and the flags are words.
    # shellcheck disable=SC2086
    $compiler -std="$standard" $strict "$@" -I"$include" -c -o "$work/program.o" \
        "$work/program.cpp" >"$work/log" 2>&1
}

# takes COMPILER STANDARD - whether the compiler knows the standard.
takes()
{
    # shellcheck disable=SC2086
    echo 'int main() { return 0; }' | $1 -std="$2" -x c++ -fsyntax-only - 2>/dev/null
}

# ------------------------------------------------------ what all compile --

# The last part is what templates hide until they are used.
cat >"$work/use.cpp" <<'END'
#include "mapseg-shared-memory.hpp"
#include "mapseg-shared-memory.hpp"
#include "mapseg.h"
#include "mapseg.hpp"

#include "mapseg-format.h"

#include <mutex>
#include <vector>

struct point {
    int x;
    int y;
};

namespace program
{
using segment = mapseg::segment;

int use(const char *key);

int
use(const char *key)
{
    std::error_code code;
    std::uint64_t version = 0;
    mapseg::options with;
    segment seg(mapseg::create_or_attach, key, sizeof(point), mapseg::access::read_write, with);
    std::vector<segment> several;

    several.push_back(segment(mapseg::attach, std::string(key)));
#if __cplusplus >= 202002L
    several.emplace_back(mapseg::attach, mapseg::native_key(mapseg::key_type::file, "/x"),
                         mapseg::access::read_only,
                         mapseg::options{.flags = mapseg::flag::fair, .mode = 0600});
    std::span<std::byte> span = seg.data();
    if (span.empty())
        return 1;
#endif
    std::unique_lock<segment> lock(seg, std::chrono::seconds(1));
    lock.unlock();
    if (!lock.try_lock_until(std::chrono::system_clock::now()) || !seg.try_lock_for(
            std::chrono::duration<float>(1), code))
        return 2;
    std::lock(seg, several.front());
    seg.write(point{1, 2}, 0, code);
    seg.read_bytes_for(&version, sizeof version, 0, nullptr, std::chrono::hours(1), code);
    mapseg *raw = seg.native_handle();
    mapseg_unlock(raw);
    return seg.read<point>(0, &version, code).x + std::as_const(seg).as<point>(0, code)->y +
           seg.as<const point>(0, code)->x + seg.as<point>(0, code)->x +
           static_cast<int>(seg.as_array<const point>().size());
}
} // namespace program
END

check_compilers()
{
    seen=
    for words in "$CXX" g++ clang++; do
        case $seen in
        *"[$words]"*) continue ;;
        esac
        seen="${seen}[$words]"
        # shellcheck disable=SC2086
        $words --version >/dev/null 2>&1 || { echo "left out: there is no $words"; continue; }
        for each in c++17 c++20 c++2b; do
            takes "$words" $each || { echo "left out: $words has no $each"; continue; }
            for program in "$work/use.cpp" "$tests/port.cpp"; do
                compile "$words" $each -O1 <"$program" ||
                    { fail "$words -std=$each: ${program##*/}"; head -n 20 "$work/log"; }
            done
        done
    done
}

# ------------------------------------------------- what must not compile --

# program STATEMENT - which is the whole of a function.
program()
{
    printf '#include "mapseg-shared-memory.hpp"\n#include <mutex>\nvoid use(mapseg::segment &seg);\n'
    printf 'void use(mapseg::segment &seg) { (void)seg; %s }\n' "$1"
}

fine()
{
    program "$1" | compile "$CXX" c++17 || { fail "does not compile: $1"; cat "$work/log"; }
}

# refused STATEMENT WORDS - the compiler has these words for it.
refused()
{
    tried=$((tried + 1))
    if program "$1" | compile "$CXX" c++17 -fsyntax-only; then
        fail "compiles: $1"
    elif ! grep -q -e "$2" "$work/log"; then
        fail "'$2' is not in what the compiler says of: $1"
        head -n 20 "$work/log"
    fi
}

check_refusals()
{
    fine 'seg.as<int>() = 1; seg.read<int>(); seg.write(1.5); mapseg::segment other(std::move(seg));'
    fine 'struct point { int x; } *first = &seg.as<point>(); first->x = 1;'
    for type in std::string 'std::function<void()>' 'std::unique_ptr<int>'; do
        refused "seg.as<$type>();" 'trivially copyable'
        refused "seg.as<const $type>();" 'trivially copyable'
        refused "std::as_const(seg).as<$type>();" 'trivially copyable'
        refused "seg.as_array<$type>();" 'trivially copyable'
        refused "std::error_code code; seg.as<$type>(0, code);" 'trivially copyable'
    done
    refused 'seg.as<char *>();' 'address'
    refused 'seg.as<int mapseg::options::*>();' 'address'
    refused 'seg.write(std::string("x"));' 'trivially copyable'
    refused 'seg.write("x" + 0);' 'address'
    refused 'seg.read<std::string>();' 'trivially copyable'
    refused 'struct odd { odd() = delete; int x; }; seg.read<odd>();' 'needs an object'
    refused 'std::as_const(seg).as<int>() = 1;' 'read-only\|const'
    refused 'seg.as<const int>() = 1;' 'read-only\|const'
    refused 'seg.const_data()[0] = std::byte{1};' 'read-only\|const'
    refused 'mapseg::segment copy(seg);' 'deleted\|delete'
    refused 'mapseg::segment copy; copy = seg;' 'deleted\|delete'
    refused 'auto change = seg.changing(); auto copy = change;' 'deleted\|delete'
    refused 'auto section = seg.guard(); auto copy = section;' 'deleted\|delete'
    refused 'mapseg::descriptor fd; auto copy = fd;' 'deleted\|delete'
    refused 'mapseg::shared_memory a; mapseg::shared_memory b(a);' 'deleted\|delete'
    refused 'mapseg nothing;' 'deleted\|delete'
    refused 'delete seg.native_handle();' 'deleted\|delete'
    refused 'mapseg::segment text = std::string("key");' 'conver'
    refused 'seg.attach(true);' 'no matching\|cannot convert\|could not convert'
    refused 'mapseg::options with; with.flags = 1;' 'conver\|incompatible'
    # What is not looked at.
    refused 'seg.try_lock();' 'unused\|ignoring'
    refused 'seg.lock_to_repair();' 'unused\|ignoring'
    refused 'seg.changing();' 'unused\|ignoring'
    refused 'seg.guard();' 'unused\|ignoring'
    refused 'seg.export_fd(mapseg::access::read_only);' 'unused\|ignoring'
    [ "$tried" -ge 35 ] || fail "only $tried misuses were tried"
}

# ------------------------------------------------------- what has a place --

# The enumerators of mapseg.h that begin with MAPSEG_ in the enum $1, but for the reserved one.
enumerators()
{
    awk -v name="$1" '$0 == "typedef enum " name " {" { inside = 1; next }
        /^}/ { inside = 0 }
        inside && /^ *MAPSEG_/ && !/RESERVED/ { sub(/[ ,].*/, "", $1); sub(/,/, "", $1); print $1 }' \
        "$include/mapseg.h"
}

check_names()
{
    for enum in mapseg_result mapseg_flag mapseg_key_type mapseg_access; do
        enumerators $enum >"$work/names"
        [ "$(wc -l <"$work/names")" -ge 2 ] || fail "found too few names in $enum"
        while read -r name; do
            small=$(echo "${name#MAPSEG_}" | sed 's/^KEY_\([A-Z0-9]*\)$/\1/' | tr '[:upper:]' '[:lower:]')
            # KEY_ERROR is a result.
            [ "$name" != MAPSEG_KEY_ERROR ] || small=key_error
            [ "$name" = MAPSEG_OK ] || grep -q -w -e "$small = $name" "$include/mapseg.hpp" ||
                fail "mapseg.hpp has no $small for $name"
        done <"$work/names"
    done
    cat "$include/mapseg.h" "$include/mapseg-key.h" "$include/mapseg-spawn.h" | tr '\n' ' ' |
        tr ';' '\n' | sed -n 's/.*MAPSEG_API //p' | grep -o 'mapseg_[a-z0-9_]*(' | tr -d '(' >"$work/calls"
    [ "$(wc -l <"$work/calls")" -ge 50 ] || fail "found too few calls in the headers"
    while read -r call; do
        case $call in
        # Those that the forms with all parameters, or exceptions, stand for.
        mapseg_new_with_key | mapseg_result_name | mapseg_result_owes_unlock) continue ;;
        esac
        grep -q -w -e "$call" "$include/mapseg.hpp" || fail "mapseg.hpp says nothing of $call"
    done <"$work/calls"
}

# ------------------------------------------------------------------- Qt --

# build NAME FLAG... - port.cpp.
build()
{
    name=$1
    shift
    # shellcheck disable=SC2086 # flags are words
    "$abs_top_builddir/libtool" --silent --mode=link --tag=CXX $CXX $CXX17_FLAGS -fPIC \
        ${SANITIZER_FLAGS-} -I"$include" -no-install -o "$work/$name" "$tests/port.cpp" "$@" \
        >"$work/log" 2>&1 || { fail "$name does not compile"; head -n 20 "$work/log"; }
}

check_port()
{
    key=mapseg-port-$$
    build port "$abs_top_builddir/lib/libmapseg.la"
    [ $status -eq 0 ] || return
    timeout 60 "$work/port" $key >"$work/port.said" || fail 'port fails'
    [ "$(grep -c '^hello$' "$work/port.said")" -eq 2 ] || fail "port says: $(cat "$work/port.said")"
    ! grep 'without words' "$work/port.said" || fail 'an error has no words'
    if ! pkg-config --exists Qt6Core 2>/dev/null; then
        echo 'left out: the same with Qt, which is not there'
        return
    fi
    # shellcheck disable=SC2046
    build port_qt -DWITH_QT $(pkg-config --cflags --libs Qt6Core)
    [ $status -eq 0 ] || return
    timeout 60 "$work/port_qt" $key >"$work/qt.said" 2>"$work/log" || fail 'port fails with Qt'
    diff "$work/qt.said" "$work/port.said" || fail 'port says something else than with Qt'
}

check_compilers
check_refusals
check_names
check_port
exit $status
