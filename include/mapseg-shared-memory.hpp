/*
 * mapseg-shared-memory.hpp - the interface of Qt's QSharedMemory, without Qt.
 *
 * A program that has QSharedMemory is ported by a change of its type: the members, enumerators and
 * results are those of QSharedMemory, with std::string for QString. The meanings are the documented
 * ones of Qt; mapseg-cxx(7) has a table of what differs. New programs take mapseg::segment, which
 * cannot overlook an error.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_SHARED_MEMORY_HPP
#define MAPSEG_SHARED_MEMORY_HPP

#include "mapseg.hpp"

#include <cstddef>
#include <new>
#include <string>

/* The names are Qt's. */
/* NOLINTBEGIN(readability-identifier-naming) */

/** A segment with the members of QSharedMemory. Constructors throw std::bad_alloc where there is no
 *  memory; no call fails with an exception otherwise. */
class mapseg::shared_memory
{
  public:
    /** Values as in Qt. */
    enum AccessMode { ReadOnly = 0, ReadWrite = 1 };

    /** Values as in Qt. */
    enum SharedMemoryError {
        NoError = 0,
        PermissionDenied = 1,
        InvalidSize = 2,
        KeyError = 3,
        AlreadyExists = 4,
        NotFound = 5,
        LockError = 6,
        OutOfResources = 7,
        UnknownError = 8
    };

    /** Without a key. */
    shared_memory() : handle(mapseg_new())
    {
        if (handle == nullptr)
            throw std::bad_alloc();
    }

    /** With a plain key. */
    explicit shared_memory(const std::string &key) : shared_memory()
    {
        setKey(key);
    }

    /** With a native key. */
    explicit shared_memory(const native_key &key) : shared_memory()
    {
        setNativeKey(key);
    }

    shared_memory(const shared_memory &) = delete;
    shared_memory &operator=(const shared_memory &) = delete;

    /** Releases the lock if this object holds it, and detaches. */
    ~shared_memory()
    {
        mapseg_free(handle);
    }

    /* ---------------------------------------------------------- keys -- */

    /** Gives another plain key: detaches, and does not attach. With the key that there is nothing
     *  happens. */
    void setKey(const std::string &key)
    {
        (void)told(mapseg_set_key(handle, key.c_str()));
    }

    /** The plain key; "" if there is none, also after setNativeKey. */
    std::string key() const
    {
        const char *text = mapseg_key(handle);

        return text == nullptr ? "" : text;
    }

    /** Gives another native key, as setKey does. One that is not valid takes the key away. */
    void setNativeKey(const native_key &key)
    {
        (void)told(mapseg_set_native_key(handle, key.text().c_str()));
    }

    /** The same with the name of a key, of that type. */
    void setNativeKey(const std::string &name, key_type type = key_type::shm)
    {
        setNativeKey(native_key(type, name));
    }

    /** The native key's name, without its type; "" if there is no key. */
    std::string nativeKey() const
    {
        native_key key = nativeIpcKey();

        return key.is_valid() ? key.name() : "";
    }

    /** The native key. */
    native_key nativeIpcKey() const
    {
        const char *text = mapseg_native_key(handle);

        return native_key::from_text(text == nullptr ? "" : text);
    }

    /** Whether segments of that type can be created and attached here. */
    static bool isKeyTypeSupported(key_type type) noexcept
    {
        return native_key::is_supported(type);
    }

    /** The native key that a plain key leads to. */
    static native_key platformSafeKey(const std::string &key, key_type type = key_type::shm)
    {
        return native_key::derive(key, type);
    }

    /** The native key that Qt 4.4 to 6.5 make of a plain key. */
    static native_key legacyNativeKey(const std::string &key, key_type type = key_type::systemv)
    {
        return native_key::legacy(key, type);
    }

    /* ---------------------------------------- create, attach, detach -- */

    /** Creates the segment and attaches to it: its memory is zero. Otherwise false, and KeyError,
     *  InvalidSize, AlreadyExists (also where this object is attached), ... */
    bool create(std::ptrdiff_t size, AccessMode mode = ReadWrite)
    {
        return told(mapseg_create(handle, size > 0 ? static_cast<std::size_t>(size) : 0,
                                  static_cast<mapseg_access>(mode)));
    }

