/*
 * lock.pml - a model of the lock: of lib/sync/lock.c, and of what presence.c,
 * attachment.c, segment.c and fork.c do to the lock word and to the slots' bytes.
 * name.pml models names. run.sh runs both.
 *
 * What it is made of
 *   A process has one handle, and one or more threads that use it. Its slot's
 *   byte is locked by an open file description (presence); recoverers lock
 *   bytes through descriptions too. As in the kernel, one description never
 *   conflicts with itself, lives as long as a process refers to it, and lets
 *   go of its bytes with the last of them; fork() copies the references.
 *   The killer ends a process between any two steps: its threads stop for
 *   good, its descriptions go.
 *
 * Steps
 *   Each label is one step of the code, atomic as there: a compare-and-swap
 *   with the loop around it, one load, one system call. A loop of look and
 *   compare-and-swap is one step, because what it does depends on the word
 *   that it swaps alone. Memory order is not modelled: all of the protocol's
 *   state is in one word and in the kernel, and the words order themselves.
 *
 * Time, -DTIME=
 *   ANY    slices, deadlines and stray wake-ups come whenever they like: the
 *          most behaviours, for what must never happen
 *   LAST   slices end only when all threads sleep, and then the one that wakes
 *          must get the lock, unless a process dies meanwhile (`vain`); together
 *          with the absence of deadlocks and cycles: every process comes to an end
 *   NEVER  no slice ever ends (deadlines do): a lost wake-up is a deadlock
 *
 * What must hold, and the assertion that says it
 *   holder == NOBODY         mutual exclusion, at each swap that takes
 *   holder == me + 1         ... and nobody loses the lock that he holds
 *   holder_process == p      unlock frees nothing but the own handle's lock
 *   told == hurt             an owner is told of a death exactly if one
 *                            happened and nobody has repaired since
 *   names_dead               of two recoverers (or healers) one wins
 *   owner == slot[p]         ... and the word names the healer's slot until it is healed
 *   vain <= 1, no deadlock   no sleeper is left while the lock is free; a dead
 *                            owner is always replaced
 *   passed <= BOUND          a waiter that says it suffers gets the lock soon
 *   !(knew && names_dead...) ... also by callers with short deadlines
 *   note[p] ...              lock() by the owning thread says so, and by no other
 *
 * Scenes, -DSCENE=
 *   STRANGERS  three processes
 *   NEWCOMER   two, and one that attaches meanwhile
 *   THREADS    one, one with two threads, and one that attaches meanwhile
 *   FORK       one, one with two threads one of which forks, and the child
 *   STRAY      two threads of which one unlocks what it may not hold, and
 *              another process
 *   CROWD      two, and two that attach meanwhile
 *   ORDER      three processes, none of which has a deadline
 * -DFAIR=1: the fair lock. -DFIFO=1: the kernel wakes the one that sleeps longest, as
 * it does; else any. -DHEAL_BY_FILE=1: a newcomer heals the word by a read and a
 * write, as where touching the mapping could be SIGBUS, not by a swap. Where the file cannot be opened anew, -DFALLBACK=2:
 * what a recoverer holds belongs to the process, as in presence.c; -DFALLBACK=1:
 * it belongs to the description that presence lies on, as in a simpler library.
 *
 * Broken variants: each macro of the last section below changes one line, and
 * run.sh shows that the check then fails.
 *
 * SPDX-License-Identifier: MIT
 */

/* ------------------------------------------------------------- settings -- */

#define ANY 1
#define LAST 2
#define NEVER 3

#define STRANGERS 1
#define NEWCOMER 2
#define THREADS 3
#define FORK 4
#define STRAY 5
#define CROWD 6
#define ORDER 7

#ifndef SCENE
#define SCENE STRANGERS
#endif
#ifndef TIME
#define TIME ANY
#endif
#ifndef DEATHS
#define DEATHS 1 /* at most */
#endif
#ifndef VICTIMS
#define VICTIMS 255 /* processes that may die, a set */
#endif
#ifndef ROUNDS
#define ROUNDS 1 /* how often each thread locks */
#endif
#ifndef STRAY_WAKES
#define STRAY_WAKES 0 /* at most, where TIME is not ANY */
#endif
#ifndef FAIR
#define FAIR 0
#endif
#ifndef HEAL_BY_FILE
#define HEAL_BY_FILE 0
#endif
#ifndef FALLBACK
#define FALLBACK 0
#endif
#ifndef FIFO
#define FIFO 0
#endif
#ifndef BOUND
#define BOUND 255 /* how often a waiter is passed after it said that it suffers */
#endif
/* Sections last longer than the steps of one that suffers, until it sleeps, and than a wake; and
 * a sleeper that was woken comes sooner than the millisecond is over that others sleep on a free
 * word. */
