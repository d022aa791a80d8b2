/*
 * demo.c - mapseg demo: shows with real processes what segments do.
 *
 * SPDX-License-Identifier: MIT
 */
#include "demo.h"
#include "commands.h"
#include "common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
    "Usage: mapseg demo [OPTION...] [FILE]\n"
    "\n"
    "Shares FILE (default: one found on this system) between real processes in\n"
    "several ways, kills one of them, and says of each part whether it held.\n"
    "\n"
    "Options:\n" COMMON_HELP;

static const struct option options[] = {
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

#define KEY_BYTES 64

/* The name that all keys of this run begin with, and the keys. */
static char prefix[KEY_BYTES / 2];
static char file_key[KEY_BYTES];
static char count_key[KEY_BYTES];

struct subject {
    char path[PATH_MAX];
    bool made; /* by this run, and removed at its end */
    size_t bytes;
    uint64_t digest;
};

/* ---------------------------------------------------------------- telling -- */

void
tell(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("   ", stdout);
    put_sentence(format, arguments);
    putchar('\n');
    va_end(arguments);
    fflush(stdout);
}

bool
outcome(bool held, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs(held ? "   HELD: " : "   DID NOT HOLD: ", stdout);
    put_sentence(format, arguments);
    putchar('\n');
    va_end(arguments);
    fflush(stdout);
    return held;
}

/* The digest at the end of an actor's line. */
static bool
told_digest(const struct actor *actor, uint64_t expected)
{
    const char *digest = strstr(actor->line, "XXH3 ");
    return digest && strtoull(digest + strlen("XXH3 "), NULL, 16) == expected;
}

/* ---------------------------------------------------------------- subject -- */

/* Large enough to be worth sharing, small enough for the 64 MiB that a
 * container has in /dev/shm. */
#define LEAST_BYTES (8 << 20)
#define MOST_BYTES (48 << 20)

static bool
find_file(struct subject *subject, const char *pattern)
{
    glob_t found;
    bool good = false;
    if (glob(pattern, 0, NULL, &found) != 0)
        return false;
    for (size_t i = 0; i < found.gl_pathc && !good; i++) {
        struct stat status;
        const char *path = found.gl_pathv[i];
        good = stat(path, &status) == 0 && S_ISREG(status.st_mode) &&
               status.st_size >= LEAST_BYTES && status.st_size <= MOST_BYTES &&
               access(path, R_OK) == 0 && strlen(path) < sizeof subject->path;
        if (good)
            strcpy(subject->path, path);
    }
    globfree(&found);
    return good;
}

static bool
make_file(struct subject *subject)
{
    const char *directory = getenv("TMPDIR");
    snprintf(subject->path, sizeof subject->path, "%s/mapseg-demo-XXXXXX",
             directory && *directory ? directory : "/tmp");
    int descriptor = mkostemp(subject->path, O_CLOEXEC);
    subject->made = descriptor >= 0;
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    uint64_t value = UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; file && i < LEAST_BYTES / sizeof value; i++) {
        value ^= value << 13;
        value ^= value >> 7;
        value ^= value << 17;
        fwrite(&value, sizeof value, 1, file);
    }
    if (file != NULL && !ferror(file) && fclose(file) == 0)
        return true;
    failure("cannot make %s: %s", subject->path, strerror(errno));
    return false;
}

static bool
choose_file(struct subject *subject, const char *path)
{
    static const char *const patterns[] = {"/usr/lib/*/lib*.so*", "/usr/lib*/lib*.so*",
                                           "/usr/lib/*/*/*.so*", "/usr/bin/*"};
    if (path) {
        if (strlen(path) < sizeof subject->path) {
            strcpy(subject->path, path);
            return true;
        }
        failure("the name of the file is too long");
        return false;
    }
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (find_file(subject, patterns[i]))
            return true;
    return make_file(subject);
}

