#!/bin/sh
# The compiler warns where a call's result is not looked at, and of NULL where it must not be; and
# a compiler without attributes takes the headers as they are.
# SPDX-License-Identifier: MIT
set -u

work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
status=0
compiles=0

# compile FLAG... - the program on standard input, to the end: gcc finds some misuse late.
compile()
{
    cat >"$work/program.c"
    # CC may be a command with options.
    # shellcheck disable=SC2086
    $CC -c -o "$work/program.o" -I"$abs_top_srcdir/include" "$@" "$work/program.c" >"$work/log" 2>&1
}

# warned STATEMENT - which is the whole of a function, and a misuse.
warned()
{
    printf '#include "mapseg-spawn.h"\n#include "mapseg-key.h"\nvoid use(mapseg *seg, int *fd);\n' \
        >"$work/top"
    { cat "$work/top"; printf 'void use(mapseg *seg, int *fd) { (void)seg; (void)fd; %s }\n' "$1"; } |
        compile -Wall -Werror && { echo "FAIL: no warning of: $1"; status=1; }
    compiles=$((compiles + 1))
}

# fine STATEMENT - the same, and right.
fine()
{
    { cat "$work/top"; printf 'void use(mapseg *seg, int *fd) { (void)seg; (void)fd; %s }\n' "$1"; } |
        compile -Wall -Werror && return
    echo "FAIL: a warning of: $1"
    cat "$work/log"
    status=1
}

printf 'int main(void) { return 0; }\n' | compile || { cat "$work/log"; exit 99; }
if ! printf '#ifndef __GNUC__\n#error none\n#endif\n' | compile; then
    echo 'skipped: this compiler has no attributes'
    exit 77
fi

for call in 'lock(seg)' 'try_lock(seg)' 'lock_for(seg, 0)' 'write_begin(seg)' \
    'create(seg, 1, MAPSEG_READ_WRITE)' 'attach(seg, MAPSEG_READ_WRITE)' \
    'create_or_attach(seg, 1, MAPSEG_READ_WRITE, NULL)' \
    'create_or_attach_with(seg, 1, MAPSEG_READ_WRITE, NULL, NULL)' \
    'read(seg, 0, fd, 1, NULL)' 'read_begin(seg, (uint64_t *)(void *)fd)' 'read_retry(seg, 0)' \
    'write(seg, 0, fd, 1)' 'wait(seg, MAPSEG_ANY_VERSION, NULL, MAPSEG_TIMEOUT_DEFAULT)' \
    'export_fd(seg, MAPSEG_READ_ONLY, fd)' 'notify_fd(seg, fd)' 'guard_begin(seg)' \
    'guard_end(seg)' 'send(seg, 0, MAPSEG_READ_ONLY)' 'receive(seg, 0, MAPSEG_READ_ONLY)' \
    'set_key(seg, "key")' 'remove(seg)' 'reclaim(seg)' 'new()' 'new_from_environment()' \
    'ipc_key_from_text("shm:x")'; do
    warned "mapseg_$call;"
done
for call in 'lock(NULL)' 'read_begin(seg, NULL)' 'export_fd(seg, MAPSEG_READ_ONLY, NULL)' \
    'notify_fd(seg, NULL)' 'set_key(NULL, "key")'; do
    warned "if (mapseg_$call == MAPSEG_OK) mapseg_unlock(seg);"
done
warned 'mapseg_unlock(NULL);'
for call in 'unlock(seg)' 'write_end(seg)' 'consistent(seg)' 'detach(seg)' 'free(NULL)' \
    'info_free(NULL)' 'list_free(NULL)' 'ipc_key_free(NULL)'; do
    fine "mapseg_$call;"
done
[ "$compiles" -ge 30 ] || { echo "FAIL: only $compiles misuses were tried"; status=1; }

printf '#include "mapseg.h"\n#include "mapseg-key.h"\n#include "mapseg-format.h"\n
    int main(void) { return mapseg_is_attached(NULL); }\n' |
    compile -U__GNUC__ -D'__attribute__(x)=does not take this' -D'__extension__=' -std=c99 || {
    echo 'FAIL: the headers use an attribute where the compiler has none:'
    cat "$work/log"
    status=1
}
exit $status