#ifndef PROMPT
#define PROMPT 0
#endif
#define FAIR_PASSES 1 /* 8 in the library */
#ifndef LAST_PASS
#define LAST_PASS 2 /* 255 in the library */
#endif
#define EXCLUSION 1
#ifndef UNCHECKED
#define UNCHECKED 0 /* a property to leave out, so that another one is seen to fail */
#endif

#if SCENE == CROWD
#define PROCESSES 4
#else
#define PROCESSES 3
#endif
#define SLOTS PROCESSES
#define MOST_THREADS 4
/* Descriptions: 1 to PROCESSES hold presence, the rest a recoverer's byte. */
#define DESCRIPTIONS (PROCESSES + MOST_THREADS)

#define BIT(number) (1 << (number))
#define NOBODY 0

/* Roles of a thread, or-ed. */
#define ATTACHES 1 /* its process is not attached yet */
#define FORKS 2    /* into process CHILD */
#define CHILD 2
#define IS_CHILD 4
#define STRAYS 8   /* unlocks, without having locked */
#define LIMITED 16 /* its calls have a deadline */
#define SHARES 32  /* the handle, with another thread */

/* ------------------------------------------------------- broken variants -- */

#ifndef TEST_ONLY /* recovery tests the dead owner's byte and does not take it */
#define TEST_ONLY 0
#endif
#ifndef TEST_OWN_SLOT /* a second thread tests its own handle's byte */
#define TEST_OWN_SLOT 0
#endif
#ifndef RECOVER_AT_ONCE /* two threads of one handle recover at once */
#define RECOVER_AT_ONCE 0
#endif
#ifndef LET_GO_EARLY /* the dead owner's byte is let go before the swap */
#define LET_GO_EARLY 0
#endif
#ifndef REPLACE_BLINDLY /* recovery stores the word, whatever owner it names */
#define REPLACE_BLINDLY 0
#endif
#ifndef REPLACE_UNMARKED /* recovery does not set the died bit */
#define REPLACE_UNMARKED 0
#endif
#ifndef NO_HEAL /* a newcomer ignores a word that names its slot */
#define NO_HEAL 0
#endif
#ifndef HEAL_UNMARKED /* a newcomer frees such a word without a mark */
#define HEAL_UNMARKED 0
#endif
#ifndef BLIND_UNLOCK /* unlock stores the free word, whatever is there */
#define BLIND_UNLOCK 0
#endif
#ifndef UNLOCK_UNMARKED /* unlock drops the died bit */
#define UNLOCK_UNMARKED 0
#endif
#ifndef NO_SLEEPERS_BIT /* who has slept takes the lock without that bit */
#define NO_SLEEPERS_BIT 0
#endif
#ifndef NO_WAKE_ON /* who gives up does not pass the wake on */
#define NO_WAKE_ON 0
#endif
#ifndef SLEEP_UNSEEN /* sleeps without comparing the word */
#define SLEEP_UNSEEN 0
#endif
#ifndef NO_RECOVERY /* sleepers never look whether the owner lives */
#define NO_RECOVERY 0
#endif
#ifndef LATE_WITHOUT_LOOK /* a passed deadline returns without that look */
#define LATE_WITHOUT_LOOK 0
#endif
#ifndef NOTE_CLEARED_LATE /* the owner's note is cleared after the release */
#define NOTE_CLEARED_LATE 0
#endif
#ifndef FORK_DURING_RECOVERY /* a fork may copy a recoverer's description */
#define FORK_DURING_RECOVERY 0
#endif
#ifndef CHILD_KEEPS_SLOT /* a child locks with its parent's slot */
#define CHILD_KEEPS_SLOT 0
#endif
#ifndef CHILD_COPIES_PRESENCE /* a child has a copy of its parent's presence */
#define CHILD_COPIES_PRESENCE 0
#endif
#ifndef CHILD_HEALS_NOT /* the fork ignores a word that names the child's slot */
#define CHILD_HEALS_NOT 0
#endif
#ifndef CLEAR_BIT_UNWOKEN /* the sleepers' bit comes off a kept word without a wake */
#define CLEAR_BIT_UNWOKEN 0
#endif
#ifndef CLEARED_UNWOKEN /* ... nor after the bit came off because none slept */
#define CLEARED_UNWOKEN 0
#endif
#ifndef NEWCOMERS_TAKE /* newcomers take a word that is left to sleepers */
#define NEWCOMERS_TAKE 0
#endif
#ifndef NOT_KEPT /* the releaser keeps no bit for one that suffers */
#define NOT_KEPT 0
#endif
#ifndef ALWAYS_RELIEVED /* each that has slept ends the order, not the one alone that suffers */
#define ALWAYS_RELIEVED 0
#endif
#ifndef SLEEPS_ON /* newcomers sleep on a free word without end */
#define SLEEPS_ON 0
#endif
#ifndef LATE_LEAVES /* an attempt at its end leaves the word, too */
#define LATE_LEAVES 0
#endif

