/*
 * peer_boost.cpp - Boost.Interprocess' mutex.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "peer.h"

#include <new>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/version.hpp>
#pragma GCC diagnostic pop

namespace
{

using mutex = boost::interprocess::interprocess_mutex;

void *
setup(void *page)
{
    try {
        return new (page) mutex;
    } catch (...) {
        return nullptr;
    }
}

void *
attach(void *state)
{
    return state;
}

taken
lock(void *state)
{
    try {
        static_cast<mutex *>(state)->lock();
        return TAKEN;
    } catch (...) {
        return NOT_TAKEN;
    }
}

void
unlock(void *state)
{
    static_cast<mutex *>(state)->unlock();
}

bool
pairs(void *state, long count, volatile uint64_t *word)
{
    mutex *held = static_cast<mutex *>(state);

    for (; count > 0; count--) {
        held->lock();
        if (word != nullptr)
            *word = static_cast<uint64_t>(count);
        held->unlock();
    }
    return true;
}

void
teardown(void *state)
{
    static_cast<mutex *>(state)->~mutex();
}

} // namespace

const peer peer_boost = {
    "boost", "Boost.Interprocess mutex, " BOOST_LIB_VERSION,
    nullptr, false,
    setup,   attach,
    lock,    unlock,
    pairs,   teardown,
};
