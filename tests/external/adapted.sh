#!/bin/sh
# adapted.sh - mapseg beside programs that tests/preload/adapter.c puts on mapseg.
# SPDX-License-Identifier: MIT
set -u
. "$abs_top_srcdir/tests/external/peers.sh"

if [ ! -e "$adapter" ]; then
    echo 'skipped: the shared library, without which there is no adapter'
    exit 77
fi
if [ -n "${SANITIZER_FLAGS-}" ]; then
    echo 'skipped: a sanitizer must come before what is preloaded'
    exit 77
fi
run_beside adapted_plain_peer adapted_boost_peer
