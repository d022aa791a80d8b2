/*
 * versions.h - processes that change the data, read it, and die half way.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_VERSIONS_H
#define TESTS_SUPPORT_VERSIONS_H

#include "payload.h"
#include "support.h"

/** Who reads. A stranger is another user who may only read the file; he cannot
 *  lock. Only root can become one. */
enum reader_kind { READER_CAN_WRITE, READER_READ_ONLY, READER_STRANGER, READER_KINDS };

/** Whether new segments are memory files, which no process can make shorter, and
 *  which are therefore read in another way than files with a name. */
extern bool in_memory;

/** A fixture: sets in_memory. */
void use_memory_files(void);

/** The mode of new segments that have names, and the flags that readers attach with: 0644 and
 *  none, so that no other user can make them shorter, unless a test wants it otherwise. */
extern uint32_t show_mode;
extern uint32_t reader_flags;

/** Makes a segment that all kinds can attach to, by the key of the stage's
 *  place, here and in processes started later. */
void make_show(struct stage *stage, size_t bytes, uint32_t flags);

/** The same with a stage of its own. */
struct stage *new_show(size_t bytes);
void end_show(struct stage *stage);

/** A handle attached as that kind attaches; a stranger's process is never what
 *  it was before. */
mapseg *reader_at(const struct place *place, enum reader_kind kind);

/** What the process that is started next is to be. */
extern enum reader_kind next_kind;

/** How many kinds there are here. */
int count_kinds(void);

/** Starts a process of each kind; they run side by side. */
void start_all(void (*body)(struct stage *stage), struct stage *stage, pid_t *pids);
void finish_all(const pid_t *pids);

/** One whole change of all the data; no writer has died before. */
void make_change(mapseg *seg);

/** The data is whole, of a version that is returned. */
uint64_t need_whole(mapseg *seg);

/** A body: writes half of a change, says so, and ends it when stage->go is 1. */
void hold_change(struct stage *stage);

/** Starts a process that is in the middle of a change. */
pid_t start_writer(struct stage *stage);

/** Leaves behind half of a change whose writer was killed. */
void let_writer_die(struct stage *stage);

/** Repairs what let_writer_die has left. */
void repair(mapseg *seg);

/* The version, without a library. */
uint64_t version_of(const struct mapseg_header *header);
void set_version(struct mapseg_header *header, uint64_t version);

#endif
