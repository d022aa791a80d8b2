/*
 * port.cpp - a program that was written for QSharedMemory: with and without WITH_QT its text is
 * the same but for its types, and so is what it prints.
 *
 * SPDX-License-Identifier: MIT
 */
#if defined(WITH_QT)
#include <QSharedMemory>
#include <QString>
using SharedMemory = QSharedMemory;
using String = QString;
#else
#include "mapseg-shared-memory.hpp"
using SharedMemory = mapseg::shared_memory;
using String = std::string;
#endif

#include <cstdio>
#include <cstring>

static void
print(const char *what, const SharedMemory &memory, bool went_well)
{
    std::printf("%s: %s, error %d%s, %s\n", what, went_well ? "true" : "false",
                went_well ? 0 : static_cast<int>(memory.error()),
                (memory.errorString() == String("")) == (memory.error() == SharedMemory::NoError)
                    ? ""
                    : " without words",
                memory.isAttached() ? "attached" : "detached");
}

/** One object by itself. */
static void
be_alone(const String &key)
{
    SharedMemory memory;

    print("lock without a key", memory, memory.lock());
    print("create without a key", memory, memory.create(10));
    memory.setKey(key);
    print("key", memory, memory.key() == key && memory.nativeKey() != key);
    print("attach to nothing", memory, memory.attach(SharedMemory::ReadOnly));
    print("create of nothing", memory, memory.create(0));
    print("create", memory, memory.create(100, SharedMemory::ReadWrite));
    print("sizes", memory, memory.size() == 100);
    print("data", memory, memory.data() != nullptr && memory.data() == memory.constData());
    print("detach", memory, memory.detach());
    print("detach once more", memory, memory.detach());
    print("no data", memory, memory.data() == nullptr && memory.size() == 0);
    print("create again", memory, memory.create(100));
    print("create while attached", memory, memory.create(100));
}

/** Two objects, as two programs have them. */
static void
be_two(const String &key)
{
    SharedMemory writer(key);
    SharedMemory reader(key);

    if (!writer.create(20) && writer.error() == SharedMemory::AlreadyExists)
        writer.attach();
    print("writer", writer, true);
    print("reader creates", reader, reader.create(20));
    print("reader attaches", reader, reader.attach(SharedMemory::ReadOnly));
    print("reader attaches once more", reader, reader.attach());
    print("writer locks", writer, writer.lock());
    std::strcpy(static_cast<char *>(writer.data()), "hello");
    print("writer unlocks", writer, writer.unlock());
    print("reader locks", reader, reader.lock());
    std::printf("%s\n", static_cast<const char *>(reader.constData()));
    print("reader unlocks", reader, reader.unlock());
    print("writer leaves", writer, writer.detach());
    std::printf("%s\n", static_cast<const char *>(reader.constData()));
    print("reader leaves", reader, reader.detach());
    print("reader comes back", reader, reader.attach());
}

int
main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    be_alone(String(argv[1]));
    be_two(String(argv[1]));
    return 0;
}
