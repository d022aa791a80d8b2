#!/bin/sh
# The documentation is true: its examples compile, run, and are the same
# wherever they are shown; every call, result, flag and field that the headers
# declare is described, with the same prototype, number or offset.
# SPDX-License-Identifier: MIT
#
# shellcheck disable=SC2154 # the makefile sets abs_top_..., eval the visitors
set -u

source=$abs_top_srcdir
build=$abs_top_builddir
include=$source/include
header=$include/mapseg.h
pages=$source/doc
work=$(mktemp -d) || exit 99
key=mapseg-docs-$$
children=
status=0

# shellcheck disable=SC2317 # the trap calls it
leave()
{
    for child in $children; do
        kill "$child" 2>/dev/null
    done
    rm -rf "$work"
    rm -f "/dev/shm/mapseg-$key"-*
}
trap leave EXIT
trap 'exit 99' HUP INT TERM
# A visitor who has died early is a failure of its own.
trap '' PIPE

fail()
{
    echo "FAIL: $*"
    status=1
}

pass_over()
{
    echo "not tested: $*"
}

# Whether the standard input has the string in one of its lines.
has()
{
    grep -q -F -e "$1"
}

# The lines of a page's section, without the page's own comments.
section()
{
    awk -v name="$2" '/^\.SH/ { sub(/^\.SH /, ""); inside = $0 == name; next } inside' "$1"
}

# The page that describes a call.
page_of()
{
    for page in "$pages"/*.3; do
        if section "$page" NAME | tr -s ', ' '[\n*]' | grep -q -x -e "$1"; then
            echo "$page"
            return
        fi
    done
}

# What is between "enum NAME {" and "}" in the header: names and their values.
enumerators()
{
    awk -v name="$1" '$0 == "typedef enum " name " {" { inside = 1; next }
        /^}/ { inside = 0 }
        inside && /^ *MAPSEG_/ && !/RESERVED/ { sub(/,.*/, ""); print $1, $3 }' "$header"
}

build_example()
{
    # shellcheck disable=SC2086 # flags are words
    "$build/libtool" --silent --mode=link --tag=CC $CC -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror \
        ${SANITIZER_FLAGS-} -I"$source/include" -no-install -o "$work/$1" \
        "$pages/examples/$1.c" "$build/lib/libmapseg.la"
}

# ------------------------------------------------ the same text everywhere --

# Block $2 of a language in README.md.
block_of_readme()
{
    awk -v begin="\`\`\`$1" -v number="$2" '$0 == "```" { inside = 0 } inside
        $0 == begin { inside = ++count == number }' "$source/README.md"
}

check_blocks()
{
    block_of_readme c 1 >"$work/block"
    cmp "$work/block" "$pages/examples/hello.c" || fail "README.md shows another hello.c"

    # The next two are made of lines that are compiled elsewhere.
    { block_of_readme c 2; block_of_readme c 3; } | sed '/^$/d' >"$work/block"
    [ -s "$work/block" ] || fail "README.md does not show how to hand a segment over"
    sed 's/^ *//' "$pages/examples/service.c" "$pages/examples/client.c" >"$work/lines"
    sed 's/^ *//' "$work/block" | while read -r line; do
        grep -q -x -F -e "$line" "$work/lines" || echo "$line"
    done >"$work/unknown"
    [ ! -s "$work/unknown" ] || fail "README.md hands over with: $(cat "$work/unknown")"

    # So are those that show the way from other libraries.
    { block_of_readme cpp 1; block_of_readme cpp 2; block_of_readme c 4; block_of_readme c 5; } |
        sed '/^$/d' >"$work/block"
    [ "$(wc -l <"$work/block")" -gt 20 ] || fail "README.md does not show the way from others"
    sed 's/^ *//' "$pages"/examples/from_* >"$work/lines"
    sed 's/^ *//' "$work/block" | while read -r line; do
        grep -q -x -F -e "$line" "$work/lines" || echo "$line"
    done >"$work/unknown"
    [ ! -s "$work/unknown" ] || fail "README.md comes from others with: $(cat "$work/unknown")"

    # A page names the file that a block shows in the comment before it.
    for page in "$pages"/*.[1357]; do
        for file in $(sed -n 's/^\.\\" \([a-z_]*\.[a-z]*\)$/\1/p' "$page"); do
            awk -v file="$file" '/^\.EE/ { inside = 0 } inside
                $0 == ".\\\" " file { inside = 1 }' "$page" |
                sed "s/^\\\\&//; s/\\\\-/-/g; s/\\\\(aq/'/g; s/\\\\(ga/\`/g; s/\\\\(ha/^/g
                    s/\\\\(ti/~/g; s/\\\\e/\\\\/g" >"$work/block"
            cmp "$work/block" "$pages/examples/$file" || fail "${page##*/} shows another $file"
            echo "$file" >>"$work/shown"
        done
    done
    # README.md shows these.
    echo hello.c >>"$work/shown"
    (cd "$pages/examples" && printf '%s\n' from_*) >>"$work/shown"
    for file in "$pages"/examples/*; do
        grep -q -x -F -e "${file##*/}" "$work/shown" || fail "nothing shows ${file##*/}"
    done
}

