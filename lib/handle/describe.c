/*
 * describe.c - what can be seen of a file that may be a segment.
 *
 * Looking takes no lock and no presence: a test that took the bytes and gave
 * them back would make another process's last detach believe it is not the last.
 *
 * SPDX-License-Identifier: MIT
 */
#include "describe.h"

#include "file/header.h"
#include "file/key.h"
#include "file/place.h"
#include "file/trust.h"
#include "os/os.h"
#include "os/printable.h"
#include "sync/presence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** The library's own part of an information: what its pointers lead to. */
struct information {
    mapseg_info seen; /* first: what the caller gets is a pointer to it */
    char file_system[24];
    char verdict_text[384];
    char safety_text[320];
    char label[4 * MAPSEG_LABEL_BYTES + 1]; /* each byte may come to be four */
};

/** Makes the label harmless: no checksum covers it, and each process that can write the header
 *  can change it. */
static void
see_label(struct information *information, const struct mapseg_header *copy)
{
    char raw[MAPSEG_LABEL_BYTES + 1] = "";
    const char *from = raw;

    memcpy(raw, copy->label, sizeof copy->label);
    (void)msi_printable(information->label, sizeof information->label, &from, MSI_PRINTABLE_TEXT);
}

/** Reads the file's header, of which any part may be nonsense. */
static void
see_header(struct information *information, int fd, const struct mapseg_header *copy)
{
    mapseg_info *seen = &information->seen;
    struct mapseg_header header;

    see_label(information, copy);
    seen->data_size = copy->data_size;
    seen->data_offset = copy->data_offset;
    seen->header_flags = copy->flags;
    seen->created_ns = copy->created;
    seen->user_tag = copy->user_tag;
    seen->format = copy->format;
    memcpy(seen->id, copy->id, sizeof seen->id);
    if (msi_os.read(fd, &header, sizeof header, 0) != (int64_t)sizeof header)
        return;
    seen->recoveries = header.recoveries;
    seen->contended = header.contended;
    seen->slept = header.slept;
    seen->longest_wait_ns = header.longest_wait;
    if (header.left != 0 && seen->attached == 0)
        seen->use = MAPSEG_USE_LEFT;
    seen->version = header.version;
    seen->lock_slot = header.lock & MAPSEG_LOCK_OWNER;
    seen->lock_sleepers = (header.lock & MAPSEG_LOCK_SLEEPERS) != 0;
    seen->lock_inconsistent = (header.lock & MAPSEG_LOCK_DIED) != 0;
    if (seen->lock_slot != 0) {
        seen->lock_pid = header.owner_pid;
        seen->lock_tid = header.owner_tid;
        seen->lock =
            seen->lock_slot <= MAPSEG_LAST_SLOT && msi_presence_is_held(fd, seen->lock_slot)
                ? MAPSEG_LOCK_STATE_HELD
                : MAPSEG_LOCK_STATE_OWNER_DIED;
    } else {
        seen->lock =
            seen->lock_inconsistent ? MAPSEG_LOCK_STATE_INCONSISTENT : MAPSEG_LOCK_STATE_FREE;
    }
}

/** What the segment is used for, given that its header is sound or not. */
static mapseg_use
use_of(const mapseg_info *seen, bool sound, const struct msi_census *census)
{
    if (!sound)
        return MAPSEG_USE_DAMAGED;
    if (census->is_blocked)
        return MAPSEG_USE_BLOCKED;
    if (seen->attached != 0)
        return MAPSEG_USE_LIVE;
    if (seen->header_flags & MAPSEG_HEADER_PERSISTENT)
        return MAPSEG_USE_PERSISTENT;
    return seen->use == MAPSEG_USE_LEFT || seen->use == MAPSEG_USE_FOREIGN ? seen->use
                                                                           : MAPSEG_USE_STALE;
}

/** Whether others could replace a directory on the way to the file. */
static mapseg_result
judge_directories(const mapseg_info *seen, struct msi_failure *failure)
{
    int directory;
    mapseg_result result;

    if (!msi_place_is_chosen(seen->type))
        return MAPSEG_OK;
    result =
        msi_trust_open_directory(seen->path, (struct msi_trust){.flags = 0}, &directory, failure);
    if (directory >= 0)
        msi_os.close(directory);
    return result;
}

/** All of a file without a header is data, if it has any yet. */
static mapseg_result
see_raw(mapseg_info *seen, struct msi_failure *failure)
{
    seen->data_size = seen->file_size;
    seen->use = MAPSEG_USE_FOREIGN;
    return seen->file_size != 0
               ? MAPSEG_OK
               : msi_failed(failure, MAPSEG_TIMED_OUT, 0,
                            "it has no bytes, as if its creator had not finished it; find out "
                            "whether that process is stopped, or died");
}

