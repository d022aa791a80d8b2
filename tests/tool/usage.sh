#!/bin/sh
# Wrong usage of every subcommand: status 2 and one line. Help and version:
# status 0, on standard output.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

k=shm:$name-usage

expect_usage "COMMAND is missing"
expect_usage "no command 'sing'" sing
expect_usage "sing" --sing
expect_usage "'-s'" -s
expect_usage "'-s'" create --size=1 -s
expect_usage "'--reclaim' takes no argument" create $k --reclaim=1
expect_usage "'-w' requires an argument" lock $k -nw
expect_usage "several that begin so" write $k --allow
expect_usage '--a\xC2\x9B[31m\x0Ab' ls "$(printf -- '--a\302\233[31m\nb')"

for command in create write read rm reclaim lock show ls exec demo; do
    expect_usage "sing" $command --sing
    expect_usage "mapseg $command" $command --help=yes
    expect_quiet 0 $command --help
    has "$work/out" "Usage: mapseg $command"
    expect_quiet 0 $command -h
    expect_quiet 0 $command --version
    same "version of $command" "$(cat "$work/out")" "$("$tool" --version)"
done
expect_quiet 0 --help
for command in create write read rm reclaim lock show ls exec demo; do
    has "$work/out" "  $command "
done
expect_quiet 0 -V
grep -q '^mapseg [0-9][0-9.]*$' "$work/out" || fail "version: $(cat "$work/out")"

# Keys.
for command in create write read rm lock show; do
    expect_usage "KEY is missing" $command
done
expect_usage "KEY is empty" create "" --size 1
expect_usage "KEY is empty" show ""
expect_usage "KEY is empty" rm ""

# Too many arguments.
expect_usage "one argument too many: 'more'" create $k --size 1 more
expect_usage "one argument too many: 'more'" write $k file more
expect_usage "one argument too many: 'more'" read $k file more
expect_usage "one argument too many: 'more'" show $k more
expect_usage "one argument too many: 'more'" ls more
expect_usage "one argument too many: 'more'" demo file more

# Sizes.
expect_usage "--size is missing" create $k
expect_usage "requires an argument" create $k --size
for size in "" x 1X 1KK 1.5K -1 K " 1" "1 "; do
    expect_usage "'$size'" create $k --size "$size"
    expect_usage "'$size'" exec --size "$size" true
    expect_usage "'$size'" read $k --size "$size"
    expect_usage "'$size'" read $k --offset "$size"
done
for size in 18446744073709551616 99999999999999999999K 17179869184G; do
    expect_usage "more than this machine can count" create $k --size $size
done

for mode in "" 8 0 0777 1666 abc 0o600 -600 66666666666666; do
    expect_usage "permission bits" create $k --size 1 --mode "$mode"
done

# lock
expect_usage "COMMAND is missing" lock $k
expect_usage "COMMAND is missing" lock $k --
expect_usage "COMMAND is missing" lock $k -n
for seconds in "" x -1 1,5 . 1.x 1s; do
    expect_usage "'$seconds'" lock $k --timeout "$seconds" true
done
expect_usage "more seconds" lock $k --timeout 99999999999 true
for code in "" x -1 256 1.5; do
    expect_usage "'$code'" lock $k --conflict-exit-code "$code" true
done

# ls
expect_usage "$(echo KEY LABEL TYPE SIZE ATTACHED LOCK STATE MODE OWNER CREATED PATH \
    CONTENDED SLEPT LONGEST-WAIT-NS RECOVERIES)" ls --output KEY,COLOUR
has "$work/err" "'COLOUR'"
expect_usage "no column ''" ls --output ""
expect_usage "no column ''" ls --output KEY,
expect_usage "no column 'KE'" ls --output KE
expect_usage "exclude each other" ls --json --raw

# exec
expect_usage "--size is missing" exec true
expect_usage "COMMAND is missing" exec --size 1
expect_usage "COMMAND is missing" exec --size 1 --

exists $k && fail "wrong usage made a segment"
finish
