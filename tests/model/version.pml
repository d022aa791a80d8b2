/*
 * version.pml - a model of versions: writers who change the data under the
 * lock and may die at any step, a reader who copies without it, and waiters.
 *
 * The lock is taken as correct here (lock.pml is its model), and so is memory, but in the
 * scene WATCH: what the processors may reorder is left out. The version has two halves that
 * are loaded and stored one by one. The low one overflows on the way, but does
 * not come back to where it was, as it would only after 2^31 changes. The data
 * is two words, which hold the version of the change that wrote them.
 *
 *   SCENE=READ   whole data alone is read, versions only grow, and "a writer
 *                died" is said only where one did and nobody has repaired it
 *   SCENE=WAIT   no wake is lost
 *   SCENE=WATCH  the same where writers wake only those that have announced themselves, and
 *                waiters may be killed. What a process stores waits in a buffer of its own,
 *                and becomes visible to others at any time, in order; a fence waits until it
 *                has. With SILENT=1 no waiter announces itself, and the segment's flag says so
 *
 * SPDX-License-Identifier: MIT
 */

#define READ 1
#define WAIT 2
#define WATCH 3
#ifndef SCENE
#define SCENE READ
#endif
#define LOWS 16        /* values of the low half */
#define START 14       /* the first version */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#ifndef WAITERS
#define WAITERS 2
#endif
#ifndef SILENT
#define SILENT 0
#endif
#ifndef READS
#define READS 2
#endif

/* One line of the protocol changed: each must be caught. */
#ifndef NO_SECOND_LOOK
#define NO_SECOND_LOOK 0
#endif
#ifndef TOGGLE
#define TOGGLE 0
#endif
#ifndef HIGH_LATE
#define HIGH_LATE 0
#endif
#ifndef PUBLISH_UNREPAIRED
#define PUBLISH_UNREPAIRED 0
#endif
#ifndef CONSISTENT_PUBLISHES
#define CONSISTENT_PUBLISHES 0
#endif
#ifndef RELEASE_FIRST
#define RELEASE_FIRST 0
#endif
#ifndef BEGIN_LATE
#define BEGIN_LATE 0
#endif
#ifndef JUDGE_AT_ONCE
#define JUDGE_AT_ONCE 0
#endif
#ifndef WAKE_FIRST
#define WAKE_FIRST 0
#endif
#ifndef NO_WRITER_FENCE
#define NO_WRITER_FENCE 0
#endif
#ifndef NO_WAITER_FENCE
#define NO_WAITER_FENCE 0
#endif
#ifndef CLEAR_LATE
#define CLEAR_LATE 0
#endif
#ifndef CLEAR_WHERE_SEEN
#define CLEAR_WHERE_SEEN 0
#endif
#ifndef CLEAR_AFTER_WAKE
#define CLEAR_AFTER_WAKE 0
#endif
#ifndef CLEAR_UNWOKEN
#define CLEAR_UNWOKEN 0
#endif
#ifndef LOOK_ONCE
#define LOOK_ONCE 0
#endif
#ifndef SILENT_UNSAID
#define SILENT_UNSAID 0
#endif

byte low = START, high; /* the version */
byte owner;            /* the lock word: who holds it; 0: nobody */
bool died;             /* the lock word: an owner died, the data is suspect */
bool dead[WRITERS + 1];
byte deaths;
byte one = START, two = START; /* the data */
bool hurt;             /* an owner died, and nobody has repaired the data */
bool asleep;           /* the waiter */

#define VERSION (high * LOWS + low)

inline take()
{
    atomic {
        owner == 0 || dead[owner];
        if
        :: owner != 0 -> died = true
        :: else
        fi;
        owner = me;
        told = died
    }
}

inline store_odd()
{
    high = version / LOWS;
    low = version % LOWS
}

inline store_low_even()
{
    atomic {
        low = version % LOWS;
        hurt = false
    }
}

inline store_even()
{
    if
    :: HIGH_LATE ->
        store_low_even();
        high = version / LOWS
    :: else ->
        high = version / LOWS;
        store_low_even()
    fi
}

/* Makes the version odd; never toggled, for it may be so already. */
inline begin_change()
{
    version = VERSION;
    if
    :: TOGGLE -> version = (version % 2 == 0 -> version + 1 : version - 1)
    :: else -> version = version + 1 + version % 2
    fi;
    store_odd()
}

