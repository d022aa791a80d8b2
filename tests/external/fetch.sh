# fetch.sh - Debian's packages without installing them; the scripts here include it.
#
# They are kept below tests/external/fetched in the build directory until make clean. Nothing else
# on the machine changes, and no privilege is needed.
# SPDX-License-Identifier: MIT
# shellcheck shell=sh

fetched=$abs_top_builddir/tests/external/fetched
# How long each call of apt-get may take; 0: nothing is fetched.
seconds=${MAPSEG_FETCH_SECONDS:-60}

skip()
{
    echo "skipped: $*"
    exit 77
}

# need_apt WHAT - or that is skipped, which it would fetch.
need_apt()
{
    command -v apt-get >/dev/null || skip "needs $1, and there is no apt-get to fetch it"
    [ "$seconds" != 0 ] || skip "needs $1, and MAPSEG_FETCH_SECONDS forbids to fetch it"
}

# unpack PACKAGE... - downloads packages by APT_CONFIG's lists, or the system's, and unpacks them
# into $fetched/$tree, once.
unpack()
{
    [ ! -e "$fetched/$tree/complete" ] || return 0
    need_apt "$*"
    rm -rf -- "${fetched:?}/$tree"
    mkdir -p -- "$fetched/$tree" && cd -- "$fetched/$tree" || exit 99
    timeout "$seconds" apt-get -q -o APT::Sandbox::User=root download "$@" >log 2>&1 ||
        { cat log; skip "apt-get could not fetch $*"; }
    for archive in *.deb; do
        dpkg-deb -x "$archive" . || exit 99
        rm -- "$archive"
    done
    touch complete
}
