/*
 * mapseg.hpp - shared memory for C++17: mapseg.h with objects, exceptions and the standard's locks.
 *
 *     mapseg::segment seg(mapseg::create_or_attach, "weather", sizeof(weather));
 *     weather &now = seg.as<weather>();
 *     seg.on_owner_died([](mapseg::segment &) { ... repair the data ... });
 *     {
 *         std::lock_guard<mapseg::segment> guard(seg);
 *         ... use now ...
 *     }
 *
 * Each call that can fail has two forms, as in std::filesystem. One throws mapseg::error, whose
 * what() says what was tried on which key, what the system said, and what to do. The other has a
 * std::error_code & as its last parameter, which it sets, or clears where all went well; the
 * sentence is then what error_string() gives. Both throw std::bad_alloc where there is no memory
 * for an object of C++, but for what is noexcept.
 *
 * All is in this header, over the calls of mapseg.h, whose comments say what each does, when it
 * fails, and what threads may do. What has no form here takes native_handle(). In C++ `mapseg`
 * is a class of which there are no objects: `mapseg *` is still the handle of mapseg.h, and its
 * members are what is declared here. So a name is taken out of it with
 * `using segment = mapseg::segment;`.
 *
 * A segment that was moved from can be assigned to and destroyed; every other call fails with
 * errc::not_attached.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_HPP
#define MAPSEG_HPP

#include "mapseg-key.h"
#include "mapseg-spawn.h"
#include "mapseg.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#if !defined(_WIN32)
#include <unistd.h>
#endif

#if __cplusplus >= 202002L && __has_include(<span>)
#include <span>
#endif

/** What C++ programs have of mapseg. There are no objects of this class. */
struct MAPSEG_API mapseg {
    mapseg() = delete;
    ~mapseg() = delete;
    mapseg(const mapseg &) = delete;
    mapseg &operator=(const mapseg &) = delete;

    /* -------------------------------------------------------- results -- */

    /* Enumerators are written as the standard library's are, in small letters. */
    /* NOLINTBEGIN(readability-identifier-naming) */

    /** mapseg_result, of which mapseg.h says what each means. Success is no error. */
    enum class errc {
        permission_denied = MAPSEG_PERMISSION_DENIED,
        invalid_size = MAPSEG_INVALID_SIZE,
        key_error = MAPSEG_KEY_ERROR,
        already_exists = MAPSEG_ALREADY_EXISTS,
        not_found = MAPSEG_NOT_FOUND,
        lock_error = MAPSEG_LOCK_ERROR,
        out_of_resources = MAPSEG_OUT_OF_RESOURCES,
        unknown_error = MAPSEG_UNKNOWN_ERROR,
        timed_out = MAPSEG_TIMED_OUT,
        would_block = MAPSEG_WOULD_BLOCK,
        owner_died = MAPSEG_OWNER_DIED,
        already_locked = MAPSEG_ALREADY_LOCKED,
        not_locked = MAPSEG_NOT_LOCKED,
        not_attached = MAPSEG_NOT_ATTACHED,
        already_attached = MAPSEG_ALREADY_ATTACHED,
        not_a_segment = MAPSEG_NOT_A_SEGMENT,
        corrupt = MAPSEG_CORRUPT,
        too_new = MAPSEG_TOO_NEW,
        untrusted = MAPSEG_UNTRUSTED,
        file_shrunk = MAPSEG_FILE_SHRUNK,
        invalid_argument = MAPSEG_INVALID_ARGUMENT,
        not_supported = MAPSEG_NOT_SUPPORTED,
        in_use = MAPSEG_IN_USE,
        meant_to_stay = MAPSEG_MEANT_TO_STAY,
        descriptor_closed = MAPSEG_DESCRIPTOR_CLOSED,
        wrong_tag = MAPSEG_WRONG_TAG,
        no_writer = MAPSEG_NO_WRITER
    };

    /** The category of errors "mapseg". A code of it compares equal to the std::errc that means
     *  the same, where there is one: not_found to no_such_file_or_directory, say. */
    static const std::error_category &category() noexcept;

    /** The code of a result. */
    friend std::error_code make_error_code(errc result) noexcept
    {
        return {static_cast<int>(result), category()};
    }

    class error;
    class owner_died;

    /* ------------------------------------------- keys, access, options -- */

    /** mapseg_access: how the data is mapped. */
    enum class access { read_only = MAPSEG_READ_ONLY, read_write = MAPSEG_READ_WRITE };

    /** mapseg_key_type: what a native key leads to. */
    enum class key_type {
        invalid = MAPSEG_KEY_INVALID,
        systemv = MAPSEG_KEY_SYSTEMV,
        posix = MAPSEG_KEY_POSIX,
        windows = MAPSEG_KEY_WINDOWS,
        shm = MAPSEG_KEY_SHM,
        runtime = MAPSEG_KEY_RUNTIME,
        file = MAPSEG_KEY_FILE,
        memfd = MAPSEG_KEY_MEMFD,
        raw = MAPSEG_KEY_RAW
    };

    /** mapseg_flag, or-ed: flag::persistent | flag::fair. */
    enum class flag : std::uint32_t {
        none = 0,
        persistent = MAPSEG_PERSISTENT,
        lazy = MAPSEG_LAZY,
        reclaim = MAPSEG_RECLAIM,
        fair = MAPSEG_FAIR,
        no_fork = MAPSEG_NO_FORK,
        require_tag = MAPSEG_REQUIRE_TAG,
        single_writer = MAPSEG_SINGLE_WRITER,
        untrusted_peer = MAPSEG_UNTRUSTED_PEER,
        allow_other_owner = MAPSEG_ALLOW_OTHER_OWNER,
        allow_shared_write = MAPSEG_ALLOW_SHARED_WRITE,
        allow_hard_links = MAPSEG_ALLOW_HARD_LINKS,
        allow_shared_directory = MAPSEG_ALLOW_SHARED_DIRECTORY,
        guarded = MAPSEG_GUARDED,
        keep_name = MAPSEG_KEEP_NAME,
        stale_only = MAPSEG_STALE_ONLY,
        require_id = MAPSEG_REQUIRE_ID,
        take_descriptor = MAPSEG_TAKE_DESCRIPTOR,
        silent_waiters = MAPSEG_SILENT_WAITERS,
        no_silent_waiters = MAPSEG_NO_SILENT_WAITERS,
        allow_group = MAPSEG_ALLOW_GROUP,
        dump = MAPSEG_DUMP,
        locked = MAPSEG_LOCKED,
        raw = MAPSEG_RAW,
        remove_with_last = MAPSEG_REMOVE_WITH_LAST,
        replace = MAPSEG_REPLACE,
        watch_name = MAPSEG_WATCH_NAME,
        watch_writers = MAPSEG_WATCH_WRITERS
    };

    /* NOLINTEND(readability-identifier-naming) */

    /** All flags of both. */
    friend constexpr flag operator|(flag a, flag b) noexcept
    {
        return static_cast<flag>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
    }

    /** The flags that both have. */
    friend constexpr flag operator&(flag a, flag b) noexcept
    {
        return static_cast<flag>(static_cast<std::uint32_t>(a) & static_cast<std::uint32_t>(b));
    }

    /** As a time to wait: without end. A negative one is not to wait at all. */
    static constexpr std::chrono::nanoseconds for_ever = std::chrono::nanoseconds::max();

    /** MAPSEG_ANY_VERSION: a version that no segment ever has. */
    static constexpr std::uint64_t any_version = MAPSEG_ANY_VERSION;

    template <class T> class view;
    /** Bytes of a segment that may be changed. */
    using bytes_view = view<std::byte>;
    /** Bytes of a segment to read. */
    using const_bytes_view = view<const std::byte>;

    class native_key;
    struct options;

    /* -------------------------------------------------------- segments -- */

