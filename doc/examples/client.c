#include <inttypes.h>
#include <mapseg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct board {
    long served;
    char text[56];
};

static int
connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path)) {
        fprintf(stderr, "%s: too long for a socket\n", path);
        return -1;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    perror(path);
    if (fd >= 0)
        close(fd);
    return -1;
}

int
main(int argc, char **argv)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = mapseg_new();
    struct board board;
    uint64_t version;
    int service = connect_to(argc > 1 ? argv[1] : "board.socket");

    if (service < 0)
        return 1;
    if (seg == NULL) {
        fprintf(stderr, "out of memory\n");
        return 1;
    }
    /* The service may be another user's: what it gives must be sealed. */
    options.flags = MAPSEG_UNTRUSTED_PEER | MAPSEG_ALLOW_OTHER_OWNER;
    if (mapseg_receive_with(seg, service, MAPSEG_READ_ONLY, &options) != MAPSEG_OK ||
        mapseg_read(seg, 0, &board, sizeof(board), &version) != MAPSEG_OK) {
        fprintf(stderr, "%s\n", mapseg_error_string(seg));
        return 1;
    }
    board.text[sizeof(board.text) - 1] = 0; /* a peer may forget it */
    printf("version %" PRIu64 ", %ld served, %s\n", version, board.served, board.text);
    close(service);
    mapseg_free(seg);
    return fflush(stdout) != 0;
}
