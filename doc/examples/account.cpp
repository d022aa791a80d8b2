#include <csignal>
#include <cstdio>
#include <mapseg.hpp>
#include <mutex>
#include <sys/wait.h>
#include <unistd.h>

struct account {
    int left;
    int right;
};

int
main(int argc, char **argv)
try {
    mapseg::options with;
    with.initialize = [](mapseg::bytes_view data) { new (data.data()) account{100, 0}; };
    mapseg::segment seg(mapseg::create, argc > 1 ? argv[1] : "account", sizeof(account),
                        mapseg::access::read_write, with);
    account &both = seg.as<account>();

    /* An owner that dies takes from the left one first: the sum tells what is missing. */
    seg.on_owner_died([](mapseg::segment &dead) {
        account &broken = dead.as<account>();
        broken.right = 100 - broken.left;
    });

    pid_t child = fork();
    if (child == 0) {
        std::lock_guard<mapseg::segment> guard(seg);
        both.left--;
        raise(SIGKILL);
    }
    waitpid(child, nullptr, 0);

    std::lock_guard<mapseg::segment> guard(seg);
    std::printf("%d + %d\n", both.left, both.right);
    return std::fflush(stdout) == 0 ? 0 : 1;
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
