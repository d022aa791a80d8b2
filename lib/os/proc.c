/*
 * proc.c - what the texts of /proc and /sys say.
 *
 * Each text is gone through once, and nothing is copied: sscanf would measure the
 * whole rest of it for each line.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proc.h"

#include <string.h>
#include <sys/sysmacros.h>

/* ---------------------------------------------------------------- words -- */

/** A part of a line. */
struct word {
    const char *text;
    size_t length;
};

/** The line behind this one; NULL: there is none. */
static const char *
next_line(const char *line)
{
    const char *end = strchr(line, '\n');

    return end == NULL ? NULL : end + 1;
}

/** The next word of a line, which then begins behind it; an empty one at its end. */
static struct word
next_word(const char **line)
{
    struct word word;

    word.text = *line + strspn(*line, " \t");
    word.length = strcspn(word.text, " \t\n");
    *line = word.text + word.length;
    return word;
}

static bool
is_word(struct word word, const char *expected)
{
    return word.length == strlen(expected) && memcmp(word.text, expected, word.length) == 0;
}

/** What a word has before the separator; the word then begins behind that. Without one
 *  all of it, and nothing is left. */
static struct word
take_part(struct word *word, char separator)
{
    struct word part = {word->text, 0};

    while (part.length < word->length && part.text[part.length] != separator)
        part.length++;
    word->text += part.length;
    word->length -= part.length;
    if (word->length > 0) {
        word->text++;
        word->length--;
    }
    return part;
}

static unsigned
digit_of(char letter)
{
    if (letter >= '0' && letter <= '9')
        return (unsigned)(letter - '0');
    if (letter >= 'a' && letter <= 'f')
        return (unsigned)(letter - 'a') + 10;
    return 16;
}

/** The number that a word is; false: it is none, or one that is too large. */
static bool
number_of(struct word word, unsigned base, uint64_t most, uint64_t *number)
{
    uint64_t value = 0;

    if (word.length == 0)
        return false;
    for (size_t i = 0; i < word.length; i++) {
        unsigned digit = digit_of(word.text[i]);

        if (digit >= base || value > (most - digit) / base)
            return false;
        value = value * base + digit;
    }
    *number = value;
    return true;
}

/** The device that two numbers with a colon between them are; the word is then what
 *  follows. */
static bool
take_device(struct word *word, unsigned base, dev_t *device)
{
    uint64_t major_number;
    uint64_t minor_number;

    if (!number_of(take_part(word, ':'), base, UINT32_MAX, &major_number) ||
        !number_of(take_part(word, ':'), base, UINT32_MAX, &minor_number))
        return false;
    *device = makedev((unsigned)major_number, (unsigned)minor_number);
    return true;
}

/** The number in the first line that begins with the label. */
static bool
number_behind(const char *text, const char *label, uint64_t *number)
{
    for (const char *line = text; line != NULL; line = next_line(line))
        if (strncmp(line, label, strlen(label)) == 0) {
            line += strlen(label);
            return number_of(next_word(&line), 10, UINT64_MAX, number);
        }
    return false;
}

/* --------------------------------------------------------------- mounts -- */

bool
msi_proc_mount_number(const char *fdinfo, uint64_t *mount)
{
    return number_behind(fdinfo, "mnt_id:", mount);
}

bool
msi_proc_inode(const char *fdinfo, ino_t *inode)
{
    uint64_t number;

    if (!number_behind(fdinfo, "ino:", &number))
        return false;
    *inode = (ino_t)number;
    return true;
}

bool
msi_proc_device_of_mount(const char *mountinfo, uint64_t mount, dev_t *device)
{
    for (const char *line = mountinfo; line != NULL; line = next_line(line)) {
        const char *rest = line;
        uint64_t number;
        struct word word;

        if (!number_of(next_word(&rest), 10, UINT64_MAX, &number) || number != mount)
            continue;
        (void)next_word(&rest); /* the mount it lies on */
        word = next_word(&rest);
        return take_device(&word, 10, device);
    }
    return false;
}

/* ----------------------------------------------------------- huge pages -- */

/** The line about a device; NULL: there is none. */
static const char *
mount_of(const char *mountinfo, dev_t device)
{
    for (const char *line = mountinfo; line != NULL; line = next_line(line)) {
        const char *rest = line;
        struct word word;
        dev_t found;

        (void)next_word(&rest); /* the mount's number */
        (void)next_word(&rest); /* that of the mount it lies on */
        word = next_word(&rest);
        if (take_device(&word, 10, &found) && found == device)
            return line;
    }
    return NULL;
}