# ----------------------------------------------------------- what is said --

# Each call that the headers declare: its header, its name, its prototype without
# attributes.
declarations()
{
    for declaring in mapseg.h mapseg-key.h mapseg-spawn.h; do
        sed '/^#/d' "$include/$declaring" | tr '\n' ' ' | sed 's:/\*:\n&:g; s:\*/:&\n:g' |
            sed '/^\/\*/d' | tr '\n' ' ' | tr ';' '\n' | sed -n 's/.*MAPSEG_API //p' |
            sed 's/MAPSEG_MUST_CHECK//; s/MAPSEG_NONNULL([0-9, ]*)//' |
            sed "s/.*[ *]\(mapseg_[a-z0-9_]*\)(.*/$declaring \1 &/"
    done
}

check_calls()
{
    declarations >"$work/declarations"
    [ "$(wc -l <"$work/declarations")" -ge 50 ] || fail "found too few calls in the headers"
    awk '{ print $2 }' "$work/declarations" >"$work/calls"

    while read -r declaring call prototype; do
        page=$(page_of "$call")
        [ -n "$page" ] || { fail "no page has $call in its NAME section"; continue; }
        prototype=$(echo "$prototype" | tr -d ' ')
        section "$page" SYNOPSIS | sed 's/^\.[A-Z]* //' | tr -d '" \n' | has "$prototype;" ||
            fail "${page##*/} does not have the prototype $prototype"
        section "$page" SYNOPSIS | has "#include <$declaring>" ||
            fail "${page##*/} does not say that $call is in $declaring"
        [ "${page##*/}" = "$call.3" ] && continue
        [ "$(cat "$build/doc/links/$call.3")" = ".so man3/${page##*/}" ] ||
            fail "$call.3 does not lead to ${page##*/}"
    done <"$work/declarations"

    for link in "$build"/doc/links/*.3; do
        call=${link##*/}
        grep -q -x -e "${call%.3}" "$work/calls" || fail "$call is about no call"
    done

    for page in "$pages"/*.3; do
        section "$page" SYNOPSIS | grep -o 'mapseg_[a-z0-9_]*(' | tr -d '(' |
            grep -v -x -F -f "$work/calls" | sed "s/^/${page##*/} has the prototype of /"
    done >"$work/unknown"
    [ ! -s "$work/unknown" ] || fail "what is no call: $(cat "$work/unknown")"
}

# $1: the enum; $2: the page that must have each of its names.
check_names()
{
    enumerators "$1" >"$work/names"
    [ -s "$work/names" ] || fail "found nothing in enum $1"
    while read -r name _; do
        grep -q -w -e "$name" "$pages/$2" || fail "$2 does not have $name"
    done <"$work/names"
}

