/*
 * version.pml - a model of versions: writers who change the data under the
 * lock and may die at any step, a reader who copies without it, and a waiter.
 *
 * The lock is taken as correct here (lock.pml is its model), and so is memory:
 * what the processors may reorder is left out. The version has two halves that
 * are loaded and stored one by one. The low one overflows on the way, but does
 * not come back to where it was, as it would only after 2^31 changes. The data
 * is two words, which hold the version of the change that wrote them.
 *
 *   SCENE=READ   whole data alone is read, versions only grow, and "a writer
 *                died" is said only where one did and nobody has repaired it
 *   SCENE=WAIT   no wake is lost
 *
 * SPDX-License-Identifier: MIT
 */

#define READ 1
#define WAIT 2
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

init {
    atomic {
        byte i;

        for (i : 1 .. WRITERS) {
            run writer(i)
        }
        if
        :: SCENE == READ -> run reader()
        :: else -> run waiter()
        fi;
        run killer()
    }
}