    /** Which constructor of a segment is meant. */
    struct create_t {
    };
    struct attach_t {
    };
    struct create_or_attach_t {
    };
    static constexpr create_t create{};
    static constexpr attach_t attach{};
    static constexpr create_or_attach_t create_or_attach{};

    /** That the segments of other programs are meant. */
    struct foreign_t {
    };
    static constexpr foreign_t foreign{};

    class segment;
    class change;
    class section;
    class descriptor;
    struct child_segment;
    class segment_list;

    /** What can be seen of a segment, see mapseg_info. */
    struct free_description {
        void operator()(const mapseg_info *info) const noexcept
        {
            mapseg_info_free(const_cast<mapseg_info *>(info));
        }
    };
    using description = std::unique_ptr<const mapseg_info, free_description>;

    /** The interface of QSharedMemory; mapseg-shared-memory.hpp has it. */
    class shared_memory;

    /** The XXH3-64 digest of memory, see mapseg_digest. */
    static std::uint64_t digest(const void *data, std::size_t bytes) noexcept
    {
        return mapseg_digest(data, bytes);
    }

    /** The version of the library that runs, "0.1.0". */
    static const char *library_version() noexcept
    {
        return mapseg_version();
    }

  private:
    class error_category;
    struct plain;
};

namespace std
{
template <> struct is_error_code_enum<::mapseg::errc> : true_type {
};
} // namespace std

/* ------------------------------------------------------------- results -- */

class mapseg::error_category final : public std::error_category
{
  public:
    const char *name() const noexcept override
    {
        return "mapseg";
    }

    std::string message(int result) const override
    {
        return mapseg_result_text(static_cast<mapseg_result>(result));
    }

    /** Where several errors of the system have one result, it is the most usual one; where none
     *  means the same, the result stands for itself. */
    std::error_condition default_error_condition(int result) const noexcept override
    {
        switch (static_cast<mapseg_result>(result)) {
        case MAPSEG_PERMISSION_DENIED:
            return std::errc::permission_denied;
        case MAPSEG_INVALID_SIZE:
        case MAPSEG_KEY_ERROR:
        case MAPSEG_INVALID_ARGUMENT:
            return std::errc::invalid_argument;
        case MAPSEG_ALREADY_EXISTS:
            return std::errc::file_exists;
        case MAPSEG_NOT_FOUND:
            return std::errc::no_such_file_or_directory;
        case MAPSEG_LOCK_ERROR:
            return std::errc::no_lock_available;
        case MAPSEG_OUT_OF_RESOURCES:
            return std::errc::not_enough_memory;
        case MAPSEG_TIMED_OUT:
            return std::errc::timed_out;
        case MAPSEG_WOULD_BLOCK:
            return std::errc::operation_would_block;
        case MAPSEG_OWNER_DIED:
            return std::errc::owner_dead;
        case MAPSEG_ALREADY_LOCKED:
            return std::errc::resource_deadlock_would_occur;
        case MAPSEG_NOT_LOCKED:
        case MAPSEG_UNTRUSTED:
            return std::errc::operation_not_permitted;
        case MAPSEG_NOT_ATTACHED:
            return std::errc::not_connected;
        case MAPSEG_ALREADY_ATTACHED:
            return std::errc::already_connected;
        case MAPSEG_CORRUPT:
            return std::errc::bad_message;
        case MAPSEG_FILE_SHRUNK:
            return std::errc::io_error;
        case MAPSEG_TOO_NEW:
        case MAPSEG_NOT_SUPPORTED:
            return std::errc::not_supported;
        case MAPSEG_IN_USE:
            return std::errc::device_or_resource_busy;
        case MAPSEG_DESCRIPTOR_CLOSED:
            return std::errc::bad_file_descriptor;
        default:
            return {result, *this};
        }
    }
};

inline const std::error_category &
mapseg::category() noexcept
{
    static const error_category only;

    return only;
}

/** What the throwing forms throw. Its code() is of category(). */
class MAPSEG_API mapseg::error : public std::system_error
{
  public:
    error(errc result, const std::string &sentence)
        : std::system_error(make_error_code(result)),
          words(std::make_shared<const std::string>(sentence))
    {
    }

    /** The sentence, as mapseg_error_string has it. */
    const char *what() const noexcept override
    {
        return words->c_str();
    }

    /** The result; the same as code(). */
    errc result() const noexcept
    {
        return static_cast<errc>(code().value());
    }

  private:
    /** Shared, so that copying an exception cannot throw. */
    std::shared_ptr<const std::string> words;
};

/** An owner died while it held the lock, and the data may be half written. The lock is NOT held by
 *  the call that throws this, and the data is marked still: the next owner is told too. Give
 *  segment::on_owner_died a function that repairs it, or call segment::lock_to_repair. */
class MAPSEG_API mapseg::owner_died : public error
{
  public:
    explicit owner_died(const std::string &sentence) : error(errc::owner_died, sentence)
    {
    }
};

/* --------------------------------------------------------------- views -- */

/** A part of a segment's memory: a pointer and a number of elements, as std::span has them. It is
 *  good until the segment is detached. */
template <class T> class mapseg::view
{
  public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;
    using size_type = std::size_t;
    using iterator = T *;

    /** Nothing. */
    constexpr view() noexcept = default;

    constexpr view(T *begin, std::size_t size) noexcept : first(begin), count(size)
    {
    }

    /** What may be changed can be read, too. */
    template <class U, class = std::enable_if_t<std::is_same_v<const U, T>>>
    constexpr view(const view<U> &other) noexcept : first(other.data()), count(other.size())
    {
    }

    constexpr T *data() const noexcept
    {
        return first;
    }

    /** The number of elements. */
    constexpr std::size_t size() const noexcept
    {
        return count;
    }

    constexpr std::size_t size_bytes() const noexcept
    {
        return count * sizeof(T);
    }

    constexpr bool empty() const noexcept
    {
        return count == 0;
    }

    constexpr T *begin() const noexcept
    {
        return first;
    }

    constexpr T *end() const noexcept
    {
        return first + count;
    }

    /** The element; `index` is less than size(), which is not checked. */
    constexpr T &operator[](std::size_t index) const noexcept
    {
        return first[index];
    }

#if defined(__cpp_lib_span)
    constexpr operator std::span<T>() const noexcept
    {
        return {first, count};
    }
#endif

  private:
    T *first = nullptr;
    std::size_t count = 0;
};

/* ------------------------------------------------------------- options -- */

/** What create and attach may be told: the members of mapseg_options, of which mapseg.h says what
 *  each does. C++20 has {.flags = mapseg::flag::fair, .mode = 0660} for it. */
struct mapseg::options {
    flag flags = flag::none;
    std::uint32_t mode = 0;
    std::uint64_t user_tag = 0;
    /** How long to wait for another process that is just removing the segment; without one it is
     *  mapseg's default. */
    std::optional<std::chrono::nanoseconds> timeout = std::nullopt;
    std::array<std::uint8_t, 16> id = {};
    std::size_t minimum_size = 0;
    /** create: fills the data before other processes can find the segment. If it throws, nothing
     *  is created, and create throws that, in both its forms. */
    std::function<void(bytes_view)> initialize = nullptr;
    /** NULL: the plain key. */
    const char *label = nullptr;
    std::uint64_t group = 0;
    /** attach: how long to wait for a segment that is not there yet; or mapseg::for_ever. */
    std::chrono::nanoseconds wait = std::chrono::nanoseconds::zero();
};

/** What C++ has, as mapseg.h has it. */
struct mapseg::plain {
    static mapseg_access access_of(access how) noexcept
    {
        return static_cast<mapseg_access>(how);
    }

    /** Nanoseconds, rounded up, of a time to wait: negative for one that is longer than a century
     *  and so without end, 0 for one that has passed. */
    template <class Number, class Period>
    static std::int64_t timeout_of(const std::chrono::duration<Number, Period> &time) noexcept
    {
        using seconds = std::chrono::duration<long double>;
        constexpr long double century = 100.0L * 366 * 24 * 3600;
        std::chrono::nanoseconds whole{};

        if (!(time > std::chrono::duration<Number, Period>::zero()))
            return 0;
        if (seconds(time).count() >= century)
            return -1;
        whole = std::chrono::duration_cast<std::chrono::nanoseconds>(time);
        return whole.count() + (whole < time ? 1 : 0);
    }

