# tests/local.mk - the tests.
#
# A folder is a subject: a page of the manual, or one of stress/ (what takes long),
# tool/ (the command) and project/ (the whole of it). support/ is what tests share.
#
# To add tests/lock/check_foo.c:  suites += tests/lock/check_foo
# To add tests/tool/foo.sh:       scripts += tests/tool/foo.sh   (executable)
# A suite of internals also: tests_lock_check_foo_LDADD = $(internals_libraries)
# A program that scripts or suites start: check_PROGRAMS += tests/stress/helper
# SPDX-License-Identifier: MIT

suites =
scripts =

# What takes long: deaths, storms, failures, hostile peers
suites += \
	tests/stress/check_bits \
	tests/stress/check_flood \
	tests/stress/check_holders \
	tests/stress/check_holes \
	tests/stress/check_os \
	tests/stress/check_scribble \
	tests/stress/check_shorten \
	tests/stress/check_starve \
	tests/stress/check_steps \
	tests/stress/check_stopped \
	tests/stress/check_storm \
	tests/stress/check_swap
hostile_sources = \
	tests/stress/hostile.c \
	tests/stress/hostile.h
tests_stress_check_flood_SOURCES = tests/stress/check_flood.c $(hostile_sources)
tests_stress_check_holders_SOURCES = tests/stress/check_holders.c $(hostile_sources)
tests_stress_check_holes_SOURCES = tests/stress/check_holes.c $(hostile_sources)
tests_stress_check_scribble_SOURCES = \
	tests/stress/arena.c \
	tests/stress/arena.h \
	tests/stress/bystanders.c \
	tests/stress/bystanders.h \
	tests/stress/check_scribble.c \
	tests/stress/scribblers.c \
	tests/stress/victims.c \
	$(hostile_sources)
tests_stress_check_stopped_SOURCES = tests/stress/check_stopped.c $(hostile_sources)
tests_stress_check_os_LDADD = $(internals_libraries)
tests_stress_check_os_SOURCES = \
	tests/stress/check_os.c \
	tests/stress/os_faults.c \
	tests/stress/os_faults.h \
	tests/stress/os_operations.c \
	tests/stress/os_operations.h \
	tests/stress/os_system_v.c \
	tests/stress/os_system_v.h
tests_stress_check_swap_LDADD = $(internals_libraries)
tests_stress_check_steps_LDADD = $(internals_libraries)
tests_stress_check_steps_SOURCES = \
	tests/stress/check_steps.c \
	tests/stress/steps.h \
	tests/stress/steps_aftermath.c \
	tests/stress/steps_operations.c \
	tests/stress/steps_scenes.c \
	tests/support/stepper.c \
	tests/support/stepper.h

# mapseg_create(3): create, attach, detach
suites += \
	tests/create/check_create \
	tests/create/check_foreign_file \
	tests/create/check_format \
	tests/create/check_header \
	tests/create/check_initialize \
	tests/create/check_label \
	tests/create/check_options \
	tests/create/check_permission \
	tests/create/check_race \
	tests/create/check_resources
create_refused = tests/create/refused.c tests/create/refused.h
tests_create_check_foreign_file_SOURCES = tests/create/check_foreign_file.c $(create_refused)
tests_create_check_format_SOURCES = tests/create/check_format.c $(create_refused)
tests_create_check_format_LDADD = $(internals_libraries) $(XXHASH_LIBS)
EXTRA_DIST += tests/create/format1.hex
tests_create_check_header_SOURCES = tests/create/check_header.c $(create_refused)
# Segments made by hand need their checksums.
tests_create_check_header_LDADD = $(LDADD) $(XXHASH_LIBS)
tests_create_check_initialize_LDADD = $(internals_libraries)
tests_create_check_label_SOURCES = tests/create/check_label.c $(create_refused)
tests_create_check_options_SOURCES = tests/create/check_options.c $(create_refused)
tests_create_check_permission_SOURCES = tests/create/check_permission.c $(create_refused)
tests_create_check_resources_SOURCES = tests/create/check_resources.c $(create_refused)

