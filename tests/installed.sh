#!/bin/sh
# What is installed is enough for a stranger: programs in C99, C11 and C++17
# find mapseg with pkg-config alone, compile without a warning and run.
set -u

[ -z "${SANITIZER_FLAGS-}" ] || { echo "skipped: a library with sanitizers is not for strangers"; exit 77; }
command -v pkg-config >/dev/null || { echo "skipped: no pkg-config"; exit 77; }

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
status=0

# The make that runs the tests must not lend its job server and goals.
unset MAKEFLAGS MFLAGS MAKELEVEL GNUMAKEFLAGS
make -C "$abs_top_builddir" install DESTDIR="$work/root" >"$work/log" 2>&1 ||
    { echo "FAIL: make install"; cat "$work/log"; exit 1; }

pc=$(find "$work/root" -name mapseg.pc)
[ -n "$pc" ] || { echo "FAIL: mapseg.pc was not installed"; exit 1; }
PKG_CONFIG_PATH=$(dirname "$pc")
PKG_CONFIG_SYSROOT_DIR=$work/root
# pkg-config leaves directories out that it takes for the system's own; these
# only have the same names.
PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1
PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR PKG_CONFIG_ALLOW_SYSTEM_CFLAGS PKG_CONFIG_ALLOW_SYSTEM_LIBS
flags=$(pkg-config --cflags --libs mapseg) || { echo "FAIL: pkg-config does not take mapseg.pc"; exit 1; }
version=$(pkg-config --modversion mapseg)
LD_LIBRARY_PATH=$(dirname "$(dirname "$pc")")
export LD_LIBRARY_PATH

cat >"$work/program.c" <<END
#include <mapseg.h>
#include <mapseg-format.h>
#include <string.h>

int main(void)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct mapseg_header header;
    mapseg *seg = mapseg_new();
    int good = seg != NULL && options.size == sizeof options && sizeof header == 4096 &&
               mapseg_error(seg) == MAPSEG_OK && strcmp(mapseg_version(), "$version") == 0;
    mapseg_free(seg);
    return good ? 0 : 1;
}
END
cp "$work/program.c" "$work/program.cc"

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
        echo "FAIL: $name"
        cat "$work/log"
        status=1
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
else
    echo "left out: no C++17 compiler"
fi

exit $status
