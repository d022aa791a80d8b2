# tests/external/local.mk - make check-external: mapseg beside programs of others, unmodified.
#
# Each script is one of them, and is skipped with the reason where that is missing. They are not
# of make check: they need what few machines have, and one fetches it.
# SPDX-License-Identifier: MIT

external = \
	tests/external/boost.sh \
	tests/external/cpython.sh \
	tests/external/plain.sh \
	tests/external/together.sh
EXTRA_DIST += \
	$(external) \
	tests/external/cpython_peer.py \
	tests/external/peers.sh

check_PROGRAMS += \
	tests/external/check_peers \
	tests/external/plain_peer
tests_external_check_peers_SOURCES = \
	tests/external/check_peers.c \
	tests/external/programs.c \
	tests/external/programs.h \
	$(foreign_peers)
# As it is found: nothing of mapseg's or of libcheck's.
tests_external_plain_peer_SOURCES = tests/external/plain_peer.c
tests_external_plain_peer_LDADD =

if HAVE_BOOST
check_PROGRAMS += tests/external/boost_peer
endif
tests_external_boost_peer_SOURCES = tests/external/boost_peer.cpp
tests_external_boost_peer_CXXFLAGS = $(AM_CXXFLAGS) $(CXX17_FLAGS)
tests_external_boost_peer_LDADD =

.PHONY: check-external
check-external:
	$(MAKE) check TESTS='$(external)'