/* ---------------------------------------------------------------- state -- */

/* The lock word. */
byte owner; /* a slot; 0: free */
bit sleepers;
bit died;

/* The kernel's: who holds a slot's byte, and which processes refer to a
 * description. */
byte held[SLOTS + 1];
byte refs[DESCRIPTIONS + 1];
byte alive;  /* processes */
byte asleep; /* threads, on the lock word */
/* With PROMPT: threads that were woken and have not looked since, or that owe a wake. */
byte coming;
byte waking;
#if FIFO
byte queue[MOST_THREADS]; /* of them, numbers from 1, the longest asleep first */
#endif

/* The header's word for order. */
byte named;  /* the slot of one that suffers; 0: none */
byte passes; /* that came before it, or passed the sleepers of a fair lock */
#define a_waiter_suffers (named != 0 || passes >= FAIR_PASSES)

/* Each process's: what the handle has. */
byte slot[PROCESSES];
byte note[PROCESSES]; /* the owning thread's number, from 1 */
bit recovering[PROCESSES];
byte working[PROCESSES]; /* threads that have not finished */

/* What only the checks know. */
byte holder; /* the thread's number, from 1 */
byte holder_process;
bit hurt;       /* an owner died, and nobody has declared the data good */
bit names_dead; /* the word names a process that is dead */
byte deaths;
byte vain; /* slices that ended since a waiter got the lock, or an owner died */
byte stray_wakes;
byte sufferer; /* the first that said it suffers, and waits still; from 1 */
byte passed;   /* how often others got the lock since */

#define presence_of(process) ((process) + 1)
#if FALLBACK == 0
#define hold_of(thread, process) (PROCESSES + 1 + (thread))
#elif FALLBACK == 1
#define hold_of(thread, process) presence_of(process)
#else
#define hold_of(thread, process) (PROCESSES + 1 + (process))
#endif

/* Frees the bytes of descriptions that nobody refers to. */
inline drop_unreferenced()
{
    held[1] = (refs[held[1]] -> held[1] : 0);
    held[2] = (refs[held[2]] -> held[2] : 0);
    held[3] = (refs[held[3]] -> held[3] : 0);
#if SLOTS > 3
    held[4] = (refs[held[4]] -> held[4] : 0)
#endif
}

/* Threads that have begun, have not finished, and live. */
#define run_of(process) (alive & BIT(process) -> working[process] : 0)
#if PROCESSES > 3
#define all_that_run (run_of(0) | run_of(1) | run_of(2) | run_of(3))
#else
#define all_that_run (run_of(0) | run_of(1) | run_of(2))
#endif

/* The first half of a swap that makes this thread the owner. */
inline own(mark)
{
    owner = slot[p];
    told = mark;
    assert(holder == NOBODY || UNCHECKED == EXCLUSION);
    assert(told == hurt || UNCHECKED == EXCLUSION);
    holder = me + 1;
    holder_process = p;
    vain = 0;
    if
    :: sufferer == 0
    :: sufferer == me + 1 -> sufferer = 0; passed = 0
    :: else -> passed++; assert(passed <= BOUND)
    fi
}

/* It does not wait any more, or is dead. */
inline suffers_no_more(number)
{
    if
    :: sufferer == (number) + 1 -> sufferer = 0; passed = 0
    :: else
    fi
}

#if FIFO
/* The queue without this thread. */
inline leave_queue(number)
{
    if
    :: queue[0] == (number) + 1 ->
        queue[0] = queue[1]; queue[1] = queue[2]; queue[2] = queue[3]; queue[3] = 0
    :: queue[1] == (number) + 1 -> queue[1] = queue[2]; queue[2] = queue[3]; queue[3] = 0
    :: queue[2] == (number) + 1 -> queue[2] = queue[3]; queue[3] = 0
    :: queue[3] == (number) + 1 -> queue[3] = 0
    :: else
    fi
}

