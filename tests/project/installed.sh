#!/bin/sh
# What is installed is enough for a stranger: programs in C99, C11 and C++17
# find mapseg with pkg-config alone, compile without a warning and run. And
# nothing of it leads back to the directories that it was built in.
# SPDX-License-Identifier: MIT
#
# shellcheck disable=SC2154 # the makefile sets abs_top_...
set -u

[ -z "${SANITIZER_FLAGS-}" ] || { echo "skipped: a library with sanitizers is not for strangers"; exit 77; }
for program in pkg-config readelf strip; do
    command -v $program >/dev/null || { echo "skipped: no $program"; exit 77; }
done

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
root=$work/root
status=0

fail()
{
    echo "FAIL: $*"
    status=1
}

# The make that runs the tests must not lend its job server and goals.
unset MAKEFLAGS MFLAGS MAKELEVEL GNUMAKEFLAGS
make -C "$abs_top_builddir" install DESTDIR="$root" >"$work/log" 2>&1 ||
    { fail "make install"; cat "$work/log"; exit 1; }

pc=$(find "$root" -name mapseg.pc)
[ -n "$pc" ] || { fail "mapseg.pc was not installed"; exit 1; }
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
prefix=$(pkg-config --variable=prefix mapseg)
libdir=$(pkg-config --variable=libdir mapseg)

# ---------------------------------------------------- no way back to the build --

# Where the loader looks, says the file $1: a path in each line, with "!" before
# it so that an empty one, which means the current directory, is a line too.
search_path()
{
    LC_ALL=C readelf -d "$1" | sed -n 's/.*(R\(UN\)\{0,1\}PATH).*\[\(.*\)\]$/:\2/p' |
        sed 's/:/\n!/g' | sed '/^$/d'
}

# The file $1 makes the loader look below libdir or where the system says.
check_search_path()
{
    search_path "$1" >"$work/path"
    while read -r directory; do
        case $directory in
        */../* | */..) ;;
        "!$libdir" | "!$libdir"/*) continue ;;
        esac
        fail "$1 looks for libraries in '${directory#!}'"
    done <"$work/path"
}

# The file $1, which is installed below $prefix, names no other directory of the
# build; debug information, which nothing follows, may.
check_names()
{
    file=$1
    case $(head -c 7 "$file" | tr -d '\0') in
    ?ELF* | '!<arch>') strip -g -o "$work/stripped" "$file" && file=$work/stripped ;;
    esac
    quoted=$(printf '%s\n' "$prefix" | sed 's/[][\.*^$,]/\\&/g')
    LC_ALL=C sed "s,$quoted,,g" "$file" >"$work/without"
    for directory in "$abs_top_builddir" "$abs_top_srcdir" "$root"; do
        ! LC_ALL=C grep -a -q -F -e "$directory" "$work/without" || fail "$1 names $directory"
    done
}

# The check itself sees what it is for: a search path with everything bad in it.
printf 'int main(void) { return 0; }\n' >"$work/empty.c"
# The compiler may be words.
# shellcheck disable=SC2086
$CC "-Wl,-rpath,$libdir:$abs_top_builddir/lib/.libs::x" -o "$work/bad" "$work/empty.c" ||
    fail "$CC does not link with -rpath"
bad=$(check_search_path "$work/bad" | grep -c FAIL)
[ "$bad" -eq 3 ] || fail "$bad bad search paths were found of 3"

find "$root" -type f >"$work/files"
while read -r file; do
    [ "$(head -c 4 "$file" | tr -d '\0\177')" != ELF ] || check_search_path "$file"
    check_names "$file"
done <"$work/files"
[ $status -ne 0 ] || echo "ok: $(wc -l <"$work/files") files lead nowhere else"

# The command of the build directory, which may be a script, runs from anywhere.
if [ -n "${MAPSEG-}" ]; then
    for command in "$abs_top_builddir/tools/mapseg" "$MAPSEG"; do
        (cd / && "$command" --version) >/dev/null || fail "$command does not run"
    done
fi

# ------------------------------------------------------- programs of strangers --

PKG_CONFIG_SYSROOT_DIR=$root
# pkg-config leaves directories out that it takes for the system's own; these
# only have the same names.
PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1
PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
export PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_ALLOW_SYSTEM_CFLAGS PKG_CONFIG_ALLOW_SYSTEM_LIBS
flags=$(pkg-config --cflags --libs mapseg) || { fail "pkg-config does not take mapseg.pc"; exit 1; }
version=$(pkg-config --modversion mapseg)
LD_LIBRARY_PATH=$root$libdir
export LD_LIBRARY_PATH

if [ -n "${MAPSEG-}" ]; then
    command=$(find "$root" -path '*/bin/mapseg')
    "$command" --version >/dev/null || fail "the installed command does not run"
