/*
 * handlers.h - the program's own handlers of SIGBUS, and faults for them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TEST_HANDLERS_H
#define MAPSEG_TEST_HANDLERS_H

#include "scene.h"

#include <signal.h>
#include <stdbool.h>

/// What the handlers below have seen at their last call.
extern volatile sig_atomic_t calls; ///< all of them
extern void *volatile called_for;
extern volatile int called_code;
extern volatile int called_value;
extern volatile bool usr1_was_blocked;
extern volatile bool bus_was_blocked;
extern volatile bool had_context;

/// Handlers, two of which jump back to jumps_at().
void jump_with_info(int number, siginfo_t *info, void *context);
void jump_plainly(int number);
void return_with_info(int number, siginfo_t *info, void *context);

/// Installs the one or the other; `with_info` is called with SIGUSR1 blocked.
void handle(void (*with_info)(int, siginfo_t *, void *), void (*plain)(int), int flags);

/// A page of the program's own that cannot be touched.
volatile char *broken_page(void);

/// Touches memory; whether a handler jumped out of that.
bool jumps_at(const volatile char *address);

/// A segment with a section behind it: the guard is installed.
mapseg *guarded(void);

#endif
