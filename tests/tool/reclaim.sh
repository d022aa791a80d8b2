#!/bin/sh
# reclaim, when the name has become another segment's since it was listed. A
# library that is loaded before the real one makes that happen, between the look
# and the call.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

if [ "${MAPSEG_ALONE-}" != yes ]; then
    rm -rf "$work"
    trap - EXIT
    for how in "" --map-root-user; do
        # shellcheck disable=SC2086 # none or one
        unshare --mount $how mount -t tmpfs -o size=4M tmpfs /dev/shm 2>/dev/null || continue
        # shellcheck disable=SC2086,SC2016 # the same; the inner shell is meant
        MAPSEG_ALONE=yes exec unshare --mount $how sh -c \
            'mount -t tmpfs -o size=4M tmpfs /dev/shm && exec "$0"' "$0"
    done
    skip "this user cannot have a /dev/shm of its own (unshare and mount)"
fi
unset XDG_RUNTIME_DIR

k=shm:$name-reclaim

# ------------------------------------------------------- under construction --

# What a creator that was killed early leaves: a private name, and no header yet.
half=/dev/shm/.mapseg-0123456789abcdef
: >"$half"
expect_quiet 0 reclaim
same "what was reclaimed" "$(cat "$work/out")" "shm:${half##*/}"
[ -e "$half" ] && fail "reclaim left $half"

# ------------------------------------------------------------- another one --

cat >"$work/swap.c" <<'END'
#define _GNU_SOURCE
#include <mapseg.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>

/* The real function of that name; other programs that are loaded with this have none. */
#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

/* Gives the name of crash debris to a segment that is meant to stay. */
static void
swap(const mapseg *seg)
{
    static int done;
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *other;

    if (done++)
        return;
    other = REAL(mapseg_new)();
    options.flags = MAPSEG_RECLAIM | MAPSEG_PERSISTENT;
    if (REAL(mapseg_set_native_key)(other, REAL(mapseg_native_key)(seg)) != MAPSEG_OK ||
        REAL(mapseg_create_with)(other, 8, MAPSEG_READ_WRITE, &options) != MAPSEG_OK)
        abort();
    REAL(mapseg_free)(other);
    if (open(getenv("SWAP_DONE"), O_WRONLY | O_CREAT, 0600) < 0)
        abort();
}

mapseg_result
mapseg_reclaim(mapseg *seg)
{
    swap(seg);
    return REAL(mapseg_reclaim)(seg);
}

mapseg_result
mapseg_reclaim_with(mapseg *seg, const mapseg_options *options)
{
    swap(seg);
    return REAL(mapseg_reclaim_with)(seg, options);
}
END
# shellcheck disable=SC2086 # words
${CC-cc} -shared -fPIC -I"${abs_top_srcdir:-$(dirname "$0")/../..}/include" -o "$work/swap.so" "$work/swap.c" -ldl ||
    fail "the library that swaps does not compile"

# $@: the arguments of reclaim.
reclaim_swapped()
{
    rm -f "$work/done"
    status=0
    SWAP_DONE=$work/done LD_PRELOAD=$work/swap.so \
        timeout 60 "$tool" reclaim "$@" >"$work/out" 2>"$work/err" || status=$?
    [ -e "$work/done" ] && return
    [ -e "$work/failures" ] && finish
    skip "nothing can be loaded before the library here"
}

hold $k
kill_holder
same "state" "$(listed $k STATE)" stale
reclaim_swapped
same "status beside a persistent segment" $status 0
same "what was reclaimed of a persistent segment" "$(cat "$work/out" "$work/err")" ""
exists $k || fail "reclaim removed a persistent segment that it had not listed"
same "state" "$(listed $k STATE)" persistent
same "size" "$(listed $k SIZE)" 8

# With KEY it is meant, whatever has the name.
reclaim_swapped $k
same "status with a key" $status 0
same "what was reclaimed with a key" "$(cat "$work/out")" $k
exists $k && fail "reclaim with a key left the segment"

finish
