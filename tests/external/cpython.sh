#!/bin/sh
# cpython.sh - mapseg beside CPython's multiprocessing.shared_memory and semaphores.
# SPDX-License-Identifier: MIT
set -u
. "$abs_top_srcdir/tests/external/peers.sh"

run_beside cpython_peer
