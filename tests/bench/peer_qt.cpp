/*
 * peer_qt.cpp - QSharedMemory: its lock, attaching to it and creating it.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "peer.h"

#include <memory>
#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <QSharedMemory>
#include <QString>
#pragma GCC diagnostic pop

namespace
{

QString
new_key()
{
    static int made = 0;

    return QString("mapseg-bench-%1-%2").arg(getpid()).arg(made++);
}

QSharedMemory *
create_segment(size_t bytes)
{
    auto segment = std::make_unique<QSharedMemory>(new_key());

    return segment->create(static_cast<int>(bytes)) ? segment.release() : nullptr;
}

QSharedMemory *
segment_of(void *state)
{
    return static_cast<QSharedMemory *>(state);
}

void *
setup(void *)
{
    return create_segment(4096);
}

void *
attach(void *state)
{
    auto segment = std::make_unique<QSharedMemory>(segment_of(state)->key());

    return segment->attach() ? segment.release() : nullptr;
}

taken
lock(void *state)
{
    return segment_of(state)->lock() ? TAKEN : NOT_TAKEN;
}

void
unlock(void *state)
{
    segment_of(state)->unlock();
}

bool
pairs(void *state, long count, volatile uint64_t *word)
{
    QSharedMemory *segment = segment_of(state);

    for (; count > 0; count--) {
        if (!segment->lock())
            return false;
        if (word != nullptr)
            *word = static_cast<uint64_t>(count);
        segment->unlock();
    }
    return true;
}

void
teardown(void *state)
{
    delete segment_of(state);
}

/** A segment that stays, and the object that comes and goes. */
struct visit {
    QSharedMemory *segment;
    QSharedMemory visitor;
};

void *
setup_visit(size_t bytes)
{
    auto made = std::make_unique<visit>();

    made->segment = create_segment(bytes);
    if (made->segment == nullptr)
        return nullptr;
    made->visitor.setKey(made->segment->key());
    return made.release();
}

bool
reach(void *state, long count)
{
    QSharedMemory &visitor = static_cast<visit *>(state)->visitor;

    for (; count > 0; count--) {
        if (!visitor.attach())
            return false;
        visitor.detach();
    }
    return true;
}

void
teardown_visit(void *state)
{
    visit *made = static_cast<visit *>(state);

    delete made->segment;
    delete made;
}

void *
create(size_t bytes, void **handle)
{
    QSharedMemory *segment = create_segment(bytes);

    *handle = segment;
    return segment == nullptr ? nullptr : segment->data();
}

} // namespace

const peer peer_qt = {
    "qt",     "QSharedMemory " QT_VERSION_STR, nullptr, true, setup, attach, lock, unlock, pairs,
    teardown,
};

const memory memory_qt = {
    "qt",
    "QSharedMemory " QT_VERSION_STR,
    "QSharedMemory " QT_VERSION_STR,
    nullptr,
    setup_visit,
    reach,
    teardown_visit,
    create,
    teardown,
};
