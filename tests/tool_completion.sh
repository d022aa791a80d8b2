#!/bin/sh
# The completion for bash.
#
# shellcheck source=tests/tool_support.sh
. "${abs_top_srcdir:-$(dirname "$0")/..}/tests/tool_support.sh"

command -v bash >/dev/null || skip "there is no bash"
source=${abs_top_srcdir:-$(dirname "$0")/..}

# What bash offers for a line, sorted.
offers()
{
    bash -c '
        mapseg() { "$MAPSEG" "$@"; }
        compopt() { :; }
        . "$0"
        COMP_LINE=$1 COMP_POINT=${#1}
        _mapseg
        [[ ${#COMPREPLY[@]} -eq 0 ]] || printf "%s\n" "${COMPREPLY[@]}"
    ' "$source/tools/completion/mapseg" "$1" | sort | tr '\n' ' ' | sed 's/ $//'
}
MAPSEG=$tool
export MAPSEG

same "commands" "$(offers 'mapseg ')" "create demo exec lock ls read reclaim rm show write"
same "commands with re" "$(offers 'mapseg re')" "read reclaim"

# Every option that a command knows is offered, and no other.
for command in "" create write read rm reclaim lock show ls exec demo; do
    # shellcheck disable=SC2086 # none or one
    known=$("$tool" $command --help | grep -o -e '^ .*--[a-z-]*' | grep -o -e '--[a-z-]*$' |
        sort | tr '\n' ' ' | sed 's/ $//')
    same "options of $command" "$(offers "mapseg ${command:+$command }--")" "$known"
done

k=shm:$name-completion
"$tool" create $k --size 1 >/dev/null
for command in create write read rm reclaim lock show; do
    same "keys for $command" "$(offers "mapseg $command $name-compl")" ""
    same "keys for $command" "$(offers "mapseg $command $k")" "${k#shm:}"
done
same "a second key" "$(offers "mapseg rm other $k")" "${k#shm:}"
same "a key behind an option" "$(offers "mapseg lock --timeout 3 $k")" "${k#shm:}"
same "columns" "$(offers "mapseg ls --output S")" "SIZE STATE"
same "more columns" "$(offers "mapseg ls --output KEY,S")" "KEY,SIZE KEY,STATE"
: >"$work/file-one"
same "files to write" "$(offers "mapseg write $k $work/file")" "$work/file-one"
same "files for demo" "$(offers "mapseg demo $work/file")" "$work/file-one"
same "files to exec with" "$(offers "mapseg exec --input $work/file")" "$work/file-one"

finish
