/*
 * name.pml - a model of names: who may take a segment's name away, and when.
 * It models the presence bytes, the name byte and the order of steps in
 * lib/create.c, attach.c, segment.c (detach), remove.c, sync/presence.c and
 * handle/fork.c.
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
 *                            from a process that is attached
 *   target == file           an unlink hits the very file that was compared
 *   initialized[file]        when attach returns OK the creator has initialised
 *                            the data, whenever it died or failed
 *   name == file || removed[file]
 *                            when attach or create returns OK the name leads
 *                            to the file, unless remove was called
 *   name == 0 || excused[name], at the end
 *                            the last one out removes: a name is left only if
 *                            its last holder, or a remover, died over it
 *   victim[me] == target, initialized[file], present[file]
 *                            a replacement takes the name of the very segment that
 *                            was compared, and gives it to a complete one
 *   holding[...], at a refusal
 *                            a process that meets the range or the name byte held
 *                            meets a process that is alive and at it, and not
 *                            a copy that a child inherited
 *   no deadlock, finished    every thread comes to an end
 *
 * Scenes, -DSCENE=
 *   PEERS      three processes that create, attach, detach, remove, reclaim
 *   REPLACERS  the same, one of which is attached; creators replace what they meet
 *   FORK       two, one of which is attached and may fork, and the child
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
#define REPLACERS 4

#ifndef SCENE
#define SCENE PEERS
#endif
#ifndef DEATHS
#define DEATHS 1 /* at most */
#endif
#ifndef OPERATIONS
#define OPERATIONS 2 /* of each thread, besides the detach at its end */
#endif

#define LEFT 1
#ifndef UNCHECKED
#define UNCHECKED 0 /* a property to leave out, so that another one is seen to fail */
#endif

#define PROCESSES 3
#define THREADS 4
#define FILES 3 /* that exist at one time */
/* Descriptions: 1 to PROCESSES hold presence, the rest are removers'. */
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
#ifndef INITIALIZE_AFTER_LINK /* the creator fills the data once the name is there */
#define INITIALIZE_AFTER_LINK 0
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
#ifndef REPLACE_WITHOUT_NAME_BYTE /* a creator does not hold it while it replaces */
#define REPLACE_WITHOUT_NAME_BYTE 0
#endif
#ifndef REPLACE_WITHOUT_COMPARE /* it takes the name from whatever has it */
#define REPLACE_WITHOUT_COMPARE 0
#endif
#ifndef REPLACE_UNCLAIMED /* it gives up its presence to wait, and does not take it again */
#define REPLACE_UNCLAIMED 0
#endif
#ifndef CHILD_CLAIMS_LATE /* a child is present only after the fork */
#define CHILD_CLAIMS_LATE 0
#endif
#ifndef FORK_DURING_HOLD /* a fork may copy a remover's description */
#define FORK_DURING_HOLD 0
#endif

/* ---------------------------------------------------------------- state -- */

byte name; /* the file that it leads to; 0: none */

/* The kernel's: who is present on a file (a set of descriptions), and which
 * description holds the name byte, alone or with the whole range; 0: none. */
byte present[FILES + 1];
byte range[FILES + 1];
byte name_byte[FILES + 1];
byte refs[DESCRIPTIONS + 1]; /* processes that refer to a description */
byte alive;              /* processes */

/* Each process's, and each thread's: the file it has open. A file that has
 * neither the name nor a descriptor is gone; its number is used again. */
byte opened[PROCESSES];
byte at[THREADS];
bit fork_lock[PROCESSES];
#if SCENE == REPLACERS
byte victim[THREADS]; /* the file whose name a creator is about to take */
#define is_victim(number)                                                                         \
    (victim[0] == (number) || victim[1] == (number) || victim[2] == (number))
#else
#define is_victim(number) false
#endif

