/*
 * absent_boost.c - stands for peer_boost.cpp where Boost is not installed.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "peer.h"

const struct peer peer_boost = {
    .name = "boost",
    .what = "Boost.Interprocess mutex",
    .missing = "Boost.Interprocess was not found by configure",
};
