#!/bin/sh
# floors.sh - the calls and includes of the library go downwards, and in no circle.
#
# Folders are floors: a file calls only files of its own floor and of those below,
# and no files call each other in a circle, as the object files tell. The same goes
# for what a file includes. A header names no function that there is not, and only
# the lowest floor asks which system it is on.
# SPDX-License-Identifier: MIT
set -u

# From the top to the bottom; "lib" is what lies in lib/ itself.
floors='lib foreign handle sync file os'

# A command with its options.
nm=${NM-nm}
command -v "${nm%% *}" >/dev/null || { echo "skipped: there is no ${nm%% *}"; exit 77; }

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM

# symbols DIRECTORY - a line for each symbol of the object files below: the
# file as FLOOR/NAME, "has" or "wants", and the symbol. Objects of sources that
# there are no more lie in a build directory that is older than they.
symbols()
{
    (cd "$1" && find . -name '*.o' -type f) | sort >"$work/objects"
    # libtool compiles twice where it makes both libraries.
    grep '/\.libs/' "$work/objects" >"$work/shared" && mv "$work/shared" "$work/objects"
    while read -r object; do
        printf '%s\n' "$object" | sed 's,^\./,,; s,\.libs/,,; s,[^/]*la-,,; s,\.o$,,; s,^\([^/]*\)$,lib/\1,' \
            >"$work/name"
        read -r name <"$work/name"
        [ -e "$abs_top_srcdir/lib/${name#lib/}.c" ] || continue
        # shellcheck disable=SC2086 # the options are words
        $nm "$1/$object" >"$work/nm" || exit 1
        awk -v file="$(cat "$work/name")" '
            NF == 2 && ($1 == "U" || $1 == "w") { print file, "wants", $2 }
            NF == 3 && $2 ~ /[TDBRCVGS]/ { print file, "has", $3 }' "$work/nm"
    done <"$work/objects"
}

# includes DIRECTORY - the same for the includes of the sources below: a file "has"
# itself and "wants" what it includes.
includes()
{
    (cd "$1" && find . -name '*.[ch]' -type f) | sed 's,^\./,,' | sort >"$work/sources"
    while read -r source; do
        case $source in */*) own=${source%/*}/ ;; *) own=lib/ ;; esac
        printf '%s has %s\n' "$own${source##*/}" "$own${source##*/}"
        sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p' "$1/$source" >"$work/included"
        while read -r header; do
            # Without a folder it lies beside, or is a public one, which all may include.
            case $header in */*) ;; *) header=$own$header ;; esac
            printf '%s wants %s\n' "$own${source##*/}" "$header"
        done <"$work/included"
    done <"$work/sources"
}

# judge VERB - reads what symbols or includes prints; prints the floors, and what is
# wrong, of files of which one "calls", or "includes", the other.
judge()
{
    awk -v floors="$floors" -v verb="$1" '
        function floor(file) { return height[substr(file, 1, index(file, "/") - 1)] }
        BEGIN {
            count = split(floors, name, " ")
            for (i = 1; i <= count; i++)
                height[name[i]] = count - i + 1
        }
        $2 == "has" { owner[$3] = $1 }
        { files[$1] = 1 }
        $2 == "wants" { wants[$1 " " $3] = 1 }
        END {
            for (want in wants) {
                split(want, part, " ")
                from = part[1]
                to = owner[part[2]]
                if (to == "" || to == from)
                    continue
                calls[from " " to] = calls[from " " to] " " part[2]
                if (floor(to) > floor(from)) {
                    print "upwards: " from " " verb " " to ": " part[2]
                    bad = 1
                }
            }
            # What calls nothing that is left, or is called by nothing that is
            # left, is on no circle.
            do {
                changed = 0
                for (file in files) {
                    out = in_ = 0
                    for (call in calls) {
                        split(call, part, " ")
                        if (!(part[1] in files) || !(part[2] in files))
                            continue
                        out += part[1] == file
                        in_ += part[2] == file
                    }
                    on_floor[file] = 1
                    if (out == 0 || in_ == 0) {
                        delete files[file]
                        changed = 1
                    }
                }
            } while (changed)
            for (call in calls) {
                split(call, part, " ")
                if ((part[1] in files) && (part[2] in files)) {
                    print "circle: " part[1] " " verb " " part[2] ":" calls[call]
                    bad = 1
                }
            }
            for (i = 1; i <= count; i++) {
                printf "floor %s:", name[i]
                for (file in on_floor)
                    if (index(file, name[i] "/") == 1)
                        printf " %s", substr(file, length(name[i]) + 2)
                printf "\n"
            }
            exit bad
        }'
}

# named - reads headers; prints each internal function that they name, also in comments.
named()
{
    grep -o '\<msi_[a-z0-9_]*(' | tr -d '(' | sort -u
}

# systems FILE... - the conditions on the system, by its own macros or by those that
# its headers define.
systems()
{
    name='__linux|linux|_WIN|WIN32|__CYGWIN|__MINGW|__APPLE__|__MACH__|__[A-Za-z]*BSD|__DragonFly__'
    name="$name|__sun|__svr4__|__unix|unix|_AIX|__hpux|__HAIKU__|__QNX|__ANDROID__|__gnu_|__GLIBC"
    name="$name|__BIONIC__|_POSIX_|_XOPEN_|_SC_|HAVE_[A-Z]"
    name="$name|(AT|CLOCK|EFD|F|FUTEX|MADV|MAP|MFD|MSG|O|PR|RENAME|RLIMIT|S|SA|SCM|SO|SYS)_[A-Z]"
    grep -nE -e "^[[:space:]]*#[[:space:]]*(if|ifdef|ifndef|elif)[^A-Za-z_](.*[^A-Za-z0-9_])?($name)" \
        -e '^[[:space:]]*#[[:space:]]*include[[:space:]]*<(linux|asm)/' "$@" /dev/null
}