/** What a line says of a mount. */
struct mount {
    struct word root;    /**< what of the file system is mounted */
    struct word place;   /**< where */
    struct word type;    /**< of the file system */
    struct word options; /**< that the file system itself was given */
};

/** The file system's own options come last. Those before, and the names, are of whatever a
 *  program that mounts likes. */
static struct mount
read_mount(const char *line)
{
    struct mount mount;
    struct word word;

    (void)next_word(&line); /* the mount's number */
    (void)next_word(&line); /* that of the mount it lies on */
    (void)next_word(&line); /* the device */
    mount.root = next_word(&line);
    mount.place = next_word(&line);
    (void)next_word(&line); /* the mount's own options */
    /* Any number of tags, and a dash behind them. */
    do
        word = next_word(&line);
    while (word.length > 0 && !is_word(word, "-"));
    mount.type = next_word(&line);
    (void)next_word(&line); /* its source */
    mount.options = next_word(&line);
    return mount;
}

/** The choice of a mount; an empty word: it has made none. */
static struct word
choice_of_mount(const char *line)
{
    static const char label[] = "huge=";
    struct word options = read_mount(line).options;

    while (options.length > 0) {
        struct word option = take_part(&options, ',');

        if (option.length >= strlen(label) && memcmp(option.text, label, strlen(label)) == 0)
            return (struct word){option.text + strlen(label), option.length - strlen(label)};
    }
    return options;
}

/** The choice of the whole system, which has brackets around it. */
static struct word
choice_of_system(const char *setting)
{
    struct word word;

    do
        word = next_word(&setting);
    while (word.length > 0 && word.text[0] != '[');
    if (word.length < 2 || word.text[word.length - 1] != ']')
        return (struct word){word.text, 0};
    return (struct word){word.text + 1, word.length - 2};
}

bool
msi_proc_allows_huge(const char *shmem_enabled, const char *mountinfo, dev_t device)
{
    struct word choice = choice_of_system(shmem_enabled);
    const char *line;

    /* These two are above the mounts' own options. */
    if (is_word(choice, "deny"))
        return false;
    if (is_word(choice, "force"))
        return true;
    line = mount_of(mountinfo, device);
    if (line != NULL)
        choice = choice_of_mount(line);
    return is_word(choice, "always") || is_word(choice, "within_size") || is_word(choice, "advise");
}

/** Whether the line is the first one about a mapping, and where that begins. */
static bool
begins_mapping(const char *line, uint64_t *address)
{
    struct word word = next_word(&line);
    struct word begin = take_part(&word, '-');

    return word.length > 0 && number_of(begin, 16, UINT64_MAX, address);
}

uint64_t
msi_proc_huge_bytes(const char *smaps, uintptr_t address)
{
    static const char label[] = "ShmemPmdMapped:";
    uint64_t kilobytes;
    uint64_t begin;
    bool found = false;

    for (const char *line = smaps; line != NULL; line = next_line(line)) {
        if (begins_mapping(line, &begin)) {
            /* The next mapping's would be in another's place. */
            if (found)
                return 0;
            found = begin == address;
        } else if (found && strncmp(line, label, strlen(label)) == 0) {
            line += strlen(label);
            if (number_of(next_word(&line), 10, UINT64_MAX / 1024, &kilobytes))
                return kilobytes * 1024;
            return 0;
        }
    }
    return 0;
}

/* ---------------------------------------------------------------- locks -- */

/** Whether a line of the table is a reader of the byte. One that waits for its lock has
 *  an arrow where the class should be. */
static bool
is_reader(const char *line, dev_t device, ino_t inode, uint64_t byte)
{
    struct word file;
    uint64_t number;
    dev_t found;

    (void)next_word(&line); /* the lock's number */
    if (!is_word(next_word(&line), "OFDLCK"))
        return false;
    (void)next_word(&line); /* advisory or mandatory */
    if (!is_word(next_word(&line), "READ"))
        return false;
    (void)next_word(&line); /* the process, which it is not of */
    file = next_word(&line);
    return take_device(&file, 16, &found) && found == device &&
           number_of(file, 10, UINT64_MAX, &number) && number == inode &&
           number_of(next_word(&line), 10, UINT64_MAX, &number) && number == byte;
}

