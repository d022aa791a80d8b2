# tests/bench/local.mk - the benchmarks.
#
#   make bench                            measures, prints, and draws doc/lock-bench.svg
#   make bench BENCH_OPTIONS='--quick'    the same with options, see --help
# SPDX-License-Identifier: MIT

check_PROGRAMS += tests/bench/bench
tests_bench_bench_SOURCES = \
	tests/bench/bench.c \
	tests/bench/calls.c \
	tests/bench/change.c \
	tests/bench/children.c \
	tests/bench/children.h \
	tests/bench/clock.c \
	tests/bench/clock.h \
	tests/bench/contended.c \
	tests/bench/duet.c \
	tests/bench/duet.h \
	tests/bench/help.c \
	tests/bench/interleave.c \
	tests/bench/interleave.h \
	tests/bench/json.c \
	tests/bench/load.c \
	tests/bench/machine.c \
	tests/bench/memory.c \
	tests/bench/memory_bare.c \
	tests/bench/message.c \
	tests/bench/pair.c \
	tests/bench/peer.h \
	tests/bench/peer_glibc.c \
	tests/bench/peer_limit.c \
	tests/bench/peer_mapseg.c \
	tests/bench/peer_ofd.c \
	tests/bench/peer_semaphore.c \
	tests/bench/peer_spin.c \
	tests/bench/peer_sysv.c \
	tests/bench/plot.c \
	tests/bench/read.c \
	tests/bench/reader.h \
	tests/bench/reader_bare.c \
	tests/bench/reader_mapseg.c \
	tests/bench/readme.c \
	tests/bench/report.h \
	tests/bench/segment.c \
	tests/bench/segment.h \
	tests/bench/sleeper.c \
	tests/bench/starve.c \
	tests/bench/statistics.c \
	tests/bench/statistics.h \
	tests/bench/takeover.c \
	tests/bench/text.c \
	tests/bench/wake.c
tests_bench_bench_LDADD = lib/libmapseg.la $(THREAD_LIBS)

# Where a peer is not installed, another file says so in its place.
if HAVE_BOOST
tests_bench_bench_SOURCES += tests/bench/peer_boost.cpp
else
tests_bench_bench_SOURCES += tests/bench/absent_boost.c
endif
if HAVE_QT
tests_bench_bench_SOURCES += tests/bench/peer_qt.cpp
tests_bench_bench_LDADD += $(QT_LIBS)
else
tests_bench_bench_SOURCES += tests/bench/absent_qt.c
endif

# Qt asks for position-independent code.
tests_bench_bench_CXXFLAGS = $(AM_CXXFLAGS) -fPIC
tests_bench_bench_CPPFLAGS = $(AM_CPPFLAGS) $(QT_CFLAGS)

# The C++ compiler links only where a peer is in C++, so that one without it
# can still build the rest.
if HAVE_BOOST
tests_bench_bench_LINK = $(CXXLINK)
else
if HAVE_QT
tests_bench_bench_LINK = $(CXXLINK)
else
tests_bench_bench_LINK = $(LINK)
endif
endif

# With gnuplot, the plot that the manual shows.
BENCH_OPTIONS = $$(command -v gnuplot >/dev/null && echo --svg $(srcdir)/doc/lock-bench.svg)

bench: tests/bench/bench$(EXEEXT)
	$(builddir)/tests/bench/bench$(EXEEXT) $(BENCH_OPTIONS)