inline fall_asleep(number)
{
    asleep = asleep | BIT(number);
    if
    :: queue[0] == 0 -> queue[0] = (number) + 1
    :: queue[0] != 0 && queue[1] == 0 -> queue[1] = (number) + 1
    :: queue[0] != 0 && queue[1] != 0 && queue[2] == 0 -> queue[2] = (number) + 1
    :: else -> queue[3] = (number) + 1
    fi
}

inline wake_up(number)
{
    asleep = asleep & ~BIT(number);
    leave_queue(number)
}

/* FUTEX_WAKE for one: the one that sleeps longest. */
inline wake_one()
{
    if
    :: queue[0] != 0 ->
        asleep = asleep & ~BIT(queue[0] - 1);
        coming = (PROMPT -> coming | BIT(queue[0] - 1) : 0);
        queue[0] = queue[1]; queue[1] = queue[2]; queue[2] = queue[3]; queue[3] = 0
    :: else
    fi
}
#else
inline fall_asleep(number) { asleep = asleep | BIT(number) }
inline wake_up(number) { asleep = asleep & ~BIT(number) }

/* FUTEX_WAKE for one: any sleeper. */
inline wake_one()
{
    if
    :: asleep & BIT(0) -> asleep = asleep & ~BIT(0)
    :: asleep & BIT(1) -> asleep = asleep & ~BIT(1)
    :: asleep & BIT(2) -> asleep = asleep & ~BIT(2)
    :: asleep & BIT(3) -> asleep = asleep & ~BIT(3)
    :: asleep == 0
    fi
}
#endif

/* Write-locks the byte of any slot that is free. */
inline claim(process, by, refused)
{
    if
    :: held[1] == 0 -> slot[process] = 1
    :: held[2] == 0 -> slot[process] = 2
    :: held[3] == 0 -> slot[process] = 3
#if SLOTS > 3
    :: held[4] == 0 -> slot[process] = 4
#endif
    :: else -> refused = 1
    fi;
    if
    :: !refused ->
        held[slot[process]] = presence_of(process);
        refs[presence_of(process)] = BIT(by)
    :: else
    fi
}

/* The swap of msi_lock_heal. */
inline heal(claimed, unmarked, healed)
{
    if
    :: owner == claimed ->
        assert(names_dead);
        names_dead = 0;
        owner = 0;
        died = !(unmarked);
        healed = 1
    :: else
    fi
}

/* -------------------------------------------------------------- threads -- */

/* Where an attempt that did not get the lock goes on. */
inline not_taken()
{
    dead = 0;
    over = 0;
    if
    :: late ->
        /* A process that came while the owner was dead already, and found no
         * other at it, has replaced it. */
        assert(!(knew && names_dead && !excused));
        knew = 0;
        excused = 0;
        late = 0;
        if
        :: slept && named == slot[p] -> named = 0; passes = 0
        :: else
        fi;
        if
        :: slept && !NO_WAKE_ON -> goto WAKE_ANOTHER
        :: else -> goto RETURN
        fi
    :: else ->
        knew = 0;
        excused = 0;
        goto ANNOUNCE
    fi
}

/* What the new owner does about order [RELIEVE] [COUNT_PASS]. */
inline settle()
{
    if
    :: slept && (named == 0 || named == slot[p] || passes >= LAST_PASS || ALWAYS_RELIEVED) ->
        named = 0;
        passes = 0
    :: slept && named != 0 && named != slot[p] && passes < LAST_PASS && !ALWAYS_RELIEVED -> passes++
    :: !slept && FAIR && sleepers && !a_waiter_suffers -> passes++
    :: else
    fi
}

/* [LEAVE] */
#define left_to_sleepers (sleepers && !slept && !(late && !LATE_LEAVES) && a_waiter_suffers && !NEWCOMERS_TAKE)
#define left_to_others (left_to_sleepers || (FAIR && sleepers && !met && !slept && !late && !NEWCOMERS_TAKE))

inline taken()
{
    slept = 0;
    met = 0;
    late = 0;
    over = 0;
    dead = 0;
    knew = 0;
    excused = 0;
    goto NOTE
}