    /** Whether a text has an end of its own, as C wants it. */
    static bool is_text(const std::string &text) noexcept
    {
        return text.find('\0') == std::string::npos;
    }

    /** The options while a call lasts. */
    class call_options
    {
      public:
        explicit call_options(const options &from) : initializer{from.initialize, nullptr}
        {
            to.flags = static_cast<std::uint32_t>(from.flags);
            to.mode = from.mode;
            to.user_tag = from.user_tag;
            if (from.timeout)
                to.timeout_ns = timeout_of(*from.timeout);
            for (std::size_t i = 0; i < from.id.size(); i++)
                to.id[i] = from.id[i];
            to.minimum_size = from.minimum_size;
            if (from.initialize) {
                to.initialize = run_initializer;
                to.initialize_argument = &initializer;
            }
            to.label = from.label;
            to.group = from.group;
            to.wait_ns = timeout_of(from.wait);
        }

        const mapseg_options *get() const noexcept
        {
            return &to;
        }

        /** Goes on with the exception that the initialiser has thrown, if any. */
        void rethrow() const
        {
            if (initializer.thrown)
                std::rethrow_exception(initializer.thrown);
        }

      private:
        struct initializer_call {
            const std::function<void(bytes_view)> &function;
            std::exception_ptr thrown;
        };

        /** No exception may pass through the library. */
        static mapseg_result run_initializer(void *data, std::size_t size, void *argument) noexcept
        {
            auto *call = static_cast<initializer_call *>(argument);

            try {
                call->thrown = nullptr;
                call->function(bytes_view(static_cast<std::byte *>(data), size));
            } catch (...) {
                call->thrown = std::current_exception();
                return MAPSEG_UNKNOWN_ERROR;
            }
            return MAPSEG_OK;
        }

        initializer_call initializer;
        mapseg_options to = MAPSEG_OPTIONS_INIT;
    };
};

/* ---------------------------------------------------------------- keys -- */

/** A native key as a value, see mapseg-key.h. It is not changed once it is made, so copies share
 *  it. */
class mapseg::native_key
{
  public:
    /** As in Qt: a key of the usual type without a name, which is valid and empty. */
    native_key() : native_key(key_type::shm, "")
    {
    }

    /** The key of that type and name. With a zero byte in the name it is not valid. */
    native_key(key_type type, const std::string &name)
        : native_key(mapseg_ipc_key_new(plain::is_text(name) ? static_cast<mapseg_key_type>(type)
                                                             : MAPSEG_KEY_INVALID,
                                        name.c_str()))
    {
    }

    /** The key of a text, "shm:weather"; of a text that is none, a key that is not valid. */
    static native_key from_text(const std::string &text)
    {
        /* What the text would be without its end is another key. */
        return native_key(mapseg_ipc_key_from_text(plain::is_text(text) ? text.c_str() : ""));
    }

    /** The key that a plain key leads to with this type. */
    static native_key derive(const std::string &plain_key, key_type type = key_type::shm)
    {
        return native_key(
            mapseg_ipc_key_derive(plain_key.c_str(), static_cast<mapseg_key_type>(type)));
    }

    /** The key of the segment that QSharedMemory(legacy_key) means in Qt 4.4 to 6.5: see
     *  mapseg_ipc_key_legacy. */
    static native_key legacy(const std::string &legacy_key, key_type type)
    {
        return native_key(
            mapseg_ipc_key_legacy(legacy_key.c_str(), static_cast<mapseg_key_type>(type)));
    }

    /** The same for the semaphore beside it. */
    static native_key legacy_semaphore(const std::string &legacy_key, key_type type)
    {
        return native_key(mapseg_ipc_key_legacy_semaphore(legacy_key.c_str(),
                                                          static_cast<mapseg_key_type>(type)));
    }

    /** Whether this build can create and attach segments of that type here. */
    static bool is_supported(key_type type) noexcept
    {
        return mapseg_key_type_is_supported(static_cast<mapseg_key_type>(type));
    }

    key_type type() const noexcept
    {
        return static_cast<key_type>(mapseg_ipc_key_type(key.get()));
    }

    /** The name, decoded; "" where there is none. */
    std::string name() const
    {
        return mapseg_ipc_key_name(key.get());
    }

    /** The legacy key; "" where the key carries none. */
    std::string legacy_key() const
    {
        return mapseg_ipc_key_legacy_key(key.get());
    }

    /** The id that a memfd key demands, as 32 hexadecimal digits; "" for none. */
    std::string id() const
    {
        return mapseg_ipc_key_id(key.get());
    }

    /** The text form; "" of a key that is not valid. */
    std::string text() const
    {
        const char *text = mapseg_ipc_key_text(key.get());

        return text == nullptr ? "" : text;
    }

    bool is_valid() const noexcept
    {
        return type() != key_type::invalid;
    }

    /** Whether it has no name. */
    bool is_empty() const noexcept
    {
        return *mapseg_ipc_key_name(key.get()) == '\0';
    }

    /** Whether type, name, legacy key and id are the same. */
    friend bool operator==(const native_key &a, const native_key &b) noexcept
    {
        return mapseg_ipc_key_equal(a.key.get(), b.key.get());
    }

    friend bool operator!=(const native_key &a, const native_key &b) noexcept
    {
        return !(a == b);
    }

  private:
    explicit native_key(mapseg_ipc_key *made)
    {
        if (made == nullptr)
            throw std::bad_alloc();
        key = std::shared_ptr<const mapseg_ipc_key>(made, free_key());
    }

    struct free_key {
        void operator()(const mapseg_ipc_key *made) const noexcept
        {
            mapseg_ipc_key_free(const_cast<mapseg_ipc_key *>(made));
        }
    };

    /* Never NULL: there is no moving, which would leave nothing behind. */
    std::shared_ptr<const mapseg_ipc_key> key;

  public:
    native_key(const native_key &) noexcept = default;
    native_key &operator=(const native_key &) noexcept = default;
    ~native_key() = default;
};

/* ------------------------------------------------ what a scope encloses -- */

/** A change of the data, which segment::changing begins: it ends with this object, which must not
 *  outlive the segment's handle. */
class mapseg::change
{
  public:
    /** Nothing. */
    change() noexcept = default;

    change(change &&other) noexcept : handle(std::exchange(other.handle, nullptr))
    {
    }

    change &operator=(change &&other) noexcept
    {
        if (this != &other) {
            finish();
            handle = std::exchange(other.handle, nullptr);
        }
        return *this;
    }

    change(const change &) = delete;
    change &operator=(const change &) = delete;

    /** Ends the change, also where an exception passes: the version that readers get next is the
     *  data as it is now. So do what can throw before, or put the data in order in a handler. */
    ~change()
    {
        finish();
    }

    /** Ends the change, and releases the lock that it has taken. */
    void end() noexcept
    {
        finish();
    }

  private:
    friend class segment;

    explicit change(mapseg *owing) noexcept : handle(owing)
    {
    }

    void finish() noexcept
    {
        if (handle != nullptr)
            (void)mapseg_write_end(std::exchange(handle, nullptr));
    }

    /** Whose change this is to end; NULL: none, or one that the unlock of an outer scope ends. */
    mapseg *handle = nullptr;
};

/** A section of the guard, which segment::guard begins: this thread may touch the memory of a file
 *  that becomes shorter. It belongs to the thread that began it, and must not
 *  outlive the segment's handle. */
class mapseg::section
{
  public:
    section(section &&other) noexcept : handle(std::exchange(other.handle, nullptr))
    {
    }

