# tests/local.mk - the tests.
#
# To add tests/check_foo.c:  suites += tests/check_foo
# To add tests/foo.sh:       scripts += tests/foo.sh        (executable)
# A suite of internals also: tests_check_foo_LDADD = $(internals_libraries)
# A program that scripts or suites start: check_PROGRAMS += tests/helper

suites =
scripts = tests/floors.sh tests/installed.sh tests/messages.sh tests/symbols.sh tests/tsan.sh

# Suites of several processes.
suites += \
	tests/check_bits \
	tests/check_fork \
	tests/check_lock \
	tests/check_lock_rules \
	tests/check_os \
	tests/check_owner \
	tests/check_places \
	tests/check_presence \
	tests/check_sequence \
	tests/check_starve \
	tests/check_steps \
	tests/check_storm \
	tests/check_wait

# Suites of the public interface.
suites += \
	tests/check_bad_input \
	tests/check_change \
	tests/check_faults_of_qt \
	tests/check_guard \
	tests/check_huge \
	tests/check_info \
	tests/check_key \
	tests/check_printable \
	tests/check_proc \
	tests/check_qt \
	tests/check_remove

# Programs of every language that mapseg.h is for.
suites += tests/compile_c99 tests/compile_c11
if HAVE_CXX17
suites += tests/compile_cxx
endif

suites += tests/check_crossing tests/check_hostile tests/check_shrink tests/check_trust
suites += tests/check_pass tests/check_sandbox tests/check_seals
suites += tests/check_descriptors tests/check_name tests/check_reclaim tests/check_standard
suites += tests/check_swap

# Threads, signals and exit.
suites += tests/check_cancel tests/check_exit tests/check_handler tests/check_unload
suites += tests/check_census tests/check_heal tests/check_overlay
suites += tests/check_unmapped tests/check_verified tests/check_words

TESTS = $(suites) $(scripts)
check_PROGRAMS += $(suites)
EXTRA_DIST += $(scripts)

# The command.
scripts += \
	tests/tool.sh \
	tests/tool_alone.sh \
	tests/tool_completion.sh \
	tests/tool_demo.sh \
	tests/tool_exec.sh \
	tests/tool_half_made.sh \
	tests/tool_json.sh \
	tests/tool_lock.sh \
	tests/tool_ls.sh \
	tests/tool_messages.sh \
	tests/tool_names.sh \
	tests/tool_output.sh \
	tests/tool_progress.sh \
	tests/tool_reclaim.sh \
	tests/tool_shrink.sh \
	tests/tool_show_safety.sh \
	tests/tool_usage.sh \
	tests/tool_user.sh \
	tests/tool_visit.sh
EXTRA_DIST += tests/tool_support.sh

LDADD = tests/libsupport.a lib/libmapseg.la $(CHECK_LIBS)
internals_libraries = tests/libsupport.a lib/libmapseg-core.la $(CHECK_LIBS)
tests_check_census_LDADD = $(internals_libraries)
tests_check_change_LDADD = $(internals_libraries)
tests_check_crossing_LDADD = $(internals_libraries)
tests_check_handler_LDADD = $(internals_libraries)
tests_check_heal_LDADD = $(internals_libraries)
tests_check_lock_rules_LDADD = $(internals_libraries)
tests_check_os_LDADD = $(internals_libraries)
tests_check_pass_LDADD = $(internals_libraries)
tests_check_printable_LDADD = $(internals_libraries)
tests_check_proc_LDADD = $(internals_libraries)
tests_check_reclaim_LDADD = $(internals_libraries)
tests_check_seals_LDADD = $(internals_libraries)
tests_check_shrink_LDADD = $(internals_libraries)
tests_check_descriptors_LDADD = $(internals_libraries)
tests_check_standard_LDADD = $(internals_libraries)
tests_check_steps_LDADD = $(internals_libraries)
tests_check_swap_LDADD = $(internals_libraries)
tests_check_trust_LDADD = $(internals_libraries)
tests_check_wait_LDADD = $(internals_libraries)
tests_check_unmapped_LDADD = $(internals_libraries)
tests_check_verified_LDADD = $(internals_libraries)
tests_check_words_LDADD = $(internals_libraries)
tests_check_steps_SOURCES = tests/check_steps.c tests/stepper.c tests/stepper.h

# It opens the library by itself.
tests_check_unload_LDADD = -ldl $(THREAD_LIBS)
tests_check_unload_LDFLAGS = $(SANITIZER_FLAGS)

# Segments made by hand need their checksums.
tests_check_bad_input_LDADD = $(LDADD) $(XXHASH_LIBS)
tests_check_info_LDADD = $(LDADD) $(XXHASH_LIBS)