check_results()
{
    enumerators mapseg_result >"$work/results"
    [ "$(wc -l <"$work/results")" -ge 24 ] || fail "found too few results in mapseg.h"
    while read -r name number; do
        grep -q -x -F -e ".BR $name \" ($number)\"" "$pages/mapseg_error.3" ||
            fail "mapseg_error.3 does not have $name ($number)"
    done <"$work/results"
}

# Every member of a struct has a paragraph in the page.
check_members()
{
    awk -v name="$1" '$0 == "typedef struct " name " {" { inside = 1; next }
        /^}/ { inside = 0 } inside' "$header" | sed -n 's/^ *[a-z][a-z0-9_ ]*[ *]\([a-z_]*\)[[0-9\]*;.*/\1/p' \
        >"$work/members"
    [ -s "$work/members" ] || fail "found no member of struct $1"
    while read -r member; do
        awk '/^\.T[PQ]/ { getline; print }' "$pages/$2" | grep -q -w -e "$member" ||
            fail "$2 does not have $member"
    done <"$work/members"
}

check_format()
{
    format=$source/include/mapseg-format.h
    sed -n 's/^MAPSEG_FORMAT_OFFSET(\([a-z_]*\), \([0-9]*\));/\1 \2/p' "$format" >"$work/fields"
    [ "$(wc -l <"$work/fields")" -eq 23 ] || fail "found other fields than 23 in mapseg-format.h"
    while read -r field offset; do
        awk -F '\t' -v field="$field" -v offset="$offset" \
            '$1 == offset && $3 == field { found = 1 } END { exit !found }' \
            "$pages/mapseg-format.5" || fail "mapseg-format.5 does not have $field at $offset"
    done <"$work/fields"

    awk '/^struct mapseg_message/ { inside = 1 } /^}/ { inside = 0 } inside' "$format" |
        sed -n 's/^ *uint[0-9]*_t \([a-z_]*\)[][0-9]*; *\/[*]*< \([0-9]*\):.*/\1 \2/p' >"$work/fields"
    [ "$(wc -l <"$work/fields")" -eq 9 ] || fail "found other fields than 9 in struct mapseg_message"
    while read -r field offset; do
        sed '1,/^\.SH MESSAGES/d' "$pages/mapseg-format.5" |
            awk -F '\t' -v field="$field" -v offset="$offset" \
                '$1 == offset && $3 == field { found = 1 } END { exit !found }' ||
            fail "mapseg-format.5 does not have $field of a message at $offset"
    done <"$work/fields"
}

# The numbers of the lock that mapseg-lock.7 tells are those of the code.
check_lock_numbers()
{
    while IFS=: read -r name words; do
        value=$(sed -n "s/^#define $name \(INT64_C(\)\{0,1\}\([0-9]*\).*/\2/p" "$source/lib/sync/lock.c")
        [ -n "$value" ] || { fail "found no $name in lock.c"; continue; }
        case $value in
        *000000) value="$((value / 1000000)) ms" ;;
        *000) value="$((value / 1000)) \\(mcs" ;;
        *) value="0.$((value / 100)) \\(mcs" ;;
        esac
        awk -F '\t' -v words="$words" -v value="$value" \
            '$1 == words && $2 == value { found = 1 } END { exit !found }' \
            "$pages/mapseg-lock.7" || fail "mapseg-lock.7 does not have: $words, $value"
    done <<'END'
SPIN_STEP_NS:longest time between two looks
SPIN_NS:time spent spinning before sleeping
FIRST_SLICE_NS:the first slice
SUFFERING_SLICE_NS:the slice that follows the second
LAST_SLICE_NS:the longest slice
PATIENCE_NS:a waiter suffers after
FAIR_PATIENCE_NS:\\&... for a fair lock
FAIR_NS:a releaser of a fair lock waits for
END
}