    /** Attaches to the segment. Otherwise false, and NotFound, ...; of an object that is attached
     *  error() stays what it was. */
    bool attach(AccessMode mode = ReadWrite)
    {
        return told(mapseg_attach(handle, static_cast<mapseg_access>(mode)));
    }

    bool isAttached() const noexcept
    {
        return mapseg_is_attached(handle);
    }

    /** Releases the lock if this object holds it, and detaches; the last one removes the segment.
     *  False where it was not attached; error() stays what it was. */
    bool detach()
    {
        died = false;
        return told(mapseg_detach(handle));
    }

    /** Bytes, as many as create() was given; 0 when detached. */
    std::ptrdiff_t size() const noexcept
    {
        return static_cast<std::ptrdiff_t>(mapseg_size(handle));
    }

    /* ------------------------------------------------------ the data -- */

    /** The data until detach(); NULL when detached. As in Qt, it is there also if it was attached
     * to be read: to write it is SIGSEGV then. */
    void *data() noexcept
    {
        return const_cast<void *>(mapseg_const_data(handle));
    }

    const void *data() const noexcept
    {
        return mapseg_const_data(handle);
    }

    const void *constData() const noexcept
    {
        return mapseg_const_data(handle);
    }

    /* ------------------------------------------------------ the lock -- */

    /** Takes the lock: true if it is held, also where it was. Where an owner died while it held the
     *  lock it is held too, and ownerDied() says so. */
    bool lock()
    {
        mapseg_result result = mapseg_lock(handle);

        if (result != MAPSEG_ALREADY_LOCKED)
            died = result == MAPSEG_OWNER_DIED;
        return mapseg_result_owes_unlock(result) || result == MAPSEG_ALREADY_LOCKED;
    }

    /** Releases the lock; false where this object does not hold it, and error() stays what it
     *  was. */
    bool unlock()
    {
        /* Before, because the next owner may be another thread by this object. */
        bool was_told = std::exchange(died, false);
        bool released = told(mapseg_unlock(handle));

        if (!released)
            died = was_told;
        return released;
    }

    /* -------------------------------------------------------- errors -- */

    /** Why the last call that failed did so. */
    SharedMemoryError error() const noexcept
    {
        mapseg_result result = mapseg_error(handle);

        switch (result) {
        case MAPSEG_ALREADY_LOCKED:
            return NoError;
        case MAPSEG_OWNER_DIED:
        case MAPSEG_NOT_ATTACHED:
            return LockError;
        case MAPSEG_UNTRUSTED:
            return PermissionDenied;
        default:
            return result <= MAPSEG_UNKNOWN_ERROR ? static_cast<SharedMemoryError>(result)
                                                  : UnknownError;
        }
    }

    /** The same as a sentence: what was tried on which key, why it failed, what to do. */
    std::string errorString() const
    {
        return error() == NoError ? "" : mapseg_error_string(handle);
    }

    /* ------------------------------------------- what Qt does not have -- */

    /** Under the lock: whether an owner died while it held it, so that the data may be half
     *  written. If the data is in order again, call setConsistent; otherwise the next owner is told
     *  too. */
    bool ownerDied() const noexcept
    {
        return died;
    }

    /** Declares, under the lock, that the data is in order again. */
    bool setConsistent()
    {
        bool is_consistent = told(mapseg_consistent(handle));

        if (is_consistent)
            died = false;
        return is_consistent;
    }

    /** The handle for calls of mapseg.h, and mapseg_error of it, which tells more than error(). */
    mapseg *native_handle() const noexcept
    {
        return handle;
    }

  private:
    /** Whether a call went well; why not is in the handle. */
    static bool told(mapseg_result result) noexcept
    {
        return result == MAPSEG_OK;
    }

    mapseg *handle;
    /** Changed by the lock's owner alone. */
    bool died = false;
};

/* NOLINTEND(readability-identifier-naming) */

#endif
