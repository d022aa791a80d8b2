# doc/local.mk - what users read.
# SPDX-License-Identifier: MIT

manual_pages = \
	doc/mapseg_guard_begin.3 \
	doc/mapseg_create.3 \
	doc/mapseg_data.3 \
	doc/mapseg_error.3 \
	doc/mapseg_export_fd.3 \
	doc/mapseg_info.3 \
	doc/mapseg_ipc_key.3 \
	doc/mapseg_key.3 \
	doc/mapseg_lock.3 \
	doc/mapseg_new.3 \
	doc/mapseg_read.3 \
	doc/mapseg_remove.3 \
	doc/mapseg_send.3 \
	doc/mapseg-format.5 \
	doc/mapseg-cxx.7 \
	doc/mapseg-foreign.7 \
	doc/mapseg-fork.7 \
	doc/mapseg-lock.7 \
	doc/mapseg-probes.7 \
	doc/mapseg-recipes.7 \
	doc/mapseg-security.7 \
	doc/mapseg-worlds.7 \
	doc/mapseg.7
dist_man_MANS += $(manual_pages)

# A call that shares its page with others is found under its own name too:
# each link leads to the page whose NAME section has the call.
link_pages = \
	doc/links/mapseg_guard_end.3 \
	doc/links/mapseg_attach.3 \
	doc/links/mapseg_attach_fd.3 \
	doc/links/mapseg_attach_fd_with.3 \
	doc/links/mapseg_attach_with.3 \
	doc/links/mapseg_notify_fd.3 \
	doc/links/mapseg_consistent.3 \
	doc/links/mapseg_const_data.3 \
	doc/links/mapseg_create_or_attach.3 \
	doc/links/mapseg_create_or_attach_with.3 \
	doc/links/mapseg_create_with.3 \
	doc/links/mapseg_detach.3 \
	doc/links/mapseg_digest.3 \
	doc/links/mapseg_error_string.3 \
	doc/links/mapseg_free.3 \
	doc/links/mapseg_result_owes_unlock.3 \
	doc/links/mapseg_info_free.3 \
	doc/links/mapseg_info_new.3 \
	doc/links/mapseg_ipc_key_derive.3 \
	doc/links/mapseg_ipc_key_equal.3 \
	doc/links/mapseg_ipc_key_free.3 \
	doc/links/mapseg_ipc_key_from_text.3 \
	doc/links/mapseg_ipc_key_id.3 \
	doc/links/mapseg_ipc_key_legacy.3 \
	doc/links/mapseg_ipc_key_legacy_key.3 \
	doc/links/mapseg_ipc_key_legacy_semaphore.3 \
	doc/links/mapseg_ipc_key_name.3 \
	doc/links/mapseg_ipc_key_new.3 \
	doc/links/mapseg_ipc_key_text.3 \
	doc/links/mapseg_ipc_key_type.3 \
	doc/links/mapseg_is_attached.3 \
	doc/links/mapseg_key_type_is_supported.3 \
	doc/links/mapseg_list_count.3 \
	doc/links/mapseg_list_free.3 \
	doc/links/mapseg_list_get.3 \
	doc/links/mapseg_list_new.3 \
	doc/links/mapseg_list_new_foreign.3 \
	doc/links/mapseg_lock_for.3 \
	doc/links/mapseg_native_key.3 \
	doc/links/mapseg_new_from_environment.3 \
	doc/links/mapseg_new_with_key.3 \
	doc/links/mapseg_read_begin.3 \
	doc/links/mapseg_read_for.3 \
	doc/links/mapseg_read_retry.3 \
	doc/links/mapseg_receive.3 \
	doc/links/mapseg_receive_with.3 \
	doc/links/mapseg_reclaim.3 \
	doc/links/mapseg_reclaim_with.3 \
	doc/links/mapseg_repair.3 \
	doc/links/mapseg_remove_with.3 \
	doc/links/mapseg_result_name.3 \
	doc/links/mapseg_result_text.3 \
	doc/links/mapseg_set_key.3 \
	doc/links/mapseg_set_native_key.3 \
	doc/links/mapseg_size.3 \
	doc/links/mapseg_spawn_actions.3 \
	doc/links/mapseg_try_lock.3 \
	doc/links/mapseg_unlock.3 \
	doc/links/mapseg_version.3 \
	doc/links/mapseg_wait.3 \
	doc/links/mapseg_write.3 \
	doc/links/mapseg_write_begin.3 \
	doc/links/mapseg_write_end.3
nodist_man_MANS = $(link_pages)
CLEANFILES += $(link_pages)

$(link_pages): $(manual_pages)
	$(AM_V_GEN)$(MKDIR_P) doc/links && \
	call=`basename $@ .3` && \
	page=`cd $(srcdir)/doc && awk -v call="$$call" ' \
		/^\.SH/ { in_name = $$2 == "NAME" } \
		in_name && (" " $$0 " ") ~ ("[ ]" call "[, ]") { print FILENAME; exit }' *.3` && \
	test -n "$$page" && echo ".so man3/$$page" >$@

# Programs that the pages and README.md show; tests/project/docs.sh keeps them equal.
EXTRA_DIST += \
	README.md \
	SECURITY.md \
	doc/lock-bench.svg
examplesdir = $(docdir)/examples
dist_examples_DATA = \
	doc/examples/account.cpp \
	doc/examples/anew.c \
	doc/examples/client.c \
	doc/examples/config.c \
	doc/examples/follow.c \
	doc/examples/forecast.cpp \
	doc/examples/fork.c \
	doc/examples/from_boost.cpp \
	doc/examples/from_qt.cpp \
	doc/examples/from_semaphore.c \
	doc/examples/from_shm_open.c \
	doc/examples/hello.c \
	doc/examples/inherit.c \
	doc/examples/key_to_path.sh \
	doc/examples/list.c \
	doc/examples/producer.c \
	doc/examples/publish.c \
	doc/examples/read_segment.py \
	doc/examples/repair.c \
	doc/examples/repair_journal.c \
	doc/examples/restart.c \
	doc/examples/ring.c \
	doc/examples/service.c \
	doc/examples/single.c \
	doc/examples/subscribe.c \
	doc/examples/track.c \
	doc/examples/watch.c \
	doc/examples/worker.c

scripts += \
	tests/project/docs.sh \
	tests/project/examples.sh \
	tests/project/recipes.sh
