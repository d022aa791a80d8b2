/*
 * transfer.c - moving data between files and memory, with progress.
 *
 * SPDX-License-Identifier: MIT
 */
#include "common.h"
#include "transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------- progress -- */

/* Progress that is over at once need not be shown. */
#define PROGRESS_FROM_BYTES ((size_t)64 << 20)
#define PROGRESS_EVERY_NS INT64_C(500000000)

struct progress {
    const char *verb;
    size_t total;
    int64_t next_ns; /* when to show again; negative: never */
    bool shown;
};

static int64_t
now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static struct progress
progress_begin(const char *verb, size_t total)
{
    struct progress progress = {verb, total, -1, false};
    if (total > PROGRESS_FROM_BYTES && isatty(STDERR_FILENO))
        progress.next_ns = now_ns() + PROGRESS_EVERY_NS;
    return progress;
}

static void
progress_show(struct progress *progress, size_t done)
{
    if (progress->next_ns < 0 || now_ns() < progress->next_ns)
        return;
    char done_text[SIZE_TEXT_BYTES], total_text[SIZE_TEXT_BYTES];
    fprintf(stderr, "\rmapseg: %s %3.0f%%, %s of %s \033[K", progress->verb,
            100.0 * (double)done / (double)progress->total, size_in_words(done, done_text),
            size_in_words(progress->total, total_text));
    progress->next_ns = now_ns() + PROGRESS_EVERY_NS;
    progress->shown = true;
}

static void
progress_end(const struct progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
}

/* ---------------------------------------------------------------- input -- */

#define CHUNK_BYTES ((size_t)4 << 20)

static size_t
smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static ssize_t
read_again(int descriptor, void *to, size_t bytes)
{
    ssize_t got;
    do
        got = read(descriptor, to, bytes);
    while (got < 0 && errno == EINTR);
    return got;
}

bool
input_open(struct input *input, const char *path)
{
    *input = (struct input){.name = path, .descriptor = STDIN_FILENO};
    if (path == NULL || strcmp(path, "-") == 0)
        input->name = "standard input";
    else
        input->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (input->descriptor < 0 || fstat(input->descriptor, &status) != 0) {
        failure("cannot open %s: %s", input->name, strerror(errno));
        return false;
    }
    if (S_ISDIR(status.st_mode)) {
        failure("cannot read %s: it is a directory", input->name);
        input_close(input);
        return false;
    }
    /* The files of /proc are regular and claim to be empty. */
    off_t position = S_ISREG(status.st_mode) ? lseek(input->descriptor, 0, SEEK_CUR) : -1;
    if (position < 0 || status.st_size == 0)
        return true;
    off_t rest = status.st_size > position ? status.st_size - position : 0;
    input->known = true;
    input->bytes = (uintmax_t)rest > SIZE_MAX ? SIZE_MAX : (size_t)rest;
    return true;
}

/* Doubles the memory until it holds more than `bytes`, up to `limit`. */
static bool
make_room(struct input *input, size_t *room, size_t limit)
{
    size_t wanted = *room == 0 ? CHUNK_BYTES : *room > SIZE_MAX / 2 ? SIZE_MAX : *room * 2;
    wanted = smaller(wanted, limit);
    unsigned char *memory = realloc(input->memory, wanted);
    if (memory == NULL) {
        failure("cannot read %s: there is not enough memory to hold it", input->name);
        return false;
    }
    input->memory = memory;
    *room = wanted;
    return true;
}

bool
input_measure(struct input *input, size_t most)
{
    if (input->known)
        return true;
    size_t limit = most == SIZE_MAX ? most : most + 1;
    size_t room = 0;
    while (input->bytes < limit) {
        if (input->bytes == room && !make_room(input, &room, limit))
            return false;
        ssize_t got =
            read_again(input->descriptor, input->memory + input->bytes, room - input->bytes);
        if (got < 0) {
            failure("cannot read %s: %s", input->name, strerror(errno));
            return false;
        }
        if (got == 0)
            break;
        input->bytes += (size_t)got;
    }
    input->known = true;
    return true;
}

bool
input_copy(struct input *input, void *to, const char *consequence)
{
    if (input->memory) {
        memcpy(to, input->memory, input->bytes);
        return true;
    }
    struct progress progress = progress_begin("writing", input->bytes);
    size_t done = 0;
    ssize_t got = 1;
    while (done < input->bytes && got > 0) {
        size_t chunk = smaller(CHUNK_BYTES, input->bytes - done);
        got = read_again(input->descriptor, (unsigned char *)to + done, chunk);
        done += got > 0 ? (size_t)got : 0;
        progress_show(&progress, done);
    }
    int reason = errno;
    progress_end(&progress);
    if (got <= 0)
        failure("cannot read %s: %s%s%s", input->name,
                got < 0 ? strerror(reason) : "it became shorter while it was read",
                consequence ? "; " : "", consequence ? consequence : "");
    return got > 0;
}

void
input_close(struct input *input)
{
    free(input->memory);
    input->memory = NULL;
    if (input->descriptor > STDIN_FILENO)
        close(input->descriptor);
    input->descriptor = -1;
}

/* --------------------------------------------------------------- output -- */

bool
write_all(int descriptor, const void *from, size_t bytes, const char *verb)
{
    struct progress progress = progress_begin(verb, bytes);
    size_t done = 0;
    while (done < bytes) {
        size_t chunk = smaller(CHUNK_BYTES, bytes - done);
        ssize_t put = write(descriptor, (const unsigned char *)from + done, chunk);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            break;
        done += (size_t)put;
        progress_show(&progress, done);
    }
    int reason = errno;
    progress_end(&progress);
    errno = reason;
    return done == bytes;
}
