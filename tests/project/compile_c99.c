/*
 * compile_c99.c - a C99 program compiles against the headers, links and runs.
 *
 * The headers come first and twice, so that they must stand on their own.
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

#include <string.h>

#if __STDC_VERSION__ != 199901L
#error "this is to be compiled as C99"
#endif

int
main(void)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg_result result;
    mapseg *seg = mapseg_new();

    options.user_tag = 99;
    if (mapseg_set_native_key(seg, "memfd:") != MAPSEG_OK)
        return 1;
    result = mapseg_create_with(seg, sizeof(struct mapseg_header), MAPSEG_READ_WRITE, &options);
    if (result != MAPSEG_OK || mapseg_size(seg) != MAPSEG_HEADER_BYTES)
        return 1;
    result = mapseg_lock(seg);
    if (!mapseg_result_owes_unlock(result))
        return 1;
    strcpy(mapseg_data(seg), "C99");
    if (mapseg_unlock(seg) != MAPSEG_OK || strcmp(mapseg_const_data(seg), "C99") != 0)
        return 1;
    mapseg_free(seg);
    return 0;
}
