/*
 * demo_role.c - what the processes of mapseg demo do.
 *
 * SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "common.h"
#include "demo.h"
#include "mapseg-key.h"
#include "transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t
digest_of(const mapseg *seg)
{
    return mapseg_digest(mapseg_const_data(seg), mapseg_size(seg));
}

static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    put_sentence(format, arguments);
    putchar('\n');
    va_end(arguments);
}

/* ------------------------------------------------------------- producer -- */

static bool
create_filled(mapseg *seg, struct input *input)
{
    if (!input_measure(input, SIZE_MAX))
        return false;
    if (mapseg_create(seg, input->bytes, MAPSEG_READ_WRITE) != MAPSEG_OK ||
        mapseg_lock(seg) != MAPSEG_OK)
        return segment_failure(seg) == EXIT_SUCCESS;
    bool copied = input_copy(input, mapseg_data(seg), NULL);
    return mapseg_unlock(seg) == MAPSEG_OK && copied;
}

static int
produce(const char *key, const char *path)
{
    struct input input;
    mapseg *seg = open_key(key);
    if (seg == NULL || !input_open(&input, path)) {
        mapseg_free(seg);
        return EXIT_FAILURE;
    }
    bool good = create_filled(seg, &input);
    input_close(&input);
    if (good) {
        say("created %s, put %zu bytes into it, XXH3 %016" PRIx64, key, mapseg_size(seg),
            digest_of(seg));
        fflush(stdout);
        /* The last one out removes the segment: it waits for the readers. */
        while (getchar() != EOF)
            ;
        puts("detached, as the last one");
    }
    mapseg_free(seg);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ------------------------------------------------------------- consumer -- */

static int
consume(const char *key)
{
    mapseg *seg = open_key(key);
    if (seg == NULL)
        return EXIT_FAILURE;
    int status = EXIT_SUCCESS;
    if (mapseg_attach(seg, MAPSEG_READ_ONLY) != MAPSEG_OK || mapseg_lock(seg) != MAPSEG_OK) {
        status = segment_failure(seg);
    } else {
        printf("attached, read %zu bytes, XXH3 %016" PRIx64 "\n", mapseg_size(seg), digest_of(seg));
        mapseg_unlock(seg);
    }
    mapseg_free(seg);
    return status;
}

/* ----------------------------------------------------------------- heir -- */

static bool
is_sealed(mapseg *seg)
{
    mapseg_info *information;
    if (mapseg_info_new(seg, &information) != MAPSEG_OK)
        return segment_failure(seg) == EXIT_SUCCESS;
    const int32_t wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    bool sealed = information->seals >= 0 && (information->seals & wanted) == wanted;
    mapseg_info_free(information);
    return sealed;
}

/* Tries to break the segment as a hostile peer would. */
static bool
cannot_be_cut(const char *native_key)
{
    mapseg_ipc_key *key = mapseg_ipc_key_from_text(native_key);
    int descriptor = key != NULL ? atoi(mapseg_ipc_key_name(key)) : -1;
    mapseg_ipc_key_free(key);
    return ftruncate(descriptor, 0) != 0 && errno == EPERM;
}

static int
inherit(void)
{
    const char *key = getenv("MAPSEG_KEY");
    mapseg *seg = key != NULL ? open_key(key) : NULL;
    if (seg == NULL)
        return failure("the environment has no segment's key");
    int status = EXIT_SUCCESS;
    if (mapseg_attach(seg, MAPSEG_READ_WRITE) != MAPSEG_OK || mapseg_lock(seg) != MAPSEG_OK) {
        status = segment_failure(seg);
    } else {
        bool sealed = is_sealed(seg) && cannot_be_cut(key);
        say("child %ld attached to %s, %s, XXH3 %016" PRIx64, (long)getpid(), key,
            sealed ? "is sealed and could not cut it short" : "is NOT sealed", digest_of(seg));
        mapseg_unlock(seg);
        status = sealed ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    mapseg_free(seg);
    return status;
}

int
command_demo_role(int argc, char **argv)
{
    const char *role = argc > 1 ? argv[1] : "";
    if (strcmp(role, "produce") == 0 && argc == 4)
        return produce(argv[2], argv[3]);
    if (strcmp(role, "consume") == 0 && argc == 3)
        return consume(argv[2]);
    if (strcmp(role, "inherit") == 0 && argc == 2)
        return inherit();
    if (strcmp(role, "add") == 0 && argc == 5)
        return role_add(argv[2], argv[3], argv[4]);
    usage_error("only mapseg demo uses this");
}
