# lib/local.mk - the library.

# All of lib/, also for tests that look behind the interface and for the
# 32-bit build of the tests.
mapseg_sources = \
	lib/segment.c \
	lib/attach.c \
	lib/create.c \
	lib/remove.c \
	lib/key.c \
	lib/place.c \
	lib/header.c \
	lib/presence.c \
	lib/lock.c \
	lib/trust.c \
	lib/fork.c \
	lib/signals.c \
	lib/sequence.c \
	lib/change.c \
	lib/guard.c \
	lib/pass.c \
	lib/info.c \
	lib/error.c \
	lib/file.c \
	lib/name.c \
	lib/printable.c \
	lib/digest.c \
	lib/attach.h \
	lib/change.h \
	lib/copy.h \
	lib/error.h \
	lib/file.h \
	lib/fork.h \
	lib/guard.h \
	lib/handle.h \
	lib/header.h \
	lib/key.h \
	lib/lock.h \
	lib/name.h \
	lib/os.h \
	lib/place.h \
	lib/presence.h \
	lib/printable.h \
	lib/sequence.h \
	lib/signals.h \
	lib/trust.h \
	lib/watch.h
if OS_LINUX
mapseg_sources += lib/os_linux.c
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
