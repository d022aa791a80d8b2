# peers.sh - the programs of others that mapseg is run beside; the scripts here include it.
# SPDX-License-Identifier: MIT
# shellcheck shell=sh

here=$abs_top_srcdir/tests/external
built=$abs_top_builddir/tests/external

# The commands of the peers that are here, one a line, each after why else not.

plain_peer()
{
    missing='shm_open and sem_open'
    [ -x "$built/plain_peer" ] && echo "'$built/plain_peer'"
}

boost_peer()
{
    missing='Boost.Interprocess (libboost-dev), when configure ran'
    [ -x "$built/boost_peer" ] && echo "'$built/boost_peer'"
}

cpython_peer()
{
    missing='CPython with multiprocessing.shared_memory'
    python=$(command -v /usr/bin/python3 || command -v python3) &&
        "$python" -c 'import sys
from multiprocessing import shared_memory
assert sys.implementation.name == "cpython"' 2>/dev/null &&
        echo "'$python' -B '$here/cpython_peer.py'"
}

# The same with the adapter, which puts them on mapseg.

adapter=$abs_top_builddir/tests/preload/.libs/adapter.so

adapted_plain_peer()
{
    plain_peer >/dev/null && echo "env LD_PRELOAD='$adapter' $(plain_peer)"
}

adapted_boost_peer()
{
    boost_peer >/dev/null && echo "env LD_PRELOAD='$adapter' $(boost_peer)"
}

# run_beside PEER... - the suite, beside those that are here; skipped if none is.
run_beside()
{
    PEERS='' all_missing=
    for peer; do
        if command=$("$peer"); then
            PEERS="$PEERS$command
"
        else
            "$peer" >/dev/null
            all_missing="$all_missing $missing;"
            echo "skipped: $missing"
        fi
    done
    [ -n "$PEERS" ] || exit 77
    export PEERS
    exec "$built/check_peers"
}
