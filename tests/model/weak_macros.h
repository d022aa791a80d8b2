/*
 * weak_macros.h - sends the atomic operations of what is included after it to weak.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_MODEL_WEAK_MACROS_H
#define TESTS_MODEL_WEAK_MACROS_H

#include "weak.h"

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_thread_fence

#define atomic_load_explicit(object, order) weak_load((object), (order))
#define atomic_store_explicit(object, value, order) weak_store((object), (value), (order))
#define atomic_compare_exchange_strong_explicit(object, expected, desired, success, failure)       \
    weak_swap((object), (expected), (desired), (success))
#define atomic_thread_fence(order) weak_fence((order))

#endif
