/*
 * name.pml - a model of names: who may take a segment's name away, and when.
 * It models the presence bytes, the name byte and the order of steps in
 * lib/create.c, attach.c, segment.c (detach), remove.c, presence.c and fork.c.
 * lock.pml models the lock. run.sh runs both.
 *
 * What it is made of
 *   One name, and files that it may lead to one after the other. A process has
 *   one handle, used by its main thread, and may have a second thread that
 *   removes names. Presence on a file is a set of descriptions (one for each
 *   handle); a description lives as long as a process refers to it, and
 *   fork() copies the references. The killer ends a process between any two
 *   steps. Slots are not told apart here: to be present is to hold any.
 *
 * Steps
 *   Each label is one step of the code: one system call, atomic as there.
 *
 * What must hold, and the assertion that says it
 *   attached[...] == 0       the last one out, and reclaim, take no name away
 *                            from anybody who is attached
 *   target == file           an unlink hits the very file that was compared
 *   name == file || removed[file]
 *                            when attach or create returns OK the name leads
 *                            to the file, unless remove was called
 *   name == 0 || excused[name], at the end
 *                            the last one out removes: a name is left only if
 *                            its last holder, or a remover, died over it
 *   holding[...], at a refusal
 *                            whoever meets the range or the name byte held
 *                            meets somebody who is alive and at it, and not
 *                            a copy that a child inherited
 *   no deadlock, finished    everybody comes to an end
 *
 * Scenes, -DSCENE=
 *   PEERS      three processes that create, attach, detach, remove, reclaim
 *   FORK       two, one of which forks, and the child
 *   TEAM       the same, and a thread beside the one that forks, which removes
 *
 * Broken variants: each macro of the last section below changes one line, and
 * run.sh shows that the check then fails.
 *
 * SPDX-License-Identifier: MIT
 */

/* ------------------------------------------------------------- settings -- */

#define PEERS 1
#define FORK 2
#define TEAM 3

#ifndef SCENE
#define SCENE PEERS
#endif
#ifndef DEATHS
#define DEATHS 1 /* at most */
#endif
#ifndef OPERATIONS
#define OPERATIONS 2 /* of each thread, besides the detach at its end */
#endif
#ifndef FILES
#define FILES 3 /* created in all, at most */
#endif

#define PROCESSES 3
#define THREADS 4
/* Descriptions: 0 to PROCESSES - 1 hold presence, the rest are removers'. */
#define DESCRIPTIONS (PROCESSES + THREADS)

#define BIT(number) (1 << (number))
#define NOBODY 0

/* Roles of a thread, or-ed. */
#define FORKS 1 /* into process CHILD */
#define CHILD 2
#define IS_CHILD 2
#define REMOVES 4 /* and does nothing else */

/* ------------------------------------------------------- broken variants -- */

#ifndef CLAIM_AFTER_LINK /* the creator is present only once the name is there */
#define CLAIM_AFTER_LINK 0
#endif
#ifndef NO_NAME_CHECK /* attach does not look at the name again */
#define NO_NAME_CHECK 0
#endif
#ifndef CHECK_BEFORE_CLAIM /* attach looks again before it is present */
#define CHECK_BEFORE_CLAIM 0
#endif
#ifndef NO_NAME_BYTE /* remove does not hold the name byte */
#define NO_NAME_BYTE 0
#endif
#ifndef RANGE_WITHOUT_NAME_BYTE /* the last one out does not, either */
#define RANGE_WITHOUT_NAME_BYTE 0
#endif
#ifndef COMPARE_FIRST /* remove compares before it holds the name byte */
#define COMPARE_FIRST 0
#endif
#ifndef LEAVE_BY_TEST /* the last one out tests the range and does not hold it */
#define LEAVE_BY_TEST 0
#endif
#ifndef LEAVE_WITHOUT_COMPARE /* the last one out unlinks whatever has the name */
#define LEAVE_WITHOUT_COMPARE 0
#endif
#ifndef LEAVE_ALWAYS /* a leaver does not ask whether others are present */
#define LEAVE_ALWAYS 0
#endif
#ifndef LEAVE_STILL_PRESENT /* a leaver asks before it gives up its own presence */
#define LEAVE_STILL_PRESENT 0
#endif
#ifndef CHILD_CLAIMS_LATE /* a child is present only after the fork */
#define CHILD_CLAIMS_LATE 0
#endif
#ifndef FORK_DURING_HOLD /* a fork may copy a remover's description */
#define FORK_DURING_HOLD 0
#endif