inline end_change()
{
    if
    :: version % 2 == 1 ->
        version++;
        store_even()
    :: else
    fi
}

inline wake()
{
    asleep = false
}

inline fill()
{
    one = version + 1;
    two = version + 1
}

/* The data is in order again; within a change that shows nothing yet. */
inline consistent()
{
    if
    :: CONSISTENT_PUBLISHES ->
        end_change();
        version = VERSION
    :: else
    fi;
    died = false
}

inline release()
{
    owner = 0
}

/* One change, and the repair of what a dead writer left half done. */
inline change()
{
    if
    :: BEGIN_LATE ->
        version = VERSION + 1 + VERSION % 2;
        one = version + 1;
        begin_change();
        two = version + 1
    :: else ->
        begin_change();
        if
        :: told -> consistent(); fill()
        :: fill(); if
                   :: told -> consistent()
                   :: else
                   fi
        :: told -> one = 255 /* left to the next */
        fi
    fi;
    if
    :: RELEASE_FIRST -> release()
    :: else
    fi;
    if
    :: WAKE_FIRST -> wake()
    :: else
    fi;
    if
    :: !died || PUBLISH_UNREPAIRED -> end_change()
    :: else
    fi;
    if
    :: RELEASE_FIRST
    :: else -> release()
    fi;
    if
    :: WAKE_FIRST
    :: else -> wake()
    fi
}

/* Repaired under the lock alone: the version is set right by consistent. */
inline repair_without_a_change()
{
    version = VERSION;
    if
    :: version % 2 == 1 -> fill(); end_change(); wake()
    :: else
    fi;
    atomic {
        died = false;
        hurt = false
    };
    release()
}

/* What it has begun when it dies stays as it is. */
proctype writer(byte me)
{
    byte version, round;
    bool told;

    {
        do
        :: round < ROUNDS ->
            round++;
            take();
            if
            :: change()
            :: told -> repair_without_a_change()
            fi
        :: else -> break
        od
    } unless { dead[me] }
}

/* Ends writers between any two steps. */
proctype killer()
{
    byte victim;

end:
    do
    :: deaths < DEATHS ->
        atomic {
            select(victim : 1 .. WRITERS);
            if
            :: !dead[victim] ->
                deaths++;
                dead[victim] = true;
                hurt = hurt || owner == victim
            :: else
            fi
        }
    od
}

inline load(into)
{
    lows = low;
    into = high * LOWS + lows
}

/* Whether the writer of an odd version is gone: the reader may say so. */
inline judge()
{
    atomic {
        suspect = owner;
        gone = (owner == 0 || died)
    }
    gone = gone || dead[suspect];
    if
    :: gone ->
        if
        :: JUDGE_AT_ONCE -> assert(hurt)
        :: else ->
            atomic {
                load(again);
                if
                :: again == first -> assert(hurt)
                :: else
                fi
            }
        fi
    :: else
    fi
}

proctype reader()
{
    byte first, again, lows, seen_one, seen_two, last = START, suspect, tries;
    bool gone;

    do
    :: tries < READS ->
        tries++;
        load(first);
        if
        :: first % 2 == 1 -> judge()
        :: else ->
            seen_one = one;
            seen_two = two;
            if
            :: NO_SECOND_LOOK -> again = first
            :: else -> load(again)
            fi;
            if
            :: again == first ->
                assert(seen_one == seen_two);
                assert(seen_one == first);
                assert(first >= last);
                last = first
            :: else
            fi
        fi
    :: else -> break
    od
}

/* Waits for one change after another, without ever looking by itself. */
proctype waiter()
{
    byte first, again, lows, seen = START;

    do
    :: seen == START + 2 * WRITERS * ROUNDS -> break
    :: else ->
        load(first);
        load(again);
        if
        :: first != again
        :: first == again && first % 2 == 0 && first != seen -> seen = first
        :: first == again && (first % 2 == 1 || first == seen) ->
            /* The kernel compares and puts to sleep in one step. */
            atomic {
                if
                :: low == first % LOWS -> asleep = true
                :: else
                fi
            };
            !asleep
        fi
    od
}

/* ------------------------------------------------------------------ WATCH -- */

/* The version is `low` alone, which does not overflow here. */
#define LAST (START + 2 * WRITERS * ROUNDS)

bool watchers;               /* a waiter has announced itself */
bool sleeping[WAITERS + 1];
bool killed[WAITERS + 1];

