/*
 * boost_peer.cpp - a program with Boost's shared_memory_object and named_semaphore.
 *
 * programs.h says what it obeys; and "managed BYTES", which creates a managed_shared_memory with
 * 6220481117 in it as "number", and "number", which finds that and answers with it.
 *
 * SPDX-License-Identifier: MIT
 */
#include <cstdint>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <boost/interprocess/shared_memory_object.hpp>
#include <boost/interprocess/sync/named_semaphore.hpp>
#pragma GCC diagnostic pop

namespace ipc = boost::interprocess;

namespace
{

std::string name;
std::unique_ptr<ipc::mapped_region> region;
std::unique_ptr<ipc::named_semaphore> semaphore;
std::unique_ptr<ipc::managed_shared_memory> managed;

unsigned char *
data()
{
    return static_cast<unsigned char *>(region->get_address());
}

void
map(const ipc::shared_memory_object &memory)
{
    region = std::make_unique<ipc::mapped_region>(memory, ipc::read_write);
    semaphore = std::make_unique<ipc::named_semaphore>(ipc::open_or_create, name.c_str(), 1,
                                                       ipc::permissions(0600));
}

void
create(ipc::offset_t bytes)
{
    ipc::shared_memory_object memory(ipc::create_only, name.c_str(), ipc::read_write,
                                     ipc::permissions(0600));

    memory.truncate(bytes);
    map(memory);
}

void
increment(int times)
{
    auto *number = reinterpret_cast<volatile std::uint64_t *>(data() + 1024);

    for (int i = 0; i < times; i++) {
        semaphore->wait();
        *number = *number + 1;
        semaphore->post();
    }
}

void
manage(std::size_t bytes)
{
    managed = std::make_unique<ipc::managed_shared_memory>(ipc::create_only, name.c_str(), bytes,
                                                           nullptr, ipc::permissions(0600));
    managed->construct<std::uint64_t>("number")(UINT64_C(6220481117));
}

/** What is done, and answered with "ok". */
bool
act(const std::string &word, std::istream &rest)
{
    std::string text;
    int number = 0;

    if (word == "posix") {
        rest >> name;
    } else if (word == "create") {
        rest >> number;
        create(number);
    } else if (word == "attach") {
        map({ipc::open_only, name.c_str(), ipc::read_write});
    } else if (word == "detach" || word == "end") {
        region.reset();
        semaphore.reset();
        managed.reset();
    } else if (word == "managed") {
        rest >> number;
        manage(static_cast<std::size_t>(number));
    } else if (word == "lock") {
        semaphore->wait();
    } else if (word == "unlock") {
        semaphore->post();
    } else if (word == "increment") {
        rest >> number;
        increment(number);
    } else if (word == "write") {
        rest >> text;
        std::memcpy(data(), text.c_str(), text.size() + 1);
    } else {
        return false;
    }
    return true;
}

std::string
obey(const std::string &word, std::istream &rest)
{
    try {
        if (act(word, rest))
            return "ok";
        if (word == "read")
            return reinterpret_cast<const char *>(data());
        if (word == "size")
            return std::to_string(region->get_size());
        if (word == "number")
            return std::to_string(*managed->find<std::uint64_t>("number").first);
        return "error no such word";
    } catch (const std::exception &exception) {
        return std::string("error ") + exception.what();
    }
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
