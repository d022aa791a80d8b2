#define _GNU_SOURCE 1 /* environ */
#include <mapseg-spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void
fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* The child: attaches to what it has inherited. It keeps neither the descriptor nor the
 * variable, so that programs which it runs get none of it. */
static int
be_child(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    char text[32];

    options.flags = MAPSEG_TAKE_DESCRIPTOR;
    if (mapseg_attach_with(seg, MAPSEG_READ_ONLY, &options) != MAPSEG_OK)
        fail(mapseg_error_string(seg));
    if (unsetenv("MAPSEG_KEY") != 0)
        fail("cannot take MAPSEG_KEY away");
    if (mapseg_read(seg, 0, text, sizeof(text), NULL) != MAPSEG_OK)
        fail(mapseg_error_string(seg));
    printf("%s\n", text);
    mapseg_free(seg);
    return fflush(stdout) != 0;
}

/* Starts the program as a child that may read the segment. */
static pid_t
start(mapseg *seg, char *program)
{
    char variable[MAPSEG_ENVIRONMENT_BYTES];
    char *arguments[] = {program, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int fd;

    if (posix_spawn_file_actions_init(&actions) != 0)
        fail("out of memory");
    if (mapseg_spawn_actions(seg, MAPSEG_READ_ONLY, &actions, variable, &fd) != MAPSEG_OK)
        fail(mapseg_error_string(seg));
    if (putenv(variable) != 0)
        fail("out of memory");
    int error = posix_spawnp(&child, program, &actions, NULL, arguments, environ);
    if (error != 0)
        fail(strerror(error));
    if (unsetenv("MAPSEG_KEY") != 0) /* `variable` ends with this function */
        fail("cannot take MAPSEG_KEY away");
    close(fd); /* the child has its own */
    posix_spawn_file_actions_destroy(&actions);
    return child;
}

int
main(int argc, char **argv)
{
    static const char text[32] = "hello, child";
    mapseg *seg = mapseg_new_from_environment();
    int status;

    if (seg == NULL || argc < 1)
        fail("out of memory");
    if (mapseg_error(seg) == MAPSEG_OK)
        return be_child(seg);
    if (mapseg_error(seg) != MAPSEG_NOT_FOUND) /* there is a key, and it is bad */
        fail(mapseg_error_string(seg));
    if (mapseg_set_native_key(seg, "memfd:") != MAPSEG_OK ||
        mapseg_create(seg, sizeof(text), MAPSEG_READ_WRITE) != MAPSEG_OK ||
        mapseg_write(seg, 0, text, sizeof(text)) != MAPSEG_OK)
        fail(mapseg_error_string(seg));
    pid_t child = start(seg, argv[0]);
    if (waitpid(child, &status, 0) != child || status != 0)
        fail("the child failed");
    mapseg_free(seg);
    return 0;
}