    section(const section &) = delete;
    section &operator=(const section &) = delete;
    section &operator=(section &&) = delete;

    /** Ends the section. What it read is then not known to be good: call end() for that. */
    ~section()
    {
        std::error_code unknown;

        end(unknown);
    }

    /** Ends the section. errc::file_shrunk: what was read may be zeros, what was
     *  written is lost. */
    void end();
    void end(std::error_code &code) noexcept;

  private:
    friend class segment;

    explicit section(mapseg *guarded) noexcept : handle(guarded)
    {
    }

    mapseg_result finish() noexcept
    {
        return handle == nullptr ? MAPSEG_INVALID_ARGUMENT
                                 : mapseg_guard_end(std::exchange(handle, nullptr));
    }

    mapseg *handle;
};

#if !defined(_WIN32)
/** A descriptor that is closed with this object. */
class mapseg::descriptor
{
  public:
    /** None. */
    descriptor() noexcept = default;

    /** Owns the descriptor of that number from now on. */
    explicit descriptor(int number) noexcept : fd(number)
    {
    }

    descriptor(descriptor &&other) noexcept : fd(std::exchange(other.fd, -1))
    {
    }

    descriptor &operator=(descriptor &&other) noexcept
    {
        if (this != &other) {
            close();
            fd = std::exchange(other.fd, -1);
        }
        return *this;
    }

    descriptor(const descriptor &) = delete;
    descriptor &operator=(const descriptor &) = delete;

    ~descriptor()
    {
        close();
    }

    /** The number; -1: none. It stays this object's. */
    int get() const noexcept
    {
        return fd;
    }

    /** The number, which is the caller's from now on. */
    int release() noexcept
    {
        return std::exchange(fd, -1);
    }

    /** Closes it now. */
    void close() noexcept
    {
        if (fd != -1)
            (void)::close(std::exchange(fd, -1));
    }

  private:
    int fd = -1;
};

/** What segment::prepare_child makes for a child program. */
struct mapseg::child_segment {
    /** To be closed when the child has started. */
    descriptor fd;
    /** "MAPSEG_KEY=memfd:FD?id=ID", for the child's environment. */
    std::string variable;
};
#endif

/* ------------------------------------------------------------ segments -- */

/** A handle on a segment, which detaches with this object. It is what mapseg.h calls `mapseg *`.
 *
 *  It is Lockable and TimedLockable, so std::lock_guard, std::unique_lock and, for several
 *  segments at once, std::scoped_lock and std::lock take it. A lock that was taken releases with
 *  unlock(), by any thread of the process. */
class mapseg::segment
{
  public:
    /* ------------------------------------------------------- handles -- */

    /** A handle without a key. */
    segment() : segment(mapseg_new(), made_t{})
    {
    }

    /** A handle with a plain key, which is not attached. */
    explicit segment(const std::string &key) : segment()
    {
        set_key(key);
    }

    /** A handle with a native key, which is not attached. */
    explicit segment(const mapseg::native_key &key) : segment()
    {
        set_key(key);
    }

    /** The owner of a handle of mapseg.h from now on; NULL is none. */
    explicit segment(mapseg *owned) noexcept : handle(owned)
    {
    }

    /** Creates the segment of a key, plain or native, as create() does. */
    template <class Key>
    segment(create_t, const Key &key, std::size_t size, access how = access::read_write,
            const options &with = {})
        : segment(key)
    {
        create(size, how, with);
    }

    /** Attaches to the segment of a key, plain or native, as attach() does. */
    template <class Key>
    segment(attach_t, const Key &key, access how = access::read_write, const options &with = {})
        : segment(key)
    {
        attach(how, with);
    }

    /** Attaches, or creates where there is nothing to attach to, as create_or_attach() does. */
    template <class Key>
    segment(create_or_attach_t, const Key &key, std::size_t size, access how = access::read_write,
            const options &with = {})
        : segment(key)
    {
        create_or_attach(size, how, with);
    }

    /** What a parent process has given this one in the environment, not attached yet: attach with
     *  flag::take_descriptor. See mapseg_new_from_environment. */
    static segment from_environment()
    {
        segment made(mapseg_new_from_environment(), made_t{});

        made.check(mapseg_error(made.handle));
        return made;
    }

    /** The same; without a key where there is no usable one, which `code` tells. */
    static segment from_environment(std::error_code &code)
    {
        segment made(mapseg_new_from_environment(), made_t{});

        tell(code, mapseg_error(made.handle));
        return made;
    }

    /** The handle and its function for repair. Locks that are held, and changes and sections under
     *  way, go on; a std::unique_lock of `other` does not follow. */
    segment(segment &&other) noexcept
        : handle(std::exchange(other.handle, nullptr)), repairer(std::move(other.repairer))
    {
        other.repairer = nullptr;
    }

    segment &operator=(segment &&other) noexcept
    {
        segment(std::move(other)).swap(*this);
        return *this;
    }

    segment(const segment &) = delete;
    segment &operator=(const segment &) = delete;

    /** Detaches, which releases the lock if this handle holds it. */
    ~segment()
    {
        mapseg_free(handle);
    }

    void swap(segment &other) noexcept
    {
        std::swap(handle, other.handle);
        repairer.swap(other.repairer);
    }

    friend void swap(segment &a, segment &b) noexcept
    {
        a.swap(b);
    }

    /** The handle for calls of mapseg.h; it stays this object's. NULL after a move. */
    mapseg *native_handle() const noexcept
    {
        return handle;
    }

    /** Gives the handle away, to be freed by mapseg_free. */
    mapseg *release() noexcept
    {
        repairer = nullptr;
        return std::exchange(handle, nullptr);
    }

    /** Gives the handle another plain key, see mapseg_set_key; "" takes it away. */
    void set_key(const std::string &key)
    {
        if (!plain::is_text(key))
            throw error(errc::key_error,
                        "cannot use the key: it has a zero byte; give one without");
        check(set_plain_key(key));
    }

    void set_key(const std::string &key, std::error_code &code) noexcept
    {
        tell(code, set_plain_key(key));
    }

    /** Gives the handle another native key, see mapseg_set_native_key. errc::key_error: the key is
     *  not valid. */
    void set_key(const mapseg::native_key &key)
    {
        if (!key.is_valid())
            throw error(errc::key_error, "cannot use the key: it is not valid; give a type and a "
                                         "name, or a text that native_key::from_text takes");
        check(set_other_key(key));
    }

    void set_key(const mapseg::native_key &key, std::error_code &code)
    {
        tell(code, set_other_key(key));
    }

    /** The plain key, if there is one. */
    std::optional<std::string> key() const
    {
        const char *text = handle == nullptr ? nullptr : mapseg_key(handle);

        return text == nullptr ? std::nullopt : std::optional<std::string>(text);
    }

    /** The native key, also of a segment with a plain one; without any, a key that is not valid. */
    mapseg::native_key native_key() const
    {
        const char *text = handle == nullptr ? nullptr : mapseg_native_key(handle);

        return mapseg::native_key::from_text(text == nullptr ? "" : text);
    }

    /** What this thread's last failed call on the segment has to say, see mapseg_error_string. */
    std::string error_string() const
    {
        return handle == nullptr ? nothing : mapseg_error_string(handle);
    }

    /* ---------------------------------------- create, attach, detach -- */

    /** Creates the segment of the key, of `size` bytes, and attaches to it, see mapseg_create. */
    void create(std::size_t size, access how = access::read_write, const options &with = {})
    {
        check(create_with(size, how, with));
    }

    void create(std::size_t size, access how, std::error_code &code)
    {
        tell(code, create_with(size, how, {}));
    }

    void create(std::size_t size, access how, const options &with, std::error_code &code)
    {
        tell(code, create_with(size, how, with));
    }

    /** Attaches to the segment of the key, see mapseg_attach. */
    void attach(access how = access::read_write, const options &with = {})
    {
        check(attach_with(how, with));
    }

