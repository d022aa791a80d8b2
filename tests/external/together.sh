#!/bin/sh
# together.sh - mapseg and all the others in one segment at once.
# SPDX-License-Identifier: MIT
set -u
. "$abs_top_srcdir/tests/external/peers.sh"

CK_RUN_CASE=together
export CK_RUN_CASE
run_beside plain_peer boost_peer cpython_peer
