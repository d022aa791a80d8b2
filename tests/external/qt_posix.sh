#!/bin/sh
# qt_posix.sh - mapseg beside a QSharedMemory with a POSIX key, which Qt has since 6.6.
#
# If the installed Qt is older, that of Debian 13 is fetched with all that it needs, its own C
# library too: 32 MB, which become 130 MB, and only once.
# SPDX-License-Identifier: MIT
set -u
. "$abs_top_srcdir/tests/external/peers.sh"
. "$abs_top_srcdir/tests/external/fetch.sh"

qt=$fetched/qt
source=$abs_top_srcdir/tests/foreign/qt_peer.cpp

# Lists of its own, so that the system's are left as they are; nothing counts as installed.
use_lists_of()
{
    lists=$fetched/lists
    rm -rf -- "${lists:?}"
    mkdir -p "$lists/sources" "$lists/state" "$lists/cache" || exit 99
    : >"$lists/status"
    cat >"$lists/sources/$1.sources" <<END
Types: deb
URIs: http://deb.debian.org/debian
Suites: $1
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
    cat >"$lists/apt.conf" <<END
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "$lists/sources";
Dir::State "$lists/state";
Dir::State::Status "$lists/status";
Dir::Cache "$lists/cache";
Acquire::Languages "none";
Acquire::Retries "0";
Acquire::http::Timeout "15";
APT::Sandbox::User "root";
END
    export APT_CONFIG="$lists/apt.conf"
    # That it could not reach a server is a warning to apt-get.
    if ! timeout "$seconds" apt-get -q update >"$lists/log" 2>&1 ||
        grep -q '^[EW]: ' "$lists/log"; then
        cat "$lists/log"
        skip "the lists of Debian's $1 cannot be fetched"
    fi
}

fetch_qt()
{
    need_apt 'Qt 6.6 or newer'
    use_lists_of trixie
    needed=$(apt-get -q -s --no-install-recommends install libqt6core6t64 2>/dev/null |
        sed -n 's/^Inst \([^ ]*\).*/\1/p')
    [ -n "$needed" ] || skip "Debian's trixie has no Qt for this architecture"
    tree=qt
    # The headers alone, without what they would bring along.
    # shellcheck disable=SC2086
    unpack $needed qt6-base-dev
    unset APT_CONFIG
    rm -rf -- "${lists:?}"
}

# Compiled against its headers, and started by its own loader with its own libraries.
build_peer()
{
    core=$(find "$qt/usr/lib" -name libQt6Core.so -print -quit)
    headers=$(find "$qt/usr/include" -type d -name qt6 -print -quit)
    loader=$(find "$qt/usr/lib" "$qt"/usr/lib*/ -name 'ld-linux*.so.*' -print -quit)
    [ -n "$core" ] && [ -n "$headers" ] && [ -n "$loader" ] || skip 'Qt was fetched in part'
    libraries=${core%/*}
    # Its libraries need versions of others that the compiler does not look for here.
    # shellcheck disable=SC2086
    $CXX $CXX17_FLAGS -O2 -fPIC -isystem "$headers" -isystem "$headers/QtCore" \
        -o "$qt/qt_peer" "$source" -L"$libraries" -lQt6Core -Wl,--allow-shlib-undefined ||
        exit 1
}

qt_peer()
{
    missing='Qt 6.6 or newer'
    if pkg-config --atleast-version=6.6 Qt6Core 2>/dev/null &&
        [ -x "$abs_top_builddir/tests/foreign/qt_peer" ]; then
        echo "'$abs_top_builddir/tests/foreign/qt_peer'"
    else
        echo "'$loader' --library-path '$libraries' '$qt/qt_peer'"
    fi
}

if ! pkg-config --atleast-version=6.6 Qt6Core 2>/dev/null; then
    [ -n "${CXX17_FLAGS+set}" ] && [ -n "${CXX-}" ] || skip 'needs a compiler of C++17'
    [ -e "$qt/complete" ] || fetch_qt
    build_peer
fi
run_beside qt_peer plain_peer