    void attach(access how, std::error_code &code)
    {
        tell(code, attach_with(how, {}));
    }

    void attach(access how, const options &with, std::error_code &code)
    {
        tell(code, attach_with(how, with));
    }

    /** Attaches, or creates where there is nothing to attach to, see mapseg_create_or_attach.
     *  Whether it has created. */
    bool create_or_attach(std::size_t size, access how = access::read_write,
                          const options &with = {})
    {
        bool created = false;

        check(create_or_attach_with(size, how, with, created));
        return created;
    }

    bool create_or_attach(std::size_t size, access how, std::error_code &code)
    {
        return create_or_attach(size, how, {}, code);
    }

    bool create_or_attach(std::size_t size, access how, const options &with, std::error_code &code)
    {
        bool created = false;

        tell(code, create_or_attach_with(size, how, with, created));
        return created;
    }

    /** Detaches, see mapseg_detach. Views and references into the data end. */
    void detach()
    {
        check(call(mapseg_detach));
    }

    void detach(std::error_code &code) noexcept
    {
        tell(code, call(mapseg_detach));
    }

    bool is_attached() const noexcept
    {
        return handle != nullptr && mapseg_is_attached(handle);
    }

    /** Bytes of data; 0 when detached. */
    std::size_t size() const noexcept
    {
        return handle == nullptr ? 0 : mapseg_size(handle);
    }

    /** Takes the segment's name away, see mapseg_remove. */
    void remove(const options &with = {})
    {
        check(call_with(mapseg_remove_with, with));
    }

    void remove(const options &with, std::error_code &code)
    {
        tell(code, call_with(mapseg_remove_with, with));
    }

    /** Frees the lock of a segment of another program's kind, whose owner is dead; see
     *  mapseg_repair. */
    void repair(bool force = false)
    {
        check(call(mapseg_repair, force));
    }

    void repair(bool force, std::error_code &code)
    {
        tell(code, call(mapseg_repair, force));
    }

    /** Removes the segment if no process is attached, see mapseg_reclaim. */
    void reclaim(const options &with = {})
    {
        check(call_with(mapseg_reclaim_with, with));
    }

    void reclaim(const options &with, std::error_code &code)
    {
        tell(code, call_with(mapseg_reclaim_with, with));
    }

    /* ----------------------------------------------------- the data -- */

    /** The data. errc::permission_denied: it is attached to be read; const_data() has it then.
     *  errc::not_attached. The form with a code gives an empty view then. */
    bytes_view data()
    {
        check_writable("use the data of");
        return all();
    }

    bytes_view data(std::error_code &code) noexcept
    {
        tell(code, writable());
        return all();
    }

    /** The data to read. errc::not_attached. */
    const_bytes_view const_data() const
    {
        if (!is_attached())
            refuse(errc::not_attached, "use the data of", "it is not attached; attach first");
        return all_to_read();
    }

    const_bytes_view const_data(std::error_code &code) const noexcept
    {
        tell(code, is_attached() ? MAPSEG_OK : MAPSEG_NOT_ATTACHED);
        return all_to_read();
    }

    /** Of a constant segment data() is const_data(). */
    const_bytes_view data() const
    {
        return const_data();
    }

    /** The object of type T that lies at `offset` in the data. T is trivially copyable, and no
     *  pointer: an address means nothing to another process. With `const T` it is there to read,
     *  also where the data cannot be written.
     *
     *  errc::invalid_size: the data ends before the object does; errc::invalid_argument: an object
     *  of that type cannot begin there, for its alignment; or as data(). */
    template <class T> T &as(std::size_t offset = 0)
    {
        check_shareable<T>();
        if constexpr (std::is_const_v<T>) {
            return std::as_const(*this).template as<T>(offset);
        } else {
            check_writable("use the data of");
            check_place(offset, sizeof(T), alignof(T));
            return *reinterpret_cast<T *>(all().data() + offset);
        }
    }

    template <class T> const T &as(std::size_t offset = 0) const
    {
        check_shareable<T>();
        if (!is_attached())
            refuse(errc::not_attached, "use the data of", "it is not attached; attach first");
        check_place(offset, sizeof(T), alignof(T));
        return *reinterpret_cast<const T *>(all_to_read().data() + offset);
    }

    /** The same; NULL after a failure. */
    template <class T> T *as(std::size_t offset, std::error_code &code) noexcept
    {
        check_shareable<T>();
        if constexpr (std::is_const_v<T>) {
            return std::as_const(*this).template as<T>(offset, code);
        } else {
            tell(code, writable());
            if (!code)
                tell(code, place(offset, sizeof(T), alignof(T)));
            return code ? nullptr : reinterpret_cast<T *>(all().data() + offset);
        }
    }

    template <class T> const T *as(std::size_t offset, std::error_code &code) const noexcept
    {
        check_shareable<T>();
        tell(code, is_attached() ? place(offset, sizeof(T), alignof(T)) : MAPSEG_NOT_ATTACHED);
        return code ? nullptr : reinterpret_cast<const T *>(all_to_read().data() + offset);
    }

    /** As many objects of type T as there are from `offset` to the end of the data; as as(). */
    template <class T> view<T> as_array(std::size_t offset = 0)
    {
        return {&as<T>(offset), (size() - offset) / sizeof(T)};
    }

    /* ----------------------------------------------------- the lock -- */

    /** Says how to repair the data after an owner died. From then on each call of this object that
     *  takes the lock, and finds that, calls the function with the lock held. If it returns, the
     *  data is declared to be in order, and the call goes on as if no owner had died; if it throws,
     *  the lock is released, the next owner is told too, and the exception passes on, also from the
     *  forms with a code. The function must not unlock. nullptr takes it away. */
    void on_owner_died(std::function<void(segment &)> function)
    {
        repairer = std::move(function);
    }

    /** Takes the lock, see mapseg_lock. If it throws, or sets a code, the lock was not taken.
     *
     *  owner_died: an owner died, and there is no function for repair; the lock is not held, and
     *  the next owner is told too. errc::already_locked: this thread holds it already by this
     *  segment, as before, and as in std::mutex a second lock() would wait without end. */
    void lock()
    {
        check_lock(settle(call(mapseg_lock)));
    }

    void lock(std::error_code &code)
    {
        tell(code, settle(call(mapseg_lock)));
    }

    /** Takes the lock without waiting; whether it was taken. False, and no error: another owner
     *  has it, or this thread by this segment. */
    [[nodiscard]] bool try_lock()
    {
        return is_taken(settle(call(mapseg_try_lock)));
    }

    [[nodiscard]] bool try_lock(std::error_code &code)
    {
        return is_taken(settle(call(mapseg_try_lock)), code);
    }

    /** Takes the lock, waiting for `time` at most; whether it was taken. */
    template <class Number, class Period>
    [[nodiscard]] bool try_lock_for(const std::chrono::duration<Number, Period> &time)
    {
        return is_taken(settle(call(mapseg_lock_for, plain::timeout_of(time))));
    }

    template <class Number, class Period>
    [[nodiscard]] bool try_lock_for(const std::chrono::duration<Number, Period> &time,
                                    std::error_code &code)
    {
        return is_taken(settle(call(mapseg_lock_for, plain::timeout_of(time))), code);
    }

    /** Takes the lock, waiting until `time` at most, by that time's clock. */
    template <class Clock, class Duration>
    [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration> &time)
    {
        return is_taken(settle(take_until(time)));
    }

    template <class Clock, class Duration>
    [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration> &time,
                                      std::error_code &code)
    {
        return is_taken(settle(take_until(time)), code);
    }

    /** Releases the lock, see mapseg_unlock; without the lock it does nothing. */
    void unlock() noexcept
    {
        (void)call(mapseg_unlock);
    }

    /** errc::not_locked: this segment does not hold the lock. */
    void unlock(std::error_code &code) noexcept
    {
        tell(code, call(mapseg_unlock));
    }

