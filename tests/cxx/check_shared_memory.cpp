/*
 * check_shared_memory.cpp - mapseg::shared_memory keeps what is documented of QSharedMemory.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.hpp"

#include <csignal>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>

using shared_memory = mapseg::shared_memory;

static_assert(!std::is_copy_constructible<shared_memory>::value, "as QSharedMemory");
static_assert(shared_memory::UnknownError == 8 && shared_memory::ReadWrite == 1, "as in Qt");

/* ---------------------------------------------------- an object by itself -- */

START_TEST(new_object)
{
    shared_memory none;
    shared_memory named("a key");

    need(none.key().empty() && none.nativeKey().empty() && !none.nativeIpcKey().is_valid());
    need(named.key() == "a key" && !named.nativeKey().empty());
    for (shared_memory *each : {&none, &named}) {
        need(!each->isAttached() && each->size() == 0);
        need(each->data() == nullptr && each->constData() == nullptr);
        need(each->error() == shared_memory::NoError && each->errorString().empty());
        need(!each->detach() && each->error() == shared_memory::NoError);
        need(!each->unlock() && each->error() == shared_memory::NoError);
        need(!each->lock() && each->error() == shared_memory::LockError);
        need(is_one_line(each->errorString().c_str()));
    }
}
END_TEST

START_TEST(keys)
{
    std::string key = new_plain_key();
    shared_memory memory(key);
    std::string native = memory.nativeKey();

    need(memory.create(10));
    /* The key that it has: nothing happens. */
    memory.setKey(key);
    need(memory.isAttached());
    /* Another one: it detaches, and does not attach. */
    memory.setKey(new_plain_key());
    need(!memory.isAttached() && memory.nativeKey() != native);
    memory.setNativeKey(native);
    need(memory.key().empty() && memory.nativeKey() == native && memory.create(10));
    memory.setNativeKey(memory.nativeIpcKey());
    need(memory.isAttached());
    need(memory.nativeIpcKey() == shared_memory::platformSafeKey(key));
    need(shared_memory::legacyNativeKey(key).legacy_key() == key);
    memory.setNativeKey(new_key());
    need(!memory.isAttached());
    memory.setKey("");
    need(memory.nativeKey().empty());
    memory.setNativeKey("");
    need(!memory.create(10) && memory.error() == shared_memory::KeyError);
    need(shared_memory::isKeyTypeSupported(mapseg::key_type::shm));
    need(!shared_memory::isKeyTypeSupported(mapseg::key_type::windows));
}
END_TEST

START_TEST(refusals_of_create)
{
    shared_memory none;
    shared_memory memory(new_plain_key());

    /* The key is looked at first. */
    need(!none.create(-1) && none.error() == shared_memory::KeyError);
    need(!none.attach() && none.error() == shared_memory::KeyError);
    need(!memory.create(0) && memory.error() == shared_memory::InvalidSize);
    need(!memory.create(-1) && memory.error() == shared_memory::InvalidSize);
    need(!memory.create(PTRDIFF_MIN) && memory.error() == shared_memory::InvalidSize);
    need(!memory.create(PTRDIFF_MAX) && !memory.isAttached());
    need(memory.error() == shared_memory::OutOfResources ||
         memory.error() == shared_memory::InvalidSize);
    need(!memory.attach() && memory.error() == shared_memory::NotFound);
    need(memory.create(1) && memory.size() == 1 && memory.error() == shared_memory::NoError);
    need(!memory.create(1) && memory.error() == shared_memory::AlreadyExists);
    need(memory.isAttached() && memory.data() != nullptr);
    /* The size comes before what exists. */
    need(!memory.create(0) && memory.error() == shared_memory::InvalidSize);
}
END_TEST

START_TEST(sizes_and_zeros)
{
    static const std::ptrdiff_t sizes[] = {1, 2, 511, 4095, 4096, 4097, 1048577};

    for (std::ptrdiff_t size : sizes) {
        shared_memory memory(new_plain_key());
        const char *data;

        need(memory.create(size) && memory.size() == size);
        data = static_cast<const char *>(memory.constData());
        for (std::ptrdiff_t i = 0; i < size; i++)
            need(data[i] == 0);
        need(memory.data() == memory.constData());
        std::memset(memory.data(), 7, static_cast<std::size_t>(size));
        need(memory.detach() && memory.size() == 0 && memory.data() == nullptr);
        need(!memory.detach());
    }
}
END_TEST