uint32_t
msi_proc_count_readers(const char *locks, dev_t device, ino_t inode, uint64_t byte)
{
    uint32_t readers = 0;

    for (const char *line = locks; line != NULL; line = next_line(line))
        readers += is_reader(line, device, inode, byte);
    return readers;
}

/* ---------------------------------------------------------------- users -- */

uint32_t
msi_proc_overflow_number(const char *overflow)
{
    uint64_t number;

    return number_of(next_word(&overflow), 10, UINT32_MAX, &number) ? (uint32_t)number : 65534;
}

/** The numbers that a line of a map gives. */
static bool
mapped_by(const char *line, uint64_t *first, uint64_t *count)
{
    uint64_t outside;

    return number_of(next_word(&line), 10, UINT32_MAX, first) &&
           number_of(next_word(&line), 10, UINT32_MAX, &outside) &&
           number_of(next_word(&line), 10, UINT32_MAX, count);
}

bool
msi_proc_maps_all(const char *map)
{
    uint64_t mapped = 0;
    uint64_t first;
    uint64_t count;

    for (const char *line = map; line != NULL && mapped < UINT32_MAX; line = next_line(line))
        if (mapped_by(line, &first, &count))
            mapped += count;
    /* All but the number that is none. */
    return mapped >= UINT32_MAX;
}

bool
msi_proc_maps(const char *map, uint32_t number)
{
    uint64_t first;
    uint64_t count;

    for (const char *line = map; line != NULL; line = next_line(line))
        if (mapped_by(line, &first, &count) && number >= first && number - first < count)
            return true;
    return false;
}

/* --------------------------------------------------------------- memory -- */

/** Whether a list of controllers, as one word, has that of memory. */
static bool
controls_memory(struct word controllers)
{
    while (controllers.length > 0)
        if (is_word(take_part(&controllers, ','), "memory"))
            return true;
    return false;
}

const char *
msi_proc_next_group(const char *cgroup, struct msi_proc_group *group)
{
    for (const char *line = cgroup; line != NULL && *line != '\0'; line = next_line(line)) {
        /* The path may have blanks and colons in it. */
        struct word path = {line, strcspn(line, "\n")};
        const char *end = line + path.length;
        struct word controllers;

        (void)take_part(&path, ':'); /* the hierarchy's number */
        controllers = take_part(&path, ':');
        if (path.length == 0 || (controllers.length > 0 && !controls_memory(controllers)))
            continue;
        *group = (struct msi_proc_group){controllers.length == 0, path.text, path.length};
        return end;
    }
    return NULL;
}

bool
msi_proc_group_above(struct msi_proc_group *group)
{
    size_t length = group->length;

    while (length > 0 && group->path[length - 1] != '/')
        length--;
    if (length == 0)
        return false;
    group->length = length - 1;
    return true;
}

/** The next letter of a name, in which some stand as a backslash and three digits. */
static char
take_letter(struct word *escaped)
{
    const char *text = escaped->text;
    size_t length = 1;
    char letter = *text;

    if (letter == '\\' && escaped->length >= 4) {
        letter = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
        length = 4;
    }
    escaped->text += length;
    escaped->length -= length;
    return letter;
}

/** Whether a mount of that root shows the group; `*rest`: what is left of its path then. */
static bool
is_below(struct word root, const struct msi_proc_group *group, struct word *rest)
{
    *rest = (struct word){group->path, group->length};
    if (is_word(root, "/"))
        root.length = 0;
    while (root.length > 0) {
        if (rest->length == 0 || take_letter(&root) != *rest->text)
            return false;
        rest->text++;
        rest->length--;
    }
    if (rest->length > 0 && *rest->text != '/')
        return false;
    /* Outside of what this namespace shows. */
    return rest->length < 3 || memcmp(rest->text, "/..", 3) != 0 ||
           (rest->length > 3 && rest->text[3] != '/');
}

bool
msi_proc_group_directory(const char *mountinfo, const struct msi_proc_group *group, char *to,
                         size_t bytes)
{
    for (const char *line = mountinfo; line != NULL; line = next_line(line)) {
        struct mount mount = read_mount(line);
        struct word rest;
        size_t length = 0;

        if (group->unified ? !is_word(mount.type, "cgroup2")
                           : !is_word(mount.type, "cgroup") || !controls_memory(mount.options))
            continue;
        if (!is_below(mount.root, group, &rest) || mount.place.length + rest.length >= bytes)
            continue;
        while (mount.place.length > 0)
            to[length++] = take_letter(&mount.place);
        memcpy(to + length, rest.text, rest.length);
        to[length + rest.length] = '\0';
        return true;
    }
    return false;
}