    /** Takes the lock also where an owner died, and calls no function: true if so. Then repair the
     *  data, call consistent() and unlock. */
    [[nodiscard]] bool lock_to_repair()
    {
        return take_to_repair(call(mapseg_lock));
    }

    [[nodiscard]] bool lock_to_repair(std::error_code &code) noexcept
    {
        return take_to_repair(call(mapseg_lock), code);
    }

    /** The same, waiting for `time` at most: errc::timed_out. */
    template <class Number, class Period>
    [[nodiscard]] bool lock_to_repair(const std::chrono::duration<Number, Period> &time)
    {
        return take_to_repair(call(mapseg_lock_for, plain::timeout_of(time)));
    }

    template <class Number, class Period>
    [[nodiscard]] bool lock_to_repair(const std::chrono::duration<Number, Period> &time,
                                      std::error_code &code) noexcept
    {
        return take_to_repair(call(mapseg_lock_for, plain::timeout_of(time)), code);
    }

    /** Declares, under the lock, that the data is in order again, see mapseg_consistent. */
    void consistent()
    {
        check(call(mapseg_consistent));
    }

    void consistent(std::error_code &code) noexcept
    {
        tell(code, call(mapseg_consistent));
    }

    /* ----------------------------------------------------- versions -- */

    /** Takes the lock and begins a change, see mapseg_write_begin; the object that this gives ends
     *  both. Under the lock that this thread holds already the change begins all the same, and ends
     *  with that lock. What lock() does where an owner died, this does too. */
    [[nodiscard]] change changing()
    {
        mapseg_result result = settle(call(mapseg_write_begin));

        if (result != MAPSEG_ALREADY_LOCKED)
            check_lock(result);
        return change(result == MAPSEG_OK ? handle : nullptr);
    }

    [[nodiscard]] change changing(std::error_code &code)
    {
        mapseg_result result = settle(call(mapseg_write_begin));

        tell(code, result == MAPSEG_ALREADY_LOCKED ? MAPSEG_OK : result);
        return change(result == MAPSEG_OK ? handle : nullptr);
    }

    /** Writes bytes as one change, see mapseg_write. What lock() does where an owner died, this
     *  does too; nothing is written where it throws. */
    void write_bytes(const void *from, std::size_t bytes, std::size_t offset = 0)
    {
        check_lock(write_range(from, bytes, offset));
    }

    void write_bytes(const void *from, std::size_t bytes, std::size_t offset, std::error_code &code)
    {
        tell(code, write_range(from, bytes, offset));
    }

    /** Writes an object as one change. */
    template <class T> void write(const T &value, std::size_t offset = 0)
    {
        check_shareable<T>();
        write_bytes(std::addressof(value), sizeof(T), offset);
    }

    template <class T> void write(const T &value, std::size_t offset, std::error_code &code)
    {
        check_shareable<T>();
        write_bytes(std::addressof(value), sizeof(T), offset, code);
    }

    /** Copies bytes as they were at one version, never half of a change, see mapseg_read. `version`
     *  may be NULL. */
    void read_bytes(void *to, std::size_t bytes, std::size_t offset = 0,
                    std::uint64_t *version = nullptr) const
    {
        check_read(call(mapseg_read, offset, to, bytes, version));
    }

    void read_bytes(void *to, std::size_t bytes, std::size_t offset, std::uint64_t *version,
                    std::error_code &code) const noexcept
    {
        tell(code, call(mapseg_read, offset, to, bytes, version));
    }

    /** The same for `time` at most, see mapseg_read_for. */
    template <class Number, class Period>
    void read_bytes_for(void *to, std::size_t bytes, std::size_t offset, std::uint64_t *version,
                        const std::chrono::duration<Number, Period> &time) const
    {
        check_read(call(mapseg_read_for, offset, to, bytes, version, plain::timeout_of(time)));
    }

    template <class Number, class Period>
    void read_bytes_for(void *to, std::size_t bytes, std::size_t offset, std::uint64_t *version,
                        const std::chrono::duration<Number, Period> &time,
                        std::error_code &code) const noexcept
    {
        tell(code, call(mapseg_read_for, offset, to, bytes, version, plain::timeout_of(time)));
    }

    /** An object as it was at one version. */
    template <class T> T read(std::size_t offset = 0, std::uint64_t *version = nullptr) const
    {
        check_readable<T>();
        T value;

        read_bytes(std::addressof(value), sizeof(T), offset, version);
        return value;
    }

    /** The same; T() after a failure. */
    template <class T>
    T read(std::size_t offset, std::uint64_t *version, std::error_code &code) const
    {
        check_readable<T>();
        T value;

        read_bytes(std::addressof(value), sizeof(T), offset, version, code);
        return code ? T() : value;
    }

    /** Reading in place, see mapseg_read_begin: the version. */
    std::uint64_t read_begin() const
    {
        std::uint64_t version = 0;

        check_read(call(mapseg_read_begin, &version));
        return version;
    }

    std::uint64_t read_begin(std::error_code &code) const noexcept
    {
        std::uint64_t version = 0;

        tell(code, call(mapseg_read_begin, &version));
        return version;
    }

    /** Whether what was read since read_begin() is worthless, see mapseg_read_retry. */
    [[nodiscard]] bool read_retry(std::uint64_t version) const noexcept
    {
        return handle == nullptr || mapseg_read_retry(handle, version);
    }

    /** The version that the data has now; waits a second at most for a change under way. */
    std::uint64_t version() const
    {
        return read_begin();
    }

    std::uint64_t version(std::error_code &code) const noexcept
    {
        return read_begin(code);
    }

    /** Sleeps until the version is another than `seen`, see mapseg_wait: the version then. */
    std::uint64_t wait(std::uint64_t seen) const
    {
        std::uint64_t now = seen;

        check_read(call(mapseg_wait, seen, &now, std::int64_t{-1}));
        return now;
    }

    std::uint64_t wait(std::uint64_t seen, std::error_code &code) const noexcept
    {
        std::uint64_t now = seen;

        tell(code, call(mapseg_wait, seen, &now, std::int64_t{-1}));
        return now;
    }

    /** The same for `time` at most: without a value the time has passed, which is no error. */
    template <class Number, class Period>
    std::optional<std::uint64_t> wait_for(std::uint64_t seen,
                                          const std::chrono::duration<Number, Period> &time) const
    {
        std::uint64_t now = seen;
        mapseg_result result = call(mapseg_wait, seen, &now, plain::timeout_of(time));

        if (result == MAPSEG_TIMED_OUT)
            return std::nullopt;
        check_read(result);
        return now;
    }

    template <class Number, class Period>
    std::optional<std::uint64_t> wait_for(std::uint64_t seen,
                                          const std::chrono::duration<Number, Period> &time,
                                          std::error_code &code) const noexcept
    {
        std::uint64_t now = seen;
        mapseg_result result = call(mapseg_wait, seen, &now, plain::timeout_of(time));

        tell(code, result == MAPSEG_TIMED_OUT ? MAPSEG_OK : result);
        return result == MAPSEG_OK ? std::optional<std::uint64_t>(now) : std::nullopt;
    }

    /** A descriptor for poll(), readable while there is a version that this segment has not given
     *  out yet, see mapseg_notify_fd. It stays the segment's: neither read nor close it. */
    int notify_fd() const
    {
        int fd = -1;

        check(call(mapseg_notify_fd, &fd));
        return fd;
    }

    int notify_fd(std::error_code &code) const noexcept
    {
        int fd = -1;

        tell(code, call(mapseg_notify_fd, &fd));
        return fd;
    }

    /* ------------------------------------------------------ guard -- */

    /** Begins a section of the guard, see mapseg_guard_begin. The data is to be touched between
     *  this and section::end, which tells whether the file has become shorter. */
    [[nodiscard]] section guard() const
    {
        check(call(mapseg_guard_begin));
        return section(handle);
    }