/* -------------------------------------------------------------- two objects -- */

START_TEST(two_objects)
{
    std::string key = new_plain_key();
    shared_memory first(key);
    shared_memory second(key);

    need(first.create(100));
    need(!second.create(100) && second.error() == shared_memory::AlreadyExists);
    need(!second.isAttached());
    need(second.attach() && second.error() == shared_memory::NoError && second.size() == 100);
    need(second.data() != first.data());
    static_cast<char *>(first.data())[99] = 'x';
    need(static_cast<const char *>(second.constData())[99] == 'x');
    /* Attached already: false, and the error unchanged. */
    need(!second.attach() && second.error() == shared_memory::NoError);
    /* The memory stays until the last one leaves. */
    need(first.detach());
    need(static_cast<const char *>(second.constData())[99] == 'x');
    need(first.attach() && static_cast<const char *>(first.constData())[99] == 'x');
    need(first.detach() && second.detach());
    need(!first.attach() && first.error() == shared_memory::NotFound);
}
END_TEST

START_TEST(locks)
{
    std::string key = new_plain_key();
    shared_memory first(key);
    shared_memory second(key);

    need(first.create(1) && second.attach());
    need(first.lock());
    /* Locked already: true, and one unlock frees it. */
    need(first.lock() && first.error() == shared_memory::NoError);
    need(first.unlock());
    need(!first.unlock() && first.error() == shared_memory::NoError);
    need(second.lock());
    need(!first.unlock());
    /* Leaving releases it. */
    need(second.detach());
    need(first.lock() && !first.ownerDied() && first.unlock());
    need(second.attach(shared_memory::ReadOnly) && second.lock() && second.unlock());
}
END_TEST

/** Writes to what is attached to be read. */
static int
write_to_what_is_read(int, void *argument)
{
    shared_memory memory(*static_cast<std::string *>(argument));

    if (!memory.attach(shared_memory::ReadOnly))
        return 1;
    /* A sanitizer would catch it. */
    std::signal(SIGSEGV, SIG_DFL);
    *static_cast<volatile char *>(memory.data()) = 1;
    return 2;
}

START_TEST(read_only)
{
    std::string key = new_plain_key();
    shared_memory writer(key);
    shared_memory reader(key);
    peer child{};

    need(writer.create(10) && reader.attach(shared_memory::ReadOnly));
    static_cast<char *>(writer.data())[3] = 'y';
    /* data() too is there, to read. */
    need(static_cast<const char *>(reader.data())[3] == 'y');
    need(static_cast<const shared_memory &>(reader).data() == reader.constData());
    child = start_peer(write_to_what_is_read, &key);
    need(end_peer(&child) == 128 + SIGSEGV);
    need(reader.detach() && writer.detach());
    need(reader.create(10, shared_memory::ReadOnly) && reader.constData() != nullptr);
}
END_TEST

/* ---------------------------------------------------------------- processes -- */

#define GOODS 2000

/** What a producer and its consumers share. */
struct depot {
    int goods;
    int sum;
    bool is_full;
};

/** Takes each of the goods once, and their sum with it. */
static int
consume(int channel, void *argument)
{
    shared_memory memory(*static_cast<std::string *>(argument));
    depot *shared = nullptr;
    int last = 0;

    if (!memory.attach())
        return 1;
    shared = static_cast<depot *>(memory.data());
    say(channel, 'a');
    while (last != GOODS) {
        if (!memory.lock())
            return 2;
        if (shared->is_full) {
            if (shared->goods <= last)
                return 3;
            last = shared->goods;
            shared->sum += last;
            shared->is_full = false;
        }
        if (!memory.unlock())
            return 4;
    }
    return memory.detach() ? 0 : 5;
}

START_TEST(producer_and_consumer)
{
    std::string key = new_plain_key();
    peer consumer{};
    int next = 1;

    shared_memory memory(key);
    need(memory.create(sizeof(depot)));
    auto *shared = static_cast<depot *>(memory.data());
    consumer = start_peer(consume, &key);
    need(hear(consumer.channel) == 'a');
    while (next <= GOODS) {
        need(memory.lock());
        if (!shared->is_full) {
            shared->goods = next++;
            shared->is_full = true;
        }
        need(memory.unlock());
    }
    need(end_peer(&consumer) == 0);
    need(shared->sum == GOODS * (GOODS + 1) / 2);
}
END_TEST

