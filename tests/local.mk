# tests/local.mk - the tests.
#
# A folder is a subject: a page of the manual, or one of stress/ (what takes long),
# tool/ (the command) and project/ (the whole of it). support/ is what tests share.
#
# To add tests/lock/check_foo.c:  suites += tests/lock/check_foo
# To add tests/tool/foo.sh:       scripts += tests/tool/foo.sh   (executable)
# A suite of internals also: tests_lock_check_foo_LDADD = $(internals_libraries)
# A program that scripts or suites start: check_PROGRAMS += tests/stress/helper

suites =
scripts =

# What takes long: deaths, storms, failures, hostile peers
suites += \
	tests/stress/check_bits \
	tests/stress/check_hostile \
	tests/stress/check_os \
	tests/stress/check_starve \
	tests/stress/check_steps \
	tests/stress/check_storm
tests_stress_check_os_LDADD = $(internals_libraries)
tests_stress_check_steps_LDADD = $(internals_libraries)
tests_stress_check_steps_SOURCES = \
	tests/stress/check_steps.c \
	tests/support/stepper.c \
	tests/support/stepper.h

# mapseg_create(3): create, attach, detach
suites += \
	tests/create/check_bad_input \
	tests/create/check_faults_of_qt \
	tests/create/check_qt
# Segments made by hand need their checksums.
tests_create_check_bad_input_LDADD = $(LDADD) $(XXHASH_LIBS)

# mapseg-fork(7)
suites += \
	tests/fork/check_fork \
	tests/fork/check_handler
tests_fork_check_handler_LDADD = $(internals_libraries)

# mapseg_guard_begin(3)
suites += \
	tests/guard/check_guard \
	tests/guard/check_shrink
tests_guard_check_shrink_LDADD = $(internals_libraries)

# mapseg_info(3): what can be seen of segments
suites += \
	tests/info/check_census \
	tests/info/check_info \
	tests/info/check_printable \
	tests/info/check_proc
tests_info_check_census_LDADD = $(internals_libraries)
tests_info_check_printable_LDADD = $(internals_libraries)
tests_info_check_proc_LDADD = $(internals_libraries)
# Segments made by hand here too.
tests_info_check_info_LDADD = $(LDADD) $(XXHASH_LIBS)

# mapseg_key(3), mapseg_ipc_key(3)
suites += \
	tests/key/check_key

# mapseg_lock(3), mapseg-lock(7)
suites += \
	tests/lock/check_heal \
	tests/lock/check_lock \
	tests/lock/check_lock_rules \
	tests/lock/check_owner
tests_lock_check_heal_LDADD = $(internals_libraries)
tests_lock_check_lock_rules_LDADD = $(internals_libraries)

# mapseg_remove(3): when a name goes, and the way to it
suites += \
	tests/name/check_name \
	tests/name/check_presence \
	tests/name/check_reclaim \
	tests/name/check_remove \
	tests/name/check_swap
tests_name_check_reclaim_LDADD = $(internals_libraries)
tests_name_check_swap_LDADD = $(internals_libraries)

# mapseg_export_fd(3), mapseg_send(3): segments that travel
suites += \
	tests/pass/check_crossing \
	tests/pass/check_pass \
	tests/pass/check_seals
tests_pass_check_crossing_LDADD = $(internals_libraries)
tests_pass_check_pass_LDADD = $(internals_libraries)
tests_pass_check_seals_LDADD = $(internals_libraries)

# Where processes and files lie: namespaces, sandboxes, file systems
suites += \
	tests/place/check_huge \
	tests/place/check_overlay \
	tests/place/check_places \
	tests/place/check_sandbox \
	tests/place/check_verified
tests_place_check_verified_LDADD = $(internals_libraries)

# mapseg(7): what else a process does with descriptors, threads and its end
suites += \
	tests/process/check_cancel \
	tests/process/check_descriptors \
	tests/process/check_exit \
	tests/process/check_standard \
	tests/process/check_unload
tests_process_check_descriptors_LDADD = $(internals_libraries)
tests_process_check_standard_LDADD = $(internals_libraries)
# It opens the library by itself.
tests_process_check_unload_LDADD = -ldl $(THREAD_LIBS)
tests_process_check_unload_LDFLAGS = $(SANITIZER_FLAGS)

# mapseg-security(7)
suites += \
	tests/trust/check_trust \
	tests/trust/check_unmapped
tests_trust_check_trust_LDADD = $(internals_libraries)
tests_trust_check_unmapped_LDADD = $(internals_libraries)

# mapseg_read(3): changes, and waiting for them
suites += \
	tests/version/check_change \
	tests/version/check_sequence \
	tests/version/check_wait
tests_version_check_change_LDADD = $(internals_libraries)
tests_version_check_wait_LDADD = $(internals_libraries)

