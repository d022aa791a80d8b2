#define _GNU_SOURCE 1 /* struct ucred */
#include <errno.h>
#include <mapseg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct board {
    long served;
    char text[56];
};

static void
fail(const char *what)
{
    perror(what);
    exit(1);
}

static int
listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    errno = ENAMETOOLONG;
    if (strlen(path) >= sizeof(address.sun_path))
        fail(path);
    strcpy(address.sun_path, path);
    if (unlink(path) != 0 && errno != ENOENT)
        fail(path);
    /* Every user may connect: serve() looks which one it is. */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        chmod(path, 0666) != 0 || listen(fd, 8) != 0)
        fail(path);
    return fd;
}

/* A segment that only this program can write. */
static mapseg *
make_board(void)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = mapseg_new();

    options.flags = MAPSEG_SINGLE_WRITER | MAPSEG_NO_FORK;
    if (seg == NULL || mapseg_set_native_key(seg, "memfd:") != MAPSEG_OK ||
        mapseg_create_with(seg, sizeof(struct board), MAPSEG_READ_WRITE, &options) != MAPSEG_OK) {
        fprintf(stderr, "%s\n", seg ? mapseg_error_string(seg) : "out of memory");
        exit(1);
    }
    return seg;
}

static void
serve(mapseg *seg, int client, uid_t allowed)
{
    struct ucred peer;
    socklen_t bytes = sizeof(peer);
    struct board *board = mapseg_data(seg);

    if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0)
        fail("SO_PEERCRED");
    if (peer.uid != getuid() && peer.uid != allowed) {
        printf("refused: user %u\n", peer.uid);
        return;
    }
    /* No other process can lock, so none can have died with the lock. */
    if (mapseg_write_begin(seg) != MAPSEG_OK) {
        printf("%s\n", mapseg_error_string(seg));
        return;
    }
    board->served++;
    snprintf(board->text, sizeof(board->text), "last served: user %u", peer.uid);
    mapseg_write_end(seg);
    if (mapseg_send(seg, client, MAPSEG_READ_ONLY) != MAPSEG_OK)
        printf("%s\n", mapseg_error_string(seg));
}

/* The user whose number this is. */
static uid_t
user_of(const char *text)
{
    char *end;
    unsigned long user = strtoul(text, &end, 10);

    errno = EINVAL;
    if (end == text || *end != '\0')
        fail(text);
    return (uid_t)user;
}

int
main(int argc, char **argv)
{
    int listener = listen_at(argc > 1 ? argv[1] : "board.socket");
    uid_t allowed = argc > 2 ? user_of(argv[2]) : getuid();
    mapseg *seg = make_board();

    if (setvbuf(stdout, NULL, _IOLBF, 0) != 0 || puts("ready") < 0)
        fail("standard output");
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (client >= 0) {
            serve(seg, client, allowed);
            close(client);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            fail("accept");
        }
    }
}