/** Holds the lock until it is killed. */
static int
hold(int channel, void *argument)
{
    shared_memory memory(*static_cast<std::string *>(argument));

    if (!memory.attach() || !memory.lock())
        return 1;
    static_cast<char *>(memory.data())[0] = 'h';
    say(channel, 'a');
    return hear(channel);
}

START_TEST(owner_is_killed)
{
    std::string key = new_plain_key();
    shared_memory memory(key);
    shared_memory other(key);
    peer owner{};

    need(memory.create(10) && other.attach());
    owner = start_peer(hold, &key);
    need(hear(owner.channel) == 'a');
    kill_peer(&owner);
    /* It passes, and says so until the data is declared good. */
    need(memory.lock() && memory.ownerDied());
    need(memory.error() == shared_memory::LockError);
    need(memory.lock() && memory.ownerDied());
    need(memory.unlock() && !memory.ownerDied());
    need(other.lock() && other.ownerDied());
    need(other.setConsistent() && !other.ownerDied());
    need(other.unlock() && !other.setConsistent());
    need(memory.lock() && !memory.ownerDied() && memory.unlock());
    need(memory.error() == shared_memory::NoError);
}
END_TEST

/** Creates, and is killed. */
static int
create_and_wait(int channel, void *argument)
{
    shared_memory memory(*static_cast<std::string *>(argument));

    if (!memory.create(10))
        return 1;
    std::strcpy(static_cast<char *>(memory.data()), "left");
    say(channel, 'a');
    return hear(channel);
}

START_TEST(creator_is_killed)
{
    std::string key = new_plain_key();
    shared_memory memory(key);
    peer creator = start_peer(create_and_wait, &key);

    need(hear(creator.channel) == 'a');
    need(!memory.create(10) && memory.error() == shared_memory::AlreadyExists);
    kill_peer(&creator);
    /* What it left survives, can be attached, and goes with the last one. */
    need(!memory.create(10) && memory.error() == shared_memory::AlreadyExists);
    need(memory.attach() && std::strcmp(static_cast<char *>(memory.data()), "left") == 0);
    need(memory.detach());
    need(!memory.attach() && memory.error() == shared_memory::NotFound);
}
END_TEST

/** Whether a failing create, and another, leave the lock to the one that has it. */
static int
create_or_attach_and_lock(int channel, void *argument)
{
    shared_memory memory(*static_cast<std::string *>(argument));

    if (memory.create(10) || memory.error() != shared_memory::AlreadyExists || !memory.attach())
        return 1;
    say(channel, 'a');
    if (!memory.lock() || memory.ownerDied())
        return 2;
    return static_cast<const char *>(memory.constData())[0] == 'd' ? 0 : 3;
}

START_TEST(failing_create_leaves_the_lock)
{
    std::string key = new_plain_key();
    shared_memory memory(key);
    peer child{};

    need(memory.create(10) && memory.lock());
    need(!memory.create(10) && memory.error() == shared_memory::AlreadyExists);
    child = start_peer(create_or_attach_and_lock, &key);
    need(hear(child.channel) == 'a');
    need_asleep_at(__FILE__, __LINE__, child.pid);
    static_cast<char *>(memory.data())[0] = 'd';
    need(memory.unlock());
    need(end_peer(&child) == 0);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main()
{
    Suite *suite = new_suite("QSharedMemory in C++");
    TCase *tcase = new_case(suite, "one");

    tcase_add_test(tcase, new_object);
    tcase_add_test(tcase, keys);
    tcase_add_test(tcase, refusals_of_create);
    tcase_add_test(tcase, sizes_and_zeros);
    tcase = new_case(suite, "two");
    tcase_add_test(tcase, two_objects);
    tcase_add_test(tcase, locks);
    tcase_add_test(tcase, read_only);
    tcase = new_case(suite, "processes");
    tcase_add_test(tcase, producer_and_consumer);
    tcase_add_test(tcase, owner_is_killed);
    tcase_add_test(tcase, creator_is_killed);
    tcase_add_test(tcase, failing_create_leaves_the_lock);
    return run_suite(suite);
}