proctype thread(byte me, p, role)
{
    bit told, slept, over, late, replaced, healed, refused, had_sleepers, seen_died;
    bit knew, excused, forked, met, keeps, ownerless;
    byte dead, seen_owner, i;
    byte rounds = ROUNDS;

end_unborn:
    (alive & BIT(p));
    {
        if
        :: role & ATTACHES -> goto CLAIM
        :: role & IS_CHILD -> goto ADOPT
        :: role & STRAYS -> goto UNLOCK
        :: else -> goto TAKE_FAST
        fi;

        /* ---- attach (presence.c, attach.c) */
CLAIM:
        atomic {
            claim(p, p, refused);
            if
            :: refused -> goto FINISHED
            :: NO_HEAL -> goto TAKE_FAST
            :: else
            fi
        }
HEAL:
        atomic {
            if
            :: HEAL_BY_FILE -> had_sleepers = sleepers; healed = (owner == slot[p])
            :: else -> heal(slot[p], HEAL_UNMARKED, healed)
            fi;
            if
            :: !healed -> had_sleepers = 0; goto TAKE_FAST
            :: healed && HEAL_BY_FILE -> healed = 0
            :: else -> goto HEAL_WAKE
            fi
        }
HEAL_WRITE:
        /* What others have put into the word since the read is lost, but they put
         * nothing but the sleepers' bit there. */
        atomic {
            assert(owner == slot[p]);
            heal(slot[p], HEAL_UNMARKED, healed);
            sleepers = had_sleepers;
            had_sleepers = 0
        }
HEAL_WAKE:
        atomic { wake_one(); healed = 0; goto TAKE_FAST }

        /* ---- fork (fork.c) */
PREPARE:
        atomic {
            FORK_DURING_RECOVERY || !recovering[p];
            recovering[p] = !FORK_DURING_RECOVERY;
            forked = 1
        }
CLAIM_FOR_CHILD:
        atomic {
            claim(CHILD, p, refused);
            if
            :: refused -> refused = 0; goto RESUME_PARENT
            :: CHILD_HEALS_NOT -> goto FORK_INSTANT
            :: else
            fi
        }
HEAL_FOR_CHILD:
        atomic {
            heal(slot[CHILD], 0, healed);
            if
            :: !healed -> goto FORK_INSTANT
            :: else
            fi
        }
HEAL_FOR_CHILD_WAKE:
        atomic { wake_one(); healed = 0 }
FORK_INSTANT:
        atomic {
            alive = alive | BIT(CHILD);
            refs[presence_of(CHILD)] = refs[presence_of(CHILD)] | BIT(CHILD);
            /* The copy of every other descriptor; the page of the parent's
             * presence is not copied. */
            i = (CHILD_COPIES_PRESENCE -> 1 : PROCESSES + 1);
            do
            :: i <= DESCRIPTIONS ->
                if
                :: refs[i] & BIT(p) -> refs[i] = refs[i] | BIT(CHILD)
                :: else
                fi;
                i++
            :: else -> break
            od;
            i = 0;
            note[CHILD] = note[p];
            recovering[CHILD] = recovering[p]
        }
RESUME_PARENT:
        atomic {
            refs[presence_of(CHILD)] = refs[presence_of(CHILD)] & ~BIT(p);
            drop_unreferenced();
            recovering[p] = recovering[p] && FORK_DURING_RECOVERY;
            if
            :: holder == me + 1 -> goto IN_SECTION
            :: else -> goto TAKE_FAST
            fi
        }
ADOPT:
        atomic {
            note[p] = 0;
            recovering[p] = 0;
#if CHILD_KEEPS_SLOT
            slot[p] = slot[p - 1];
#endif
            goto TAKE_FAST
        }

        /* ---- one call of lock, lock_for or try_lock (lock.c) */
TAKE_FAST:
        atomic {
            if
            :: (role & FORKS) && !forked -> goto PREPARE
            :: true
            fi;
            knew = names_dead;
            if
            :: owner == 0 && !sleepers && !died -> own(0); taken()
            :: else
            fi;
            if
            :: role & SHARES
            :: else -> goto TAKE_SWAP
            fi
        }
ALREADY:
        atomic {
            if
            :: owner == slot[p]
            :: else -> goto TAKE_SWAP
            fi
        }
ALREADY_NOTE:
        atomic { assert(note[p] != me + 1) }
TAKE_SWAP:
        atomic {
            coming = coming & ~BIT(me);
            if
            :: owner == 0 && !left_to_others ->
                settle();
                sleepers = sleepers | (slept && !NO_SLEEPERS_BIT);
                own(died);
                taken()
            :: owner == 0 && left_to_others
            :: owner != 0 && FAIR && !met -> met = 1; goto ANNOUNCE_FIRST
            :: owner != 0 && !(FAIR && !met)
            fi
        }
TIME_PASSES:
        atomic {
            if
            :: true
            :: TIME == ANY -> over = 1
            :: TIME == ANY || (role & LIMITED) -> over = 1; late = 1
            fi;
            if
            :: late && owner == 0 && !left_to_others ->
                settle();
                sleepers = sleepers | (slept && !NO_SLEEPERS_BIT);
                own(died);
                taken()
            :: else
            fi;
            if
            :: over && !NO_RECOVERY && !(late && LATE_WITHOUT_LOOK)
            :: else -> not_taken()
            fi
        }
TEST_OWNER:
        atomic {
            dead = owner;
            over = 0;
            if
            :: dead == 0 || (dead == slot[p] && !TEST_OWN_SLOT) -> excused = 1; not_taken()
            :: else
            fi
        }
TEST_BYTE:
        atomic {
            if
            :: held[dead] != 0 && !(FALLBACK && held[dead] == hold_of(me, p)) ->
                excused = 1;
                not_taken()
            :: else
            fi
        }
BEGIN_RECOVERY:
        atomic {
            if
            :: recovering[p] -> excused = 1; not_taken()
            :: else -> recovering[p] = !RECOVER_AT_ONCE
            fi
        }
TAKE_BYTE:
        atomic {
            if
            :: TEST_ONLY
            :: !TEST_ONLY && (held[dead] == 0 || held[dead] == hold_of(me, p)) ->
                held[dead] = hold_of(me, p);
                refs[hold_of(me, p)] = refs[hold_of(me, p)] | BIT(p)
            :: else -> excused = 1; goto LET_GO
            fi
        }
#if LET_GO_EARLY
        held[dead] = 0;
#endif
REPLACE:
        atomic {
            if
            :: owner == dead || REPLACE_BLINDLY ->
                sleepers = sleepers | slept;
                own(1);
                assert(names_dead);
                names_dead = 0;
                died = !REPLACE_UNMARKED;
                replaced = 1
            :: else -> excused = 1
            fi
        }
LET_GO:
        atomic {
            if
            :: FALLBACK && dead != slot[p] && held[dead] == hold_of(me, p) -> held[dead] = 0
            :: !FALLBACK ->
                refs[hold_of(me, p)] = refs[hold_of(me, p)] & ~BIT(p);
                drop_unreferenced()
            :: else
            fi
        }
END_RECOVERY:
        atomic {
            recovering[p] = recovering[p] && RECOVER_AT_ONCE;
            if
            :: replaced -> replaced = 0; taken()
            :: else -> not_taken()
            fi
        }
ANNOUNCE_FIRST:
        /* A fair lock's waiter, before it spins. */
        atomic {
            if
            :: owner != 0 -> sleepers = 1
            :: else
            fi;
            goto TIME_PASSES
        }
ANNOUNCE:
        atomic {
            /* [SUFFERS] Perhaps it has waited long by now. */
            if
            :: true
            :: slept ->
                named = (named == 0 -> slot[p] : named);
                sufferer = (sufferer == 0 -> me + 1 : sufferer)
            fi;
            if
            :: owner == 0 && !left_to_others -> goto TAKE_SWAP
            :: else ->
                /* A word that is left to others is slept on, too. */
                sleepers = sleepers || (owner != 0);
                seen_owner = owner;
                seen_died = died;
                slept = 1
            fi
        }
SLEEP:
        atomic {
            if
            :: (owner == seen_owner && sleepers && died == seen_died) || SLEEP_UNSEEN ->
                fall_asleep(me);
                ownerless = (seen_owner == 0);
                seen_owner = 0;
                seen_died = 0
            :: else ->
                seen_owner = 0;
                seen_died = 0;
                goto TAKE_SWAP
            fi
        }
ASLEEP:
        if
        :: atomic { !(asleep & BIT(me)) -> ownerless = 0; goto TAKE_SWAP }
#if TIME == NEVER
        /* A word without an owner is slept on for a millisecond, whatever comes. */
        :: atomic {
            (asleep & BIT(me)) && ownerless && !SLEEPS_ON && coming == 0 ->
            wake_up(me);
            ownerless = 0;
            goto TAKE_SWAP
        }
#endif
#if TIME == ANY
        :: atomic { (asleep & BIT(me)) -> wake_up(me); ownerless = 0; goto TAKE_SWAP }
#else
        :: atomic {
            (asleep & BIT(me)) && stray_wakes < STRAY_WAKES ->
            wake_up(me);
            ownerless = 0;
            stray_wakes++;
            goto TAKE_SWAP
        }
#endif
#if TIME == NEVER
        :: atomic {
            (asleep & BIT(me)) && (role & LIMITED) ->
            wake_up(me);
            ownerless = 0;
            goto TAKE_LATE
        }
#endif
#if TIME == LAST
        :: atomic {
            (asleep & BIT(me)) && asleep == all_that_run ->
            wake_up(me);
            ownerless = 0;
            vain++;
            assert(vain <= 1);
            goto TAKE_LATE
        }
#endif
        fi;
TAKE_LATE:
        /* TAKE_SWAP, once the slice, or the time, is over. */
        atomic {
            if
            :: owner == 0 ->
                settle();
                sleepers = sleepers | (slept && !NO_SLEEPERS_BIT);
                own(died);
                taken()
            :: else
            fi;
            over = 1;
            late = (role & LIMITED) != 0;
            if
            :: !NO_RECOVERY && !(late && LATE_WITHOUT_LOOK) -> goto TEST_OWNER
            :: else -> not_taken()
            fi
        }
WAKE_ANOTHER:
        atomic { wake_one(); goto RETURN }
NOTE:
        atomic { note[p] = me + 1 }

        /* ---- the lock is held */
IN_SECTION:
        atomic {
            assert(holder == me + 1 || SCENE == STRAY);
            assert((owner == slot[p] && note[p] == me + 1) || SCENE == STRAY);
            if
            :: (role & FORKS) && !forked -> goto PREPARE
            :: told
            :: true -> goto UNLOCK
            fi
        }
CONSISTENT:
        atomic {
            if
            :: owner == slot[p] -> died = 0; hurt = 0
            :: else
            fi
        }

        /* ---- unlock (lock.c) */
UNLOCK:
        atomic {
            !PROMPT || (waking == 0 && (sufferer == 0 || (asleep & BIT(sufferer - 1))));
            told = 0;
            if
            :: owner == slot[p]
            :: else -> assert(SCENE == STRAY); goto RETURN
            fi;
            if
            :: NOTE_CLEARED_LATE -> goto RELEASE
            :: else
            fi
        }
CLEAR_NOTE:
        atomic { note[p] = 0; keeps = (FAIR || a_waiter_suffers) && !NOT_KEPT }
RELEASE:
        atomic {
            if
            :: owner == slot[p] || BLIND_UNLOCK ->
                assert(holder_process == p && holder != NOBODY);
                holder = NOBODY;
                holder_process = 0;
                had_sleepers = sleepers;
                waking = (PROMPT && had_sleepers -> waking | BIT(me) : waking);
                owner = 0;
                sleepers = sleepers && keeps; /* [KEEP] */
                died = died && !UNLOCK_UNMARKED
            :: else -> goto RETURN
            fi;
            if
            :: NOTE_CLEARED_LATE
            :: !NOTE_CLEARED_LATE && FAIR -> goto HAND_OVER
            :: !NOTE_CLEARED_LATE && !FAIR && had_sleepers -> goto WAKE
            :: else -> goto RETURN
            fi
        }
#if NOTE_CLEARED_LATE
        atomic {
            note[p] = 0;
            if
            :: !had_sleepers -> goto RETURN
            :: else -> goto WAKE
            fi
        }
#endif
HAND_OVER:
        /* Waits a little; then either another has taken the lock, and owes the wake. */
        atomic {
            if
            :: owner == 0 && had_sleepers
            :: else -> had_sleepers = 0; keeps = 0; goto RETURN
            fi
        }
WAKE:
        atomic {
            had_sleepers = 0;
            if
            :: keeps && (asleep == 0 || CLEAR_BIT_UNWOKEN) -> keeps = 0
            :: else -> wake_one(); keeps = 0; goto RETURN
            fi
        }
CLEAR_BIT:
        /* The wake met no sleeper. */
        atomic {
            named = 0;
            passes = 0;
            if
            :: owner == 0 && sleepers -> sleepers = 0
            :: else -> goto RETURN
            fi
        }
WAKE_AFTER_CLEARING:
        /* One that has gone to sleep since. */
        atomic {
            if
            :: CLEARED_UNWOKEN
            :: else -> wake_one()
            fi
        }
RETURN:
        atomic {
            waking = waking & ~BIT(me);
            keeps = 0;
            slept = 0;
            met = 0;
            suffers_no_more(me);
            rounds--;
            if
            :: rounds > 0 && !(role & STRAYS) -> goto TAKE_FAST
            :: else
            fi
        }

        /* ---- detach (segment.c), by the last thread that uses the handle */
FINISHED:
RELEASE_PRESENCE:
        atomic {
            working[p] = working[p] & ~BIT(me);
            if
            :: working[p] == 0 && !refused ->
                refs[presence_of(p)] = refs[presence_of(p)] & ~BIT(p);
                drop_unreferenced()
            :: else
            fi
        }
    }
    unless { !(alive & BIT(p)) }
}

