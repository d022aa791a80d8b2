# tests/external/local.mk - make check-external: mapseg beside programs of others, unmodified.
#
# Each script is one of them, and is skipped with the reason where that is missing. They are not
# of make check: they need what few machines have, and one fetches it.
# SPDX-License-Identifier: MIT

external = \
	tests/external/adapted.sh \
	tests/external/boost.sh \
	tests/external/cpython.sh \
	tests/external/cpython_tests.sh \
	tests/external/plain.sh \
	tests/external/qt_posix.sh \
	tests/external/together.sh
EXTRA_DIST += \
	$(external) \
	tests/external/cpython_peer.py \
	tests/external/cpython_tests.py \
	tests/external/fetch.sh \
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

# The adapter, which only a shared library can be.
if SHARED
check_LTLIBRARIES += tests/preload/adapter.la
endif
tests_preload_adapter_la_SOURCES = tests/preload/adapter.c
tests_preload_adapter_la_LIBADD = lib/libmapseg.la
# libtool makes a shared library of what is not installed only if it is told where it would be.
tests_preload_adapter_la_LDFLAGS = $(SANITIZER_FLAGS) -module -shared -avoid-version \
	-rpath $(abs_top_builddir)/tests/preload

.PHONY: check-external
check-external:
	$(MAKE) check TESTS='$(external)'

clean-local: clean-fetched
clean-fetched:
	rm -rf tests/external/fetched
.PHONY: clean-fetched
