# fetch.sh - Debian's packages without installing them; the scripts here include it.
#
# They are kept below tests/external/fetched in the build directory until make clean. Nothing else
# on the machine changes, and no privilege is needed.
# SPDX-License-Identifier: MIT
# shellcheck shell=sh

fetched=$abs_top_builddir/tests/external/fetched

skip()
{
    echo "skipped: $*"
    exit 77
}

# unpack PACKAGE... - downloads packages by APT_CONFIG's lists, or the system's, and unpacks them
# into $fetched/$tree, once. It ends within two minutes, or is skipped.
unpack()
{
    [ ! -e "$fetched/$tree/complete" ] || return 0
    command -v apt-get >/dev/null || skip "needs apt-get, which could fetch $*"
    rm -rf -- "${fetched:?}/$tree"
    mkdir -p -- "$fetched/$tree" && cd -- "$fetched/$tree" || exit 99
    timeout 120 apt-get -q -o APT::Sandbox::User=root download "$@" >log 2>&1 ||
        { cat log; skip "apt-get could not fetch $*"; }
    for archive in *.deb; do
        dpkg-deb -x "$archive" . || exit 99
        rm -- "$archive"
    done
    touch complete
}
