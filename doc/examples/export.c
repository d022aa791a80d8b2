#include <fcntl.h>
#include <mapseg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child: attaches to what it finds in MAPSEG_KEY. */
static int
child(const char *key)
{
    mapseg *seg = mapseg_new();
    if (seg == NULL)
        return 1;
    if (mapseg_set_native_key(seg, key) != MAPSEG_OK ||
        mapseg_attach(seg, MAPSEG_READ_ONLY) != MAPSEG_OK) {
        fprintf(stderr, "%s\n", mapseg_error_string(seg));
        mapseg_free(seg);
        return 1;
    }
    printf("%s\n", (const char *)mapseg_const_data(seg));
    mapseg_free(seg);
    return 0;
}

/* The parent: a segment without a name, and a child that inherits it. */
static int
parent(char *program)
{
    mapseg *seg = mapseg_new();
    if (seg == NULL || mapseg_set_native_key(seg, "memfd:") != MAPSEG_OK ||
        mapseg_create(seg, 4096, MAPSEG_READ_WRITE) != MAPSEG_OK)
        return 1;
    strcpy(mapseg_data(seg), "hello, child");

    int fd = mapseg_export_fd(seg, MAPSEG_READ_ONLY);
    pid_t pid = fd < 0 ? -1 : fork();
    if (pid == 0) {
        char key[32];
        char *arguments[] = {program, NULL};
        fcntl(fd, F_SETFD, 0); /* this child inherits it */
        snprintf(key, sizeof(key), "memfd:%d", fd);
        setenv("MAPSEG_KEY", key, 1);
        execv(program, arguments);
        _exit(127);
    }
    int status = 1;
    if (pid > 0)
        waitpid(pid, &status, 0);
    if (fd >= 0)
        close(fd);
    mapseg_free(seg);
    return status == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
{
    const char *key = getenv("MAPSEG_KEY");
    return argc > 0 && key == NULL ? parent(argv[0]) : child(key);
}
