/*
 * plants.h - what hostile users leave at a name that a program is going to use.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TEST_PLANTS_H
#define MAPSEG_TEST_PLANTS_H

#include "support.h"

#define ROOT 0
#define THIRD_USER 65533

#define DATA_BYTES 6000
#define OWN_BYTE 0xa5     /* what fills every segment of these tests */
#define FOREIGN_TEXT "x9" /* what fills every other file */

#define RELAXING                                                                                   \
    (MAPSEG_ALLOW_OTHER_OWNER | MAPSEG_ALLOW_SHARED_WRITE | MAPSEG_ALLOW_HARD_LINKS |              \
     MAPSEG_ALLOW_SHARED_DIRECTORY)

/* ------------------------------------------------------------ the scene -- */

/** Where the program under test looks, and who it is. */
struct scene {
    char key[KEY_BYTES];
    bool plain; /* the key is a plain one */
    char path[KEY_BYTES];
    char target[KEY_BYTES]; /* a second name, or what a link leads to; need not exist */
    uid_t user;
    uid_t other; /* another user, and not root */
};

extern struct scene scene;

enum place_kind { PLACE_SHM, PLACE_PLAIN, PLACE_FILE, PLACE_RUNTIME, PLACES };

/** A file system of our own with nothing at the key yet. */
void set_scene(enum place_kind place, uid_t user);
void use_runtime_directory(const char *name);
void make_directory(const char *path, mode_t mode, uid_t owner);
mapseg *handle_of_scene(void);
void become_user(void);

/* --------------------------------------------------------- what is there -- */

/** Changes mode and owner. */
void give(const char *path, mode_t mode, uid_t owner);
/** A whole segment that no process is attached to. */
void put_segment(const char *path, mode_t mode, uid_t owner);
/** Whether the handle is attached to such a segment. */
bool is_own_segment(const mapseg *seg);

/* Each of these lies at the path of the scene. */
void put_others_file(void);
void put_open_file(void);
void put_others_open_file(void);
void put_own_file(void);
void put_empty_file(void);
void put_open_segment(void);
void put_group_segment(void);
void put_others_segment(void);
void put_others_open_segment(void);
void put_link(void);
void put_link_to_file(void);
void put_link_to_segment(void);
void put_hard_link_to_segment(void);
void put_hard_link_to_file(void);
void put_fifo(void);
void put_directory(void);
void put_socket(void);

/** Not everywhere may root make devices. */
extern bool with_devices;
void put_device(void);

/* ------------------------------------------------------- calls and answers -- */

/** Attaches for reading and writing. */
mapseg_result attach_with(mapseg *seg, uint32_t flags);
/** Creates with MAPSEG_RECLAIM. */
mapseg_result replace(mapseg *seg);

#define FOREIGN MAPSEG_NOT_A_SEGMENT
#define UNTRUSTED MAPSEG_UNTRUSTED

#define OTHER_OWNER "MAPSEG_ALLOW_OTHER_OWNER"
#define SHARED_WRITE "MAPSEG_ALLOW_SHARED_WRITE"
#define HARD_LINKS "MAPSEG_ALLOW_HARD_LINKS"

#endif
