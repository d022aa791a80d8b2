/*
 * compile_cxx.cpp - a C++17 program compiles against the headers, links and runs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mapseg.h"
#include "mapseg.h"

#include "mapseg-key.h"
#include "mapseg-key.h"

#include "mapseg-spawn.h"
#include "mapseg-spawn.h"

#include "mapseg-format.h"
#include "mapseg-format.h"

#include <cstring>
#include <memory>
#include <type_traits>

static_assert(__cplusplus >= 201703L, "this is to be compiled as C++17");
static_assert(std::is_standard_layout<mapseg_header>::value, "the header is plain data");
static_assert(std::is_trivially_copyable<mapseg_options>::value, "options are plain data");
static_assert(sizeof(mapseg_result) == 4 && sizeof(mapseg_access) == 4 && sizeof(mapseg_flag) == 4,
              "the size of enumerations does not depend on the compiler");

namespace
{
struct Free {
    void operator()(mapseg *seg) const
    {
        mapseg_free(seg);
    }
};
} // namespace

int
main()
{
    std::unique_ptr<mapseg, Free> seg(mapseg_new());
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_LAZY | MAPSEG_FAIR;
    if (mapseg_set_native_key(seg.get(), "memfd:") != MAPSEG_OK ||
        mapseg_create_with(seg.get(), 100, MAPSEG_READ_WRITE, &options) != MAPSEG_OK)
        return 1;
    if (!mapseg_result_owes_unlock(mapseg_lock(seg.get())))
        return 1;
    std::strcpy(static_cast<char *>(mapseg_data(seg.get())), "C++17");
    if (mapseg_unlock(seg.get()) != MAPSEG_OK)
        return 1;
    return std::strcmp(static_cast<const char *>(mapseg_const_data(seg.get())), "C++17") == 0 ? 0
                                                                                              : 1;
}