failures=0
fail()
{
    printf 'FAIL: %s\n' "$*"
    failures=$((failures + 1))
}

# The judge itself sees what is wrong.
printf '%s\n' 'lib/a has a' 'lib/a wants b' 'os/b has b' 'os/b wants a' |
    judge calls >"$work/out" && fail "a circle is not seen: $(cat "$work/out")"
grep -q '^circle: os/b calls lib/a: a$' "$work/out" || fail "a circle is not told: $(cat "$work/out")"
printf '%s\n' 'sync/a has a' 'sync/a wants b' 'handle/b has b' |
    judge calls >"$work/out" && fail "a call upwards is not seen: $(cat "$work/out")"
grep -q '^upwards: sync/a calls handle/b: b$' "$work/out" ||
    fail "a call upwards is not told: $(cat "$work/out")"
printf '%s\n' 'lib/a has a' 'lib/a wants b' 'lib/c has c' 'lib/c wants a' 'os/b has b' |
    judge calls >"$work/out" || fail "a house in order is refused: $(cat "$work/out")"

mkdir -p "$work/house/sync" "$work/house/handle"
printf '#include "handle/b.h"\n#include <errno.h>\n' >"$work/house/sync/a.c"
printf '#include "c.h"\n#include "mapseg.h"\n' >"$work/house/handle/b.h"
printf '  # include "b.h" /* again */\n' >"$work/house/handle/c.h"
includes "$work/house" >"$work/included-all"
judge includes <"$work/included-all" >"$work/out" && fail "an include upwards is not seen: $(cat "$work/out")"
grep -q '^upwards: sync/a.c includes handle/b.h: handle/b.h$' "$work/out" ||
    fail "an include upwards is not told: $(cat "$work/out")"
grep -q '^circle: handle/c.h includes handle/b.h: handle/b.h$' "$work/out" ||
    fail "a circle of includes is not told: $(cat "$work/out")"
printf '%s\n' 'int msi_a(int b); /** Where msi_c() fails. */' '#define MSI_X(y) msi_d(y)' |
    named | tr '\n' ' ' >"$work/out"
grep -q '^msi_a msi_c msi_d $' "$work/out" || fail "names are not seen: $(cat "$work/out")"
for line in '#ifdef __linux__' '# if defined(_WIN32) && X' '#elif !defined __FreeBSD__' \
    '#ifndef MADV_POPULATE_WRITE' '#if __GLIBC__ > 2' '#include <linux/futex.h>'; do
    printf '%s\n' "$line" >"$work/line.c"
    systems "$work/line.c" >/dev/null || fail "a condition on the system is not seen: $line"
done
for line in '#ifndef MAPSEG_OS_H' '#if defined(__x86_64__)' '#if defined(__SANITIZE_THREAD__)' \
    '#ifdef MAPSEG_HAS_NO_FENCES' '#include <errno.h>' '/* #ifdef __linux__ */'; do
    printf '%s\n' "$line" >"$work/line.c"
    systems "$work/line.c" >/dev/null && fail "no condition on the system, but taken for one: $line"
done

symbols "$abs_top_builddir/lib" >"$work/symbols" || fail "the object files cannot be read"
[ "$(cut -d ' ' -f 1 "$work/symbols" | sort -u | wc -l)" -gt 25 ] ||
    fail "hardly any object files were found below $abs_top_builddir/lib"
judge calls <"$work/symbols" || fail "the calls of the library do not all go downwards"

includes "$abs_top_srcdir/lib" >"$work/included-all"
grep -c ' wants ' "$work/included-all" | grep -q '[0-9][0-9][0-9]' ||
    fail "hardly any includes were found below $abs_top_srcdir/lib"
judge includes <"$work/included-all" >"$work/out" ||
    fail "the includes of the library do not all go downwards: $(grep -v '^floor ' "$work/out")"

# A function is an object file's, or inline in a header.
cut -d ' ' -f 2- "$work/symbols" | sed -n 's/^has //p' | sort -u >"$work/functions"
find "$abs_top_srcdir/lib" -name '*.h' -type f -exec cat {} + >"$work/headers"
sed -n '/^static inline /{n; s/^\(msi_[a-z0-9_]*\)(.*/\1/p;}' "$work/headers" >>"$work/functions"
sort -u -o "$work/functions" "$work/functions"
named <"$work/headers" >"$work/named"
[ "$(wc -l <"$work/named")" -gt 50 ] || fail "hardly any functions were found in the headers"
comm -23 "$work/named" "$work/functions" >"$work/out"
[ ! -s "$work/out" ] || fail "headers name functions that there are not: $(tr '\n' ' ' <"$work/out")"

find "$abs_top_srcdir/lib" -path "$abs_top_srcdir/lib/os" -prune -o -name '*.[ch]' -type f -print \
    >"$work/above"
# shellcheck disable=SC2046 # one name a line, without blanks
systems $(cat "$work/above") >"$work/out" &&
    fail "conditions on the system above the lowest floor: $(cat "$work/out")"

[ "$failures" -eq 0 ]
