# lib/local.mk - the library.
# SPDX-License-Identifier: MIT

# All of lib/, also for tests that look behind the interface and for the
# 32-bit build of the tests.
mapseg_sources = \
	lib/attach.c \
	lib/create.c \
	lib/digest.c \
	lib/export.c \
	lib/info.c \
	lib/list.c \
	lib/locking.c \
	lib/read.c \
	lib/remove.c \
	lib/segment.c \
	lib/socket.c \
	lib/write.c \
	lib/attach.h \
	lib/export.h \
	lib/remove.h \
	lib/foreign/foreign.c \
	lib/foreign/key_file.c \
	lib/foreign/posix.c \
	lib/foreign/raw.c \
	lib/foreign/semaphore.c \
	lib/foreign/system_v.c \
	lib/foreign/system_v_handle.c \
	lib/foreign/system_v_lock.c \
	lib/foreign/system_v_look.c \
	lib/foreign/foreign.h \
	lib/foreign/key_file.h \
	lib/foreign/system_v.h \
	lib/foreign/system_v_lock.h \
	lib/foreign/posix.h \
	lib/foreign/semaphore.h \
	lib/handle/attachment.c \
	lib/handle/describe.c \
	lib/handle/fork.c \
	lib/handle/forklist.c \
	lib/handle/guard.c \
	lib/handle/handle.c \
	lib/handle/notify.c \
	lib/handle/options.c \
	lib/handle/reach.c \
	lib/handle/report.c \
	lib/handle/view.c \
	lib/handle/watch.c \
	lib/handle/attachment.h \
	lib/handle/describe.h \
	lib/handle/fork.h \
	lib/handle/forklist.h \
	lib/handle/guard.h \
	lib/handle/handle.h \
	lib/handle/notify.h \
	lib/handle/options.h \
	lib/handle/reach.h \
	lib/handle/report.h \
	lib/handle/view.h \
	lib/handle/watch.h \
	lib/sync/lock.c \
	lib/sync/presence.c \
	lib/sync/lock.h \
	lib/sync/presence.h \
	lib/sync/spin.c \
	lib/sync/spin.h \
	lib/sync/version.h \
	lib/file/derive.c \
	lib/file/file.c \
	lib/file/header.c \
	lib/file/key.c \
	lib/file/name.c \
	lib/file/place.c \
	lib/file/sha1.c \
	lib/file/trust.c \
	lib/file/file.h \
	lib/file/header.h \
	lib/file/key.h \
	lib/file/name.h \
	lib/file/place.h \
	lib/file/sha1.h \
	lib/file/trust.h \
	lib/os/failure.c \
	lib/os/printable.c \
	lib/os/proc.c \
	lib/os/signals.c \
	lib/os/copy.h \
	lib/os/failure.h \
	lib/os/operations.h \
	lib/os/os.h \
	lib/os/printable.h \
	lib/os/probe.h \
	lib/os/proc.h \
	lib/os/semaphore.h \
	lib/os/signals.h \
	lib/os/tsan.h
if OS_LINUX
mapseg_sources += lib/os/linux.c
endif

noinst_LTLIBRARIES += lib/libmapseg-core.la
lib_libmapseg_core_la_SOURCES = $(mapseg_sources)
lib_libmapseg_core_la_CPPFLAGS = $(config_flags) -I$(top_srcdir)/lib $(XXHASH_CFLAGS)
lib_libmapseg_core_la_CFLAGS = $(AM_CFLAGS) $(VISIBILITY_CFLAGS)
lib_libmapseg_core_la_LDFLAGS = $(SANITIZER_FLAGS)
lib_libmapseg_core_la_LIBADD = $(XXHASH_LIBS) $(THREAD_LIBS)

# -version-info CURRENT:REVISION:AGE. Any change: REVISION + 1. Calls added:
# CURRENT + 1, REVISION 0, AGE + 1. Calls removed or changed: CURRENT + 1, the
# others 0.
lib_LTLIBRARIES += lib/libmapseg.la
lib_libmapseg_la_SOURCES =
lib_libmapseg_la_LIBADD = lib/libmapseg-core.la
lib_libmapseg_la_LDFLAGS = $(SANITIZER_FLAGS) -no-undefined -version-info 0:0:0 \
	-Wl,-z,nodelete -Wl,--version-script=$(srcdir)/lib/mapseg.map
EXTRA_lib_libmapseg_la_DEPENDENCIES = $(srcdir)/lib/mapseg.map
EXTRA_DIST += lib/mapseg.map

pkgconfig_DATA = lib/mapseg.pc