/* What only the checks know. */
byte attached[FILES + 1]; /* processes, from the OK of attach to the detach */
bit removed[FILES + 1];   /* remove was called */
bit initialized[FILES + 1];
bit excused;              /* the last holder of the name's file died */
byte holding;             /* threads between a take and its let-go */
byte finished;            /* threads */
byte deaths;

#define presence_of(process) ((process) + 1)
#define hold_of(thread) (PROCESSES + 1 + (thread))
#define file at[me]
#define in_use(number)                                                                            \
    (name == (number) || opened[0] == (number) || opened[1] == (number) ||                       \
     opened[2] == (number) || is_victim(number) || at[0] == (number) || at[1] == (number) || at[2] == (number) ||     \
     at[3] == (number))

#if SCENE == PEERS || SCENE == REPLACERS
#define TEAM_OF_1 BIT(1)
#define THREADS_AT_FIRST (BIT(0) | BIT(1) | BIT(2))
#elif SCENE == FORK
#define TEAM_OF_1 BIT(1)
#define THREADS_AT_FIRST (BIT(0) | BIT(1))
#else
#define TEAM_OF_1 (BIT(1) | BIT(3))
#define THREADS_AT_FIRST (BIT(0) | BIT(1) | BIT(3))
#endif

/* Frees what a file has from descriptions that nobody refers to. */
#define referenced (BIT(0) * (refs[1] != 0) + BIT(1) * (refs[2] != 0) + BIT(2) * (refs[3] != 0))
inline drop_unreferenced_of(number)
{
    present[number] = present[number] & referenced;
    range[number] = (refs[range[number]] -> range[number] : NOBODY);
    name_byte[number] = (refs[name_byte[number]] -> name_byte[number] : NOBODY);
    removed[number] = removed[number] && attached[number]
}

inline drop_unreferenced()
{
    drop_unreferenced_of(1);
    drop_unreferenced_of(2);
    drop_unreferenced_of(3)
}

inline close_description(description)
{
    refs[description] = refs[description] & ~BIT(p);
    drop_unreferenced()
}

/* When nothing will move any more. */
inline audit()
{
    assert(((THREADS_AT_FIRST | (alive & BIT(CHILD))) & ~finished) || name == 0 || excused ||
           UNCHECKED == LEFT)
}

/* The whole range, with the name byte. */
inline take_all(got)
{
    if
    :: (present[file] == 0 || LEAVE_ALWAYS) && range[file] == NOBODY &&
       (name_byte[file] == NOBODY || RANGE_WITHOUT_NAME_BYTE) ->
        got = 1;
        holding = holding | BIT(me);
        refs[hold_of(me)] = BIT(p);
        if
        :: !LEAVE_BY_TEST -> range[file] = hold_of(me)
        :: else
        fi
    :: else -> got = 0
    fi
}

/* Takes the name away from whatever file it leads to by now. */
inline unlink_name(force)
{
    target = name;
    if
    :: target != 0 ->
        assert(target == file);
        assert(attached[target] == 0 || (force));
        removed[target] = (force) && attached[target] != 0;
        name = 0;
        excused = 0;
        target = 0
    :: else
    fi
}

/* Closes the description of a take. */
inline let_go()
{
    holding = holding & ~BIT(me);
    close_description(hold_of(me));
    got = 0
}

/* ---------------------------------------------------------------- threads -- */

