#!/bin/sh
# boost.sh - mapseg beside programs with Boost's shared_memory_object and named_semaphore.
# SPDX-License-Identifier: MIT
set -u
. "$abs_top_srcdir/tests/external/peers.sh"

run_beside boost_peer
