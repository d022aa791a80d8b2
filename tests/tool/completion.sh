#!/bin/sh
# The completion for bash.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
# shellcheck disable=SC2016 # names and inner programs are meant
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

command -v bash >/dev/null || skip "there is no bash"
source=${abs_top_srcdir:-$(dirname "$0")/../..}

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
RESULT=$work/result
COMPLETION=$source/tools/completion/mapseg
export MAPSEG RESULT COMPLETION

# The keys there are, a line each.
keys()
{
    "$tool" ls --raw --noheadings --output KEY | while read -r key; do
        bash -c 'printf "%b\n" "$1"' - "$key"
    done
}

same "commands" "$(offers 'mapseg ')" "create demo exec lock ls read reclaim repair rm show write"
same "commands with re" "$(offers 'mapseg re')" "read reclaim repair"

# Every option that a command knows is offered, and no other.
for command in "" create write read rm reclaim repair lock show ls exec demo; do
    # shellcheck disable=SC2086 # none or one
    known=$("$tool" $command --help | grep -o -e '^ .*--[a-z-]*' | grep -o -e '--[a-z-]*$' |
        sort | tr '\n' ' ' | sed 's/ $//')
    same "options of $command" "$(offers "mapseg ${command:+$command }--")" "$known"
done

k=shm:$name-completion
"$tool" create $k --size 1 >/dev/null
for command in create write read rm reclaim repair lock show; do
    same "keys for $command" "$(offers "mapseg $command $name-compl")" ""
    same "keys for $command" "$(offers "mapseg $command $k")" "${k#shm:}"
done
same "a second key" "$(offers "mapseg rm other $k")" "${k#shm:}"
same "a key behind an option" "$(offers "mapseg lock --timeout 3 $k")" "${k#shm:}"
same "columns" "$(offers "mapseg ls --output S")" "SIZE SLEPT STATE"
same "more columns" "$(offers "mapseg ls --output KEY,S")" "KEY,SIZE KEY,SLEPT KEY,STATE"

# Keys that the shell would take apart, expand or run. What is offered, put in place
# of what was typed, is the key.
i=0
for odd in 'with blank' 'two  blanks' 'a"quote' "an'apostrophe" 'a$HOME' 'a`id`' 'back\slash' 'new%0Aline' \
    'semi;colon & | < > ( ) * ? [a] {a,b} ~ !x =1 @2' 'grüße 世' "\$(touch $work/ran)" '#hash'; do
    i=$((i + 1))
    name_of_key=$name-completion-$i-$odd
    case $odd in
    *%*) native=shm:$name_of_key ;;
    *) native=shm:$(printf %s "$name_of_key" | sed 's/%/%25/g; s/?/%3F/g; s/#/%23/g; s:/:_:g') ;;
    esac
    "$tool" create "$native" --size 1 >/dev/null || fail "create $native"
    for typed in "shm:$name-completion-$i-" "'shm:$name-completion-$i-" "\"shm:$name-completion-$i-"; do
        offered=$(offers "mapseg show $typed")
        case $typed in
        [\'\"]*) line=$(printf '%.1s' "$typed")$offered$(printf '%.1s' "$typed") ;;
        *) line=shm:$offered ;;
        esac
        same "what $typed becomes" "$(bash -c "printf %s $line")" "$native"
        "$tool" show "$(bash -c "printf %s $line")" >/dev/null || fail "there is no $line"
        # And what has been offered is completed again.
        case $typed in
        [\'\"]*) line=$(printf '%.1s' "$typed")$offered ;;
        esac
        [ -n "$(offers "mapseg show $line")" ] || fail "nothing is offered for $line"
        same "a second key behind $line" "$(offers "mapseg rm shm:$offered $k-only")" ""
    done
done
[ -e "$work/ran" ] && fail "completion ran what is in a name"

# The same in a shell with a line to edit, where there is a terminal.
if python=$(python3 -c 'import pty, sys; print(sys.executable)' 2>/dev/null); then
    for typed in "shm:$name-completion-1-" "'shm:$name-completion-4-" "\"shm:$name-completion-5-" \
        "shm:$name-completion-11-" "shm:$name-completion-2-two\\ "; do
        "$python" -c '
import os, pty, signal, sys
signal.alarm(60) # a hang
child, terminal = pty.fork()
if child == 0:
    os.environ.update(PS1="", TERM="dumb", HISTFILE="")
    os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
def until(mark):
    text = b""
    while mark not in text:
        text += os.read(terminal, 65536)
os.write(terminal, b"bind \"set bell-style none\"; mapseg() { if [ \"$1\" = ls ]; then \"$MAPSEG\" \"$@\"; "
         b"else printf %s \"$2\" >\"$RESULT\"; fi; }; . \"$COMPLETION\"; echo re\"\"ady\n")
until(b"ready")
os.write(terminal, b"mapseg show " + os.fsencode(sys.argv[1]) + b"\t\necho do\"\"ne\nexit\n")
until(b"done")
os.waitpid(child, 0)' "$typed" >"$work/python" 2>&1 || fail "no shell on a terminal: $(cat "$work/python")"
        number=${typed#*-completion-}
        same "what $typed becomes on a terminal" "$(cat "$work/result")" \
            "$(keys | grep -F -e "$name-completion-${number%%-*}-")"
        rm -f "$work/result"
    done
else
    echo "not tested: completion on a terminal, since there is no python3 to make one"
fi

: >"$work/file-one"
same "files to write" "$(offers "mapseg write $k $work/file")" "$work/file-one"
same "files for demo" "$(offers "mapseg demo $work/file")" "$work/file-one"
same "files to exec with" "$(offers "mapseg exec --input $work/file")" "$work/file-one"

finish
