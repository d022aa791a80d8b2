#!/bin/sh
# floors.sh - the calls and includes of the library go downwards, calls in no circle.
#
# The object files tell who calls whom. Folders are floors: a file calls only
# files of its own floor and of those below, and no files call each other in a
# circle. Nor does a file include a header of a floor above.
# SPDX-License-Identifier: MIT
set -u

# From the top to the bottom; "lib" is what lies in lib/ itself.
floors='lib handle sync file os'

# A command with its options.
nm=${NM-nm}
command -v "${nm%% *}" >/dev/null || { echo "skipped: there is no ${nm%% *}"; exit 77; }

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM

# symbols DIRECTORY - a line for each symbol of the object files below: the
# file as FLOOR/NAME, "has" or "wants", and the symbol.
symbols()
{
    (cd "$1" && find . -name '*.o' -type f) | sort >"$work/objects"
    # libtool compiles twice where it makes both libraries.
    grep '/\.libs/' "$work/objects" >"$work/shared" && mv "$work/shared" "$work/objects"
    while read -r object; do
        # shellcheck disable=SC2086 # the options are words
        $nm "$1/$object" >"$work/nm" || exit 1
        printf '%s\n' "$object" | sed 's,^\./,,; s,\.libs/,,; s,[^/]*la-,,; s,\.o$,,; s,^\([^/]*\)$,lib/\1,' \
            >"$work/name"
        awk -v file="$(cat "$work/name")" '
            NF == 2 && ($1 == "U" || $1 == "w") { print file, "wants", $2 }
            NF == 3 && $2 ~ /[TDBRCVGS]/ { print file, "has", $3 }' "$work/nm"
    done <"$work/objects"
}

# judge - reads what symbols prints; prints the floors, and what is wrong.
judge()
{
    awk -v floors="$floors" '
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
                    print "upwards: " from " calls " to ": " part[2]
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
                    print "circle: " part[1] " calls " part[2] ":" calls[call]
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

# includes DIRECTORY - a line for each include of a header of the library: the
# file and the header, both as FLOOR/NAME.
includes()
{
    (cd "$1" && find . -name '*.[ch]' -type f) | sed 's,^\./,,' | sort |
        while read -r file; do
            case $file in
            */*) from=$file place=${file%/*}/ ;;
            *) from=lib/$file place= ;;
            esac
            sed -n 's/^# *include *"\([^"]*\)".*/\1/p' "$1/$file" | while read -r header; do
                # As the compiler looks: beside the file, then from the top.
                if [ -e "$1/$place$header" ]; then
                    header=$place$header
                elif [ ! -e "$1/$header" ]; then
                    continue
                fi
                case $header in
                */*) echo "$from $header" ;;
                *) echo "$from lib/$header" ;;
                esac
            done
        done
}

# judge_includes - reads what includes prints; prints what is wrong.
judge_includes()
{
    awk -v floors="$floors" '
        function floor(file) { return height[substr(file, 1, index(file, "/") - 1)] }
        BEGIN {
            count = split(floors, name, " ")
            for (i = 1; i <= count; i++)
                height[name[i]] = count - i + 1
        }
        floor($2) > floor($1) { print "upwards: " $1 " includes " $2; bad = 1 }
        END { exit bad }'
}

failures=0
fail()
{
    printf 'FAIL: %s\n' "$*"
    failures=$((failures + 1))
}

# The judge itself sees what is wrong.
printf '%s\n' 'lib/a has a' 'lib/a wants b' 'os/b has b' 'os/b wants a' |
    judge >"$work/out" && fail "a circle is not seen: $(cat "$work/out")"
grep -q '^circle: os/b calls lib/a: a$' "$work/out" || fail "a circle is not told: $(cat "$work/out")"
printf '%s\n' 'sync/a has a' 'sync/a wants b' 'handle/b has b' |
    judge >"$work/out" && fail "a call upwards is not seen: $(cat "$work/out")"
grep -q '^upwards: sync/a calls handle/b: b$' "$work/out" ||
    fail "a call upwards is not told: $(cat "$work/out")"
printf '%s\n' 'lib/a has a' 'lib/a wants b' 'lib/c has c' 'lib/c wants a' 'os/b has b' |
    judge >"$work/out" || fail "a house in order is refused: $(cat "$work/out")"

symbols "$abs_top_builddir/lib" >"$work/symbols" || fail "the object files cannot be read"
[ "$(cut -d ' ' -f 1 "$work/symbols" | sort -u | wc -l)" -gt 25 ] ||
    fail "hardly any object files were found below $abs_top_builddir/lib"
judge <"$work/symbols" || fail "the calls of the library do not all go downwards"

echo 'sync/a.c handle/b.h' | judge_includes >"$work/out" && fail "an include upwards is not seen"
grep -q '^upwards: sync/a.c includes handle/b.h$' "$work/out" ||
    fail "an include upwards is not told: $(cat "$work/out")"
echo 'handle/a.c os/b.h' | judge_includes || fail "an include downwards is refused"

includes "$abs_top_srcdir/lib" >"$work/includes"
[ "$(wc -l <"$work/includes")" -gt 100 ] || fail "hardly any include was found below $abs_top_srcdir/lib"
judge_includes <"$work/includes" || fail "the includes of the library do not all go downwards"

[ "$failures" -eq 0 ]
