#!/bin/sh
# guided.sh SRCDIR TARGET... - builds the library and fuzz targets with clang's
# libFuzzer, address and undefined behaviour sanitizers, and runs each target:
# FUZZ_RUNS times, or for FUZZ_SECONDS. What it finds lies in fuzz-guided/ of
# the build directory. 77: this clang has no libFuzzer.
# SPDX-License-Identifier: MIT
set -eu

srcdir=$1
shift
place=fuzz-guided
flags='-std=gnu11 -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all'

mkdir -p "$place/objects"
printf 'int LLVMFuzzerTestOneInput(const unsigned char *, unsigned long);
int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { (void)d; (void)n; return 0; }\n' \
    >"$place/probe.c"
# shellcheck disable=SC2086
if ! $FUZZ_CC $flags -fsanitize=fuzzer -o "$place/probe" "$place/probe.c" 2>"$place/probe.log"; then
    echo "fuzz: skipped: $FUZZ_CC cannot link -fsanitize=fuzzer; install clang and libclang-rt-dev" >&2
    exit 77
fi

# compile OBJECT SOURCE [FLAG...] - with coverage, into fuzz-guided/objects.
compile()
{
    object=$place/objects/$1.o
    source=$srcdir/$2
    shift 2
    # The flags are words.
    # shellcheck disable=SC2086
    $FUZZ_CC $flags -fsanitize=fuzzer-no-link $FUZZ_CPPFLAGS "-I$srcdir/lib" "$@" \
        -c -o "$object" "$source"
}

objects=
for source in $FUZZ_SOURCES; do
    case $source in
    *.c)
        # With its folders: two files of different folders may have one name.
        name=$(printf '%s\n' "${source%.c}" | tr / -)
        compile "$name" "$source"
        objects="$objects $place/objects/$name.o"
        ;;
    esac
done
compile fuzz tests/fuzz/fuzz.c
objects="$objects $place/objects/fuzz.o"

build()
{
    compile "fuzz_$1" "tests/fuzz/fuzz_$1.c"
    more=
    case $1 in
    header | guard)
        compile attachment tests/fuzz/attachment.c
        more=$place/objects/attachment.o
        ;;
    tool)
        for source in $FUZZ_TOOLS; do
            name=tool_$(basename "$source" .c)
            case $source in
            *.c)
                compile "$name" "$source" -include "$srcdir/tests/fuzz/tool_exit.h"
                more="$more $place/objects/$name.o"
                ;;
            esac
        done
        ;;
    esac
    # shellcheck disable=SC2086
    $FUZZ_CC $flags -fsanitize=fuzzer -o "$place/$1" "$place/objects/fuzz_$1.o" $more $objects \
        $FUZZ_LIBS
}

limit="-max_total_time=$FUZZ_SECONDS"
[ -z "$FUZZ_RUNS" ] || limit="-runs=$FUZZ_RUNS"
failed=
for target in "$@"; do
    build "$target"
    mkdir -p "$place/corpus-$target"
    "tests/fuzz/fuzz_$target" --seeds "$place/corpus-$target"
    echo "fuzz: $target"
    "$place/$target" "$limit" -max_len=4096 -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 \
        "-artifact_prefix=$place/$target-" "$place/corpus-$target" >"$place/$target.log" 2>&1 ||
        failed="$failed $target"
    grep -E '^#[0-9]+.*(DONE|INITED)|^stat::(number_of_executed|average_exec)' "$place/$target.log" || :
done
for target in $failed; do
    echo "fuzz: $target failed:" >&2
    tail -n 60 "$place/$target.log" >&2
done
[ -z "$failed" ]
