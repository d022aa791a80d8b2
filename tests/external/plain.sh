#!/bin/sh
# plain.sh - mapseg beside programs with shm_open and sem_open alone.
# SPDX-License-Identifier: MIT
set -u
. "$abs_top_srcdir/tests/external/peers.sh"

run_beside plain_peer
