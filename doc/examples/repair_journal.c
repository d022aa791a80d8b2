#include <mapseg.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Two accounts whose sum is always 100, and a journal of the change that is
 * being made to them. */
struct bank {
    long balance[2];
    long before[2];
    int changing; /* 1: `before` is right, and `balance` may not be */
    int told;     /* owners that were told of a death */
};

static int steps_to_live; /* of a child; 0: it lives on */

/* After each step the process may be killed. */
static void
step(void)
{
    if (steps_to_live > 0 && --steps_to_live == 0)
        raise(SIGKILL);
}

/* Opens or closes the journal. A process that is killed has done all that comes
 * before one instruction, and nothing that comes after it: only the compiler can
 * disorder that, and the fences keep it from doing so. */
static void
set_changing(struct bank *bank, int changing)
{
    atomic_signal_fence(memory_order_seq_cst);
    bank->changing = changing;
    atomic_signal_fence(memory_order_seq_cst);
    step();
}

/* Undoes half a change. An owner that is killed here leaves the journal open, so
 * that the next one does the same again. */
static void
repair(struct bank *bank)
{
    if (!bank->changing)
        return; /* died before the change, or after it */
    for (int i = 0; i < 2; i++) {
        bank->balance[i] = bank->before[i];
        step();
    }
    set_changing(bank, 0);
}

static void
change(struct bank *bank, long amount)
{
    memcpy(bank->before, bank->balance, sizeof bank->before);
    step();
    set_changing(bank, 1);
    bank->balance[0] -= amount;
    step();
    bank->balance[1] += amount;
    step();
    set_changing(bank, 0);
}

static int
fail(mapseg *seg)
{
    fprintf(stderr, "%s\n", seg ? mapseg_error_string(seg) : "out of memory");
    return 1;
}

static int
transfer(mapseg *seg, long amount)
{
    struct bank *bank = mapseg_data(seg);
    mapseg_result result = mapseg_lock(seg);

    if (!mapseg_result_owes_unlock(result))
        return fail(seg);
    if (result == MAPSEG_OWNER_DIED) {
        bank->told++;
        repair(bank);
        if (mapseg_consistent(seg) != MAPSEG_OK)
            return fail(seg);
    }
    change(bank, amount);
    return mapseg_unlock(seg) == MAPSEG_OK ? 0 : fail(seg);
}

int
main(void)
{
    mapseg *seg = mapseg_new();
    int died = 0;

    if (seg == NULL || mapseg_set_native_key(seg, "memfd:") != MAPSEG_OK ||
        mapseg_create(seg, sizeof(struct bank), MAPSEG_READ_WRITE) != MAPSEG_OK)
        return fail(seg);
    struct bank *bank = mapseg_data(seg);
    bank->balance[0] = 100;

    /* Each child gets one step further than the one before. */
    for (int steps = 1; steps <= 8; steps++) {
        int status;
        pid_t child = fork();

        if (child == 0) {
            steps_to_live = steps;
            _exit(transfer(seg, 10));
        }
        if (child < 0 || waitpid(child, &status, 0) < 0) {
            perror("child");
            return 1;
        }
        died += WIFSIGNALED(status);
        if (!bank->changing && bank->balance[0] + bank->balance[1] != 100) {
            fprintf(stderr, "the sum is wrong\n");
            return 1;
        }
    }
    if (transfer(seg, 10) != 0)
        return 1;
    mapseg_result result = mapseg_lock(seg);
    printf("%d died, %d told, then %s: ", died, bank->told, mapseg_result_name(result));
    printf("%ld + %ld\n", bank->balance[0], bank->balance[1]);
    mapseg_free(seg);
    return fflush(stdout) != 0;
}
