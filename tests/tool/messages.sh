#!/bin/sh
# What every subcommand says when it is refused: one line, the key in quotes, what to do, and
# no word that only programs understand.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
# shellcheck disable=SC2016 # inner shells are meant
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

if [ "${MAPSEG_ALONE-}" != yes ]; then
    rm -rf "$work"
    trap - EXIT
    for how in "" --map-root-user; do
        # shellcheck disable=SC2086 # none or one
        unshare --mount $how mount -t tmpfs -o size=4M tmpfs /dev/shm 2>/dev/null || continue
        # shellcheck disable=SC2086 # the same
        MAPSEG_ALONE=yes exec unshare --mount $how sh -c \
            'mount -t tmpfs -o size=4M tmpfs /dev/shm && exec "$0"' "$0"
    done
    skip "this user cannot have a /dev/shm of its own (unshare and mount)"
fi
unset XDG_RUNTIME_DIR

k=shm:$name-messages
file=/dev/shm/${k#shm:}
printf 0123456789 >"$work/ten"

# ------------------------------------------------------------- what is said --

# What only programs understand: flags, results and calls of the library or of C, and the
# names of its errors. The key and the variables of the environment are not what is said.
private_words='MAPSEG_|mapseg_|[A-Z]+_[A-Z]|[a-z]\(\)|\<(E[A-Z]{3,}|handle|detach|library)\>'

# Whether what $work/err has is as it should be. $1: what was run; $2: the key, as it is in
# quotes ("": none); $3: "cure", if it has to say what to do.
well_said()
{
    line=$(cat "$work/err")
    same "lines of $1" "$(wc -l <"$work/err")" 1
    case $line in
    "mapseg: "* | "mapseg "*": "*) ;;
    *) fail "$1: no name in: $line" ;;
    esac
    [ -z "$2" ] || has "$work/err" "\"$2\""
    # The first quote behind the opening one ends the key.
    said=$(printf '%s' "${line#*: }" | sed 's/"[^"]*"\.*\( (shm:[^)]*)\)*//; s/XDG_RUNTIME_DIR//g')
    printf '%s' "$said" | grep -q -E -e "$private_words" && fail "$1: words for programs: $line"
    printf '%s' "$said" | grep -q -e ': cannot ' && fail "$1: reasons within reasons: $line"
    printf '%s' "$line" | LC_ALL=C grep -q '[[:cntrl:]]' && fail "$1: not printable: $line"
    case $3$line in
    cure*"; "?*) ;;
    cure*) fail "$1: does not say what to do: $line" ;;
    esac
    printf '%s\n' "$line" | sed "s/$name/NAME/g" >>"$work/said"
}

# Runs the tool with $3..., which must fail with status $1 and name the key $2.
refused()
{
    refusal=$1 quoted=$2
    shift 2
    expect "$refusal" "$@"
    well_said "mapseg $*" "$quoted" cure
}

# From here on `expect` and all that uses it run the tool (or $2) by $1, a line of shell.
run_by()
{
    printf '#!/bin/sh\n%s "%s" "$@"\n' "$1" "${2-$own_tool}" >"$work/tool"
    chmod 755 "$work/tool"
    tool=$work/tool
}
own_tool=$tool

# The same for what is not about the segment: a file, an argument.
failed()
{
    refusal=$1
    shift
    expect "$refusal" "$@"
    well_said "mapseg $*" "" ""
}

# Each of $3..., which are subcommands or ways to use one, is refused for the key $1, which is
# $2 in quotes.
all_refused()
{
    this=$1 quoted=$2
    shift 2
    for subcommand; do
        case $subcommand in
        create) refused 1 "$quoted" create "$this" --size 10 ;;
        replace) refused 1 "$quoted" create "$this" --size 10 --reclaim ;;
        write) refused 1 "$quoted" write "$this" "$work/ten" ;;
        make) refused 1 "$quoted" write --create "$this" "$work/ten" ;;
        read) refused 1 "$quoted" read "$this" ;;
        rm) refused 1 "$quoted" rm "$this" ;;
        reclaim) refused 1 "$quoted" reclaim "$this" ;;
        lock) refused 1 "$quoted" lock "$this" -n -- touch "$work/ran" ;;
        show) refused 1 "$quoted" show "$this" ;;
        *) fail "there is no test of $subcommand" ;;
        esac
    done
    [ -e "$work/ran" ] && fail "a command ran without the lock of $this"
}
attaching="write make read lock"
creating="create replace make lock"
all="create replace write make read rm reclaim lock show"

# -------------------------------------------------------------------- keys --

letters()
{
    printf "%$1s" "" | tr ' ' x
}

