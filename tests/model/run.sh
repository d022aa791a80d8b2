#!/bin/bash
# run.sh [--quick | --full] [PATTERN] - checks the models of this directory
# with spin, or those of its runs whose names match PATTERN.
#
# Sound models must be searched to the end without an error; each broken
# variant must fail, and with the assertion that stands for its property, so
# that the search is known to have teeth. --full adds the large searches: some
# minutes and gigabytes, and some that only sample (bitstate).
# Exit status: 0 all as it should be, 1 not, 77 there is no spin.
# SPDX-License-Identifier: MIT
set -u
export LC_ALL=C

models=$(cd -- "$(dirname -- "$0")" && pwd) || exit 1
full=no
case ${1-} in
--quick) shift ;;
--full) full=yes; shift ;;
-*) printf 'run.sh: %s is no option; give --quick or --full\n' "$1" >&2; exit 2 ;;
esac
pattern=${1-}

for program in spin "${CC:=gcc}"; do
    command -v "${program%% *}" >/dev/null && continue
    printf 'run.sh: there is no %s; skipped\n' "$program"
    exit 77
done

work=$(mktemp -d) || exit 1
trap 'rm -rf -- "$work"' EXIT
runs=0 wrong=0

# search MODEL DEFINITIONS [COMPILER-FLAGS [PAN-FLAGS]] - the search's words go
# to $work/log. DEFINITIONS without their -D.
search()
{
    local definition definitions=()
    for definition in $2; do
        definitions+=("-D$definition")
    done
    rm -f -- "$work"/pan* "$work"/*.trail
    (
        cd -- "$work" || exit 1
        spin -a "${definitions[@]}" "$models/$1.pml" &&
            $CC -O2 -w ${3:--DSAFETY} -DMEMLIM=${memory:-3000} -o pan pan.c &&
            ./pan -m100000 ${4-}
    ) >"$work/log" 2>&1
}

states()
{
    sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$work/log" | head -n 1
}

# say NAME OUTCOME - one line; OUTCOME "" is as it should be.
say()
{
    runs=$((runs + 1))
    printf '%-46s %10s states  %s\n' "$1" "$(states)" "$3"
    [ -z "$2" ] && return
    printf '    WRONG: %s\n' "$2"
    sed 's/^/    | /' "$work/log" | head -n 40
    wrong=$((wrong + 1))
}

wanted()
{
    [[ $1 == *"$pattern"* ]]
}

# holds NAME MODEL DEFINITIONS [COMPILER-FLAGS [PAN-FLAGS]] - all states, no
# error.
holds()
{
    local outcome=
    wanted "$1" || return
    search "$2" "$3" "${4-}" "${5-}"
    if ! grep -q 'errors: 0$' "$work/log"; then
        outcome='an error, or no search at all'
    elif grep -Eq 'search depth too small|[Ss]earch not completed|out of memory|reached -DMEMLIM' \
        "$work/log"; then
        outcome='the search was cut short'
    fi
    say "$1" "$outcome" 'no error'
}

# sampled NAME MODEL DEFINITIONS - as many states as 512 MiB of bits can tell
# apart.
sampled()
{
    local outcome=
    wanted "$1" || return
    search "$2" "$3" '-DSAFETY -DBITSTATE' '-w32 -k3'
    grep -q 'errors: 0$' "$work/log" || outcome='an error, or no search at all'
    say "$1" "$outcome" 'no error, sampled'
}

# fails NAME MODEL DEFINITIONS WORDS [COMPILER-FLAGS [PAN-FLAGS]] - an error
# that says WORDS.
fails()
{
    local outcome=
    wanted "$1" || return
    search "$2" "$3" "${5-}" "${6-}"
    grep -Fq -- "$4" <(grep '^pan:1:' "$work/log") || outcome="no error that says \"$4\""
    say "$1" "$outcome" "caught: $4"
}

# What the errors are called.
exclusion='holder==0'
kept='holder==(me+1)'
freed='holder_process==p'
told='told==hurt'
winner='assertion violated names_dead'
stuck='vain<=1'
ended='invalid end state'
late='!(((knew&&names_dead)'
noted='note[p]!=(me+1)'
