/*
 * system_v_look.c - what can be seen of a System V segment.
 *
 * SPDX-License-Identifier: MIT
 */
#include "system_v.h"

#include "file/key.h"
#include "file/place.h"
#include "handle/forklist.h"
#include "os/os.h"
#include "os/proc.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** The library's own part of an information: what its pointers lead to. */
struct information {
    mapseg_info seen; /* first: what the caller gets is a pointer to it */
    char verdict_text[384];
    char safety_text[512];
};

/** What was found of a segment and its lock. */
struct look {
    struct msi_system_v segment;
    struct msi_system_v set;
    bool has_set;
    mapseg_name_state name_state;
    mapseg_result verdict;
    struct msi_failure refusal;
};

static const char no_header[] =
    "a System V segment has no header: no version to wait for, no label, no id; the system gives "
    "back the lock of an owner that ends, and tells no process that the data may be half written";

static mapseg_lock_state
lock_state(const struct look *look)
{
    if (!look->has_set)
        return MAPSEG_LOCK_STATE_UNKNOWN;
    if (look->set.value > 0)
        return MAPSEG_LOCK_STATE_FREE;
    return look->set.last_pid == 0 || msi_os.process_lives(look->set.last_pid)
               ? MAPSEG_LOCK_STATE_HELD
               : MAPSEG_LOCK_STATE_OWNER_DIED;
}

static void
see_safety(struct information *information, const struct look *look)
{
    mapseg_info *seen = &information->seen;
    const struct stat as_file = {.st_mode = S_IFREG | (mode_t)seen->mode};
    char others[64] = "and root";

    seen->writers = msi_trust_writers(&as_file, -1);
    if (seen->writers == MAPSEG_WRITERS_OTHERS)
        snprintf(others, sizeof others, "root and, by its mode %04o, others", (unsigned)seen->mode);
    snprintf(information->safety_text, sizeof information->safety_text,
             "process %u made it, and process %u was the last to attach or leave; user %u%s %s can "
             "write it; no process can make it shorter",
             (unsigned)look->segment.creator_pid, (unsigned)look->segment.last_pid,
             (unsigned)seen->uid, seen->writers == MAPSEG_WRITERS_OTHERS ? "," : "", others);
}

static void
fill(struct information *information, const struct look *look)
{
    mapseg_info *seen = &information->seen;

    seen->file_system = "System V";
    seen->verdict_text = information->verdict_text;
    seen->safety_text = information->safety_text;
    seen->limitations = "";
    seen->label = "";
    seen->use = look->segment.attached != 0 ? MAPSEG_USE_LIVE : MAPSEG_USE_STALE;
    seen->data_size = seen->file_size = seen->file_bytes = look->segment.bytes;
    seen->created_ns = (uint64_t)look->segment.changed_ns;
    seen->attached = (uint32_t)look->segment.attached;
    seen->attached_writers = seen->attached;
    seen->mode = look->segment.mode;
    seen->uid = look->segment.uid;
    seen->gid = look->segment.gid;
    seen->links = 1;
    seen->seals = -1;
    seen->lock = lock_state(look);
    seen->lock_sleepers = look->has_set && look->set.waiters != 0;
    if (look->has_set && look->set.value == 0)
        seen->lock_pid = look->set.last_pid;
    seen->name_state = look->name_state;
    seen->verdict = look->verdict;
    if (look->verdict != MAPSEG_OK)
        snprintf(information->verdict_text, sizeof information->verdict_text, "%s; %s",
                 look->refusal.reason, look->refusal.cure);
    see_safety(information, look);
}

/** An information with that key and path; NULL: no memory. */
static mapseg_info *
make(const char *native_key, mapseg_key_type type, const char *path, const struct look *look)
{
    struct information *information = calloc(1, sizeof *information);
    mapseg_info *seen;

    if (information == NULL)
        return NULL;
    seen = &information->seen;
    seen->type = type;
    seen->native_key = msi_copy_string(native_key);
    seen->path = msi_copy_string(path);
    if (seen->native_key == NULL || seen->path == NULL) {
        mapseg_info_free(seen);
        return NULL;
    }
    fill(information, look);
    return seen;
}

