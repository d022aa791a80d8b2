# tests/model/local.mk - the models of the lock, of names and of versions, and
# their check.
#
#   make check-model                          some minutes; skipped without spin
#   make check-model MODEL_OPTIONS='--full'   the large searches too
# SPDX-License-Identifier: MIT

EXTRA_DIST += \
	tests/model/lock.pml \
	tests/model/name.pml \
	tests/model/run.sh \
	tests/model/version.pml

.PHONY: check-model
check-model:
	CC='$(CC)' $(srcdir)/tests/model/run.sh $(MODEL_OPTIONS) || test $$? -eq 77