# Keys that no subcommand takes, as they are shown.
long=$(letters 300)
for key in shm:a/b runtime:a/b shm:. shm:.. file:relative file:/ends/ file:/a/.. memfd:x memfd:-1 \
    shm:a?b=c 'shm:a%00b' shm://host/a; do
    # shellcheck disable=SC2086 # words
    all_refused "$key" "$key" $all
done
# shellcheck disable=SC2086 # words
{
    for key in shm: runtime: file:; do
        all_refused $key $key $all
    done
    for key in raw: posix:; do
        all_refused $key $key $all
    done
    for key in "systemv:$name" "systemv-7:$name" "windows:$name"; do
        all_refused "$key" "$key" $all
    done
    all_refused "shm:$long" "shm:$(letters 196)" $all
    all_refused "file:/$long$long$long$long$long$long$long$long$long$long$long$long$long$long" \
        "file:/$(letters 194)" $all
    all_refused 'shm:a/"b' 'shm:a/\x22b' $all
    all_refused "$(printf 'shm:a/\033[31m')" 'shm:a/\x1B[31m' $all
}
refused 2 memfd: create memfd: --size 10
all_refused memfd: memfd: write make read rm reclaim lock show

# ---------------------------------------------------------- no such segment --

none="write read rm reclaim show"
# shellcheck disable=SC2086 # words
{
    all_refused $k $k $none
    all_refused "file:$work/none" "file:$work/none" $none
    all_refused memfd:77 memfd:77 $none make lock
    all_refused 'shm:a"b' shm:a%22b $none
    all_refused 'shm:a; b (MAPSEG_X): c' 'shm:a; b (MAPSEG_X): c' $none
    all_refused "$(printf 'shm:a\nb')" shm:a%0Ab $none
    # Plain keys.
    all_refused "$name; (MAPSEG_X): \"c\" \\x" "$name; (MAPSEG_X): \\x22c\\x22 \\x5Cx" $none
    all_refused "$(printf '%s\nb' "$name")" "$name\\x0Ab" $none
    grep -q "\"$name.x0Ab\" (shm:mapseg-" "$work/err" || fail "no native key: $(cat "$work/err")"
    all_refused "$long" "$(letters 64)" $none
    # Directories on the way.
    mkdir "$work/sub"
    ln -s circle "$work/circle"
    for way in "$work/none/a" "$work/ten/a" "$work/circle/a"; do
        all_refused "file:$way" "file:$way" $none $creating
    done
    mkdir "$work/a; b"
    all_refused "file:$work/a; b/none/a" "file:$work/a; b/none/a" $none $creating
}
expect 1 read --allow-shared-directory "file:$work/circle/a"
well_said "read of a circle" "file:$work/circle/a" cure
has "$work/err" circle

# ------------------------------------------------------ what is in the way --

# shellcheck disable=SC2086 # words
{
    echo "no segment" >"$file"
    all_refused $k $k $attaching create replace rm reclaim
    : >"$file"
    all_refused $k $k $attaching create replace rm reclaim
    rm "$file"
    mkdir "$file"
    all_refused $k $k $attaching create replace rm reclaim
    rmdir "$file"
    mkfifo "$file"
    all_refused $k $k $attaching create replace rm reclaim
    rm "$file"
    expect_quiet 0 create $k-real --size 10
    ln -s "$file-real" "$file"
    all_refused $k $k $attaching create replace rm reclaim
    rm "$file"
    ln "$file-real" "$file"
    all_refused $k $k $attaching create replace
    rm "$file" "$file-real"
}

# ------------------------------------------------------------ what is there --

# Puts the bytes $2, as printf has them, at offset $1 of the file.
patch()
{
    # shellcheck disable=SC2059 # the format is meant
    printf "$2" | dd of="$file" bs=1 seek="$1" conv=notrunc 2>/dev/null
}

