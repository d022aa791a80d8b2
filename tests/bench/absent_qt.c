/*
 * absent_qt.c - stands for peer_qt.cpp where Qt is not installed.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "peer.h"

static const char missing[] = "Qt 6 was not found by configure";

const struct peer peer_qt = {
    .name = "qt",
    .what = "QSharedMemory",
    .missing = missing,
};

const struct memory memory_qt = {
    .name = "qt",
    .how_reached = "QSharedMemory",
    .how_created = "QSharedMemory",
    .missing = missing,
};
