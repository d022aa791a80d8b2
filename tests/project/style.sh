#!/bin/sh
# What every file of the source tree keeps to, and clang-format and clang-tidy do not see: a line
# that names the licence, lines of at most 100 characters, one way to write sizeof, and words that
# say who does something.
# SPDX-License-Identifier: MIT
set -u

source=$abs_top_srcdir
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
status=0
cd "$source" || exit 99

# fail WHAT - if the list has any line.
fail()
{
    [ -s "$work/list" ] || return 0
    echo "FAIL: $1:"
    sed 's/^/  /' "$work/list"
    status=1
}

find include lib tools tests -name '*.[ch]' -o -name '*.[ch]pp' | grep -v '^include' |
    grep '^[a-z]*/' >"$work/code"
find include lib tools tests \( -name '*.[ch]' -o -name '*.[ch]pp' -o -name '*.sh' -o -name '*.pml' \
    -o -name '*.mk' -o -name '*.map' \) -print >"$work/all"
printf '%s\n' doc/local.mk Makefile.am configure.ac bootstrap .ci/run >>"$work/all"
[ "$(wc -l <"$work/all")" -ge 200 ] || { echo 'FAIL: found too few files'; exit 1; }

: >"$work/list"
while IFS= read -r file; do
    head -n 60 "$file" | grep -q 'SPDX-License-Identifier: MIT' || echo "$file"
done <"$work/all" >"$work/list"
fail 'without "SPDX-License-Identifier: MIT" in the comment at the top'

xargs grep -nE '^.{101}' <"$work/code" | cut -c 1-120 >"$work/list"
fail 'longer than 100 characters'

# sizeof takes parentheses for a type alone. In C++ a type of the program's own has no "struct"
# before it, and looks like an object.
grep -v '^tests/cxx/' <"$work/code" | xargs grep -nE 'sizeof ?\([a-z_>.*-]+(\[[^]]*\])*\)' |
    grep -vE 'sizeof\((u?int[0-9]*_t|u?intptr_t|size_t|bool|char|int|long|short|unsigned|float|double|pid_t|sigset_t|time_t|va_list|void \*|mapseg_[a-z_]*|[a-z]+_t)\)' >"$work/list"
fail 'sizeof with parentheses around an expression'

# Who does it is to be said: the owner, the waiter, a reader, the caller. "nobody" may be the user.
find include lib tools tests doc -type f ! -name '*.svg' ! -name style.sh >"$work/text"
printf '%s\n' README.md NEWS HACKING CONTRIBUTING SECURITY.md >>"$work/text"
xargs grep -niwE "somebody('s)?|anybody('s)?|everybody('s)?|whoever|someone('s)?|anyone|everyone" \
    <"$work/text" >"$work/list"
fail 'words that do not say who'
# In tests it may be the user of that name.
grep -rniwE 'nobody' include lib tools doc README.md NEWS HACKING CONTRIBUTING |
    grep -vE '"nobody"|NOBODY|user .?.?.?nobody|(as|become) .?.?.?nobody' >"$work/list"
fail '"nobody" that is not the user of that name'

exit $status