# mapseg-cxx(7): the headers for C++
cxx_support = tests/cxx/support.hpp
if HAVE_CXX17
suites += \
	tests/cxx/check_errors \
	tests/cxx/check_owner \
	tests/cxx/check_segment \
	tests/cxx/check_shared_memory
endif
scripts += tests/cxx/headers.sh
EXTRA_DIST += tests/cxx/port.cpp
tests_cxx_check_errors_SOURCES = tests/cxx/check_errors.cpp $(cxx_support)
tests_cxx_check_owner_SOURCES = tests/cxx/check_owner.cpp $(cxx_support)
tests_cxx_check_segment_SOURCES = tests/cxx/check_segment.cpp $(cxx_support)
tests_cxx_check_shared_memory_SOURCES = tests/cxx/check_shared_memory.cpp $(cxx_support)

# mapseg_error(3)
suites += \
	tests/error/check_result \
	tests/error/check_words
tests_error_check_words_LDADD = $(internals_libraries)

# mapseg-foreign(7): System V segments, and programs that do what Qt does
suites += \
	tests/foreign/check_qt \
	tests/foreign/check_system_v \
	tests/foreign/check_system_v_lock \
	tests/foreign/check_system_v_worlds
foreign_system_v = \
	tests/foreign/little_qt.c \
	tests/foreign/little_qt.h \
	tests/foreign/system_v_scene.c \
	tests/foreign/system_v_scene.h
tests_foreign_check_qt_SOURCES = tests/foreign/check_qt.c $(foreign_system_v)
if HAVE_QT
check_PROGRAMS += tests/foreign/qt_peer
tests_foreign_qt_peer_SOURCES = tests/foreign/qt_peer.cpp
# Qt asks for position-independent code.
tests_foreign_qt_peer_CXXFLAGS = $(AM_CXXFLAGS) -fPIC
tests_foreign_qt_peer_CPPFLAGS = $(QT_CFLAGS)
tests_foreign_qt_peer_LDADD = $(QT_LIBS)
endif
tests_foreign_check_system_v_SOURCES = tests/foreign/check_system_v.c $(foreign_system_v)
tests_foreign_check_system_v_lock_SOURCES = \
	tests/foreign/check_system_v_lock.c \
	$(foreign_system_v)
tests_foreign_check_system_v_worlds_SOURCES = \
	tests/foreign/check_system_v_worlds.c \
	$(foreign_system_v)
tests_foreign_check_system_v_worlds_LDADD = $(internals_libraries)
tests_foreign_check_system_v_lock_LDADD = $(LDADD) $(THREAD_LIBS)

# mapseg-foreign(7): segments that mapseg did not invent
suites += \
	tests/foreign/check_posix \
	tests/foreign/check_posix_lock \
	tests/foreign/check_raw \
	tests/foreign/check_semaphore
foreign_peers = tests/foreign/posix_peers.c tests/foreign/posix_peers.h
tests_foreign_check_posix_SOURCES = tests/foreign/check_posix.c $(foreign_peers)
tests_foreign_check_posix_lock_SOURCES = tests/foreign/check_posix_lock.c $(foreign_peers)
tests_foreign_check_semaphore_SOURCES = tests/foreign/check_semaphore.c $(foreign_peers)

# mapseg-fork(7)
suites += \
	tests/fork/check_fork \
	tests/fork/check_handler \
	tests/fork/check_leaks \
	tests/fork/check_locked \
	tests/fork/check_threads
children_sources = tests/fork/children.c tests/fork/children.h
tests_fork_check_fork_SOURCES = tests/fork/check_fork.c $(children_sources)
tests_fork_check_leaks_SOURCES = tests/fork/check_leaks.c $(children_sources)
tests_fork_check_locked_SOURCES = tests/fork/check_locked.c $(children_sources)
tests_fork_check_threads_SOURCES = tests/fork/check_threads.c $(children_sources)
tests_fork_check_handler_LDADD = $(internals_libraries)

# mapseg_guard_begin(3)
suites += \
	tests/guard/check_guard \
	tests/guard/check_handlers \
	tests/guard/check_section \
	tests/guard/check_shrink \
	tests/guard/check_threads