proctype thread(byte me, p, role)
{
    bit got, forced, forked;
    byte target, i;
    byte left = OPERATIONS;

end_unborn:
    (alive & BIT(p));
    {
        if
        :: (role & IS_CHILD) && CHILD_CLAIMS_LATE ->
            d_step {
                refs[presence_of(CHILD)] = BIT(CHILD);
                present[opened[CHILD]] = present[opened[CHILD]] | BIT(CHILD)
            }
        :: else
        fi;

OPERATION:
        /* refs: not while the parent still holds the child's first presence,
         * because a new one would be another description. */
        atomic {
            file = 0;
            forced = 0;
            if
            :: left > 0 -> left--
            :: left == 0 && opened[p] && !(role & REMOVES) -> goto LEAVE
            :: else -> goto FINISHED
            fi;
            if
            :: !(role & REMOVES) && !opened[p] && refs[presence_of(p)] == 0 -> goto CREATE_FILE
            :: !(role & REMOVES) && !opened[p] && refs[presence_of(p)] == 0 -> goto OPEN
            :: !(role & REMOVES) && opened[p] -> goto LEAVE
            :: (role & FORKS) && opened[p] && !forked -> goto PREPARE
            :: goto REMOVE
            :: forced = 1; goto REMOVE
            :: goto OPERATION
            fi
        }

        /* ---- create (create.c): a file, its data, presence, and then the name */
CREATE_FILE:
        atomic {
            if
            :: !in_use(1) -> file = 1
            :: in_use(1) && !in_use(2) -> file = 2
            :: in_use(1) && in_use(2) && !in_use(3) -> file = 3
            :: else -> goto OPERATION
            fi;
            opened[p] = file;
            initialized[file] = 0
        }
INITIALIZE:
        atomic {
            initialized[file] = !INITIALIZE_AFTER_LINK;
            if
            :: CLAIM_AFTER_LINK -> goto LINK
            :: else
            fi
        }
CLAIM_NEW:
        atomic { refs[presence_of(p)] = BIT(p); present[file] = present[file] | BIT(p) }
LINK:
        atomic {
            if
            :: name == 0 ->
                name = file;
                attached[file] = BIT(p)
#if SCENE == REPLACERS
            :: name != 0 -> goto VICTIM
#endif
            :: else ->
                opened[p] = 0;
                close_description(presence_of(p))
            fi;
            if
            :: !(CLAIM_AFTER_LINK || INITIALIZE_AFTER_LINK) || !opened[p] -> goto OPERATION
            :: else
            fi
        }
        atomic {
            initialized[file] = 1;
            refs[presence_of(p)] = BIT(p);
            present[file] = present[file] | BIT(p);
            goto OPERATION
        }

#if SCENE == REPLACERS
        /* ---- create in place of another (create.c, remove.c) */
VICTIM:
        atomic {
            victim[me] = name;
            if
            :: name == 0 -> goto LINK
            :: else
            fi
        }
VICTIM_BYTE:
        atomic {
            if
            :: REPLACE_WITHOUT_NAME_BYTE
            :: !REPLACE_WITHOUT_NAME_BYTE && name_byte[victim[me]] == NOBODY &&
               range[victim[me]] == NOBODY ->
                name_byte[victim[me]] = hold_of(me);
                refs[hold_of(me)] = BIT(p);
                holding = holding | BIT(me)
            :: else ->
                assert(holding & BIT((name_byte[victim[me]] -> name_byte[victim[me]]
                                                            : range[victim[me]]) -
                                     hold_of(0)));
                /* It waits, without its presence, or gives up. */
                victim[me] = 0;
                close_description(presence_of(p));
                if
                :: goto WITHDRAWN
                :: opened[p] = 0; goto OPERATION
                fi
            fi
        }
VICTIM_COMPARE:
        atomic {
            if
            :: name != victim[me] && !REPLACE_WITHOUT_COMPARE ->
                victim[me] = 0;
                let_go();
                goto LINK
            :: else
            fi
        }
RENAME:
        atomic {
            target = name;
            assert(target == victim[me]);
            assert(initialized[file] && (present[file] & BIT(p)));
            removed[target] = attached[target] != 0;
            name = file;
            attached[file] = BIT(p);
            excused = 0;
            target = 0
        }
VICTIM_LET_GO:
        atomic { victim[me] = 0; let_go(); goto OPERATION }
WITHDRAWN:
        atomic {
            if
            :: REPLACE_UNCLAIMED -> goto LINK
            :: else -> goto CLAIM_NEW
            fi
        }
#endif

        /* ---- attach (attach.c): open, presence, and the name again */
OPEN:
        atomic {
            file = name;
            if
            :: file == 0 -> goto OPERATION
            :: else
            fi
        }
#if CHECK_BEFORE_CLAIM
        atomic {
            if
            :: name != file -> goto OPEN
            :: else
            fi
        }
#endif
CLAIM:
        atomic {
            if
            :: range[file] != NOBODY ->
                /* A process removes it. Later it is gone, or was given up. */
                assert(holding & BIT(range[file] - hold_of(0)));
                if
                :: goto OPEN
                :: goto OPERATION /* MAPSEG_TIMED_OUT */
                fi
            :: else ->
                opened[p] = file;
                refs[presence_of(p)] = BIT(p);
                present[file] = present[file] | BIT(p)
            fi
        }
NAME_CHECK:
        atomic {
            if
            :: name == file || NO_NAME_CHECK || CHECK_BEFORE_CLAIM ->
                attached[file] = attached[file] | BIT(p);
                excused = 0
            :: else ->
                opened[p] = 0;
                close_description(presence_of(p));
                goto OPEN
            fi
        }
ATTACHED:
        atomic {
            assert(name == file || removed[file]);
            assert(initialized[file]);
            goto OPERATION
        }

        /* ---- detach (segment.c) */
LEAVE:
        atomic {
            !fork_lock[p];
            fork_lock[p] = 1;
            file = opened[p];
            attached[file] = attached[file] & ~BIT(p);
            if
            :: LEAVE_STILL_PRESENT -> goto LEAVE_RANGE
            :: else
            fi
        }
RELEASE_PRESENCE:
        atomic { opened[p] = 0; close_description(presence_of(p)) }
LEAVE_TEST:
        /* Spares those who are not the last the cost of the next step. */
        atomic {
            if
            :: (present[file] || range[file] || name_byte[file]) && !LEAVE_ALWAYS ->
                fork_lock[p] = 0;
                goto OPERATION
            :: else
            fi
        }
LEAVE_RANGE:
        atomic {
            take_all(got);
            if
            :: LEAVE_STILL_PRESENT -> opened[p] = 0; close_description(presence_of(p))
            :: else
            fi;
            if
            :: !got -> fork_lock[p] = 0; goto OPERATION
            :: else
            fi
        }
LEAVE_COMPARE:
        atomic {
            if
            :: name != file && !LEAVE_WITHOUT_COMPARE -> goto LEAVE_LET_GO
            :: else
            fi
        }
LEAVE_UNLINK:
        atomic { unlink_name(0) }
LEAVE_LET_GO:
        atomic {
            let_go();
            fork_lock[p] = 0;
            goto OPERATION
        }

        /* ---- remove (forced) and reclaim (remove.c) */
REMOVE:
        atomic {
            if
            :: FORK_DURING_HOLD
            :: !FORK_DURING_HOLD && !fork_lock[p] -> fork_lock[p] = 1
            fi;
            file = name;
            if
            :: file == 0 -> goto REMOVED
            :: else
            fi;
        }
#if COMPARE_FIRST
        atomic {
            if
            :: name != file -> goto REMOVED
            :: else
            fi
        }
#endif
NAME_BYTE:
        /* Or the whole range, to reclaim. */
        atomic {
            if
            :: !forced -> take_all(got)
            :: forced && NO_NAME_BYTE -> got = 1
            :: forced && !NO_NAME_BYTE && name_byte[file] == NOBODY && range[file] == NOBODY ->
                name_byte[file] = hold_of(me);
                refs[hold_of(me)] = BIT(p);
                holding = holding | BIT(me);
                got = 1
            :: else ->
                assert(holding & BIT((name_byte[file] -> name_byte[file] : range[file]) -
                                     hold_of(0)))
            fi;
            if
            :: !got -> goto REMOVED /* MAPSEG_IN_USE, or again, or MAPSEG_TIMED_OUT */
            :: got && COMPARE_FIRST -> goto UNLINK
            :: else
            fi
        }
COMPARE:
        atomic {
            if
            :: name != file -> goto LET_GO
            :: else
            fi
        }
UNLINK:
        atomic { unlink_name(forced) }
LET_GO:
        atomic { let_go() }
REMOVED:
        atomic {
            fork_lock[p] = fork_lock[p] && FORK_DURING_HOLD;
            goto OPERATION
        }

        /* ---- fork (fork.c): the child's presence is there before the child */
PREPARE:
        atomic {
            !fork_lock[p];
            fork_lock[p] = 1;
            forked = 1;
            file = opened[p];
            if
            :: CHILD_CLAIMS_LATE -> goto FORK_INSTANT
            :: else
            fi
        }
CLAIM_FOR_CHILD:
        atomic { refs[presence_of(CHILD)] = BIT(p); present[file] = present[file] | BIT(CHILD) }
FORK_INSTANT:
        atomic {
            alive = alive | BIT(CHILD);
            opened[CHILD] = file;
            attached[file] = attached[file] | BIT(CHILD);
            /* The copy of every descriptor; the page of the parent's presence
             * is not copied. */
            i = 1;
            do
            :: i <= DESCRIPTIONS ->
                if
                :: i != presence_of(p) && (refs[i] & BIT(p)) -> refs[i] = refs[i] | BIT(CHILD)
                :: else
                fi;
                i++
            :: else -> break
            od;
            i = 0
        }
RESUME_PARENT:
        atomic {
            close_description(presence_of(CHILD));
            fork_lock[p] = 0;
            goto OPERATION
        }

FINISHED:
        atomic {
            finished = finished | BIT(me);
            audit()
        }
    }
    unless { !(alive & BIT(p)) }
}

