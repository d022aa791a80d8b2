# tools/local.mk - the mapseg command.
# SPDX-License-Identifier: MIT

if TOOLS
bin_PROGRAMS += tools/mapseg
endif
tools_mapseg_SOURCES = \
	lib/os/printable.c \
	lib/os/printable.h \
	tools/mapseg.c \
	tools/columns.c \
	tools/columns.h \
	tools/commands.h \
	tools/common.c \
	tools/common.h \
	tools/create.c \
	tools/demo.c \
	tools/demo.h \
	tools/demo_actor.c \
	tools/demo_count.c \
	tools/demo_role.c \
	tools/exec.c \
	tools/lock.c \
	tools/ls.c \
	tools/nameless.c \
	tools/nameless.h \
	tools/read.c \
	tools/reclaim.c \
	tools/repair.c \
	tools/rm.c \
	tools/run.c \
	tools/run.h \
	tools/show.c \
	tools/transfer.c \
	tools/transfer.h \
	tools/translate.c \
	tools/translate.h \
	tools/write.c
tools_mapseg_CPPFLAGS = $(config_flags) $(SMARTCOLS_CFLAGS)
tools_mapseg_LDADD = lib/libmapseg.la $(SMARTCOLS_LIBS)
# Without -no-install: the installed command must not look for its library in
# the build directory, where others may be able to put one.
tools_mapseg_LDFLAGS = $(SANITIZER_FLAGS)

if TOOLS
dist_man_MANS += doc/mapseg.1
bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = tools/completion/mapseg
endif
