#include <mapseg.h>
#include <stdio.h>

/* Two accounts; whatever happens, their sum stays 100. */
struct accounts {
    long from;
    long to;
};

static int
fail(mapseg *seg)
{
    fprintf(stderr, "%s\n", seg ? mapseg_error_string(seg) : "out of memory");
    mapseg_free(seg);
    return 1;
}

int
main(int argc, char **argv)
{
    mapseg *seg = mapseg_new_with_key(argc > 1 ? argv[1] : "accounts");
    if (seg == NULL ||
        mapseg_create_or_attach(seg, sizeof(struct accounts), MAPSEG_READ_WRITE, NULL) != MAPSEG_OK)
        return fail(seg);
    struct accounts *accounts = mapseg_data(seg);

    mapseg_result result = mapseg_lock(seg);
    if (!mapseg_result_owes_unlock(result))
        return fail(seg);
    if (result == MAPSEG_OWNER_DIED) {
        accounts->to = 100 - accounts->from; /* repair */
        if (mapseg_consistent(seg) != MAPSEG_OK)
            return fail(seg);
    }
    if (accounts->from + accounts->to == 0)
        accounts->from = 100; /* a new segment is all zero */
    accounts->from -= 1;
    accounts->to += 1;
    printf("%ld + %ld\n", accounts->from, accounts->to);
    if (mapseg_unlock(seg) != MAPSEG_OK)
        return fail(seg);
    mapseg_free(seg);
    return fflush(stdout) != 0;
}