guard_sources = \
	tests/guard/handlers.c \
	tests/guard/handlers.h \
	tests/guard/scene.c \
	tests/guard/scene.h
tests_guard_check_guard_SOURCES = tests/guard/check_guard.c $(guard_sources)
tests_guard_check_handlers_SOURCES = tests/guard/check_handlers.c $(guard_sources)
tests_guard_check_threads_SOURCES = tests/guard/check_threads.c $(guard_sources)
tests_guard_check_shrink_LDADD = $(internals_libraries)

# mapseg_info(3): what can be seen of segments
suites += \
	tests/info/check_census \
	tests/info/check_digest \
	tests/info/check_info \
	tests/info/check_list \
	tests/info/check_printable \
	tests/info/check_proc
tests_info_check_census_LDADD = $(internals_libraries)
# It compares with the digests of the library that mapseg is built with.
tests_info_check_digest_LDADD = $(LDADD) $(XXHASH_LIBS)
tests_info_check_printable_LDADD = $(internals_libraries)
tests_info_check_proc_LDADD = $(internals_libraries)

# mapseg_key(3), mapseg_ipc_key(3)
suites += \
	tests/key/check_key \
	tests/key/check_key_place \
	tests/key/check_key_text \
	tests/key/check_plain_key \
	tests/key/check_qt_key \
	tests/key/check_sha1
tests_key_check_sha1_LDADD = $(internals_libraries)

# mapseg_lock(3), mapseg-lock(7)
suites += \
	tests/lock/check_contention \
	tests/lock/check_endings \
	tests/lock/check_exclusion \
	tests/lock/check_heal \
	tests/lock/check_killed_owner \
	tests/lock/check_lock \
	tests/lock/check_lock_rules \
	tests/lock/check_order \
	tests/lock/check_owner \
	tests/lock/check_places \
	tests/lock/check_unlock \
	tests/lock/check_waiting \
	tests/lock/check_word
homes_sources = tests/lock/homes.c tests/lock/homes.h
tests_lock_check_endings_SOURCES = tests/lock/check_endings.c $(homes_sources)
tests_lock_check_places_SOURCES = tests/lock/check_places.c $(homes_sources)
tests_lock_check_heal_LDADD = $(internals_libraries)
tests_lock_check_lock_rules_LDADD = $(internals_libraries)
tests_lock_check_order_LDADD = $(internals_libraries)

# mapseg_remove(3): when a name goes, and the way to it
suites += \
	tests/name/check_leave \
	tests/name/check_name \
	tests/name/check_name_race \
	tests/name/check_presence \
	tests/name/check_reclaim \
	tests/name/check_remove \
	tests/name/check_stopped_remover
name_called = tests/name/called.c tests/name/called.h
tests_name_check_leave_SOURCES = tests/name/check_leave.c $(name_called)
tests_name_check_reclaim_LDADD = $(internals_libraries)
tests_name_check_remove_SOURCES = tests/name/check_remove.c $(name_called)

# mapseg_export_fd(3), mapseg_send(3): segments that travel
suites += \
	tests/pass/check_attack \
	tests/pass/check_descriptor_key \
	tests/pass/check_export \
	tests/pass/check_grants \
	tests/pass/check_message \
	tests/pass/check_peer \
	tests/pass/check_pieces \
	tests/pass/check_seals \
	tests/pass/check_send \
	tests/pass/check_socket \
	tests/pass/check_spawn \
	tests/pass/check_take
