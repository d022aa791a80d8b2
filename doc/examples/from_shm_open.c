#include <fcntl.h>
#include <mapseg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What a program that has not moved does. */
static int
read_as_before(const char *name, char *to, size_t bytes)
{
    int fd = shm_open(name, O_RDONLY, 0);
    ssize_t got = fd < 0 ? -1 : pread(fd, to, bytes, 0);

    if (fd >= 0)
        close(fd);
    return got == (ssize_t)bytes ? 0 : -1;
}

int
main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "/from-shm-open";
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    char key[300], said[32];

    /* Complete when it has its name; and the last one out removes that. */
    options.flags = MAPSEG_REMOVE_WITH_LAST;
    snprintf(key, sizeof key, "posix:%s", name);
    mapseg *seg = mapseg_new();
    if (seg == NULL || mapseg_set_native_key(seg, key) != MAPSEG_OK ||
        mapseg_create_with(seg, sizeof said, MAPSEG_READ_WRITE, &options) != MAPSEG_OK) {
        fprintf(stderr, "%s\n", seg ? mapseg_error_string(seg) : "out of memory");
        return 1;
    }
    strcpy(mapseg_data(seg), "hello");

    int failed = read_as_before(name, said, sizeof said) != 0 || puts(said) < 0;
    mapseg_free(seg);
    return failed || fflush(stdout) != 0;
}
