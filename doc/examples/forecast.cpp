#include <cstdio>
#include <mapseg.hpp>
#include <sys/wait.h>
#include <unistd.h>

struct forecast {
    int day;
    double degrees;
};

/* Sees each forecast that is the newest at some moment, until the last, of day 7. */
static int
view(const char *key)
{
    mapseg::options with;
    with.wait = std::chrono::seconds(20); /* for the station, which may come later */
    mapseg::segment seg(mapseg::attach, key, mapseg::access::read_only, with);
    std::uint64_t version = 0;
    forecast newest = {};

    while (newest.day < 7) {
        if (!seg.wait_for(version, std::chrono::seconds(20))) {
            std::fprintf(stderr, "nothing new for 20 seconds\n");
            return 1;
        }
        newest = seg.read<forecast>(0, &version);
    }
    std::printf("day %d: %.1f degrees\n", newest.day, newest.degrees);
    return std::fflush(stdout) == 0 ? 0 : 1;
}

static int
report(const char *key, pid_t viewer)
{
    mapseg::segment seg(mapseg::create, key, sizeof(forecast));
    int status = 0;

    for (int day = 1; day <= 6; day++)
        seg.write(forecast{day, 20 + day / 2.0});

    /* The same in place, where it is too large to be copied. */
    {
        mapseg::change change = seg.changing();
        forecast &last = seg.as<forecast>();
        last.day++;
        last.degrees = 24.5;
    }
    return waitpid(viewer, &status, 0) == viewer && status == 0 ? 0 : 1;
}

int
main(int argc, char **argv)
try {
    const char *key = argc > 1 ? argv[1] : "forecast";
    pid_t viewer = fork();

    return viewer == 0 ? view(key) : report(key, viewer);
} catch (const mapseg::error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.code() == std::errc::file_exists ? 2 : 1;
}