tests_pass_check_export_LDADD = $(internals_libraries)
tests_pass_check_peer_LDADD = $(internals_libraries)
tests_pass_check_pieces_LDADD = $(internals_libraries)
tests_pass_check_seals_LDADD = $(internals_libraries)
tests_pass_check_send_LDADD = $(internals_libraries)
tests_pass_check_attack_SOURCES = tests/pass/check_attack.c $(pass_attacks) $(pass_sealed)
tests_pass_check_export_SOURCES = tests/pass/check_export.c $(pass_segments) $(pass_strangers)
tests_pass_check_message_SOURCES = tests/pass/check_message.c $(pass_letters) $(pass_strangers)
tests_pass_check_peer_SOURCES = tests/pass/check_peer.c $(pass_sealed)
tests_pass_check_pieces_SOURCES = tests/pass/check_pieces.c $(pass_letters)
tests_pass_check_seals_SOURCES = tests/pass/check_seals.c $(pass_sealed)
tests_pass_check_send_SOURCES = tests/pass/check_send.c $(pass_letters)
tests_pass_check_socket_SOURCES = tests/pass/check_socket.c $(pass_letters) $(pass_strangers)
tests_pass_check_spawn_SOURCES = tests/pass/check_spawn.c $(pass_segments) $(pass_sockets)
pass_attacks = tests/pass/attacks.c tests/pass/attacks.h
pass_sealed = tests/pass/sealed.c tests/pass/sealed.h
pass_segments = tests/pass/segments.c tests/pass/segments.h
pass_sockets = tests/pass/sockets.c tests/pass/sockets.h
pass_letters = tests/pass/letters.c tests/pass/letters.h $(pass_segments) $(pass_sockets)
pass_strangers = tests/pass/strangers.c tests/pass/strangers.h

# Where processes and files lie: sandboxes, machines without /proc, file systems
suites += \
	tests/place/check_huge \
	tests/place/check_overlay \
	tests/place/check_procless \
	tests/place/check_sandbox \
	tests/place/check_verified
tests_place_check_procless_SOURCES = \
	tests/place/check_procless.c \
	tests/place/memory.c \
	tests/place/memory.h
tests_place_check_sandbox_SOURCES = \
	tests/place/check_sandbox.c \
	tests/place/memory.c \
	tests/place/memory.h
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
	tests/trust/check_flags \
	tests/trust/check_safety \
	tests/trust/check_swapped \
	tests/trust/check_trust \
	tests/trust/check_unmapped
plants_sources = tests/trust/plants.c tests/trust/plants.h
witness_sources = tests/trust/witness.c tests/trust/witness.h
tests_trust_check_flags_SOURCES = tests/trust/check_flags.c $(plants_sources) $(witness_sources)
tests_trust_check_safety_SOURCES = tests/trust/check_safety.c $(plants_sources)
tests_trust_check_swapped_SOURCES = tests/trust/check_swapped.c $(plants_sources)
tests_trust_check_swapped_LDADD = $(internals_libraries)
tests_trust_check_trust_SOURCES = tests/trust/check_trust.c $(plants_sources) $(witness_sources)
tests_trust_check_unmapped_LDADD = $(internals_libraries)

# mapseg_read(3): changes, and waiting for them
suites += \
	tests/version/check_dead_writer \
	tests/version/check_lazy \
	tests/version/check_notify \
	tests/version/check_notify_life \
	tests/version/check_reach \
	tests/version/check_read \
	tests/version/check_shrunk \
	tests/version/check_versions \
	tests/version/check_wait \
	tests/version/check_watchers \
	tests/version/check_write
tests_version_check_notify_LDADD = $(internals_libraries)
tests_version_check_read_LDADD = $(internals_libraries)
tests_version_check_wait_LDADD = $(internals_libraries)
tests_version_check_watchers_LDADD = $(internals_libraries)
tests_version_check_dead_writer_SOURCES = tests/version/check_dead_writer.c $(version_seen)
tests_version_check_notify_SOURCES = tests/version/check_notify.c $(version_scene)
tests_version_check_notify_life_SOURCES = tests/version/check_notify_life.c $(version_scene)
tests_version_check_reach_LDADD = $(internals_libraries)
tests_version_check_read_SOURCES = tests/version/check_read.c $(version_seen)
tests_version_check_shrunk_SOURCES = tests/version/check_shrunk.c $(version_seen)
tests_version_check_versions_SOURCES = tests/version/check_versions.c $(version_seen)
tests_version_check_watchers_SOURCES = tests/version/check_watchers.c $(version_seen)
tests_version_check_write_SOURCES = tests/version/check_write.c $(version_seen)
version_scene = tests/version/scene.c tests/version/scene.h
# The order of memory accesses, searched through; see tests/model/weak.h
suites += tests/model/check_litmus tests/model/check_order
tests_model_check_litmus_LDADD =
tests_model_check_litmus_SOURCES = \
	tests/model/check_litmus.c \
	tests/model/weak.c \
	tests/model/weak.h
