/*
 * qt_peer.cpp - a QSharedMemory that is told what to do, line by line.
 *
 *     key KEY        the key of Qt 4.4 and later, which is System V on Linux
 *     posix /NAME    a native key of Qt 6.6 and later
 *     create BYTES   attach   detach   lock   unlock   end (the object)
 *     write TEXT     read     size     increment TIMES (the number at byte 1024, locking for each)
 *
 * It answers each with a line: "ok", what was asked for, or "error N" with QSharedMemory's number.
 *
 * SPDX-License-Identifier: MIT
 */
#include <cstdint>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <QSharedMemory>
#include <QString>
#pragma GCC diagnostic pop

namespace
{

std::unique_ptr<QSharedMemory> memory;

std::string
answer(bool done)
{
    return done ? "ok" : "error " + std::to_string(static_cast<int>(memory->error()));
}

/** Adds to the number as often, taking the lock for each. */
bool
increment(int times)
{
    auto *number = reinterpret_cast<volatile std::uint64_t *>(
        static_cast<unsigned char *>(memory->data()) + 1024);

    for (int i = 0; i < times; i++) {
        if (!memory->lock())
            return false;
        *number = *number + 1;
        if (!memory->unlock())
            return false;
    }
    return true;
}

std::string
obey(const std::string &word, std::istream &rest)
{
    std::string text;
    int number = 0;

    if (word == "key") {
        rest >> text;
        memory = std::make_unique<QSharedMemory>(QString::fromStdString(text));
        return "ok";
    }
#if QT_VERSION >= QT_VERSION_CHECK(6, 6, 0)
    if (word == "posix") {
        rest >> text;
        memory = std::make_unique<QSharedMemory>(
            QNativeIpcKey(QString::fromStdString(text), QNativeIpcKey::Type::PosixRealtime));
        return "ok";
    }
#endif
    if (word == "create") {
        rest >> number;
        return answer(memory->create(number));
    }
    if (word == "attach")
        return answer(memory->attach());
    if (word == "detach")
        return answer(memory->detach());
    if (word == "lock")
        return answer(memory->lock());
    if (word == "unlock")
        return answer(memory->unlock());
    if (word == "increment") {
        rest >> number;
        return answer(increment(number));
    }
    if (word == "write") {
        rest >> text;
        std::memcpy(memory->data(), text.c_str(), text.size() + 1);
        return "ok";
    }
    if (word == "read")
        return static_cast<const char *>(memory->constData());
    if (word == "size")
        return std::to_string(memory->size());
    if (word == "end") {
        memory.reset();
        return "ok";
    }
    return "no such word";
}

} // namespace

int
main()
{
    std::string line;

    while (std::getline(std::cin, line)) {
        std::istringstream rest(line);
        std::string word;

        rest >> word;
        std::cout << obey(word, rest) << std::endl;
    }
    return 0;
}