/** The segment and the set that the key leads to. */
static mapseg_result
look_by_key(struct msi_system_v_handle *own, struct look *look, int *set,
            struct msi_failure *failure)
{
    mapseg_result result = msi_key_file_look(&own->file, failure);

    own->lock.file.key = own->file.key;
    if (result == MAPSEG_OK)
        result = msi_system_v_find(own, &look->segment, failure);
    if (result == MAPSEG_OK &&
        (!own->has_own_file || msi_key_file_look(&own->lock.file, &look->refusal) == MAPSEG_OK))
        *set = msi_os.system_v_set(own->lock.file.key, 0);
    return result;
}

/** Those that the handle is attached to. */
static mapseg_result
look_at_own(struct msi_system_v_handle *own, struct look *look, int *set,
            struct msi_failure *failure)
{
    struct msi_key_file now = own->file;
    int error = msi_os.system_v_segment_status(own->segment, &look->segment);
    mapseg_result name = msi_key_file_look(&now, &look->refusal);

    if (error < 0)
        return msi_system_failed(failure, -error, "the segment cannot be examined");
    look->name_state = name == MAPSEG_NOT_FOUND ? MAPSEG_NAME_GONE
                       : name != MAPSEG_OK      ? MAPSEG_NAME_UNKNOWN
                       : now.inode == own->file.inode && now.device == own->file.device
                           ? MAPSEG_NAME_SAME
                           : MAPSEG_NAME_REPLACED;
    *set = atomic_load_explicit(&own->lock.set, memory_order_relaxed);
    return MAPSEG_OK;
}

mapseg_result
msi_system_v_info(mapseg *seg, mapseg_info **information, struct msi_failure *failure)
{
    mapseg_options any = MAPSEG_OPTIONS_INIT;
    struct look look = {.name_state = MAPSEG_NAME_NONE};
    struct msi_system_v_handle *own;
    mapseg_result result;
    int set = -1;

    *information = NULL;
    any.flags = MAPSEG_ALLOW_SHARED_DIRECTORY | MAPSEG_ALLOW_OTHER_OWNER |
                MAPSEG_ALLOW_SHARED_WRITE | MAPSEG_ALLOW_HARD_LINKS;
    own = msi_system_v_new(seg, &any, failure);
    if (own == NULL)
        return failure->result;
    result = msi_handle_is_attached(seg)
                 ? look_at_own((struct msi_system_v_handle *)seg->foreign, &look, &set, failure)
                 : look_by_key(own, &look, &set, failure);
    look.has_set = set >= 0 && msi_os.system_v_set_status(set, &look.set) >= 0;
    /* What default options would make of it. */
    own->file.trust = (struct msi_trust){.flags = 0};
    if (result == MAPSEG_OK) {
        look.verdict = msi_key_file_look(&own->file, &look.refusal);
        if (look.verdict == MAPSEG_OK)
            look.verdict = msi_system_v_judge(&look.segment, own->file.trust, &look.refusal);
        if (look.verdict == MAPSEG_OK && look.has_set)
            look.verdict = msi_system_v_judge(&look.set, own->file.trust, &look.refusal);
        *information = make(mapseg_ipc_key_text(seg->key), mapseg_ipc_key_type(seg->key),
                            mapseg_ipc_key_name(seg->key), &look);
        if (*information != NULL && msi_handle_is_attached(seg))
            (*information)->limitations = no_header;
    }
    free(own);
    if (result == MAPSEG_OK && *information == NULL)
        return msi_system_failed(failure, ENOMEM, "there is no memory to describe it");
    return result;
}

/* ---------------------------------------------------------------- lists -- */

/** What is looked for in directories: the file whose number is a segment's key. */
struct search {
    int directory;
    const char *path; /**< of the directory */
    uint32_t key;
    char *found; /**< the path of the file */
};