tests_model_check_order_LDADD = $(internals_libraries)
tests_model_check_order_SOURCES = \
	tests/model/check_order.c \
	tests/model/weak.c \
	tests/model/weak.h \
	tests/model/weak_macros.h
version_seen = tests/version/seen.c tests/version/seen.h

# Where programs run: users, groups, limits, control groups, file systems, sandboxes, old
# kernels, names that vanish
suites += \
	tests/worlds/check_appear \
	tests/worlds/check_clock \
	tests/worlds/check_control_groups \
	tests/worlds/check_dumps \
	tests/worlds/check_errors \
	tests/worlds/check_fallbacks \
	tests/worlds/check_full_disk \
	tests/worlds/check_groups \
	tests/worlds/check_left \
	tests/worlds/check_locked_memory \
	tests/worlds/check_namespaces \
	tests/worlds/check_replace \
	tests/worlds/check_shared_memory \
	tests/worlds/check_two_names \
	tests/worlds/check_vanish \
	tests/worlds/check_writers
tests_worlds_check_clock_LDADD = $(internals_libraries)
tests_worlds_check_errors_LDADD = $(internals_libraries)
tests_worlds_check_errors_SOURCES = \
	tests/stress/os_faults.c \
	tests/stress/os_faults.h \
	tests/worlds/check_errors.c
tests_worlds_check_groups_SOURCES = tests/worlds/check_groups.c $(worlds_members)
tests_worlds_check_left_SOURCES = tests/worlds/check_left.c $(worlds_members)
tests_worlds_check_two_names_LDADD = $(internals_libraries)
check_PROGRAMS += tests/worlds/survey
worlds_members = tests/worlds/members.c tests/worlds/members.h
scripts += \
	tests/worlds/groups.sh \
	tests/worlds/namespaces.sh \
	tests/worlds/table.sh \
	tests/worlds/vanished.sh
EXTRA_DIST += \
	tests/worlds/filesystems.expected \
	tests/worlds/filesystems.sh
worlds_actors = tests/worlds/actors.c tests/worlds/actors.h
tests_worlds_check_appear_SOURCES = tests/worlds/check_appear.c $(worlds_actors)
tests_worlds_check_replace_SOURCES = tests/worlds/check_replace.c $(worlds_actors)
tests_worlds_check_replace_LDADD = $(internals_libraries)
tests_worlds_check_vanish_SOURCES = tests/worlds/check_vanish.c $(worlds_actors)
tests_worlds_check_writers_SOURCES = tests/worlds/check_writers.c $(worlds_actors)

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
	tests/project/bench.sh \
	tests/project/floors.sh \
	tests/project/installed.sh \
	tests/project/messages.sh \
	tests/project/misuse.sh \
	tests/project/probes.sh \
	tests/project/style.sh \
	tests/project/symbols.sh \
	tests/project/tsan.sh

# The command.
scripts += \
	tests/tool/all.sh \
	tests/tool/alone.sh \
	tests/tool/completion.sh \
	tests/tool/demo.sh \
	tests/tool/exec.sh \
	tests/tool/foreign.sh \
	tests/tool/half_made.sh \
	tests/tool/json.sh \
	tests/tool/lock.sh \
	tests/tool/ls.sh \
	tests/tool/messages.sh \
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
valgrind_blind = tests/fork/check_leaks tests/stress/check_steps

# What holds on which file system: some minutes, as root.
.PHONY: check-filesystems
check-filesystems:
	$(MAKE) check TESTS=
	$(AM_TESTS_ENVIRONMENT) $(srcdir)/tests/worlds/filesystems.sh || test $$? -eq 77

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
include tests/external/local.mk
include tests/fuzz/local.mk
include tests/model/local.mk