/* ------------------------------------------------------------- the rest -- */

/* Ends a process. */
inline kill_process(process, i)
{
    alive = alive & ~BIT(process);
#if FIFO
    i = 0;
    do
    :: i < MOST_THREADS ->
        if
        :: working[process] & BIT(i) -> leave_queue(i); suffers_no_more(i)
        :: else
        fi;
        i++
    :: else -> break
    od;
#else
    if
    :: sufferer != 0 && (working[process] & BIT(sufferer - 1)) -> sufferer = 0; passed = 0
    :: else
    fi;
#endif
    asleep = asleep & ~working[process];
    if
    :: holder != NOBODY && holder_process == process ->
        holder = NOBODY;
        holder_process = 0;
        hurt = 1;
        names_dead = 1
    :: else
    fi;
    i = 1;
    do
    :: i <= DESCRIPTIONS -> refs[i] = refs[i] & ~BIT(process); i++
    :: else -> break
    od;
    drop_unreferenced();
    note[process] = 0;
    recovering[process] = 0;
    working[process] = 0;
    vain = 0;
    deaths++
}

#define may_die(process)                                                                          \
    (deaths < DEATHS && working[process] && (alive & BIT(process) & VICTIMS))

/* Ends processes, at any moment; or does not. */
proctype killer()
{
    byte i;

end:
    do
    :: d_step { may_die(0) -> kill_process(0, i) }
    :: d_step { may_die(1) -> kill_process(1, i) }
    :: d_step { may_die(2) -> kill_process(2, i) }
#if PROCESSES > 3
    :: d_step { may_die(3) -> kill_process(3, i) }
#endif
#if TIME != ANY
    /* Else, able to move, it would hide deadlocks. */
    :: break
#endif
    od
}