    [[nodiscard]] section guard(std::error_code &code) const noexcept
    {
        mapseg_result result = call(mapseg_guard_begin);

        tell(code, result);
        return section(result == MAPSEG_OK ? handle : nullptr);
    }

#if !defined(_WIN32)
    /* ------------------------------------------------- descriptors -- */

    /** A new descriptor of the segment for one receiver, see mapseg_export_fd. */
    [[nodiscard]] descriptor export_fd(access granted) const
    {
        int fd = -1;

        check(call(mapseg_export_fd, plain::access_of(granted), &fd));
        return descriptor(fd);
    }

    [[nodiscard]] descriptor export_fd(access granted, std::error_code &code) const noexcept
    {
        int fd = -1;

        tell(code, call(mapseg_export_fd, plain::access_of(granted), &fd));
        return descriptor(fd);
    }

    /** Attaches to the segment behind a descriptor, see mapseg_attach_fd. On success `from` has
     *  none any more. */
    void attach_fd(descriptor &from, access how = access::read_write, const options &with = {})
    {
        check(take_fd(from, how, with));
    }

    void attach_fd(descriptor &from, access how, const options &with, std::error_code &code)
    {
        tell(code, take_fd(from, how, with));
    }

    /** Sends the segment over a connected Unix socket, see mapseg_send. */
    void send(int socket, access granted) const
    {
        check(call(mapseg_send, socket, plain::access_of(granted)));
    }

    void send(int socket, access granted, std::error_code &code) const noexcept
    {
        tell(code, call(mapseg_send, socket, plain::access_of(granted)));
    }

    /** Receives a segment from a Unix socket and attaches to it, see mapseg_receive. */
    void receive(int socket, access how = access::read_write, const options &with = {})
    {
        check(receive_with(socket, how, with));
    }

    void receive(int socket, access how, const options &with, std::error_code &code)
    {
        tell(code, receive_with(socket, how, with));
    }

    /** Prepares a child to inherit the segment, see mapseg_spawn_actions. `actions` may be NULL. */
    [[nodiscard]] child_segment prepare_child(access granted,
                                              posix_spawn_file_actions_t *actions) const
    {
        std::error_code code;
        child_segment child = prepare_child(granted, actions, code);

        if (code)
            raise(static_cast<mapseg_result>(code.value()));
        return child;
    }

    [[nodiscard]] child_segment prepare_child(access granted, posix_spawn_file_actions_t *actions,
                                              std::error_code &code) const
    {
        char variable[MAPSEG_ENVIRONMENT_BYTES] = "";
        int fd = -1;

        tell(code, call(mapseg_spawn_actions, plain::access_of(granted), actions,
                        static_cast<char *>(variable), &fd));
        descriptor made(fd);
        return {std::move(made), variable};
    }
#endif

    /* ------------------------------------------------- information -- */

    /** What can be seen of the segment, see mapseg_info_new. */
    description describe() const
    {
        mapseg_info *info = nullptr;

        check(call(mapseg_info_new, &info));
        return description(info);
    }

    description describe(std::error_code &code) const noexcept
    {
        mapseg_info *info = nullptr;

        tell(code, call(mapseg_info_new, &info));
        return description(info);
    }

  private:
    struct made_t {
    };

    /** What a segment that was moved from has to say. */
    static constexpr const char *nothing =
        "cannot use a segment: it was moved to another one; use that";

    segment(mapseg *made, made_t) : handle(made)
    {
        if (made == nullptr)
            throw std::bad_alloc();
    }

    /** Releases the lock, unless it is told to keep it. */
    struct unlocker {
        mapseg *handle;
        ~unlocker()
        {
            if (handle != nullptr)
                (void)mapseg_unlock(handle);
        }
    };

    /* ---------------------------------------------- calls of mapseg.h -- */

    template <class... Parameters, class... Arguments>
    mapseg_result call(mapseg_result (*function)(mapseg *, Parameters...),
                       Arguments... arguments) const noexcept
    {
        return handle == nullptr ? MAPSEG_NOT_ATTACHED : function(handle, arguments...);
    }

    /** A call with options, as its last argument, whose initialiser may throw. */
    template <class... Parameters, class... Arguments>
    mapseg_result call_with(mapseg_result (*function)(mapseg *, Parameters...), const options &with,
                            Arguments... arguments)
    {
        plain::call_options options(with);
        mapseg_result result = call(function, arguments..., options.get());

        options.rethrow();
        return result;
    }

    mapseg_result set_plain_key(const std::string &key) noexcept
    {
        return plain::is_text(key) ? call(mapseg_set_key, key.c_str()) : MAPSEG_KEY_ERROR;
    }

    mapseg_result set_other_key(const mapseg::native_key &key)
    {
        return key.is_valid() ? call(mapseg_set_native_key, key.text().c_str()) : MAPSEG_KEY_ERROR;
    }

    mapseg_result create_with(std::size_t size, access how, const options &with)
    {
        return call_with(mapseg_create_with, with, size, plain::access_of(how));
    }

    mapseg_result attach_with(access how, const options &with)
    {
        return call_with(mapseg_attach_with, with, plain::access_of(how));
    }

    mapseg_result create_or_attach_with(std::size_t size, access how, const options &with,
                                        bool &created)
    {
        return call_with(
            +[](mapseg *seg, std::size_t bytes, mapseg_access mapped, bool *made,
                const mapseg_options *options) {
                return mapseg_create_or_attach_with(seg, bytes, mapped, options, made);
            },
            with, size, plain::access_of(how), &created);
    }

#if !defined(_WIN32)
    mapseg_result take_fd(descriptor &from, access how, const options &with)
    {
        mapseg_result result =
            call_with(mapseg_attach_fd_with, with, from.get(), plain::access_of(how));

        if (result == MAPSEG_OK)
            (void)from.release();
        return result;
    }

    mapseg_result receive_with(int socket, access how, const options &with)
    {
        return call_with(mapseg_receive_with, with, socket, plain::access_of(how));
    }
#endif

    template <class Clock, class Duration>
    mapseg_result take_until(const std::chrono::time_point<Clock, Duration> &time)
    {
        mapseg_result result{};

        /* The clock may be one that is set back meanwhile. */
        do {
            result = call(mapseg_lock_for, plain::timeout_of(time - Clock::now()));
        } while (result == MAPSEG_TIMED_OUT && Clock::now() < time);
        return result;
    }

    /** Writes a range; where a writer died, repairs first, and writes under that lock. */
    mapseg_result write_range(const void *from, std::size_t bytes, std::size_t offset)
    {
        mapseg_result result = call(mapseg_write, offset, from, bytes);

        if (result != MAPSEG_OWNER_DIED || !repairer)
            return result;
        result = settle(call(mapseg_lock));
        if (result != MAPSEG_OK)
            return result;
        unlocker own{handle};
        return call(mapseg_write, offset, from, bytes);
    }

    /** What a call that takes the lock comes to: where an owner died the data is repaired, or the
     *  lock released. */
    mapseg_result settle(mapseg_result result)
    {
        if (result != MAPSEG_OWNER_DIED)
            return result;
        unlocker unless_repaired{handle};
        if (!repairer)
            return result;
        /* A copy, since it may replace itself. */
        std::function<void(segment &)> function = repairer;
        function(*this);
        result = call(mapseg_consistent);
        if (result == MAPSEG_OK)
            unless_repaired.handle = nullptr;
        return result;
    }

    /* ---------------------------------------------------- the data -- */

    bytes_view all() noexcept
    {
        auto *first = handle == nullptr ? nullptr : static_cast<std::byte *>(mapseg_data(handle));

        return {first, first == nullptr ? 0 : size()};
    }

    const_bytes_view all_to_read() const noexcept
    {
        auto *first =
            handle == nullptr ? nullptr : static_cast<const std::byte *>(mapseg_const_data(handle));

        return {first, first == nullptr ? 0 : size()};
    }