# Pages that others refer to exist, and so do the files that README.md links, and
# those that HACKING and CONTRIBUTING name with their folders.
check_references()
{
    for page in "$pages"/*.[1357]; do
        sed -n 's/^\.BR \(mapseg[a-z_\\-]*\) (\([1357]\)).*/\1.\2/p' "$page" | tr -d '\\' | sort -u |
            while read -r name; do
                [ -e "$pages/$name" ] || [ -e "$build/doc/links/$name" ] ||
                    echo "${page##*/} refers to $name"
            done
    done >"$work/broken"
    grep -o '](\([A-Za-z][A-Za-z0-9_./-]*\))' "$source/README.md" | tr -d '()]' |
        while read -r file; do
            [ -e "$source/$file" ] || echo "README.md links $file"
        done >>"$work/broken"
    grep -o '[A-Za-z_0-9.]*/[A-Za-z_0-9./-]*\.[a-z][a-z]*' "$source/HACKING" "$source/CONTRIBUTING" |
        sed 's,.*/\(HACKING\|CONTRIBUTING\):,\1 ,' >"$work/named"
    [ "$(wc -l <"$work/named")" -ge 25 ] || fail "found too few files in HACKING and CONTRIBUTING"
    while read -r text file; do
        # A folder of lib/ goes by its name. NAME stands for what is new; logs are made.
        [ -e "$source/$file" ] || [ -e "$source/lib/$file" ] || case $file in
        *NAME* | *.log) ;;
        *) echo "$text names $file" ;;
        esac
    done <"$work/named" >>"$work/broken"
    [ ! -s "$work/broken" ] || fail "what does not exist: $(cat "$work/broken")"
}

check_lint()
{
    if ! command -v mandoc >/dev/null; then
        pass_over "the pages' form: there is no mandoc"
        return
    fi
    for page in "$pages"/*.[1357]; do
        mandoc -T lint -W warning "$page" >"$work/lint" 2>&1 || fail "$(cat "$work/lint")"
    done
}

# ------------------------------------------------------ the examples run --

# Starts hello with its input kept open, as a visitor who stays.
visit()
{
    mkfifo "$work/door$1"
    "$work/hello" "$key-hello" <"$work/door$1" >"$work/visitor$1" &
    children="$children $!"
    eval "visitor$1=$!"
}

# Waits until a visitor has said something; 20 seconds are a hang.
until_said()
{
    for _ in $(seq 400); do
        [ ! -s "$work/visitor$1" ] || return 0
        sleep 0.05
    done
    fail "hello says nothing"
}

check_hello()
{
    build_example hello || { fail "hello.c does not compile"; return; }
    visit 1
    exec 5>"$work/door1"
    until_said 1
    visit 2
    exec 6>"$work/door2"
    until_said 2
    echo >&5
    wait "$visitor1" || fail "the first visitor failed"
    echo >&6
    wait "$visitor2" || fail "the second visitor failed"
    exec 5>&- 6>&-
    children=
    echo 'visitor 1, press Enter to leave' | cmp - "$work/visitor1" || fail "the first visitor is another"
    echo 'visitor 2, press Enter to leave' | cmp - "$work/visitor2" || fail "the second visitor is another"
    [ "$("$work/hello" "$key-hello" </dev/null)" = 'visitor 1, press Enter to leave' ] ||
        fail "the segment outlived its visitors"
    set -- "/dev/shm/mapseg-$key-hello"-*
    [ ! -e "$1" ] || fail "the last visitor left $1"
    check_interrupted_hello
}

# README.md says that who is ended by Ctrl-C leaves the segment for the next visitor.
check_interrupted_hello()
{
    visit 4
    exec 5>"$work/door4"
    until_said 4
    kill "$visitor4"
    wait "$visitor4" 2>/dev/null
    exec 5>&-
    children=
    [ "$("$work/hello" "$key-hello" </dev/null)" = 'visitor 2, press Enter to leave' ] ||
        fail "the visitor after one that was ended is another"
    set -- "/dev/shm/mapseg-$key-hello"-*
    [ ! -e "$1" ] || fail "the visitor after one that was ended left $1"
}

# $1: the example; $2: what it prints; the rest: its arguments.
check_example()
{
    name=$1
    expected=$2
    shift 2
    build_example "$name" || { fail "$name.c does not compile"; return; }
    said=$("$work/$name" "$@") || fail "$name failed"
    [ "$said" = "$expected" ] || fail "$name says: $said"
}

# Those that read a segment: hello makes one and stays.
check_readers()
{
    [ -x "$work/hello" ] || return
    visit 3
    exec 5>"$work/door3"
    until_said 3
    set -- "/dev/shm/mapseg-$key-hello"-*

    build_example list || fail "list.c does not compile"
    "$work/list" >"$work/listed" || fail "list failed"
    has "shm:${1##*/}: $(getconf LONG_BIT | awk '{ print $1 / 8 }') bytes, 1 attached" <"$work/listed" ||
        fail "list does not show the segment: $(cat "$work/listed")"

    if command -v python3 >/dev/null; then
        python3 "$pages/examples/read_segment.py" "$1" >"$work/read" || fail "read_segment.py failed"
        [ "$(od -A n -t dL "$work/read" | tr -d ' ')" = 1 ] || fail "read_segment.py reads something else"
        ! python3 "$pages/examples/read_segment.py" "$header" >"$work/read" 2>&1 ||
            fail "read_segment.py takes any file"
    else
        pass_over "read_segment.py: there is no python3"
    fi

    if command -v xxhsum >/dev/null; then
        sed "s/^key=.*/key=$key-hello/" "$pages/examples/key_to_path.sh" >"$work/key_to_path.sh"
        [ "$(sh "$work/key_to_path.sh")" = "$1" ] || fail "key_to_path.sh does not lead to $1"
    else
        pass_over "key_to_path.sh: there is no xxhsum"
    fi

    echo >&5
    exec 5>&-
    wait "$visitor3" || fail "the third visitor failed"
    children=
}