inline begin(number, process, role)
{
    working[process] = working[process] | BIT(number);
    run thread(number, process, role)
}

/* A process that lives from the start; its slot is its number, from 1. */
inline attached(process)
{
    alive = alive | BIT(process);
    slot[process] = process + 1;
    held[process + 1] = presence_of(process);
    refs[presence_of(process)] = BIT(process)
}

init
{
    atomic {
#if DEATHS > 0
        run killer();
#endif
        attached(0);
#if SCENE == STRANGERS
        attached(1);
        attached(2);
        begin(0, 0, 0);
        begin(1, 1, LIMITED);
        begin(2, 2, 0)
#elif SCENE == ORDER
        attached(1);
        attached(2);
        begin(0, 0, 0);
        begin(1, 1, 0);
        begin(2, 2, 0)
#elif SCENE == NEWCOMER
        attached(1);
        alive = alive | BIT(2);
        begin(0, 0, 0);
        begin(1, 1, 0);
        begin(2, 2, ATTACHES)
#elif SCENE == THREADS
        attached(1);
        alive = alive | BIT(2);
        begin(0, 0, 0);
        begin(1, 1, SHARES);
        begin(2, 1, SHARES | LIMITED);
        begin(3, 2, ATTACHES)
#elif SCENE == FORK
        attached(1);
        begin(0, 0, 0);
        begin(1, 1, FORKS | SHARES);
        begin(2, 1, SHARES | LIMITED);
        begin(3, CHILD, IS_CHILD)
#elif SCENE == STRAY
        attached(1);
        begin(0, 0, SHARES);
        begin(1, 0, SHARES | STRAYS);
        begin(2, 1, 0)
#elif SCENE == CROWD
        attached(1);
        alive = alive | BIT(2) | BIT(3);
        begin(0, 0, 0);
        begin(1, 1, LIMITED);
        begin(2, 2, ATTACHES);
        begin(3, 3, ATTACHES)
#endif
    }
}
