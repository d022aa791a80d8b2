#!/bin/sh
# All messages that are in the sources: each says what happened and what to do; only what to
# do names what the program alone can use.
# SPDX-License-Identifier: MIT
set -u

python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null) || {
    echo "skipped: there is no python3"
    exit 77
}
cd "${abs_top_srcdir:-$(dirname "$0")/../..}" || exit 99

exec "$python" - <<'END'
import glob
import re
import sys

failures = 0
seen = 0


def fail(where, what, words):
    global failures
    failures += 1
    print(f"FAIL: {where}: {what}: {words}")


def arguments(source, begin):
    """The text up to the bracket that closes the one before `begin`."""
    depth, at, quoted = 1, begin, False
    while depth:
        c = source[at]
        if quoted and c == "\\":
            at += 1
        elif c == '"':
            quoted = not quoted
        elif not quoted:
            depth += (c == "(") - (c == ")")
        at += 1
    return source[begin:at - 1]


def check(where, words, of_system):
    global seen
    seen += 1
    what, between, cure = words.partition("; ")
    if not between and not of_system:
        fail(where, "it does not say what to do", words)
    if between and not cure:
        fail(where, "what to do is empty", words)
    if "; " in cure:
        fail(where, "where what to do begins is not clear", words)
    if "%" in cure:
        fail(where, "something is inserted into what to do", words)
    if ": " in what:
        fail(where, "reasons within reasons", words)
    if what.startswith("%s"):
        fail(where, "the words are not here", words)
    if re.search(r"MAPSEG_(?!KEY\b)|mapseg_|[a-z]\(\)", what):
        fail(where, "what happened is said for programs alone", words)
    if re.search(r"\b(some|no|any)body\b|\b(some|no|any)one\b|\bwhoever\b", words):
        fail(where, "it does not say who", words)


macros = re.findall(r"#define (MSI_[A-Z_]+_WORDS)((?:.*\\\n)*.*)", open("lib/os/failure.h").read())
for name, macro in macros:
    check("lib/os/failure.h", "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', macro)), False)
for path in sorted(glob.glob("lib/**/*.c", recursive=True)):
    source = open(path).read()
    for call in re.finditer(r"\bmsi_(system_)?failed\(", source):
        given = arguments(source, call.end())
        where = f"{path}:{source.count(chr(10), 0, call.start()) + 1}"
        if "struct msi_failure *failure" in given or any(name in given for name, macro in macros):
            continue
        # The first strings that follow each other are the words.
        words = re.search(r'(?:"(?:[^"\\]|\\.)*"\s*)+', given)
        if not words:
            fail(where, "the words are not here", given)
            continue
        check(where, "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', words[0])), bool(call[1]))
if seen < 100:
    print(f"FAIL: there are {seen} messages")
    failures += 1
sys.exit(failures != 0)
END