/* Stores that others do not see yet. */
bool clears[WRITERS + 1];    /* watchers = false */
byte versions[WRITERS + 1];  /* low; 0: none */
bool frees[WRITERS + 1];     /* owner = 0 */
bool announces[WAITERS + 1]; /* watchers = true */

#define IS_VISIBLE(me) (!clears[me] && versions[me] == 0 && !frees[me])

inline clear_watchers()
{
    d_step {
        if
        :: watchers -> announced = true; clears[me] = true
        :: else
        fi
    }
}

inline wake_all()
{
    d_step {
        for (each : 1 .. WAITERS) {
            sleeping[each] = false
        }
    }
}

/* Makes changes, one after another, and wakes after the release. */
proctype changer(byte me)
{
    byte round, each;
    bool announced;

    do
    :: round < ROUNDS ->
        d_step { round++; announced = false }
        atomic { owner == 0 -> owner = me; low++ }
        /* [CLEAR_WATCHERS] Before the new version is stored. */
        if
        :: SILENT || CLEAR_LATE || CLEAR_WHERE_SEEN || CLEAR_AFTER_WAKE
        :: else -> clear_watchers()
        fi;
        versions[me] = low + 1;
        if
        :: CLEAR_LATE -> clear_watchers()
        :: else
        fi;
        frees[me] = true;
        if
        :: SILENT || NO_WRITER_FENCE
        :: else -> IS_VISIBLE(me)
        fi;
        /* [LOOK_FOR_WATCHERS] Of its own stores it sees also those that others do not. */
        d_step {
            if
            :: CLEAR_UNWOKEN -> announced = false
            :: else
            fi;
            if
            :: watchers && !clears[me] && !LOOK_ONCE -> announced = true
            :: else
            fi
        };
        if
        :: announced || (SILENT && !SILENT_UNSAID) ->
            if
            :: CLEAR_WHERE_SEEN -> watchers = false
            :: else
            fi;
            /* [WAKE_WATCHERS] The kernel takes a lock for it, with fences of its own. */
            atomic { IS_VISIBLE(me); wake_all() };
            if
            :: CLEAR_AFTER_WAKE -> watchers = false
            :: else
            fi
        :: else
        fi
    :: else -> break
    od
}

/* Waits for one change after another, without ever looking by itself. */
proctype watcher(byte me)
{
    byte first, seen = START;

    {
        do
        :: seen == LAST -> break
        :: else ->
            first = low;
            if
            :: first % 2 == 0 && first != seen -> seen = first
            :: else ->
                /* [ANNOUNCE_WATCHER] */
                announces[me] = !SILENT;
                /* [ANNOUNCE_FENCE] */
                NO_WAITER_FENCE || !announces[me];
                /* The kernel compares and puts to sleep in one step. */
                d_step {
                    if
                    :: low == first -> sleeping[me] = true
                    :: else
                    fi
                };
                !sleeping[me]
            fi
        od
    } unless { killed[me] }
}

/* What a writer has stored becomes visible. */
proctype memory_of_changer(byte me)
{
end:
    do
    :: atomic { clears[me] && (!CLEAR_LATE || versions[me] == 0) ->
                watchers = false; clears[me] = false }
    :: atomic { versions[me] != 0 && (CLEAR_LATE || !clears[me]) ->
                low = versions[me]; versions[me] = 0 }
    :: atomic { frees[me] && !clears[me] && versions[me] == 0 -> owner = 0; frees[me] = false }
    od
}

proctype memory_of_watcher(byte me)
{
end:
    do
    :: atomic { announces[me] -> watchers = true; announces[me] = false }
    od
}

/* Ends waiters between any two steps. */
proctype killer_of_watchers()
{
    byte victim;

end:
    do
    :: deaths < DEATHS ->
        atomic {
            select(victim : 1 .. WAITERS);
            deaths++;
            killed[victim] = true
        }
    od
}

init {
    atomic {
        byte i;

        if
        :: SCENE == WATCH ->
            for (i : 1 .. WRITERS) {
                run changer(i);
                run memory_of_changer(i)
            }
            for (i : 1 .. WAITERS) {
                run watcher(i);
                run memory_of_watcher(i)
            }
            run killer_of_watchers()
        :: else ->
            for (i : 1 .. WRITERS) {
                run writer(i)
            }
            if
            :: SCENE == READ -> run reader()
            :: else -> run waiter()
            fi;
            run killer()
        fi
    }
}