uint64_t
msi_proc_group_limit(const char *limit)
{
    uint64_t bytes;

    return number_of(next_word(&limit), 10, UINT64_MAX, &bytes) ? bytes : UINT64_MAX;
}

/** The sum; UINT64_MAX where that is too small for it. */
static uint64_t
sum(uint64_t a, uint64_t b)
{
    return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

uint64_t
msi_proc_group_cache(const char *stat, bool unified)
{
    /* Of version 1: those of the groups below are in it, as they are in the usage. */
    static const char *const labels[2][3] = {
        {"total_inactive_file ", "total_active_file ", NULL},
        {"inactive_file ", "active_file ", "slab_reclaimable "},
    };
    uint64_t cache = 0;

    for (size_t i = 0; i < 3 && labels[unified][i] != NULL; i++) {
        uint64_t bytes = 0;

        (void)number_behind(stat, labels[unified][i], &bytes);
        cache = sum(cache, bytes);
    }
    return cache;
}

/** What a limit leaves. */
static uint64_t
left_of(uint64_t limit, uint64_t usage, uint64_t cache)
{
    uint64_t kept = usage > cache ? usage - cache : 0;

    return limit == UINT64_MAX ? UINT64_MAX : limit > kept ? limit - kept : 0;
}

uint64_t
msi_proc_group_room(const struct msi_proc_memory *memory, uint64_t free_swap)
{
    uint64_t room = left_of(memory->limit, memory->usage, memory->cache);
    uint64_t swap;

    if (memory->unified) {
        swap = left_of(memory->swap_limit, memory->swap_usage, 0);
        return sum(room, swap < free_swap ? swap : free_swap);
    }
    room = sum(room, free_swap);
    swap = left_of(memory->swap_limit, memory->swap_usage, memory->cache);
    return swap < room ? swap : room;
}

uint64_t
msi_proc_free_swap(const char *meminfo)
{
    uint64_t swap = 0;

    (void)number_behind(meminfo, "SwapFree:", &swap);
    return swap > UINT64_MAX / 1024 ? UINT64_MAX : swap * 1024;
}

uint64_t
msi_proc_available_memory(const char *meminfo)
{
    const uint64_t most = UINT64_MAX / 1024;
    uint64_t available = 0;
    uint64_t swap = 0;

    if (!number_behind(meminfo, "MemAvailable:", &available))
        return 0;
    (void)number_behind(meminfo, "SwapFree:", &swap);
    if (available > most || swap > most - available)
        return UINT64_MAX;
    return (available + swap) * 1024;
}

/* ------------------------------------------------- System V segments -- */

/** Reads a line of the table of segments; the heading is none. */
static bool
read_segment(const char *line, struct msi_proc_segment *segment)
{
    /* key, number, mode, bytes, creator, last process, attached, owner, group, creator's user and
     * group, times of attaching, leaving and changing */
    uint64_t numbers[14];
    struct word word = next_word(&line);
    bool is_negative = word.length > 0 && *word.text == '-';

    if (is_negative) {
        word.text++;
        word.length--;
    }
    if (!number_of(word, 10, UINT32_MAX, &numbers[0]))
        return false;
    for (size_t i = 1; i < sizeof numbers / sizeof *numbers; i++)
        if (!number_of(next_word(&line), i == 2 ? 8 : 10, INT64_MAX, &numbers[i]))
            return false;
    *segment = (struct msi_proc_segment){
        .key = is_negative ? -(uint32_t)numbers[0] : (uint32_t)numbers[0],
        .number = (uint32_t)numbers[1],
        .mode = (uint32_t)numbers[2] & 0777,
        .bytes = numbers[3],
        .creator_pid = (uint32_t)numbers[4],
        .last_pid = (uint32_t)numbers[5],
        .attached = numbers[6],
        .uid = (uint32_t)numbers[7],
        .gid = (uint32_t)numbers[8],
        .creator_uid = (uint32_t)numbers[9],
        .changed = (int64_t)numbers[13],
    };
    return true;
}

const char *
msi_proc_next_segment(const char *table, struct msi_proc_segment *segment)
{
    bool found = false;

    while (table != NULL && *table != '\0' && !found) {
        found = read_segment(table, segment);
        table = next_line(table);
    }
    if (!found)
        return NULL;
    return table == NULL ? "" : table;
}
