# tests/model/local.mk - the models of the lock, of names and of versions, and
# their check.
#
#   make check-model                          some minutes; skipped without spin
#   make check-model MODEL_OPTIONS='--full'   the large searches too
# SPDX-License-Identifier: MIT

EXTRA_DIST += \
	tests/model/litmus.sh \
	tests/model/litmus/cleared-no-release.litmus \
	tests/model/litmus/cleared.litmus \
	tests/model/litmus/copy-no-reader-fence.litmus \
	tests/model/litmus/copy-no-release.litmus \
	tests/model/litmus/copy-no-writer-fence.litmus \
	tests/model/litmus/copy.litmus \
	tests/model/litmus/fast-stamp.litmus \
	tests/model/litmus/halves.litmus \
	tests/model/litmus/handed-on.litmus \
	tests/model/litmus/note.litmus \
	tests/model/litmus/recovery.litmus \
	tests/model/litmus/through-the-file.litmus \
	tests/model/litmus/watchers-no-waiter-fence.litmus \
	tests/model/litmus/watchers-no-writer-fence.litmus \
	tests/model/litmus/watchers.litmus \
	tests/model/litmus/written-word.litmus \
	tests/model/lock.pml \
	tests/model/name.pml \
	tests/model/run.sh \
	tests/model/version.pml

.PHONY: check-model
check-model:
	CC='$(CC)' $(srcdir)/tests/model/run.sh $(MODEL_OPTIONS) || test $$? -eq 77
	$(srcdir)/tests/model/litmus.sh || test $$? -eq 77
