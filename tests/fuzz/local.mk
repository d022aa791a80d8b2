# tests/fuzz/local.mk - inputs of every kind, right and wrong.
#
#   make check                            runs each target for a few seconds
#   tests/fuzz/fuzz_header FILE...        runs an input that failed once more
#   make fuzz                             guided by coverage, with clang's libFuzzer
#   make fuzz FUZZ_TARGETS=key FUZZ_SECONDS=600
#   make fuzz FUZZ_RUNS=1000000           bounds the runs instead
#
# MAPSEG_FUZZ_RUNS and MAPSEG_FUZZ_SEED say how many runs the programs make, and
# which.
# SPDX-License-Identifier: MIT

fuzz_programs = \
	tests/fuzz/fuzz_guard \
	tests/fuzz/fuzz_header \
	tests/fuzz/fuzz_key \
	tests/fuzz/fuzz_message
FUZZ_TARGETS = header guard key message
if TOOLS
fuzz_programs += tests/fuzz/fuzz_command tests/fuzz/fuzz_tool
FUZZ_TARGETS += tool
endif
check_PROGRAMS += $(fuzz_programs)
TESTS += $(fuzz_programs)

check_LIBRARIES += tests/fuzz/libdriver.a
tests_fuzz_libdriver_a_SOURCES = \
	tests/fuzz/driver.c \
	tests/fuzz/fuzz.c \
	tests/fuzz/fuzz.h \
	tests/fuzz/mutate.c \
	tests/fuzz/mutate.h
fuzz_libraries = tests/fuzz/libdriver.a lib/libmapseg.la $(XXHASH_LIBS)

tests_fuzz_fuzz_guard_SOURCES = \
	tests/fuzz/fuzz_guard.c \
	tests/fuzz/attachment.c \
	tests/fuzz/attachment.h
tests_fuzz_fuzz_guard_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_header_SOURCES = \
	tests/fuzz/fuzz_header.c \
	tests/fuzz/attachment.c \
	tests/fuzz/attachment.h
tests_fuzz_fuzz_header_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_key_LDADD = $(fuzz_libraries)
tests_fuzz_fuzz_message_LDADD = $(fuzz_libraries)

# Of the command, what fuzz_tool tries.
fuzzed_tools = \
	tools/columns.c \
	tools/columns.h \
	tools/common.c \
	tools/common.h \
	tools/translate.c \
	tools/translate.h
tests_fuzz_fuzz_tool_SOURCES = \
	tests/fuzz/fuzz_tool.c \
	tests/fuzz/tool_exit.h \
	lib/os/printable.c \
	lib/os/printable.h \
	$(fuzzed_tools)
tests_fuzz_fuzz_tool_CPPFLAGS = $(AM_CPPFLAGS) $(SMARTCOLS_CFLAGS) \
	-include $(srcdir)/tests/fuzz/tool_exit.h
tests_fuzz_fuzz_tool_LDADD = $(fuzz_libraries) $(SMARTCOLS_LIBS)

tests_fuzz_fuzz_command_SOURCES = \
	tests/fuzz/fuzz_command.c \
	tests/fuzz/tool_main.h \
	$(tools_mapseg_SOURCES)
tests_fuzz_fuzz_command_CPPFLAGS = $(AM_CPPFLAGS) $(SMARTCOLS_CFLAGS) \
	-include $(srcdir)/tests/fuzz/tool_main.h
tests_fuzz_fuzz_command_LDADD = $(fuzz_libraries) $(SMARTCOLS_LIBS)

EXTRA_DIST += tests/fuzz/guided.sh

FUZZ_CC = clang
FUZZ_SECONDS = 60
FUZZ_RUNS =

.PHONY: fuzz
fuzz: $(fuzz_programs)
	FUZZ_CC='$(FUZZ_CC)' FUZZ_SECONDS='$(FUZZ_SECONDS)' FUZZ_RUNS='$(FUZZ_RUNS)' \
	FUZZ_CPPFLAGS='$(DEFS) $(DEFAULT_INCLUDES) $(config_flags) $(XXHASH_CFLAGS) $(SMARTCOLS_CFLAGS)' \
	FUZZ_LIBS='$(XXHASH_LIBS) $(SMARTCOLS_LIBS) $(THREAD_LIBS)' \
	FUZZ_SOURCES='$(mapseg_sources)' FUZZ_TOOLS='$(fuzzed_tools)' \
		$(srcdir)/tests/fuzz/guided.sh $(srcdir) $(FUZZ_TARGETS) || test $$? -eq 77

clean-local: clean-fuzz
.PHONY: clean-fuzz
clean-fuzz:
	rm -rf fuzz-guided
	rm -f $(fuzz_programs:=.failed) $(fuzz_programs:=.slow)
