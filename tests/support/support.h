/*
 * support.h - what the test programs share; each header has one job.
 *
 * Beside these there are, for the suites that need them: locking.h, payload.h, record.h, sandbox.h,
 * stepper.h and versions.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include "assertions.h"
#include "calls.h"
#include "footprints.h"
#include "headers.h"
#include "mapseg-format.h"
#include "mapseg-key.h"
#include "mapseg.h"
#include "mounts.h"
#include "peers.h"
#include "places.h"
#include "processes.h"
#include "random.h"
#include "segments.h"
#include "skips.h"
#include "suites.h"
#include "times.h"

#endif