fi

# A text that is hashed makes a program need the hash's library.
cat >"$work/program.c" <<END
#include <mapseg.h>
#include <mapseg-format.h>
#include <mapseg-key.h>
#include <mapseg-spawn.h>
#include <string.h>

int main(void)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct mapseg_header header;
    mapseg *seg = mapseg_new_with_key("any text");
    int good = seg != NULL && options.size == sizeof options && sizeof header == 4096 &&
               mapseg_error(seg) == MAPSEG_OK && strcmp(mapseg_version(), "$version") == 0;
    mapseg_free(seg);
    return good ? 0 : 1;
}
END
cp "$work/program.c" "$work/program.cc"
cat >"$work/objects.cc" <<END
#include <mapseg-shared-memory.hpp>
#include <mapseg.hpp>

int main()
{
    mapseg::segment seg(mapseg::create, mapseg::native_key::from_text("memfd:"), sizeof(int));
    mapseg::shared_memory memory("any text");

    seg.write(7);
    return seg.read<int>() == 7 && !memory.isAttached() &&
           std::string("$version") == mapseg::library_version() ? 0 : 1;
}
END

# try NAME COMMAND... - compiles with the command and runs what it makes.
try()
{
    name=$1
    shift
    # The flags are words.
    # shellcheck disable=SC2086
    if "$@" -o "$work/program" $flags >"$work/log" 2>&1 && "$work/program" >>"$work/log" 2>&1; then
        echo "ok: $name"
    else
        fail "$name"
        cat "$work/log"
    fi
}

strict='-Wall -Wextra -Wpedantic -Werror'
for standard in c99 c11 gnu17; do
    # shellcheck disable=SC2086
    try "$standard" $CC -std=$standard $strict "$work/program.c"
done
if [ -n "${CXX17_FLAGS-}" ]; then
    # shellcheck disable=SC2086
    try c++17 $CXX $CXX17_FLAGS $strict "$work/program.cc"
    # shellcheck disable=SC2086
    try 'c++17 with mapseg.hpp' $CXX $CXX17_FLAGS $strict "$work/objects.cc"
    find "$root" -path '*/examples/*.cpp' >"$work/examples"
    [ "$(wc -l <"$work/examples")" -ge 2 ] || fail "too few examples in C++ are installed"
    while read -r example; do
        # shellcheck disable=SC2086
        $CXX $CXX17_FLAGS $strict -o "$work/program" "$example" $flags >"$work/log" 2>&1 ||
            { fail "$example does not compile"; cat "$work/log"; }
    done <"$work/examples"
else
    echo "left out: no C++17 compiler"
fi

# The programs of the manual, as they are installed: two are run as well.
find "$root" -path '*/examples/*.c' | sort >"$work/examples"
[ "$(wc -l <"$work/examples")" -ge 18 ] || fail "too few examples are installed: $(cat "$work/examples")"
while read -r example; do
    # The flags are words.
    # shellcheck disable=SC2086
    $CC $strict -o "$work/program" "$example" $flags >"$work/log" 2>&1 ||
        { fail "$example does not compile"; cat "$work/log"; }
    case $example in
    */worker.c | */fork.c) timeout 60 "$work/program" >/dev/null || fail "$example does not run" ;;
    esac
done <"$work/examples"
[ $status -ne 0 ] || echo "ok: $(wc -l <"$work/examples") examples"
for example in read_segment.py key_to_path.sh; do
    [ -n "$(find "$root" -path "*/examples/$example")" ] || fail "$example is not installed"
done

# Without any shared library: what pkg-config --static names is all there must be.
flags=$(pkg-config --cflags --libs --static mapseg) || fail "pkg-config --static does not take mapseg.pc"
# shellcheck disable=SC2046,SC2086
if [ ! -e "$root$libdir/libmapseg.a" ]; then
    echo "left out: no static library was built"
elif ! $CC -static -o "$work/empty" "$work/empty.c" $(pkg-config --libs --static libxxhash) 2>/dev/null; then
    echo "left out: no static libc or libxxhash"
else
    try static $CC -static $strict "$work/program.c"
fi

exit $status