static int
compare_name(void *context, const char *name)
{
    struct search *search = context;
    struct stat status;

    if (search->found != NULL || msi_os.status_of_name(search->directory, name, &status) < 0 ||
        !S_ISREG(status.st_mode) || status.st_size != 0 ||
        (uint32_t)msi_key_file_number(status.st_dev, status.st_ino, (int)(search->key >> 24)) !=
            search->key)
        return 0;
    search->found = msi_place_join(search->path, name);
    return search->found == NULL ? -ENOMEM : 0;
}

/** Looks through a directory, which may be missing or closed to this user. */
static int
search_directory(struct search *search, const char *path)
{
    int error = 0;

    if (path == NULL || *path != '/' || search->found != NULL)
        return 0;
    if (msi_forklist_lock() < 0)
        return -ENOMEM;
    search->path = path;
    search->directory = msi_os.open_directory(path);
    if (search->directory >= 0) {
        error = msi_os.each_name(search->directory, compare_name, search);
        msi_os.close(search->directory);
    }
    msi_forklist_unlock();
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE ? error : 0;
}

/** The key that leads to the segment with a key file of that path; or its number, as ipcs prints
 *  it, where no path is known, or the name is one that Qt derives: with that alone its lock would
 *  be another one. */
static char *
key_text(const struct search *search)
{
    const char *last = search->found == NULL ? NULL : strrchr(search->found, '/');
    char number[16];
    mapseg_ipc_key *key;
    char *text;

    if (last == NULL || strncmp(last, "/qipc_", strlen("/qipc_")) == 0) {
        snprintf(number, sizeof number, "0x%08x", (unsigned)search->key);
        return msi_copy_string(number);
    }
    key = mapseg_ipc_key_new((mapseg_key_type)(search->key >> 24), search->found);
    text = key == NULL ? NULL : msi_copy_string(mapseg_ipc_key_text(key));
    mapseg_ipc_key_free(key);
    return text;
}

/** Describes a line of the table; NULL: no memory. */
static mapseg_info *
describe_segment(const struct msi_proc_segment *segment, const struct search *search)
{
    struct look look = {
        .segment = {.mode = segment->mode,
                    .uid = segment->uid,
                    .gid = segment->gid,
                    .creator_uid = segment->creator_uid,
                    .changed_ns = segment->changed * 1000000000,
                    .last_pid = segment->last_pid,
                    .bytes = segment->bytes,
                    .attached = segment->attached,
                    .creator_pid = segment->creator_pid},
    };
    int32_t key;
    int set;
    char *text = key_text(search);
    mapseg_info *made;

    memcpy(&key, &segment->key, sizeof key);
    set = segment->key == 0 ? -1 : msi_os.system_v_set(key, 0);
    look.has_set = set >= 0 && msi_os.system_v_set_status(set, &look.set) >= 0;
    look.verdict = msi_system_v_judge(&look.segment, (struct msi_trust){.flags = 0}, &look.refusal);
    made = text == NULL ? NULL
                        : make(text,
                               segment->key >> 24 == 0 ? MAPSEG_KEY_SYSTEMV
                                                       : (mapseg_key_type)(segment->key >> 24),
                               search->found == NULL ? "" : search->found, &look);
    free(text);
    return made;
}

int
msi_system_v_list(int (*visit)(void *context, mapseg_info *information), void *context)
{
    char temporary[PATH_MAX] = "";
    struct msi_proc_segment segment;
    const char *rest;
    char *table;
    int error = msi_os.system_v_table(&table);

    if (error < 0)
        return error == -ENOMEM || error == -EMFILE || error == -ENFILE ? error : 0;
    msi_os.temporary_directory(temporary, sizeof temporary);
    for (rest = table; error >= 0 && (rest = msi_proc_next_segment(rest, &segment)) != NULL;) {
        struct search search = {.key = segment.key};

        if (segment.key >> 24 != 0)
            error = search_directory(&search, msi_os.runtime_directory());
        if (error >= 0 && segment.key >> 24 != 0)
            error = search_directory(&search, temporary);
        if (error >= 0)
            error = visit(context, describe_segment(&segment, &search));
        free(search.found);
    }
    free(table);
    return error;
}
