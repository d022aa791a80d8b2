#define _GNU_SOURCE 1 /* struct ucred */
#include <mapseg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct board {
    long served;
    char text[56];
};

static int
listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    unlink(path);
    /* Anybody may connect: who it is is looked at then. */
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        chmod(path, 0666) != 0 || listen(fd, 8) != 0) {
        perror(path);
        exit(1);
    }
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
        return;
    if (peer.uid != getuid() && peer.uid != allowed) {
        printf("refused: user %u\n", peer.uid);
        return;
    }
    if (!mapseg_result_owes_unlock(mapseg_write_begin(seg)))
        return;
    board->served++;
    snprintf(board->text, sizeof(board->text), "last served: user %u", peer.uid);
    mapseg_write_end(seg);
    if (mapseg_send(seg, client, MAPSEG_READ_ONLY) != MAPSEG_OK)
        printf("%s\n", mapseg_error_string(seg));
}

int
main(int argc, char **argv)
{
    int listener = listen_at(argc > 1 ? argv[1] : "board.socket");
    uid_t allowed = argc > 2 ? (uid_t)atol(argv[2]) : getuid();
    mapseg *seg = make_board();

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("ready\n");
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (client < 0)
            continue;
        serve(seg, client, allowed);
        close(client);
    }
}