/* ------------------------------------------------------------- the rest -- */

/* Ends a process. */
inline kill_process(process, team, i)
{
    alive = alive & ~BIT(process);
    holding = holding & ~(team);
    finished = finished | (team);
    opened[process] = 0;
    fork_lock[process] = 0;
    at[process] = 0;
#if SCENE == REPLACERS
    victim[process] = 0;
#endif
    at[3] = ((team) & BIT(3) -> 0 : at[3]);
    i = 1;
    do
    :: i <= DESCRIPTIONS -> refs[i] = refs[i] & ~BIT(process); i++
    :: else -> break
    od;
    i = 1;
    do
    :: i <= FILES -> attached[i] = attached[i] & ~BIT(process); i++
    :: else -> break
    od;
    drop_unreferenced();
    excused = excused || (name != 0 && present[name] == 0);
    deaths++;
    audit()
}

/* Ends processes, at any moment; or does not. */
proctype killer()
{
    byte i;

end:
    do
    :: d_step { deaths < DEATHS && (alive & ~finished & BIT(0)) -> kill_process(0, BIT(0), i) }
    :: d_step { deaths < DEATHS && (alive & ~finished & BIT(1)) -> kill_process(1, TEAM_OF_1, i) }
    :: d_step { deaths < DEATHS && (alive & ~finished & BIT(2)) -> kill_process(2, BIT(2), i) }
    od
}

init
{
    atomic {
#if DEATHS > 0
        run killer();
#endif
        alive = BIT(0) | BIT(1);
#if SCENE != PEERS
        /* One has created already. */
        name = 1;
        initialized[1] = 1;
        opened[1] = 1;
        attached[1] = BIT(1);
        present[1] = BIT(1);
        refs[presence_of(1)] = BIT(1);
#endif
        run thread(0, 0, 0);
#if SCENE == PEERS || SCENE == REPLACERS
        alive = alive | BIT(2);
        run thread(1, 1, 0);
        run thread(2, 2, 0)
#else
        run thread(1, 1, FORKS);
        run thread(2, CHILD, IS_CHILD);
#if SCENE == TEAM
        run thread(3, 1, REMOVES)
#endif
#endif
    }
}