# The lines of README.md, with a key of this run.
check_command()
{
    if [ -z "${MAPSEG-}" ]; then
        pass_over "the command's lines of README.md: it was not built"
        return
    fi
    awk '/^```/ { inside = $0 == "```sh" } inside && /^mapseg /' "$source/README.md" |
        sed "s/photos/$key-photos/g" >"$work/commands"
    [ "$(wc -l <"$work/commands")" -eq 5 ] || fail "README.md has other lines than five"
    {
        # shellcheck disable=SC2016 # for the script to expand
        echo 'mapseg() { "$MAPSEG" "$@"; }'
        cat "$work/commands"
    } >"$work/commands.sh"
    (cd "$source" && sh -e "$work/commands.sh") >"$work/said" 2>&1 ||
        fail "a command of README.md fails: $(cat "$work/said")"
    has "$key-photos" <"$work/said" || fail "mapseg ls does not show the segment: $(cat "$work/said")"
    set -- "/dev/shm/mapseg-$key-photos"-*
    [ ! -e "$1" ] || fail "mapseg rm left $1"
}

check_blocks
check_calls
check_results
check_names mapseg_flag mapseg_create.3
check_names mapseg_lock_state mapseg_info.3
check_names mapseg_use mapseg_info.3
check_names mapseg_presence_kind mapseg_info.3
check_names mapseg_writers mapseg_info.3
check_names mapseg_access mapseg_create.3
check_names mapseg_key_type mapseg_ipc_key.3
check_members mapseg_options mapseg_create.3
check_members mapseg_info mapseg_info.3
check_format
check_lock_numbers
check_references
check_lint
check_hello
check_example repair '99 + 1' "$key-repair"
journal='8 died, 8 told, then MAPSEG_OK: 80 + 20'
check_example repair_journal "$journal"
section "$pages/mapseg-lock.7" EXAMPLES | grep -q -x -F -e "$journal" ||
    fail "mapseg-lock.7 says that repair_journal prints something else"
check_example fork 2000
check_readers
check_command
exit $status