/** What default options would make of it. */
static void
judge(struct information *information, int fd, const struct stat *status, bool is_raw,
      const struct msi_census *census)
{
    mapseg_info *seen = &information->seen;
    struct msi_failure failure = {.result = MAPSEG_OK};
    struct mapseg_header copy;
    bool named = seen->type != MAPSEG_KEY_MEMFD;
    mapseg_result trusted =
        msi_trust_file(status, fd, named, (struct msi_trust){.flags = 0}, &failure);
    mapseg_result readable = MAPSEG_NOT_A_SEGMENT;
    struct msi_failure unreadable = {.result = MAPSEG_OK};
    bool sound = false;

    seen->lock = MAPSEG_LOCK_STATE_UNKNOWN;
    if (trusted == MAPSEG_OK)
        trusted = judge_directories(seen, &failure);
    if (trusted == MAPSEG_OK)
        trusted = msi_place_check(seen->type, fd, &failure);
    if (S_ISREG(status->st_mode) && is_raw) {
        readable = see_raw(seen, &unreadable);
        sound = true;
    } else if (S_ISREG(status->st_mode)) {
        readable = msi_header_read(fd, (uint64_t)status->st_size, &copy, &unreadable);
        /* The last two: whole, but not for this machine or program. */
        sound = readable == MAPSEG_OK || readable == MAPSEG_NOT_SUPPORTED ||
                readable == MAPSEG_OUT_OF_RESOURCES;
        if (sound)
            see_header(information, fd, &copy);
        else if (readable != MAPSEG_NOT_A_SEGMENT)
            seen->format = copy.format;
    }
    if (trusted == MAPSEG_OK && readable != MAPSEG_OK)
        failure = unreadable;
    seen->verdict = trusted != MAPSEG_OK ? trusted : readable;
    if (seen->verdict != MAPSEG_OK)
        snprintf(information->verdict_text, sizeof information->verdict_text, "%s; %s",
                 failure.reason, failure.cure);
    seen->use = use_of(seen, sound, census);
}

/** What others can do to the users of the file. */
static void
see_safety(struct information *information, int fd, const struct stat *status)
{
    mapseg_info *seen = &information->seen;
    bool refused;

    seen->can_shrink = seen->type != MAPSEG_KEY_MEMFD || msi_trust_can_shrink(fd, &refused);
    seen->writers = msi_trust_writers(status, seen->seals);
    msi_trust_describe(status, seen->can_shrink, seen->writers, information->safety_text,
                       sizeof information->safety_text);
}

static void
see_file(struct information *information, int fd, const struct stat *status, bool is_raw)
{
    mapseg_info *seen = &information->seen;
    struct msi_file_system file_system;
    struct msi_census census = {.attached = 0};

    seen->seals = fd < 0 ? -1 : msi_os.seals(fd);
    if (seen->seals < 0)
        seen->seals = -1;
    if (fd >= 0 && msi_os.file_system(fd, &file_system) >= 0)
        memcpy(information->file_system, file_system.name, sizeof information->file_system);
    if (seen->type == MAPSEG_KEY_MEMFD && seen->seals >= 0)
        memcpy(information->file_system, "memfd", sizeof "memfd");
    see_safety(information, fd, status);
    seen->file_size = (uint64_t)status->st_size;
    seen->file_bytes = (uint64_t)status->st_blocks * 512;
    seen->mode = (uint32_t)status->st_mode & 07777;
    seen->uid = (uint32_t)status->st_uid;
    seen->gid = (uint32_t)status->st_gid;
    seen->links = (uint32_t)status->st_nlink;
    if (fd >= 0)
        msi_presence_count(fd, status->st_dev, status->st_ino, &census);
    seen->attached = census.attached;
    seen->readers = census.readers;
    seen->attached_writers = census.writers;
    seen->attached_is_minimum = census.is_minimum;
    judge(information, fd, status, is_raw, &census);
}

/** An information about the file behind `fd`, which stays the caller's. */
mapseg_info *
msi_info_make(const mapseg_ipc_key *key, const char *path, int fd, const struct stat *status,
              bool is_raw)
{
    struct information *information = calloc(1, sizeof *information);
    mapseg_info *seen;

    if (information == NULL)
        return NULL;
    seen = &information->seen;
    seen->type = mapseg_ipc_key_type(key);
    seen->native_key = msi_copy_string(mapseg_ipc_key_text(key));
    seen->path = msi_copy_string(path);
    seen->file_system = information->file_system;
    seen->verdict_text = information->verdict_text;
    seen->safety_text = information->safety_text;
    seen->limitations = "";
    seen->label = information->label;
    if (seen->native_key == NULL || seen->path == NULL) {
        mapseg_info_free(seen);
        return NULL;
    }
    see_file(information, fd, status, is_raw);
    /* Half made, or given up half way: damage is no surprise there, and what was to be
     * persistent is not yet. */
    if ((seen->use == MAPSEG_USE_DAMAGED || seen->use == MAPSEG_USE_PERSISTENT) &&
        S_ISREG(status->st_mode) && msi_key_is_private(key))
        seen->use = seen->attached != 0 ? MAPSEG_USE_LIVE : MAPSEG_USE_STALE;
    return seen;
}

void
mapseg_info_free(mapseg_info *information)
{
    if (information == NULL)
        return;
    free((void *)(uintptr_t)information->native_key);
    free((void *)(uintptr_t)information->path);
    free(information);
}