/* ---------------------------------------------------------------- state -- */

byte name;      /* the file that it leads to; 0: none */
byte last_file; /* that was created */

/* The kernel's: who is present on a file (a set of descriptions), and which
 * description holds the name byte, alone or with the whole range (+ 1). */
byte present[FILES + 1];
byte range[FILES + 1];
byte name_byte[FILES + 1];
byte refs[DESCRIPTIONS]; /* processes that refer to a description */
byte alive;              /* processes */

/* Each process's. */
byte opened[PROCESSES]; /* the file of its handle; 0: none */
bit fork_lock[PROCESSES];

/* What only the checks know. */
byte attached[FILES + 1]; /* processes, from the OK of attach to the detach */
bit removed[FILES + 1];   /* remove was called */
bit excused[FILES + 1];   /* its last holder died */
byte holding;             /* threads between a take and its let-go */
byte finished;            /* threads */
byte deaths;

#define hold_of(thread) (PROCESSES + (thread))

/* Frees what is held by descriptions that nobody refers to. */
inline drop_unreferenced(i, j)
{
    i = 1;
    do
    :: i <= FILES ->
        j = 0;
        do
        :: j < PROCESSES ->
            if
            :: refs[j] == 0 -> present[i] = present[i] & ~BIT(j)
            :: else
            fi;
            j++
        :: else -> break
        od;
        if
        :: range[i] && refs[range[i] - 1] == 0 -> range[i] = NOBODY
        :: else
        fi;
        if
        :: name_byte[i] && refs[name_byte[i] - 1] == 0 -> name_byte[i] = NOBODY
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0;
    j = 0
}

inline close_description(description, i, j)
{
    refs[description] = refs[description] & ~BIT(p);
    drop_unreferenced(i, j)
}

/* ------------------------------------------------------------- operations -- */

/* mapseg_create: a file, its creator's presence, and then the name. */
inline create_segment()
{
    atomic {
        if
        :: last_file == FILES -> goto OPERATION
        :: else -> last_file++
        fi;
        file = last_file;
        opened[p] = file
    }
    if
    :: !CLAIM_AFTER_LINK ->
CLAIM_NEW:
        d_step { refs[p] = BIT(p); present[file] = present[file] | BIT(p) }
    :: else
    fi;
LINK:
    atomic {
        if
        :: name == 0 ->
            name = file;
            attached[file] = attached[file] | BIT(p)
        :: else ->
            opened[p] = 0;
            close_description(p, i, j)
        fi
    }
    if
    :: CLAIM_AFTER_LINK && opened[p] ->
        d_step { refs[p] = BIT(p); present[file] = present[file] | BIT(p) }
    :: else
    fi;
    file = 0
}

/* mapseg_attach. */
inline attach_segment()
{
    atomic {
        file = name;
        if
        :: file == 0 -> goto OPERATION
        :: else
        fi
    }
    if
    :: CHECK_BEFORE_CLAIM -> atomic { if :: name != file -> goto OPEN :: else fi }
    :: else
    fi;
CLAIM:
    atomic {
        if
        :: range[file] != NOBODY ->
            /* Somebody removes it. Later it is gone, or was given up. */
            assert(holding & BIT(range[file] - 1 - PROCESSES));
            if
            :: goto OPEN
            :: file = 0; goto OPERATION /* MAPSEG_TIMED_OUT */
            fi
        :: else ->
            opened[p] = file;
            refs[p] = BIT(p);
            present[file] = present[file] | BIT(p)
        fi
    }
NAME_CHECK:
    atomic {
        if
        :: name == file || NO_NAME_CHECK || CHECK_BEFORE_CLAIM ->
            attached[file] = attached[file] | BIT(p);
            excused[file] = 0
        :: else ->
            opened[p] = 0;
            close_description(p, i, j);
            goto OPEN
        fi
    }
ATTACHED:
    atomic {
        assert(name == file || removed[file]);
        file = 0
    }
}

