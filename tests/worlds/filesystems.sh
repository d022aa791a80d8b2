#!/bin/bash
# filesystems.sh - what holds on which file system, seen by mounting them all: make
# check-filesystems.
#
#   filesystems.sh [NAME...]      only those file systems, as filesystems.expected names them
#
# Each is mounted in a mount namespace and a PID namespace of its own, which take with them
# whatever is left at the end. tests/worlds/survey looks at it and says one thing a line. The answers
# make a row of a table, which must be the one in filesystems.expected: that is the table of
# mapseg-worlds(7), too (table.sh). Then the suites that matter run there. What the machine
# lacks is skipped, with the reason; with nothing left to do it ends with 77.
# SPDX-License-Identifier: MIT
set -u

source=${abs_top_srcdir:-$(cd "${0%/*}/../.." && pwd)}
build=${abs_top_builddir:-$PWD}
expected=$source/tests/worlds/filesystems.expected
suites='name/check_leave name/check_reclaim lock/check_exclusion lock/check_killed_owner
    create/check_create worlds/check_shared_memory'

if [ "${MAPSEG_FILESYSTEMS-}" != inside ]; then
    if ! unshare --mount --pid --fork --mount-proc true 2>/dev/null; then
        echo 'skipped: mount and PID namespaces, which only root can make'
        exit 77
    fi
    MAPSEG_FILESYSTEMS=inside exec unshare --mount --propagation private --pid --fork \
        --kill-child --mount-proc "$0" "$@"
fi

PATH=$PATH:/sbin:/usr/sbin
work=/dev/shm
at=$work/at
below=$work/below
passed=0 failed=0 skipped=0

# ----------------------------------------------------------------- mounting

# Whether there is a program, and the file system that the kernel needs.
have()
{
    command -v "$1" >/dev/null || { why="there is no $1"; return 1; }
    grep -qw "${2-$1}" /proc/filesystems || { why="this kernel has no ${2-$1}"; return 1; }
}

# disk TYPE SIZE MKFS... - a file system on a loop device, at $1.
disk()
{
    local directory=$1 type=$2 size=$3
    shift 3
    have "$1" "$type" || return
    truncate -s "$size" "$work/image" && "$@" "$work/image" &&
        mount -t "$type" -o loop "$work/image" "$directory" && rm "$work/image"
}

# plain NAME DIRECTORY - one that needs no other below it.
plain()
{
    case $1 in
    tmpfs) mount -t tmpfs -o size=64m,huge=advise none "$2" ;;
    ramfs) mount -t ramfs none "$2" ;;
    ext4) disk "$2" ext4 64M mkfs.ext4 -q -F ;;
    xfs) disk "$2" xfs 320M mkfs.xfs -q -f ;;
    btrfs) disk "$2" btrfs 128M mkfs.btrfs -q -f ;;
    hugetlbfs) mount -t hugetlbfs none "$2" ;;
    *) false ;;
    esac
}

# over COMMAND... - starts a program behind a file system that lies over a tmpfs.
over()
{
    have "$1" fuse && plain tmpfs "$below" && mkdir "$below/one" "$below/two" "$below/three" &&
        "$@" && grep -q " $at " /proc/mounts
}

# Mounts one at $at. $files: where it keeps what is in it, if there is such a place.
mount_it()
{
    files=
    layers="lowerdir=$below/one,upperdir=$below/two,workdir=$below/three"
    case $1 in
    'overlayfs on '*)
        plain "${1##* }" "$below" && mkdir "$below/one" "$below/two" "$below/three" &&
            mount -t overlay -o "$layers" none "$at"
        ;;
    fuse-overlayfs) over fuse-overlayfs -o "$layers" "$at" ;;
    bindfs) over bindfs "$below/one" "$at" ;;
    'bindfs with locks') over bindfs --multithreaded --enable-lock-forwarding "$below/one" "$at" ;;
    mergerfs) over mergerfs -o use_ino,category.create=ff,minfreespace=1M \
        "$below/one:$below/two" "$at" ;;
    unionfs) over unionfs -o cow "$below/one=RW:$below/two=RO" "$at" ;;
    gocryptfs)
        have gocryptfs fuse && echo word >"$work/word" &&
            over gocryptfs -q -init -passfile "$work/word" "$below/one" 2>/dev/null
        gocryptfs -q -passfile "$work/word" "$below/one" "$at"
        ;;
    *) plain "$1" "$at" ;;
    esac >"$work/log" 2>&1 || return
    case $1 in
    bindfs* | mergerfs | unionfs) files=$below/one ;;
    esac
}