# The whole project. Programs of every language that mapseg.h is for; what is built,
# installed and documented. doc/local.mk adds to these.
suites += tests/project/compile_c99 tests/project/compile_c11
if HAVE_CXX17
suites += tests/project/compile_cxx
endif
tests_project_compile_c99_CFLAGS = $(AM_CFLAGS) -std=c99
tests_project_compile_c99_LDADD = lib/libmapseg.la
tests_project_compile_c11_CFLAGS = $(AM_CFLAGS) -std=c11
tests_project_compile_c11_LDADD = lib/libmapseg.la
tests_project_compile_cxx_SOURCES = tests/project/compile_cxx.cpp
tests_project_compile_cxx_LDADD = lib/libmapseg.la
scripts += \
	tests/project/floors.sh \
	tests/project/installed.sh \
	tests/project/symbols.sh \
	tests/project/tsan.sh

# The command.
scripts += \
	tests/tool/all.sh \
	tests/tool/alone.sh \
	tests/tool/completion.sh \
	tests/tool/demo.sh \
	tests/tool/exec.sh \
	tests/tool/half_made.sh \
	tests/tool/json.sh \
	tests/tool/lock.sh \
	tests/tool/ls.sh \
	tests/tool/names.sh \
	tests/tool/output.sh \
	tests/tool/progress.sh \
	tests/tool/reclaim.sh \
	tests/tool/show_safety.sh \
	tests/tool/shrink.sh \
	tests/tool/usage.sh \
	tests/tool/user.sh \
	tests/tool/visit.sh
EXTRA_DIST += tests/tool/support.sh

TESTS = $(suites) $(scripts)
check_PROGRAMS += $(suites)
EXTRA_DIST += $(scripts)

LDADD = tests/support/libsupport.a lib/libmapseg.la $(CHECK_LIBS)
internals_libraries = tests/support/libsupport.a lib/libmapseg-core.la $(CHECK_LIBS)

# What several suites use.
check_LIBRARIES += tests/support/libsupport.a
tests_support_libsupport_a_SOURCES = \
	tests/support/assertions.c \
	tests/support/assertions.h \
	tests/support/calls.h \
	tests/support/footprints.c \
	tests/support/footprints.h \
	tests/support/headers.c \
	tests/support/headers.h \
	tests/support/locking.c \
	tests/support/locking.h \
	tests/support/mounts.c \
	tests/support/mounts.h \
	tests/support/payload.h \
	tests/support/peers.c \
	tests/support/peers.h \
	tests/support/places.c \
	tests/support/places.h \
	tests/support/processes.c \
	tests/support/processes.h \
	tests/support/random.h \
	tests/support/record.h \
	tests/support/sandbox.c \
	tests/support/sandbox.h \
	tests/support/segments.c \
	tests/support/segments.h \
	tests/support/skips.c \
	tests/support/skips.h \
	tests/support/suites.c \
	tests/support/suites.h \
	tests/support/support.h \
	tests/support/times.c \
	tests/support/times.h \
	tests/support/versions.c \
	tests/support/versions.h

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
check_PROGRAMS += tests/tool/mapseg
endif
tests_tool_mapseg_SOURCES =
tests_tool_mapseg_LDADD = $(tools_mapseg_OBJECTS) $(tools_mapseg_LDADD)
tests_tool_mapseg_DEPENDENCIES = $(tools_mapseg_OBJECTS) lib/libmapseg.la

if TOOLS
MAPSEG_COMMAND = $(abs_top_builddir)/tests/tool/mapseg
else
MAPSEG_COMMAND =
endif

# The whole library for 32-bit programs, where the compiler makes them.
M32_CFLAGS = $(WARNING_CFLAGS) $(M32_FLAGS)
if HAVE_M32
check_LIBRARIES += tests/stress/libmapseg32.a
endif
tests_stress_libmapseg32_a_SOURCES = $(mapseg_sources)
tests_stress_libmapseg32_a_CFLAGS = $(M32_CFLAGS)

# The other side of check_bits, which is skipped without it.
if HAVE_M32
check_PROGRAMS += tests/stress/peer32
endif
tests_stress_peer32_SOURCES = \
	tests/stress/peer32.c \
	tests/support/payload.h \
	tests/support/record.h
tests_stress_peer32_CFLAGS = $(M32_CFLAGS)
tests_stress_peer32_LDADD = tests/stress/libmapseg32.a
tests_stress_peer32_LDFLAGS =

# The suites once more, with every read of memory that nobody has written an
# error. Leaks are the sanitizers' job: valgrind would also report those of
# processes that a test kills. A suite that starts itself again, or counts its
# mappings, sees valgrind's instead; and nothing can be stepped through there.
valgrind_blind = tests/fork/check_fork tests/stress/check_steps

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
