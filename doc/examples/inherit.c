#define _GNU_SOURCE 1 /* environ */
#include <mapseg.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int
fail(mapseg *seg)
{
    fprintf(stderr, "%s\n", seg ? mapseg_error_string(seg) : "out of memory");
    mapseg_free(seg);
    return 1;
}

/* The child: attaches to what it has inherited. */
static int
child(mapseg *seg)
{
    char text[32];

    if (mapseg_attach(seg, MAPSEG_READ_ONLY) != MAPSEG_OK ||
        mapseg_read(seg, 0, text, sizeof(text), NULL) != MAPSEG_OK)
        return fail(seg);
    printf("%s\n", text);
    mapseg_free(seg);
    return 0;
}

/* Runs the program as a child that may read the segment; its exit status. */
static int
run(mapseg *seg, char *program)
{
    char variable[MAPSEG_ENVIRONMENT_BYTES];
    char *arguments[] = {program, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = 1;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return 1;
    int fd = mapseg_spawn_actions(seg, MAPSEG_READ_ONLY, &actions, variable);
    if (fd >= 0) {
        putenv(variable);
        if (posix_spawn(&pid, program, &actions, NULL, arguments, environ) == 0)
            waitpid(pid, &status, 0);
        unsetenv("MAPSEG_KEY");
        close(fd);
    }
    posix_spawn_file_actions_destroy(&actions);
    return status == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
    static const char text[32] = "hello, child";
    mapseg *seg = mapseg_new_from_environment();

    if (seg == NULL || argc < 1)
        return fail(seg);
    if (mapseg_error(seg) != MAPSEG_NOT_FOUND)
        return child(seg);
    if (mapseg_set_native_key(seg, "memfd:") != MAPSEG_OK ||
        mapseg_create(seg, sizeof(text), MAPSEG_READ_WRITE) != MAPSEG_OK ||
        mapseg_write(seg, 0, text, sizeof(text)) != MAPSEG_OK)
        return fail(seg);
    int status = run(seg, argv[0]);
    mapseg_free(seg);
    return status;
}