tests_compile_c99_CFLAGS = $(AM_CFLAGS) -std=c99
tests_compile_c99_LDADD = lib/libmapseg.la
tests_compile_c11_CFLAGS = $(AM_CFLAGS) -std=c11
tests_compile_c11_LDADD = lib/libmapseg.la
tests_compile_cxx_SOURCES = tests/compile_cxx.cpp
tests_compile_cxx_LDADD = lib/libmapseg.la

# What several suites use.
check_LIBRARIES += tests/libsupport.a
tests_libsupport_a_SOURCES = \
	tests/locking.c \
	tests/locking.h \
	tests/payload.h \
	tests/process.c \
	tests/process.h \
	tests/record.h \
	tests/sandbox.c \
	tests/sandbox.h \
	tests/support.c \
	tests/support.h \
	tests/versions.c \
	tests/versions.h

# A test that hangs is a failure. These limits say no more than that: they are
# far above what a suite takes on a slow machine that has other things to do.
TEST_EXTENSIONS = .sh
LOG_COMPILER = timeout 3600
SH_LOG_COMPILER = timeout 3600

# What tests find in their environment. CXX17_FLAGS, M32_FLAGS, SANITIZER_FLAGS
# and MAPSEG are empty where there is no such compiler, sanitizer or command.
AM_TESTS_ENVIRONMENT = \
	abs_top_srcdir='$(abs_top_srcdir)'; export abs_top_srcdir; \
	abs_top_builddir='$(abs_top_builddir)'; export abs_top_builddir; \
	CC='$(CC)'; export CC; \
	CXX='$(CXX)'; export CXX; \
	NM='$(NM)'; export NM; \
	CXX17_FLAGS='$(CXX17_FLAGS)'; export CXX17_FLAGS; \
	M32_FLAGS='$(M32_FLAGS)'; export M32_FLAGS; \
	SANITIZER_FLAGS='$(SANITIZER_FLAGS)'; export SANITIZER_FLAGS; \
	CK_DEFAULT_TIMEOUT=$${CK_DEFAULT_TIMEOUT-600}; export CK_DEFAULT_TIMEOUT; \
	MAPSEG='$(MAPSEG_COMMAND)'; export MAPSEG;

# The command as tests run it: the same objects, linked like a test, so that it is
# no script of libtool's either, and can be copied to where another user can run it.
if TOOLS
check_PROGRAMS += tests/mapseg
endif
tests_mapseg_SOURCES =
tests_mapseg_LDADD = $(tools_mapseg_OBJECTS) $(tools_mapseg_LDADD)
tests_mapseg_DEPENDENCIES = $(tools_mapseg_OBJECTS) lib/libmapseg.la

if TOOLS
MAPSEG_COMMAND = $(abs_top_builddir)/tests/mapseg
else
MAPSEG_COMMAND =
endif

# The whole library for 32-bit programs, where the compiler makes them.
M32_CFLAGS = $(WARNING_CFLAGS) $(M32_FLAGS)
if HAVE_M32
check_LIBRARIES += tests/libmapseg32.a
endif
tests_libmapseg32_a_SOURCES = $(mapseg_sources)
tests_libmapseg32_a_CFLAGS = $(M32_CFLAGS)

# The other side of check_bits, which is skipped without it.
if HAVE_M32
check_PROGRAMS += tests/peer32
endif
tests_peer32_SOURCES = tests/peer32.c tests/payload.h tests/record.h
tests_peer32_CFLAGS = $(M32_CFLAGS)
tests_peer32_LDADD = tests/libmapseg32.a
tests_peer32_LDFLAGS =

# The suites once more, with every read of memory that nobody has written an
# error. Leaks are the sanitizers' job: valgrind would also report those of
# processes that a test kills. A suite that starts itself again, or counts its
# mappings, sees valgrind's instead; and nothing can be stepped through there.
valgrind_blind = tests/check_fork tests/check_steps

check-valgrind:
	suites=; for suite in $(suites); do \
		case ' $(valgrind_blind) ' in \
		*" $$suite "*) ;; \
		*) suites="$$suites $$suite" ;; \
		esac; \
	done; \
	CK_TIMEOUT_MULTIPLIER=10 $(MAKE) check TESTS="$$suites" \
		LOG_COMPILER='timeout 7200 valgrind -q --error-exitcode=99'

# Without libcheck nearly nothing would be tested; that must not look like
# success.
if !HAVE_CHECK
check-am: no-libcheck
no-libcheck:
	@echo 'make check: the tests need libcheck 0.12 or newer; install it and configure again' >&2
	@exit 1
endif

include tests/bench/local.mk
include tests/fuzz/local.mk
include tests/model/local.mk
