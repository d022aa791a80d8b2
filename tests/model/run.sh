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

# Optimising takes longer than a small search.
large='-O1 -DSAFETY'
huge='-O1 -DSAFETY -DCOLLAPSE'

# search MODEL DEFINITIONS [COMPILER-FLAGS [PAN-FLAGS]] - the search's words go
# to $work/log. DEFINITIONS without their -D.
search()
{
    local definition definitions=()
    for definition in $2; do
        definitions+=("-D$definition")
    done
    rm -f -- "$work"/pan* "$work"/*.trail
    # shellcheck disable=SC2086 # flags are to be split into words
    (
        cd -- "$work" || exit 1
        spin -a "${definitions[@]}" "$models/$1.pml" &&
            $CC -w ${3:--O0 -DSAFETY} -DMEMLIM=${memory:-3000} -o pan pan.c &&
            ./pan -m100000 ${4-}
    ) >"$work/log" 2>&1
}

states()
{
    sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$work/log" | head -n 1
}

# say NAME OUTCOME RESULT - one line; OUTCOME "" is as it should be.
say()
{
    runs=$((runs + 1))
    if [ -z "$2" ]; then
        printf '%-48s %10s states  %s\n' "$1" "$(states)" "$3"
        return
    fi
    printf '%-48s %10s states  WRONG: %s\n' "$1" "$(states)" "$2"
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

# sampled NAME MODEL DEFINITIONS - as many states as two minutes give and 512 MiB
# of bits can tell apart.
sampled()
{
    local outcome=
    wanted "$1" || return
    search "$2" "$3" '-O1 -DSAFETY -DBITSTATE' '-w32 -k3 -Q2'
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

# ------------------------------------------------------------ sound models --

order='SCENE=ORDER SUFFERING=1 TIME=NEVER DEATHS=0 ROUNDS=8 FIFO=1 PROMPT=1 LAST_PASS=9'
turns="${order/SCENE=ORDER/SCENE=TURNS}" turns="${turns/ROUNDS=8/ROUNDS=6}"
any='TIME=ANY' last='TIME=LAST' never='TIME=NEVER DEATHS=0'

holds 'lock, three processes, any time' lock "SCENE=STRANGERS $any"
holds 'lock, three processes, any time, fair' lock "SCENE=STRANGERS $any FAIR=1"
holds 'lock, three processes, end' lock "SCENE=STRANGERS $last STRAY_WAKES=1"
holds 'lock, three processes, end, fair' lock "SCENE=STRANGERS $last STRAY_WAKES=1 FAIR=1"
holds 'lock, three processes, no lost wake' lock "SCENE=STRANGERS $never ROUNDS=2"
holds 'lock, three processes, no lost wake, fair' lock "SCENE=STRANGERS $never ROUNDS=2 FAIR=1"
holds 'lock, three processes, order, any time' lock "SCENE=STRANGERS $any SUFFERING=1"
holds 'lock, three processes, order, end' lock "SCENE=STRANGERS $last SUFFERING=1"
holds 'lock, three processes, order, no lost wake' lock "SCENE=STRANGERS $never SUFFERING=1 ROUNDS=2"
holds 'lock, newcomer, any time' lock "SCENE=NEWCOMER $any"
holds 'lock, newcomer, any time, fair' lock "SCENE=NEWCOMER $any FAIR=1"
holds 'lock, newcomer, end' lock "SCENE=NEWCOMER $last STRAY_WAKES=1"
holds 'lock, newcomer, healed by the file, any time' lock "SCENE=NEWCOMER $any HEAL_BY_FILE=1"
holds 'lock, newcomer, healed by the file, end' lock "SCENE=NEWCOMER $last HEAL_BY_FILE=1 STRAY_WAKES=1"
holds 'lock, newcomer, no endless turning' lock "SCENE=NEWCOMER $last DEATHS=2" '-O1 -DNP' -l
holds 'lock, newcomer, no endless turning, fair' lock "SCENE=NEWCOMER $last FAIR=1" '-O1 -DNP' -l
holds 'lock, newcomer, two deaths, end' lock "SCENE=NEWCOMER $last DEATHS=2"
holds 'lock, threads, owner may die, any time' lock "SCENE=THREADS $any VICTIMS=1" "$large"
holds 'lock, threads, no new description, end' lock "SCENE=THREADS $last VICTIMS=1 FALLBACK=2" "$large"
holds 'lock, threads, presence shared, end' lock "SCENE=THREADS $last VICTIMS=1 FALLBACK=1" "$large"
holds 'lock, threads, end' lock "SCENE=THREADS $last" "$large"
holds 'lock, threads, no lost wake' lock "SCENE=THREADS $never"
holds 'lock, threads, no lost wake, fair' lock "SCENE=THREADS $never FAIR=1"
holds 'lock, fork, end' lock "SCENE=FORK $last" "$large"
holds 'lock, fork, no lost wake' lock "SCENE=FORK $never"
holds 'lock, one that suffers is passed once' lock "$order BOUND=1"
holds 'lock, three take turns' lock "$turns BOUND=1" '-O1 -DSAFETY'
holds 'lock, three take turns, fair' lock "${turns/ROUNDS=6/ROUNDS=4} FAIR=1 BOUND=1" '-O1 -DSAFETY'
holds 'lock, stray unlock' lock "SCENE=STRAY $any DEATHS=0"
holds 'version, a reader, deaths' version 'SCENE=READ ROUNDS=1' "$large"
holds 'version, no lost wake' version 'SCENE=WAIT DEATHS=0' "$large"
holds 'version, watchers, no lost wake' version 'SCENE=WATCH DEATHS=0 ROUNDS=1' "$large"
holds 'version, watchers that may die' version 'SCENE=WATCH WRITERS=1 DEATHS=1' "$large"
holds 'version, silent watchers' version 'SCENE=WATCH WRITERS=1 DEATHS=0 SILENT=1' "$large"
holds 'name, three processes' name 'SCENE=PEERS' "$large"
holds 'name, three that replace' name 'SCENE=REPLACERS OPERATIONS=1' "$large"
holds 'name, fork' name 'SCENE=FORK' "$large"
holds 'name, fork beside a remover' name 'SCENE=TEAM OPERATIONS=1' "$large"
holds 'name, fork beside a remover, no death' name 'SCENE=TEAM OPERATIONS=1 DEATHS=0'

if [ "$full" = yes ]; then
    memory=12000
    holds 'lock, three processes, two deaths, any time' lock "SCENE=STRANGERS $any DEATHS=2 ROUNDS=2" "$huge"
    holds 'lock, threads, no new description, any time' lock "SCENE=THREADS $any FALLBACK=2" "$huge"
    holds 'lock, threads, any time' lock "SCENE=THREADS $any" "$huge"
    holds 'lock, fork, any time' lock "SCENE=FORK $any" "$huge"
    holds 'lock, four processes, end' lock "SCENE=CROWD $last" "$huge"
    holds 'version, a reader, two changes each' version 'SCENE=READ DEATHS=1' "$huge"
    holds 'version, watchers, two writers, a death' version 'SCENE=WATCH DEATHS=1 ROUNDS=1' "$huge"
    holds 'name, three that replace, twice' name 'SCENE=REPLACERS' "$huge"
    holds 'name, fork beside a remover, twice' name 'SCENE=TEAM' "$huge"
    sampled 'lock, four processes, two deaths, any time' lock "SCENE=CROWD $any DEATHS=2"
    sampled 'lock, fork, two deaths, any time' lock "SCENE=FORK $any DEATHS=2"
    sampled 'lock, threads, two deaths, fair, any time' lock "SCENE=THREADS $any DEATHS=2 FAIR=1"
    sampled 'name, three processes, two deaths' name 'SCENE=PEERS OPERATIONS=3 DEATHS=2'
fi

# --------------------------------------------------------- broken variants --

# breaks VARIANT MODEL DEFINITIONS WORDS [COMPILER-FLAGS] - one line of the model
# changed.
breaks()
{
    fails "broken: $1" "$2" "$1=1 $3" "$4" "${5-}"
}

exclusion='holder==0' kept_note='note[p]==(me+1)' freed='holder_process==p'
told='told==hurt' winner='assertion violated names_dead' late='knew&&names_dead'
stuck='vain<=1' ended='invalid end state'

breaks TEST_ONLY lock "SCENE=NEWCOMER $any" "$exclusion"
breaks LET_GO_EARLY lock "SCENE=NEWCOMER $any" "$exclusion"
breaks TEST_OWN_SLOT lock "SCENE=THREADS $any FALLBACK=1 DEATHS=0" "$exclusion"
breaks RECOVER_AT_ONCE lock "SCENE=THREADS $any FALLBACK=2 VICTIMS=1" "$exclusion" "$large"
breaks BLIND_UNLOCK lock "SCENE=STRAY $any DEATHS=0" "$freed"
breaks NOTE_CLEARED_LATE lock "SCENE=THREADS $any DEATHS=0" "$kept_note"
breaks REPLACE_BLINDLY lock "SCENE=STRANGERS $any UNCHECKED=EXCLUSION" "$winner"
breaks REPLACE_UNMARKED lock "SCENE=STRANGERS $any" "$told"
breaks HEAL_UNMARKED lock "SCENE=NEWCOMER $any" "$told"
breaks UNLOCK_UNMARKED lock "SCENE=STRANGERS $any" "$told"
breaks NO_HEAL lock "SCENE=NEWCOMER $last" "$stuck"
breaks NO_RECOVERY lock "SCENE=STRANGERS $last" "$stuck"
breaks LATE_WITHOUT_LOOK lock "SCENE=STRANGERS $last" "$late"
breaks CHILD_KEEPS_SLOT lock "SCENE=FORK $last" "$stuck"
breaks CHILD_COPIES_PRESENCE lock "SCENE=FORK $last" "$stuck"
breaks CHILD_HEALS_NOT lock "SCENE=FORK $last" "$stuck"
breaks FORK_DURING_RECOVERY lock "SCENE=FORK $last DEATHS=2 VICTIMS=3" "$stuck" "$large"
breaks NO_SLEEPERS_BIT lock "SCENE=STRANGERS $never" "$ended"
breaks NO_WAKE_ON lock "SCENE=STRANGERS $never ROUNDS=2" "$ended"
breaks SLEEP_UNSEEN lock "SCENE=STRANGERS $never" "$ended"
breaks NEWCOMERS_TAKE lock "$order BOUND=3" 'passed<=3'
breaks NOT_KEPT lock "$order BOUND=3" 'passed<=3'
breaks RELIEVE_AT_ONCE lock "$turns BOUND=5" 'passed<=5' '-O1 -DSAFETY'
breaks CLEARED_UNWOKEN lock "SCENE=STRANGERS $never ROUNDS=2 FAIR=1" "$ended" "$large"
breaks CLEAR_BIT_UNWOKEN lock "SCENE=STRANGERS $never FAIR=1" "$ended"

torn='seen_one==seen_two' other_version='seen_one==first' unhurt='violated hurt'

breaks NO_SECOND_LOOK version 'SCENE=READ DEATHS=0' "$torn" "$large"
breaks TOGGLE version 'SCENE=READ DEATHS=1' "$torn" "$large"
breaks PUBLISH_UNREPAIRED version 'SCENE=READ DEATHS=1' "$torn" "$large"
breaks BEGIN_LATE version 'SCENE=READ DEATHS=0' "$torn" "$large"
breaks CONSISTENT_PUBLISHES version 'SCENE=READ DEATHS=1' "$other_version" "$large"
breaks HIGH_LATE version 'SCENE=READ DEATHS=0' "$other_version" "$large"
breaks RELEASE_FIRST version 'SCENE=READ DEATHS=0' "$unhurt" "$large"
breaks JUDGE_AT_ONCE version 'SCENE=READ DEATHS=0' "$unhurt" "$large"
breaks WAKE_FIRST version 'SCENE=WAIT DEATHS=0' "$ended"
for broken in NO_WRITER_FENCE NO_WAITER_FENCE CLEAR_LATE CLEAR_WHERE_SEEN CLEAR_AFTER_WAKE \
    CLEAR_UNWOKEN LOOK_ONCE; do
    breaks "$broken" version 'SCENE=WATCH WRITERS=1 DEATHS=0' "$ended"
done
breaks SILENT_UNSAID version 'SCENE=WATCH WRITERS=1 DEATHS=0 SILENT=1' "$ended"

bystander='attached[target]==0' other_file='target==at[me]' lost='name==at[me]'
left='(name==0))||excused' copied='holding&' bare='initialized[at[me]]'
other_victim='target==victim[me]' half_made='initialized[at[me]]&&'

breaks CLAIM_AFTER_LINK name 'SCENE=PEERS' "$bystander"
breaks CHILD_CLAIMS_LATE name 'SCENE=FORK OPERATIONS=1' "$bystander"
breaks LEAVE_BY_TEST name 'SCENE=PEERS' "$bystander"
breaks LEAVE_ALWAYS name 'SCENE=PEERS' "$bystander"
breaks LEAVE_WITHOUT_COMPARE name 'SCENE=PEERS' "$other_file"
breaks NO_NAME_BYTE name 'SCENE=PEERS' "$other_file"
breaks RANGE_WITHOUT_NAME_BYTE name 'SCENE=PEERS' "$other_file"
breaks COMPARE_FIRST name 'SCENE=PEERS' "$other_file"
breaks INITIALIZE_AFTER_LINK name 'SCENE=PEERS' "$bare"
breaks NO_NAME_CHECK name 'SCENE=PEERS' "$lost"
breaks CHECK_BEFORE_CLAIM name 'SCENE=PEERS' "$lost"
breaks LEAVE_STILL_PRESENT name 'SCENE=PEERS' "$left"
breaks REPLACE_WITHOUT_NAME_BYTE name 'SCENE=REPLACERS OPERATIONS=1' "$other_victim" "$large"
breaks REPLACE_WITHOUT_COMPARE name 'SCENE=REPLACERS OPERATIONS=1' "$other_victim" "$large"
breaks REPLACE_UNCLAIMED name 'SCENE=REPLACERS OPERATIONS=1' "$half_made" "$large"
breaks FORK_DURING_HOLD name 'SCENE=TEAM OPERATIONS=1' "$left"
fails 'broken: FORK_DURING_HOLD, met by others' name 'FORK_DURING_HOLD=1 SCENE=TEAM OPERATIONS=1 UNCHECKED=LEFT' "$copied"

printf '%d runs, %d wrong\n' "$runs" "$wrong"
[ "$runs" -gt 0 ] && [ "$wrong" -eq 0 ]