    mapseg_result writable() noexcept
    {
        if (!is_attached())
            return MAPSEG_NOT_ATTACHED;
        return all().data() == nullptr ? MAPSEG_PERMISSION_DENIED : MAPSEG_OK;
    }

    void check_writable(const char *what)
    {
        mapseg_result result = writable();

        if (result == MAPSEG_NOT_ATTACHED)
            refuse(errc::not_attached, what, "it is not attached; attach first");
        if (result == MAPSEG_PERMISSION_DENIED)
            refuse(errc::permission_denied, what,
                   "it is attached to be read; attach with access::read_write, or use const_data");
    }

    /** The data begins on a page, so the offset decides the alignment. */
    mapseg_result place(std::size_t offset, std::size_t bytes, std::size_t alignment) const noexcept
    {
        if (bytes > size() || offset > size() - bytes)
            return MAPSEG_INVALID_SIZE;
        return offset % alignment == 0 ? MAPSEG_OK : MAPSEG_INVALID_ARGUMENT;
    }

    void check_place(std::size_t offset, std::size_t bytes, std::size_t alignment) const
    {
        mapseg_result result = place(offset, bytes, alignment);

        if (result == MAPSEG_INVALID_SIZE)
            refuse(errc::invalid_size, "use the data of",
                   "an object of " + std::to_string(bytes) + " bytes at offset " +
                       std::to_string(offset) + " ends beyond its " + std::to_string(size()) +
                       " bytes; agree on the size with the program that creates it");
        if (result == MAPSEG_INVALID_ARGUMENT)
            refuse(errc::invalid_argument, "use the data of",
                   "offset " + std::to_string(offset) + " is no multiple of the alignment, " +
                       std::to_string(alignment) + "; give one that is");
    }

    template <class T> static constexpr void check_shareable()
    {
        static_assert(std::is_trivially_copyable_v<T>,
                      "only trivially copyable types can be shared: others hold memory of one "
                      "process");
        static_assert(!std::is_pointer_v<T> && !std::is_member_pointer_v<T>,
                      "an address means nothing to another process; share an offset");
    }

    template <class T> static constexpr void check_readable()
    {
        check_shareable<T>();
        static_assert(std::is_default_constructible_v<T> && !std::is_const_v<T>,
                      "what is read needs an object to be read to; read_bytes takes memory");
    }

    /* ------------------------------------------------------ errors -- */

    static void tell(std::error_code &code, mapseg_result result) noexcept
    {
        if (result == MAPSEG_OK)
            code.clear();
        else
            code = static_cast<errc>(result);
    }

    void check(mapseg_result result) const
    {
        if (result != MAPSEG_OK)
            raise(result);
    }

    [[noreturn]] void raise(mapseg_result result) const
    {
        if (handle == nullptr)
            throw error(errc::not_attached, nothing);
        throw error(static_cast<errc>(result), mapseg_error_string(handle));
    }

    /** `what` "lock" the segment, and why not, and what to do. */
    [[noreturn]] void refuse(errc result, const char *what, const std::string &why) const
    {
        throw error(result, sentence(what, why));
    }

    std::string sentence(const char *what, const std::string &why) const
    {
        const char *text = handle == nullptr ? nullptr : mapseg_native_key(handle);
        std::string name =
            text == nullptr ? "a segment without a key" : "\"" + std::string(text) + "\"";

        return std::string("cannot ") + what + " " + name + ": " + why;
    }

    /** A result of a call that takes the lock, when the lock of a dead owner is released. */
    void check_lock(mapseg_result result) const
    {
        if (result == MAPSEG_OWNER_DIED)
            throw owner_died(
                sentence("lock", "an owner died while it held the lock, and the data may be half "
                                 "written; repair it in a function for on_owner_died, or under "
                                 "lock_to_repair"));
        check(result);
    }

    /** A result of a call that reads: the lock was not taken. */
    void check_read(mapseg_result result) const
    {
        if (result == MAPSEG_OWNER_DIED)
            throw owner_died(mapseg_error_string(handle));
        check(result);
    }

    static bool is_busy(mapseg_result result) noexcept
    {
        return result == MAPSEG_WOULD_BLOCK || result == MAPSEG_TIMED_OUT ||
               result == MAPSEG_ALREADY_LOCKED;
    }

    bool is_taken(mapseg_result result) const
    {
        if (!is_busy(result))
            check_lock(result);
        return result == MAPSEG_OK;
    }

    static bool is_taken(mapseg_result result, std::error_code &code) noexcept
    {
        tell(code, is_busy(result) ? MAPSEG_OK : result);
        return result == MAPSEG_OK;
    }

    bool take_to_repair(mapseg_result result) const
    {
        if (result != MAPSEG_OWNER_DIED)
            check(result);
        return result == MAPSEG_OWNER_DIED;
    }

    static bool take_to_repair(mapseg_result result, std::error_code &code) noexcept
    {
        tell(code, result == MAPSEG_OWNER_DIED ? MAPSEG_OK : result);
        return result == MAPSEG_OWNER_DIED;
    }

    mapseg *handle = nullptr;
    std::function<void(segment &)> repairer = nullptr;
};

inline void
mapseg::section::end()
{
    mapseg *guarded = handle;
    mapseg_result result = finish();

    if (result != MAPSEG_OK)
        throw error(static_cast<errc>(result), guarded == nullptr
                                                   ? "cannot end a section: none has begun; end "
                                                     "each once"
                                                   : mapseg_error_string(guarded));
}

inline void
mapseg::section::end(std::error_code &code) noexcept
{
    mapseg_result result = finish();

    if (result == MAPSEG_OK)
        code.clear();
    else
        code = static_cast<errc>(result);
}

/** All segments of the places that have lists, or what other programs have, as they are when this
 *  is made; see mapseg_list. */
class mapseg::segment_list
{
  public:
    segment_list() : segment_list(mapseg_list_new)
    {
    }

    /** What other programs have, see mapseg_list_new_foreign. */
    explicit segment_list(foreign_t) : segment_list(mapseg_list_new_foreign)
    {
    }

    /** Empty after a failure. */
    explicit segment_list(std::error_code &code) noexcept
    {
        make(mapseg_list_new, code);
    }

    segment_list(foreign_t, std::error_code &code) noexcept
    {
        make(mapseg_list_new_foreign, code);
    }

    std::size_t size() const noexcept
    {
        return list ? mapseg_list_count(list.get()) : 0;
    }

    /** The entry; `index` is less than size(). */
    const mapseg_info &operator[](std::size_t index) const noexcept
    {
        return *mapseg_list_get(list.get(), index);
    }

    /** Goes through the entries, for loops. */
    class iterator
    {
      public:
        iterator(const segment_list &entries, std::size_t first) noexcept
            : list(&entries), index(first)
        {
        }

        const mapseg_info &operator*() const noexcept
        {
            return (*list)[index];
        }

        iterator &operator++() noexcept
        {
            index++;
            return *this;
        }

        friend bool operator!=(const iterator &a, const iterator &b) noexcept
        {
            return a.index != b.index;
        }

      private:
        const segment_list *list;
        std::size_t index;
    };

    iterator begin() const noexcept
    {
        return {*this, 0};
    }

    iterator end() const noexcept
    {
        return {*this, size()};
    }

  private:
    using maker = mapseg_result (*)(mapseg_list **);

    explicit segment_list(maker how)
    {
        std::error_code code;

        make(how, code);
        if (code)
            throw error(static_cast<errc>(code.value()),
                        std::string("cannot list the segments: ") + code.message());
    }

    void make(maker how, std::error_code &code) noexcept
    {
        mapseg_list *made = nullptr;
        mapseg_result result = how(&made);

        if (result == MAPSEG_OK)
            code.clear();
        else
            code = static_cast<errc>(result);
        list.reset(made);
    }

    struct free_list {
        void operator()(mapseg_list *made) const noexcept
        {
            mapseg_list_free(made);
        }
    };
    std::unique_ptr<mapseg_list, free_list> list;
};

#endif