/* Locks all of a file's presence and its name byte, or tests that it could. */
inline take_all(got)
{
    if
    :: (present[file] == 0 || LEAVE_ALWAYS) && range[file] == NOBODY &&
       (name_byte[file] == NOBODY || RANGE_WITHOUT_NAME_BYTE) ->
        got = 1;
        holding = holding | BIT(me);
        refs[hold_of(me)] = BIT(p);
        if
        :: !LEAVE_BY_TEST -> range[file] = hold_of(me) + 1
        :: else
        fi
    :: else -> got = 0
    fi
}

/* Unlinks the name, whatever file it leads to by now. */
inline unlink_name(force)
{
    target = name;
    if
    :: target != 0 ->
        assert(target == file);
        assert(attached[target] == 0 || (force));
        removed[target] = removed[target] || (force);
        name = 0;
        target = 0
    :: else
    fi
}

/* Lets go of what a take got, by closing its description. */
inline let_go()
{
    holding = holding & ~BIT(me);
    close_description(hold_of(me), i, j);
    got = 0;
    same = 0;
    file = 0
}

/* mapseg_detach. */
inline detach_segment()
{
    atomic {
        !fork_lock[p];
        fork_lock[p] = 1;
        file = opened[p];
        attached[file] = attached[file] & ~BIT(p)
    }
    if
    :: !LEAVE_STILL_PRESENT ->
RELEASE_PRESENCE:
        d_step { opened[p] = 0; close_description(p, i, j) }
    :: else
    fi;
LEAVE_RANGE:
    atomic { take_all(got) }
    if
    :: LEAVE_STILL_PRESENT -> d_step { opened[p] = 0; close_description(p, i, j) }
    :: else
    fi;
    if
    :: got ->
LEAVE_COMPARE:
        same = (name == file) || LEAVE_WITHOUT_COMPARE;
        if
        :: same ->
LEAVE_UNLINK:
            d_step { unlink_name(0) }
        :: else
        fi;
LEAVE_LET_GO:
        d_step { let_go() }
    :: else
    fi;
LEFT:
    atomic { file = 0; fork_lock[p] = 0 }
}

/* mapseg_remove (force) and mapseg_reclaim. */
inline remove_segment()
{
    atomic {
        if
        :: FORK_DURING_HOLD
        :: !FORK_DURING_HOLD && !fork_lock[p] -> fork_lock[p] = 1
        fi;
        file = name;
        if
        :: file == 0 -> goto REMOVED
        :: else
        fi
    }
    if
    :: COMPARE_FIRST -> same = (name == file)
    :: else
    fi;
    if
    :: forced ->
NAME_BYTE:
        atomic {
            if
            :: NO_NAME_BYTE -> got = 1
            :: !NO_NAME_BYTE && name_byte[file] == NOBODY && range[file] == NOBODY ->
                name_byte[file] = hold_of(me) + 1;
                refs[hold_of(me)] = BIT(p);
                holding = holding | BIT(me);
                got = 1
            :: else ->
                assert(holding & BIT((name_byte[file] -> name_byte[file] : range[file]) - 1 -
                                     PROCESSES));
                goto REMOVED /* again, or MAPSEG_TIMED_OUT */
            fi
        }
    :: else ->
RECLAIM_RANGE:
        atomic {
            take_all(got);
            if
            :: !got -> goto REMOVED /* MAPSEG_IN_USE */
            :: else
            fi
        }
    fi;
    if
    :: !COMPARE_FIRST ->
COMPARE:
        same = (name == file)
    :: else
    fi;
    if
    :: same ->
UNLINK:
        d_step { unlink_name(forced) }
    :: else
    fi;
LET_GO:
    d_step { let_go() }
REMOVED:
    atomic {
        file = 0;
        same = 0;
        got = 0;
        forced = 0;
        if
        :: !FORK_DURING_HOLD -> fork_lock[p] = 0
        :: else
        fi
    }
}