/* What the processes are to find, worked out without any segment. */
static bool
measure_file(struct subject *subject)
{
    struct stat status;
    int descriptor = open(subject->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        failure("cannot open %s: %s", subject->path, strerror(errno));
        return false;
    }
    void *content = MAP_FAILED;
    if (!S_ISREG(status.st_mode) || status.st_size == 0 || (uintmax_t)status.st_size > SIZE_MAX)
        failure("the demonstration needs a regular file with content, which %s is not",
                subject->path);
    else {
        subject->bytes = (size_t)status.st_size;
        content = mmap(NULL, subject->bytes, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (content == MAP_FAILED)
            failure("cannot map %s: %s", subject->path, strerror(errno));
    }
    close(descriptor);
    if (content == MAP_FAILED)
        return false;
    subject->digest = mapseg_digest(content, subject->bytes);
    munmap(content, subject->bytes);
    return true;
}

/* ------------------------------------------------------------ parts 1, 2 -- */

static bool
share(const struct subject *subject, struct actor *producer)
{
    puts("1. A file goes from one process to another through a named segment.");
    const char *const produce[] = {"mapseg", "demo-role", "produce", file_key, subject->path, NULL};
    const char *const consume[] = {"mapseg", "demo-role", "consume", file_key, NULL};
    struct actor consumer;
    bool held = actor_start(producer, "producer", TOOL_PROGRAM, produce) && actor_hear(producer) &&
                told_digest(producer, subject->digest);
    if (held && actor_start(&consumer, "consumer", TOOL_PROGRAM, consume))
        held = actor_finish(&consumer) == EXIT_SUCCESS && told_digest(&consumer, subject->digest);
    else
        held = false;
    return outcome(held, "both digests are that of the file");
}

static const char without_mapseg[] =
    "import mmap, struct, sys\n"
    "def look_at(path):\n"
    "    with open(path, 'rb') as file:\n"
    "        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\n"
    "segment, original = map(look_at, sys.argv[1:3])\n"
    "magic, version, header, offset, size = struct.unpack_from('=8sIIQQ', segment, 0)\n"
    "print(f'the header of {sys.argv[1]} says format {version},',\n"
    "      f'{size} bytes of data from byte {offset} on')\n"
    "step = 1 << 20\n"
    "equal = (magic == b'\\x89MAPSEG\\n' and version == 1 and size == len(original) and\n"
    "         all(segment[offset + i:offset + min(i + step, size)] == original[i:i + step]\n"
    "             for i in range(0, size, step)))\n"
    "print('compared it with the file byte by byte:', 'equal' if equal else 'DIFFERENT')\n"
    "sys.exit(not equal)\n";

static bool
segment_path(char path[PATH_MAX])
{
    mapseg *seg = open_key(file_key);
    mapseg_info *information;
    bool good = seg && mapseg_info_new(seg, &information) == MAPSEG_OK;
    if (good) {
        snprintf(path, PATH_MAX, "%s", information->path);
        mapseg_info_free(information);
    }
    mapseg_free(seg);
    return good;
}

static bool
read_without_mapseg(const struct subject *subject)
{
    puts("2. A program without mapseg reads the same segment by its documented layout.");
    char path[PATH_MAX];
    struct actor python;
    const char *const arguments[] = {"python3", "-c", without_mapseg, path, subject->path, NULL};
    bool held = segment_path(path) && actor_start(&python, "python3", "python3", arguments);
    int status = held ? actor_finish(&python) : EXIT_FAILURE;
    if (status == 127) {
        tell("SKIPPED: there is no python3 here");
        return true;
    }
    return outcome(status == EXIT_SUCCESS, "mmap and struct alone find the same content");
}

static bool
part_named_segment(const struct subject *subject)
{
    struct actor producer = {.to = -1};
    bool shared = share(subject, &producer);
    bool read = shared && read_without_mapseg(subject);
    bool ended = actor_finish(&producer) == EXIT_SUCCESS;
    if (shared && !ended)
        outcome(false, "the producer did not end well");
    return shared && read && ended;
}

/* ---------------------------------------------------------------- part 3 -- */

static bool
part_sealed(const struct subject *subject)
{
    puts("3. A child process gets a sealed segment that has no name.");
    char size[32];
    snprintf(size, sizeof size, "%zu", subject->bytes);
    const char *const arguments[] = {"mapseg",    "exec",        "--size", size,
                                     "--input",   subject->path, "--",     TOOL_PROGRAM,
                                     "demo-role", "inherit",     NULL};
    struct actor parent;
    bool held = actor_start(&parent, "exec", TOOL_PROGRAM, arguments) &&
                actor_finish(&parent) == EXIT_SUCCESS && told_digest(&parent, subject->digest);
    return outcome(held, "the child found the file in it, and no process can cut it short");
}

/* ---------------------------------------------------------------- part 5 -- */

static bool
is_gone(const char *key)
{
    mapseg *seg = open_key(key);
    mapseg_info *information;
    mapseg_result result = seg != NULL ? mapseg_info_new(seg, &information) : MAPSEG_UNKNOWN_ERROR;
    if (result == MAPSEG_OK)
        mapseg_info_free(information);
    mapseg_free(seg);
    tell("demo %ld: %s is %s", (long)getpid(), key,
         result == MAPSEG_NOT_FOUND ? "gone" : "STILL THERE");
    return result == MAPSEG_NOT_FOUND;
}

static bool
none_listed(void)
{
    mapseg_list *list;
    if (mapseg_list_new(&list) != MAPSEG_OK)
        return false;
    size_t ours = 0, count = mapseg_list_count(list);
    for (size_t i = 0; i < count; i++) {
        const char *key = mapseg_list_get(list, i)->native_key;
        ours += strncmp(key, "shm:", 4) == 0 && strncmp(key + 4, prefix, strlen(prefix)) == 0;
    }
    mapseg_list_free(list);
    tell("demo %ld: of %zu listed segments %zu are from here", (long)getpid(), count, ours);
    return ours == 0;
}

static bool
no_files(void)
{
    DIR *directory = opendir("/dev/shm");
    if (directory == NULL)
        return false;
    size_t ours = 0;
    const struct dirent *entry;
    while ((entry = readdir(directory)))
        ours += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    closedir(directory);
    tell("demo %ld: /dev/shm has %zu files from here", (long)getpid(), ours);
    return ours == 0;
}

static bool
part_nothing_left(void)
{
    puts("5. Nothing is left.");
    bool gone = is_gone(file_key);
    gone = is_gone(count_key) && gone;
    gone = none_listed() && gone;
    gone = no_files() && gone;
    bool alone = waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
    return outcome(gone && alone, "no name, no file and no process has stayed behind");
}

/* ------------------------------------------------------------------- all -- */

static void
clean_up(const struct subject *subject)
{
    const char *const keys[] = {file_key, count_key};
    for (size_t i = 0; i < 2; i++) {
        mapseg *seg = open_key(keys[i]);
        /* Of a name that is gone already there is nothing to be said. */
        mapseg_result result = seg != NULL ? mapseg_remove(seg) : MAPSEG_OK;
        (void)result;
        mapseg_free(seg);
    }
    if (subject->made)
        unlink(subject->path);
}

static bool
run_parts(const struct subject *subject)
{
    char size[SIZE_TEXT_BYTES];
    printf("mapseg demo, process %ld, with ", (long)getpid());
    put_text(subject->path, MSI_PRINTABLE_TEXT);
    printf(" (%s, XXH3 %016" PRIx64 ")\n", size_in_words(subject->bytes, size), subject->digest);
    bool named = part_named_segment(subject);
    bool sealed = !interruption() && part_sealed(subject);
    bool counted = false;
    if (!interruption()) {
        puts("4. Four processes count under the lock, and one is killed while it holds it.");
        counted = demo_count(count_key);
    }
    bool nothing_left = !interruption() && part_nothing_left();
    bool held = named && sealed && counted && nothing_left;
    if (!interruption())
        puts(held ? "All of it held." : "NOT ALL OF IT HELD.");
    return held;
}

int
command_demo(int argc, char **argv)
{
    int option;
    while ((option = next_option(argc, argv, ":hV", options)) != -1)
        common_option(option, usage);
    const char *path = optind < argc ? argv[optind++] : NULL;
    no_more_arguments(argc, argv);

    snprintf(prefix, sizeof prefix, "mapseg-demo-%ld-", (long)getpid());
    snprintf(file_key, sizeof file_key, "shm:%sfile", prefix);
    snprintf(count_key, sizeof count_key, "shm:%scount", prefix);
    watch_for_interruption();
    struct subject subject = {.made = false};
    bool held = choose_file(&subject, path) && measure_file(&subject) && run_parts(&subject);
    clean_up(&subject);
    if (interruption())
        end_by_interruption();
    return held ? EXIT_SUCCESS : EXIT_FAILURE;
}