# Makes the header's checksum right again: XXH3 of its first bytes, which a part of the
# demonstration tells of any segment's data.
sign()
{
    head -c 72 "$file" | "$tool" write --create $k-header
    digest=$("$tool" demo-role consume $k-header | sed 's/.*XXH3 //')
    "$tool" rm $k-header
    checksum=
    while [ -n "$digest" ]; do
        rest=${digest#??}
        checksum=$(printf '\\%03o' "0x${digest%"$rest"}")$checksum
        digest=$rest
    done
    patch 72 "$checksum"
}

expect_quiet 0 create $k --size 10
all_refused $k $k create
chmod 666 "$file"
all_refused $k $k replace write make read lock
has "$work/err" --allow-shared-write
expect_quiet 0 write --allow-shared-write $k "$work/ten"
expect 1 create --reclaim $k --size 10
well_said "create --reclaim of what others may write" $k cure
chmod 600 "$file"

hold $k
all_refused $k $k create replace reclaim lock
has "$work/err" "another process"
refused 1 $k lock --timeout 0.1 $k -- true
refused 0 $k lock -E 0 --timeout 0.1 $k -- true
kill_holder
expect 3 write $k /dev/null
well_said "write of a part after a death" $k cure
expect 3 read $k
well_said "read after a death" $k cure
expect 0 lock $k -- true
well_said "lock after a death" $k cure
expect 0 write $k "$work/ten"
well_said "write of all after a death" $k ""

printf 0123456789x >"$work/eleven"
refused 1 $k write $k "$work/eleven"
refused 1 $k read $k --offset 11
refused 1 $k read $k --size 11
expect 1 reclaim $k $k-none
same "lines of one failure of two" "$(wc -l <"$work/err")" 1
expect 1 rm $k $k-none
same "lines of two failures" "$(wc -l <"$work/err")" 2

for left in 4100 100 8; do
    expect_quiet 0 create $k --size 10
    truncate -s $left "$file"
    # shellcheck disable=SC2086 # words
    all_refused $k $k create $attaching
    expect_quiet 0 rm $k
done
expect_quiet 0 create $k --size 10
patch 30 '\377'
# shellcheck disable=SC2086 # words
all_refused $k $k create $attaching
expect_quiet 0 rm $k
expect_quiet 0 create $k --size 10
patch 8 '\2'
# shellcheck disable=SC2086 # words
all_refused $k $k create replace reclaim $attaching
has "$work/err" "upgrade mapseg"
expect_quiet 0 rm $k

if [ "$(printf '\1\0' | od -An -d | tr -d ' ')" = 1 ]; then
    expect_quiet 0 create $k --size 10
    patch 33 '\200'
    sign
    # shellcheck disable=SC2086 # words
    all_refused $k $k create replace reclaim $attaching
    patch 33 '\0\1'
    sign
    all_refused $k $k create write make lock
    has "$work/err" features
    expect_quiet 0 read $k
    expect_quiet 0 rm $k
else
    echo "not tested: flags that are not known, since this machine's numbers begin with the high byte"
fi

for left in 0 4096; do
    expect_quiet 0 create $k --size 20000
    refused 1 $k lock $k -- truncate -s $left "$file"
    rm "$file"
done

# --------------------------------------------------------------- memory files --

# As all_refused, for the subcommands $2..., the key of a segment without a name, whose
# descriptor the shell makes another by $1.
memory_file_refused()
{
    how=$1
    shift
    for subcommand; do
        "$tool" exec --size 10 -- sh -c "$how"'
            case $1 in
            create) set -- create "$MAPSEG_KEY" --size 10 ;;
            write | make) set -- write "$MAPSEG_KEY" "$2" ;;
            lock) set -- lock "$MAPSEG_KEY" -n true ;;
            *) set -- "$1" "$MAPSEG_KEY" ;;
            esac
            "$0" "$@"' "$tool" "$subcommand" "$work/ten" >"$work/out" 2>"$work/err" &&
            fail "$subcommand of a memory file goes"
        well_said "$subcommand of a memory file" "" cure
        grep -q '"memfd:[0-9]*?*[a-z0-9=]*"' "$work/err" || fail "no key: $(cat "$work/err")"
    done
}
memory_file_refused "" create rm reclaim
memory_file_refused 'MAPSEG_KEY=${MAPSEG_KEY%=*}=00000000000000000000000000000000;' write read lock
# Of a descriptor that was opened for reading alone, or is no segment at all.
memory_file_refused 'number=${MAPSEG_KEY#memfd:}; number=${number%%\?*}; exec 9<"/proc/self/fd/$number"
    MAPSEG_KEY=memfd:9;' write lock
has "$work/err" "permission to write"
memory_file_refused 'exec 9</dev/null; MAPSEG_KEY=memfd:9;' write read lock
memory_file_refused 'exec 9</; MAPSEG_KEY=memfd:9;' write read lock
memory_file_refused 'exec 9>/dev/null; MAPSEG_KEY=memfd:9;' write read lock

# -------------------------------------------------------------------- places --

# shellcheck disable=SC2086 # words
{
    runtime="runtime:a runtime:a create write make read rm reclaim lock show"
    all_refused $runtime
    mkdir -m 755 "$work/runtime"
    export XDG_RUNTIME_DIR
    for XDG_RUNTIME_DIR in relative "$work/none" "$work/ten" "$work/runtime"; do
        all_refused $runtime
    done
    mkdir -m 700 "/dev/shm/$name-runtime"
    XDG_RUNTIME_DIR=/dev/shm/$name-runtime
    all_refused runtime:a runtime:a $none
    : >"$XDG_RUNTIME_DIR/mapseg"
    all_refused $runtime
    unset XDG_RUNTIME_DIR

    mkdir "/dev/shm/$name-box"
    box=file:/dev/shm/$name-box/a
    expect_quiet 0 create --allow-shared-directory $box --size 10
    chmod 777 "/dev/shm/$name-box"
    all_refused $box $box create replace write make read rm reclaim lock
    has "$work/err" --allow-shared-directory
    expect_quiet 0 rm --allow-shared-directory $box
}

