/*
 * steps.h - operations of the library to be killed in, and what must hold after each death.
 *
 * steps_scenes.c has what is there beforehand, steps_operations.c what the victim does, and
 * steps_aftermath.c what those who are left find.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TEST_STEPS_H
#define MAPSEG_TEST_STEPS_H

#include "handle/handle.h"
#include "os/os.h"
#include "stepper.h"

#define DATA_BYTES 64

/** What a segment's data begins with. */
#define UNKEPT UINT64_C(0x5ca1ab1e)

/** What a creator's private name ends with here, known beforehand. */
extern uint64_t private_number;

/** The data: equal, but under the lock. */
struct pair {
    uint64_t first;
    uint64_t second;
    uint64_t mark; /**< what the segment began with */
};

/** What all processes of a run share. */
struct scene {
    struct stage stage;
    const struct operation *operation;
    atomic_uint slot;     /**< the victim's */
    atomic_int inside;    /**< the victim has locked and not begun to unlock */
    atomic_int repaired;  /**< the victim has begun to declare the data consistent */
    atomic_int haunted;   /**< the word was made to name the slot just claimed */
    atomic_int asks;      /**< the victim wants the lock to be freed */
    atomic_int sleeps;    /**< of the victim, that it has begun */
    atomic_int heir_call; /**< the round that the heir is to begin */
    atomic_int heir_done; /**< the round that it has finished */
    atomic_int heir_told; /**< what it was told */
    /* Of the test alone: */
    struct mapseg_header *header;
    mapseg *witness;
    bool holding; /**< the witness has the lock */
    pid_t heir;
    uint32_t word; /**< when the victim died */
    uint64_t inode;
};

/** Something to be killed in. */
struct operation {
    const char *name;
    uint32_t flags; /**< of the segment */
    bool heir;      /**< another process sleeps for the lock meanwhile */
    bool watched;   /**< another process sleeps for a change meanwhile */
    void (*set)(struct scene *scene);
    void (*enter)(struct scene *scene);            /**< the victim, before its steps */
    void (*act)(struct scene *scene);              /**< the victim, step by step */
    void (*serve)(pid_t pid, struct stage *stage); /**< while the victim runs */
    void (*look)(struct stage *stage);             /**< at every point, while it lives */
    void (*check)(struct scene *scene);
};

/** All of them. */
extern const struct operation operations[];
extern const int operation_count;

extern struct scene *scene;
extern struct msi_os_operations real; /**< before a victim replaced any */
extern int64_t longest;               /**< that a survivor waited for the lock */

/* ----------------------------------------------------------- steps_scenes.c -- */

void witness_segment(struct scene *in);
void witness_holds(struct scene *in);
void witness_of_a_death(struct scene *in);
void leave_half_used(struct scene *in);
void leave_nothing(struct scene *in);
/** The witness frees the lock if it has it. */
void witness_lets_go(struct scene *in);

/* What the test does while the victim runs. */
void let_go_when_asked(pid_t pid, struct stage *stage);
void wake_sleeper(pid_t pid, struct stage *stage);
void wake_patient_sleeper(pid_t pid, struct stage *stage);
void change_for_sleeper(pid_t pid, struct stage *stage);

/** A body: sleeps for the lock in every round. */
void be_heir(struct stage *stage);
/** A body: sleeps for a change in every round. */
void be_watcher(struct stage *stage);
void put_heir_to_sleep(struct scene *in);

/* -------------------------------------------------------- steps_aftermath.c -- */

/* At every point, while the victim lives. */
void look_at_name(struct stage *stage);
void look_at_filled(struct stage *stage);
void look_at_replaced(struct stage *stage);

/* After the death. */
void check_witness(struct scene *in);
void check_mourner(struct scene *in);
void check_haunted(struct scene *in);
void check_heir(struct scene *in);
void check_watcher(struct scene *in);
void check_debris(struct scene *in);
void check_left(struct scene *in);
void check_made(struct scene *in);
void check_old_made(struct scene *in);
void check_filled(struct scene *in);
void check_old_filled(struct scene *in);
void check_made_anew(struct scene *in);
void check_replaced(struct scene *in);
void check_removed(struct scene *in);
void check_parted(struct scene *in);
void check_nothing(struct scene *in);

/* ------------------------------------------------------- steps_operations.c -- */

/** The way in of the one operation whose child may find the word haunted. */
void enter_to_haunt_child(struct scene *in);

#endif