/* fork(): the child's presence is there before the child is. */
inline fork_process()
{
    atomic { !fork_lock[p]; fork_lock[p] = 1; file = opened[p] }
    if
    :: !CHILD_CLAIMS_LATE ->
CLAIM_FOR_CHILD:
        d_step { refs[CHILD] = BIT(p); present[file] = present[file] | BIT(CHILD) }
    :: else
    fi;
FORK_INSTANT:
    d_step {
        alive = alive | BIT(CHILD);
        opened[CHILD] = file;
        attached[file] = attached[file] | BIT(CHILD);
        /* The copy of every descriptor; the page of the parent's presence is
         * not copied. */
        i = 0;
        do
        :: i < DESCRIPTIONS ->
            if
            :: i != p && (refs[i] & BIT(p)) ->
                refs[i] = refs[i] | BIT(CHILD)
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0
    }
RESUME_PARENT:
    d_step {
        close_description(CHILD, i, j);
        file = 0;
        forked = 1;
        fork_lock[p] = 0
    }
}

/* ---------------------------------------------------------------- threads -- */

proctype thread(byte me, p, role)
{
    bit got, same, forced, forked;
    byte file, target, i, j;
    byte left = OPERATIONS;

end_unborn:
    (alive & BIT(p));
    {
        if
        :: (role & IS_CHILD) && CHILD_CLAIMS_LATE ->
            d_step {
                refs[CHILD] = BIT(CHILD);
                present[opened[CHILD]] = present[opened[CHILD]] | BIT(CHILD)
            }
        :: else
        fi;
OPERATION:
        atomic {
            file = 0;
            forced = 0;
            if
            :: left > 0 -> left--
            :: left == 0 && opened[p] && !(role & REMOVES) -> goto LEAVE
            :: else -> goto FINISHED
            fi
        }
        /* refs[p]: not while the parent still holds the child's first presence,
         * because a new one would be another description. */
        if
        :: !(role & REMOVES) && !opened[p] && refs[p] == 0 ->
CREATE_FILE:
            create_segment()
        :: !(role & REMOVES) && !opened[p] && refs[p] == 0 ->
OPEN:
            attach_segment()
        :: !(role & REMOVES) && opened[p] ->
LEAVE:
            detach_segment()
        :: (role & FORKS) && opened[p] && !forked ->
PREPARE:
            fork_process()
        :: atomic {
            if
            :: forced = 1
            :: true
            fi
           }
REMOVE_OPEN:
            remove_segment()
        :: true
        fi;
        goto OPERATION;
FINISHED:
        finished = finished | BIT(me)
    }
    unless { !(alive & BIT(p)) }
}

/* Ends a process. */
inline kill_process(process, team, i, j)
{
    alive = alive & ~BIT(process);
    holding = holding & ~(team);
    finished = finished | (team);
    i = 0;
    do
    :: i < DESCRIPTIONS -> refs[i] = refs[i] & ~BIT(process); i++
    :: else -> break
    od;
    drop_unreferenced(i, j);
    i = 1;
    do
    :: i <= FILES ->
        attached[i] = attached[i] & ~BIT(process);
        if
        :: present[i] == 0 -> excused[i] = 1
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0;
    opened[process] = 0;
    fork_lock[process] = 0;
    deaths++
}

/* Ends processes, at any moment; or does not. */
proctype killer()
{
    byte i, j;

    do
    :: deaths < DEATHS ->
        if
        :: d_step { (alive & BIT(0)) && !(finished & BIT(0)) -> kill_process(0, BIT(0), i, j) }
        :: d_step { (alive & BIT(1)) && !(finished & BIT(1)) -> kill_process(1, BIT(1) | BIT(3), i, j) }
        :: d_step { (alive & BIT(2)) && !(finished & BIT(2)) -> kill_process(2, BIT(2), i, j) }
        :: true -> break
        fi
    :: else -> break
    od
}

/* Looks round when nothing moves any more. */
proctype auditor(byte everybody)
{
    timeout;
    assert((finished & everybody) == everybody);
    assert(name == 0 || excused[name])
}

init
{
    atomic {
#if DEATHS > 0
        run killer();
#endif
        alive = BIT(0) | BIT(1);
        run thread(0, 0, 0);
#if SCENE == PEERS
        alive = alive | BIT(2);
        run thread(1, 1, 0);
        run thread(2, 2, 0);
        run auditor(BIT(0) | BIT(1) | BIT(2))
#else
        run thread(1, 1, FORKS);
        run thread(2, CHILD, IS_CHILD);
#if SCENE == TEAM
        run thread(3, 1, REMOVES);
        run auditor(BIT(0) | BIT(1) | BIT(3))
#else
        run auditor(BIT(0) | BIT(1))
#endif
#endif
    }
}