# ---------------------------------------------------------------------- sizes --

for size in 0 8M 1048576G 8388608G 18446744073709551615; do
    refused 1 $k create $k --size $size
done
for size in 0 1048576G 8388608G; do
    refused 1 memfd: exec --size $size -- true
done
head -c 8388608 /dev/zero >"$work/large"
refused 1 $k write --create $k "$work/large"
refused 1 $k write --create $k /dev/null
# 8 blocks of 512 bytes, and one descriptor besides the standard ones.
run_by 'ulimit -f 8; exec'
refused 1 $k create $k --size 1M
has "$work/err" "ulimit -f"
run_by 'ulimit -n 4; exec'
refused 1 $k create $k --size 10
has "$work/err" "ulimit -n"
tool=$own_tool
expect_quiet 0 create $k --size 10
run_by 'ulimit -n 4; exec'
all_refused $k $k write read lock rm reclaim
tool=$own_tool
expect_quiet 0 rm $k

# ---------------------------------------------------------------------- users --

nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"
# shellcheck disable=SC2086 # words
if [ "$(id -u)" -ne 0 ] || ! chown 65534 "$work/ten" 2>/dev/null; then
    echo "not tested: two users, since only root can be two"
else
    chown 0 "$work/ten"
    expect_quiet 0 create $k --size 10
    chown 65534 "$file"
    all_refused $k $k create replace write make read lock
    has "$work/err" --allow-other-owner
    expect 1 create $k --size 10 --reclaim
    grep -q -e --allow-other-owner "$work/err" && fail "create has no such option: $(cat "$work/err")"
    chown 0 "$file"
    if share_tool $nobody; then
        chmod 644 "$work/ten"
        run_by "exec $nobody" "$other_tool"
        all_refused $k $k create replace write make read rm reclaim lock show
        chmod 644 "$file"
        all_refused $k $k write make rm reclaim lock
        has "$work/err" "permission to write"
        mkdir -m 700 "/dev/shm/$name-closed"
        all_refused "file:/dev/shm/$name-closed/a" "file:/dev/shm/$name-closed/a" $all
        expect 1 read --allow-other-owner "file:/dev/shm/$name-closed/a"
        mkdir -m 755 "/dev/shm/$name-read-only"
        all_refused "file:/dev/shm/$name-read-only/a" "file:/dev/shm/$name-read-only/a" $creating
        tool=$own_tool
    else
        echo "not tested: another user: $why"
    fi
    expect_quiet 0 rm $k
fi

# ------------------------------------------------- what is not about segments --

failed 2 create $k --size x
failed 2 create $k
failed 2 sing
failed 1 write --create $k "$work/none"
failed 1 exec --size 1 --input "$work/none" -- true
failed 1 exec --size 1 --input "$work/ten" -- true
failed 127 exec --size 1 -- "$work/none"
failed 127 lock $k -- "$work/none"
failed 1 demo "$work/none"
failed 1 demo "$work"
expect_quiet 0 create $k --size 10
failed 1 write $k "$work"
failed 1 read $k "$work/none/file"
for command in "read $k" "show $k" ls "reclaim $k"; do
    status=0
    # shellcheck disable=SC2086 # words
    "$tool" $command >/dev/full 2>"$work/err" || status=$?
    same "status of $command to a full disk" $status 1
    well_said "$command to a full disk" "" ""
done

# ----------------------------------------------------------------- verdicts --

# What show says of what no program would attach to.
bad()
{
    expect_quiet 0 show "$1"
    verdict=$(shown "$1" Verdict)
    printf '%s' "$verdict" | grep -q -E -e "$private_words" && fail "words for programs: $verdict"
    case $verdict in
    *": "*"; "?*) ;;
    *) fail "no verdict with what to do on $1: $verdict" ;;
    esac
    "$tool" show --json "$1" | grep '"reason"' | grep -q -E -e "$private_words" &&
        fail "words for programs in the JSON of $1"
}
expect_quiet 0 create $k --size 10
chmod 666 "$file"
bad $k
chmod 600 "$file"
ln "$file" "$file-link"
bad $k
ln -sf "$file" "$file-link"
bad $k-link
truncate -s 4100 "$file"
bad $k
truncate -s 0 "$file"
bad $k

# All of it, to be read by who changes messages.
[ -n "${MAPSEG_SHOW_MESSAGES-}" ] && sort -u "$work/said"
finish
