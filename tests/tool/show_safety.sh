#!/bin/sh
# show, of what others may have tampered with: the verdict, what to do, and who can write.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

k=shm:$name-safety
file=/dev/shm/$name-safety

# What show says of key $1: the verdict begins with $2 and has $3, the safety has $4.
tells()
{
    expect_quiet 0 show "$1"
    case $(shown "$1" Verdict) in
    "$2"*"$3"*) ;;
    *) fail "verdict on $1: $(shown "$1" Verdict)" ;;
    esac
    case $(shown "$1" Safety) in
    ?*"$4"*) ;;
    *) fail "safety of $1: $(shown "$1" Safety)" ;;
    esac
}

# A cell of its JSON.
cell()
{
    "$tool" show --json "$1" | sed -n "s/^ *\"$2\": *\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p"
}

expect_quiet 0 create $k --size 10
tells $k good "" "shorter"
alone=$(shown $k Safety)
same "can-shrink" "$(cell $k can-shrink)" true
same "writers" "$(cell $k writers)" owner

for mode in 620 602 666; do
    chmod $mode "$file"
    tells $k "untrusted: " --allow-shared-write "0$mode"
    [ "$(shown $k Safety)" != "$alone" ] || fail "mode $mode changes nothing in: $alone"
    same "writers of mode $mode" "$(cell $k writers)" others
done
chmod 644 "$file"
tells $k good "" ""
chmod 600 "$file"

ln "$file" "$file-other"
tells $k "untrusted: " --allow-hard-links ""
rm "$file-other"

ln -s "$file" "$file-link"
tells $k-link "untrusted: " "name the file itself" "symbolic link"
# The mode of a link, 0777, means nothing.
shown $k-link Access | grep -q '^symbolic link, owner' || fail "access of a link: $(shown $k-link Access)"
"$tool" show $k-link | grep -e 777 -e 'may write' && fail "show believes the mode of a link"
same "writers of a link" "$(cell $k-link writers)" unknown
same "mode of a link" "$(cell $k-link mode)" null
rm "$file-link"

mkfifo "$file-fifo"
tells $k-fifo "not a segment: " "another key" ""
echo foreign >"$file-text"
chmod 600 "$file-text"
tells $k-text "not a segment: " "another key" ""

mkdir "$file-box"
chmod 777 "$file-box"
expect 1 create "file:$file-box/segment" --size 10
has "$work/err" --allow-shared-directory
expect_quiet 0 create "file:$file-box/segment" --size 10 --allow-shared-directory
tells "file:$file-box/segment" "untrusted: " --allow-shared-directory ""
chmod 1777 "$file-box"
if [ "$(id -u)" -eq 0 ]; then
    tells "file:$file-box/segment" good "" ""
    chown 65534 "$file"
    tells $k "untrusted: " --allow-other-owner 65534
    chown 0 "$file"
fi
rm -r "$file-box"

expect_quiet 0 rm $k
finish