unmount()
{
    local directory
    for directory in "$at" "$below"; do
        if grep -q " $directory " /proc/mounts; then
            umount "$directory" || umount --lazy "$directory"
        fi
    done
    rm -f "$work/image" "$work/word"
}

# ------------------------------------------------------------------- looking

# What the survey said of a property.
said()
{
    sed -n "s/^$1 //p" "$work/answers"
}

# The row of the table.
row()
{
    local create presence
    create=$(said create)
    presence=$(said presence)
    case $create in
    yes) ;;
    *) [ -n "$presence" ] && create='attach only' || create=refused ;;
    esac
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$create" "${presence:--}" \
        "$(or_dash lock)" "$(or_dash removal)" "$(or_dash reserve)" "$(or_dash huge)"
}

or_dash()
{
    local answer
    answer=$(said "$1")
    printf '%s' "${answer:--}"
}

# survey NAME
survey()
{
    local found wanted
    # Without quotes: it may be none.
    # shellcheck disable=SC2086
    if ! timeout 300 "$build/tests/worlds/survey" "$at" $files >"$work/answers" 2>"$work/log"; then
        echo "FAIL: $1: the survey ended early"
        cat "$work/log"
        failed=$((failed + 1))
        return
    fi
    sed "s/^/$1: /" "$work/answers"
    found=$(row "$1")
    wanted=$(grep "^$1	" "$expected")
    if [ "$found" = "$wanted" ]; then
        passed=$((passed + 1))
        return
    fi
    echo "FAIL: $1: found, and expected, is:"
    printf '%s\n' "$found" "$wanted"
    cat "$work/log"
    failed=$((failed + 1))
}

# run_suites NAME
run_suites()
{
    local suite status
    for suite in $suites; do
        MAPSEG_TEST_DIRECTORY=$at CK_DEFAULT_TIMEOUT=${CK_DEFAULT_TIMEOUT-600} \
            timeout 1800 "$build/tests/$suite" >"$work/log" 2>&1
        status=$?
        if [ $status -eq 0 ] || { [ $status -eq 77 ] && ! grep -q :F: "$work/log"; }; then
            echo "$1: $suite yes"
            passed=$((passed + 1))
        else
            echo "FAIL: $1: $suite"
            cat "$work/log"
            failed=$((failed + 1))
        fi
    done
}

look_at()
{
    why='it cannot be mounted'
    mkdir -p "$at" "$below"
    if mount_it "$1"; then
        survey "$1"
        # Anew: a disk that was full may take its time to free what filled it.
        unmount
        if [ "$(said create)" = yes ] && mount_it "$1"; then
            run_suites "$1"
        fi
    else
        echo "skipped: $1: $why"
        cat "$work/log"
        skipped=$((skipped + 1))
    fi
    unmount
}

mount -t tmpfs -o size=1g,mode=755 none "$work" || exit 99
cd "$build" || exit 99
umask 022
cut -f 1 "$expected" >"$work/names"
[ $# -eq 0 ] || printf '%s\n' "$@" >"$work/names"
while IFS= read -r name <&3; do
    look_at "$name"
done 3<"$work/names"

# As Automake's summaries have it.
printf '# PASS: %d\n# SKIP: %d\n# FAIL: %d\n' $passed $skipped $failed
[ $failed -eq 0 ] || exit 1
[ $passed -ne 0 ] || exit 77
