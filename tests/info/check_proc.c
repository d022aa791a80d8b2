/*
 * check_proc.c - what the texts of /proc and /sys say, on texts of the tests' own.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include "os/proc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

/** Each of the texts, when it is cut off anywhere, is read without an access behind its end: a
 *  copy of its own is, which the sanitizers and valgrind watch. */
static void
cut_everywhere(const char *text, void (*read)(const char *cut))
{
    for (size_t length = 0; length <= strlen(text); length++) {
        char *cut = malloc(length + 1);

        ck_assert_ptr_nonnull(cut);
        memcpy(cut, text, length);
        cut[length] = '\0';
        read(cut);
        free(cut);
    }
}

/** A line that is much longer than any that a kernel writes, of one letter. */
static char *
long_line(const char *before, char letter, const char *behind)
{
    const size_t length = 1000000;
    char *text = malloc(strlen(before) + length + strlen(behind) + 1);

    ck_assert_ptr_nonnull(text);
    strcpy(text, before);
    memset(text + strlen(before), letter, length);
    strcpy(text + strlen(before) + length, behind);
    return text;
}

/* --------------------------------------------------------------- mounts -- */

/* Linux 6.1, of a file on a tmpfs with a lock on it. */
static const char fdinfo[] = "pos:\t0\n"
                             "flags:\t0100002\n"
                             "mnt_id:\t31\n"
                             "ino:\t1234567\n"
                             "lock:\t1: OFDLCK ADVISORY  READ -1 00:1a:77 0 EOF\n";

static const struct {
    const char *text;
    int64_t mount; /* -1: not said */
    int64_t inode;
} descriptions[] = {
    {fdinfo, 31, 1234567},
    /* Before Linux 5.14. */
    {"pos:\t0\nflags:\t0100002\nmnt_id:\t7\n", 7, -1},
    /* Before Linux 3.15. */
    {"pos:\t0\nflags:\t0100002\n", -1, -1},
    {"", -1, -1},
    {"\n", -1, -1},
    {"mnt_id:", -1, -1},
    {"mnt_id:\nino:\n", -1, -1},
    {"mnt_id:\t31", 31, -1},
    {"mnt_id:\t-1\nino:\t-1\n", -1, -1},
    {"mnt_id:\t3x\nino:\tx3\n", -1, -1},
    {"mnt_id:\t18446744073709551616\nino:\t99999999999999999999\n", -1, -1},
    /* Only where a line begins. */
    {"inotify wd:3 mnt_id:9 ino:9e7e sdev:800013\n", -1, -1},
    {" mnt_id:\t5\n ino:\t5\n", -1, -1},
};

START_TEST(descriptors)
{
    uint64_t mount = 99;
    ino_t inode = 99;
    int64_t said;

    ck_assert_int_eq(msi_proc_mount_number(descriptions[_i].text, &mount),
                     descriptions[_i].mount >= 0);
    said = descriptions[_i].mount >= 0 ? descriptions[_i].mount : 99;
    ck_assert_uint_eq(mount, (uint64_t)said);
    ck_assert_int_eq(msi_proc_inode(descriptions[_i].text, &inode), descriptions[_i].inode >= 0);
    said = descriptions[_i].inode >= 0 ? descriptions[_i].inode : 99;
    ck_assert_uint_eq(inode, (uint64_t)said);
}
END_TEST

/* A root on overlayfs, what a distribution mounts, and what a program may: names with blanks and
 * line ends, which the kernel writes in octal, and names that look like options. */
static const char mountinfo[] =
    "22 1 0:29 / / rw,relatime - overlay overlay rw,lowerdir=/l1:/l2,upperdir=/u,workdir=/w\n"
    "23 22 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw\n"
    "24 22 0:22 / /sys ro,nosuid,nodev,noexec,relatime shared:2 - sysfs sysfs ro\n"
    "31 22 0:26 / /dev/shm rw,nosuid,nodev shared:4 master:1 - tmpfs tmpfs "
    "rw,size=65536k,huge=advise,inode64\n"
    "40 22 0:27 / /mnt/plain rw - tmpfs none rw,size=1024k\n"
    "41 22 0:28 / /mnt/with\\040blanks\\012and\\134more rw,noatime shared:5 master:6 "
    "propagate_from:7 - tmpfs huge\\040tmpfs rw,huge=always\n"
    "42 22 0:31 / /mnt/huge=always rw - tmpfs huge=always rw,size=1024k\n"
    "43 22 0:32 / /within rw unbindable - tmpfs tmpfs huge=within_size\n"
    "44 22 0:33 / /unknown rw - tmpfs tmpfs rw,huge=alwaysnot\n"
    "45 22 0:34 / /never rw - tmpfs tmpfs rw,huge=never\n"
    "46 22 0:35 / /named rw - tmpfs tmpfs rw,nothuge=always\n"
    "47 31 0:26 /part /mnt/bound rw - tmpfs tmpfs rw,size=65536k,huge=advise,inode64\n"
    "48 22 259:1048575 / /boot rw,relatime - ext4 /dev/nvme0n1p2 rw";

static const struct {
    const char *text;
    uint64_t mount;
    int major_number; /* -1: not said */
    unsigned minor_number;
} mounts[] = {
    {mountinfo, 22, 0, 29},
    {mountinfo, 31, 0, 26},
    {mountinfo, 41, 0, 28},
    {mountinfo, 47, 0, 26},
    {mountinfo, 48, 259, 1048575},
    /* Neither the mount that another lies on, nor a part of a number. */
    {mountinfo, 1, -1, 0},
    {mountinfo, 3, -1, 0},
    {mountinfo, 310, -1, 0},
    {"", 22, -1, 0},
    {"\n\n22 1 8:1 /\n", 22, 8, 1},
    {"22", 22, -1, 0},
    {"22\n1 8:1\n", 22, -1, 0},
    {"22 1", 22, -1, 0},
    {"22 1 ", 22, -1, 0},
    {"22 1 8", 22, -1, 0},
    {"22 1 8:", 22, -1, 0},
    {"22 1 :8 / /", 22, -1, 0},
    {"22 1 -8:1 / /", 22, -1, 0},
    {"22 1 8:4294967296 / /", 22, -1, 0},
    {"22 1 99999999999999999999:1 / /", 22, -1, 0},
    {"18446744073709551638 1 8:1 / /", 22, -1, 0},
};

START_TEST(devices_of_mounts)
{
    dev_t device = 99;
    bool said = msi_proc_device_of_mount(mounts[_i].text, mounts[_i].mount, &device);

    ck_assert_int_eq(said, mounts[_i].major_number >= 0);
    if (said)
        ck_assert_uint_eq(device,
                          makedev((unsigned)mounts[_i].major_number, mounts[_i].minor_number));
    else
        ck_assert_uint_eq(device, 99);
}
END_TEST

/* ----------------------------------------------------------- huge pages -- */

#define SETTING_ADVISE "always within_size [advise] never deny force\n"
#define SETTING_ALWAYS "[always] within_size advise never deny force\n"
#define SETTING_WITHIN "always [within_size] advise never deny force\n"
#define SETTING_NEVER "always within_size advise [never] deny force\n"
#define SETTING_DENY "always within_size advise never [deny] force\n"
#define SETTING_FORCE "always within_size advise never deny [force]\n"

static const struct {
    const char *setting;
    const char *mountinfo;
    unsigned minor_number;
    bool allowed;
} huge[] = {
    /* The mount chooses, whatever the choice for the kernel's own is. */
    {SETTING_NEVER, mountinfo, 26, true},
    {SETTING_NEVER, mountinfo, 28, true},
    {SETTING_NEVER, mountinfo, 32, true},
    {SETTING_ALWAYS, mountinfo, 27, false},
    {SETTING_ALWAYS, mountinfo, 34, false},
    {SETTING_ALWAYS, mountinfo, 29, false},
    {SETTING_ALWAYS, mountinfo, 33, false},
    /* Names are no options. */
    {SETTING_ALWAYS, mountinfo, 31, false},
    {SETTING_ALWAYS, mountinfo, 35, false},
    /* These are above all mounts. */
    {SETTING_DENY, mountinfo, 26, false},
    {SETTING_DENY, mountinfo, 99, false},
    {SETTING_FORCE, mountinfo, 27, true},
    {SETTING_FORCE, mountinfo, 99, true},
    /* No mount: the kernel's own. */
    {SETTING_ALWAYS, mountinfo, 99, true},
    {SETTING_WITHIN, mountinfo, 99, true},
    {SETTING_ADVISE, mountinfo, 99, true},
    {SETTING_NEVER, mountinfo, 99, false},
    {SETTING_ADVISE, "", 26, true},
    /* Nothing that is understood. */
    {"", mountinfo, 26, true},
    {"", mountinfo, 99, false},
    {"always", mountinfo, 99, false},
    {"[", mountinfo, 99, false},
    {"[]", mountinfo, 99, false},
    {"[always", mountinfo, 99, false},
    {"[alway]", mountinfo, 99, false},
    {"[alwaysnot]", mountinfo, 99, false},
    {"[always]", mountinfo, 99, true},
    {"\n[always]\n", mountinfo, 99, false},
    /* Cut off. */
    {SETTING_ALWAYS, "31 22 0:26 / /dev/shm rw", 26, false},
    {SETTING_ALWAYS, "31 22 0:26 / /dev/shm rw - tmpfs tmpfs rw,huge=", 26, false},
    {SETTING_ALWAYS, "31 22 0:26 / /dev/shm rw - tmpfs tmpfs rw,huge=advis", 26, false},
    {SETTING_ALWAYS, "31 22 0:26 / /dev/shm rw - tmpfs\n32 1 0:1 huge=always huge=always", 26,
     false},
    {SETTING_NEVER, "31 22 0:26 / /dev/shm rw - tmpfs tmpfs huge=advise", 26, true},
    {SETTING_NEVER, "31 22 0:26 / /dev/shm rw - tmpfs tmpfs ,,huge=advise,", 26, true},
};

START_TEST(huge_pages_allowed)
{
    ck_assert_int_eq(msi_proc_allows_huge(huge[_i].setting, huge[_i].mountinfo,
                                          makedev(0, huge[_i].minor_number)),
                     huge[_i].allowed);
}
END_TEST

#define MAPPING(range, huge)                                                                       \
    range " rw-s 00000000 00:1a 5 /dev/shm/a\n"                                                    \
          "Size:              65536 kB\nRss:                4096 kB\n" huge                        \
          "VmFlags: rd wr sh mr mw me ms sd\n"
#define HUGE_LINE(kilobytes) "ShmemPmdMapped: " kilobytes " kB\n"

static const struct {
    const char *text;
    uint64_t address;
    uint64_t bytes;
} mappings[] = {
    {MAPPING("7000-8000", HUGE_LINE("  2048")), 0x7000, 2097152},
    {MAPPING("7000-8000", HUGE_LINE("  2048")) MAPPING("9000-a000", HUGE_LINE("4096")), 0x9000,
     4194304},
    /* Another mapping's are not this one's. */
    {MAPPING("7000-8000", "") MAPPING("9000-a000", HUGE_LINE("4096")), 0x7000, 0},
    {MAPPING("7000-8000", HUGE_LINE("2048")), 0x700, 0},
    {MAPPING("7000-8000", HUGE_LINE("2048")), 0x70000, 0},
    {MAPPING("7000-8000", HUGE_LINE("2048")), 0x8000, 0},
    {MAPPING("7000-8000", HUGE_LINE("0")), 0x7000, 0},
    {MAPPING("7000-8000", HUGE_LINE("18014398509481983")), 0x7000, UINT64_MAX - 1023},
    {MAPPING("7000-8000", HUGE_LINE("18014398509481984")), 0x7000, 0},
    {MAPPING("7000-8000", HUGE_LINE("-1")), 0x7000, 0},
    {MAPPING("7000-8000", HUGE_LINE("")), 0x7000, 0},
    {MAPPING("7000-8000", "ShmemPmdMapped:"), 0x7000, 0},
    {"", 0, 0},
    {HUGE_LINE("2048"), 0, 0},
    {"7000-8000", 0x7000, 0},
    {"7000 8000\n" HUGE_LINE("2048"), 0x7000, 0},
    {"7000-8000\n" HUGE_LINE("2048"), 0x7000, 2097152},
    {"10000000000007000-8000\n" HUGE_LINE("2048"), 0x7000, 0},
};

START_TEST(huge_pages_mapped)
{
    ck_assert_uint_eq(msi_proc_huge_bytes(mappings[_i].text, (uintptr_t)mappings[_i].address),
                      mappings[_i].bytes);
}
END_TEST

/* ---------------------------------------------------------------- locks -- */

#define BYTE 4611686018427387904
#define READER "1: OFDLCK ADVISORY  READ -1 00:1a:77 4611686018427387904 4611686018427387904\n"

static const struct {
    const char *text;
    uint32_t readers;
} tables[] = {
    {READER, 1},
    {READER READER "3: FLOCK  ADVISORY  WRITE 1 08:01:77 0 EOF\n" READER, 3},
    {"9: OFDLCK ADVISORY  READ 0 0:1a:77 4611686018427387904 EOF", 1},
    {"10000: OFDLCK MANDATORY READ -1 00:1a:77 4611686018427387904 4611686018427387904\n", 1},
    /* Other files, bytes, kinds. */
    {"1: OFDLCK ADVISORY  READ -1 00:1a:78 4611686018427387904 4611686018427387904\n", 0},
    {"1: OFDLCK ADVISORY  READ -1 00:1a:7 4611686018427387904 4611686018427387904\n", 0},
    {"1: OFDLCK ADVISORY  READ -1 00:1a:777 4611686018427387904 4611686018427387904\n", 0},
    {"1: OFDLCK ADVISORY  READ -1 00:1b:77 4611686018427387904 4611686018427387904\n", 0},
    {"1: OFDLCK ADVISORY  READ -1 01:1a:77 4611686018427387904 4611686018427387904\n", 0},
    {"1: OFDLCK ADVISORY  READ -1 00:1a:77 4611686018427387905 4611686018427387905\n", 0},
    {"1: OFDLCK ADVISORY  READ -1 00:1a:77 0 EOF\n", 0},
    {"1: OFDLCK ADVISORY  WRITE -1 00:1a:77 4611686018427387904 4611686018427387904\n", 0},
    {"1: POSIX  ADVISORY  READ 12 00:1a:77 4611686018427387904 4611686018427387904\n", 0},
    /* Only waits. */
    {"1: -> OFDLCK ADVISORY  READ -1 00:1a:77 4611686018427387904 4611686018427387904\n", 0},
    /* A file system that is gone. */
    {"1: OFDLCK ADVISORY  READ -1 <none>:0 4611686018427387904 EOF\n", 0},
    /* Cut off, and what is no table. */
    {READER "2: OFDLCK ADVISORY  READ -1 00:1a:77 461168601842738790", 1},
    {READER "2: OFDLCK ADVISORY  READ -1 00:1a:77 ", 1},
    {READER "2: OFDLCK ADVISORY  READ -1 00:1a", 1},
    {"2: OFDLCK ADVISORY  READ -1 00:1a:\n77 4611686018427387904\n", 0},
    {"", 0},
    {"\n\n\n", 0},
    {"4611686018427387904\n", 0},
    /* Numbers that would be right if they were not too large. */
    {"1: OFDLCK ADVISORY  READ -1 00:1a:18446744073709551693 4611686018427387904 EOF\n", 0},
    {"1: OFDLCK ADVISORY  READ -1 00:1a:77 23058430092136939520 EOF\n", 0},
    {"1: OFDLCK ADVISORY  READ -1 10000000000000000:1a:77 4611686018427387904 EOF\n", 0},
    {"1: OFDLCK ADVISORY  READ -1 00:-1a:77 4611686018427387904 EOF\n", 0},
};

START_TEST(readers)
{
    ck_assert_uint_eq(msi_proc_count_readers(tables[_i].text, makedev(0, 0x1a), 77, BYTE),
                      tables[_i].readers);
}
END_TEST

START_TEST(a_long_table)
{
    enum { LINES = 50000 };
    char *text = malloc(LINES * strlen(READER) + 1);

    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < LINES; i++)
        strcpy(text + i * strlen(READER), READER);
    ck_assert_uint_eq(msi_proc_count_readers(text, makedev(0, 0x1a), 77, BYTE), LINES);
    free(text);
}
END_TEST

/* ---------------------------------------------------------------- users -- */

static const struct {
    const char *text;
    uint32_t user;
} overflow_users[] = {
    {"65534\n", 65534},
    {"99\n", 99},
    {"0", 0},
    {"4294967295\n", UINT32_MAX},
    /* What it is everywhere, where it is not said. */
    {"", 65534},
    {"\n", 65534},
    {"-1\n", 65534},
    {"nobody\n", 65534},
    {"99x\n", 65534},
    {"4294967296\n", 65534},
    {"18446744073709551615999\n", 65534},
};

START_TEST(overflow_user)
{
    ck_assert_uint_eq(msi_proc_overflow_number(overflow_users[_i].text), overflow_users[_i].user);
}
END_TEST

static const struct {
    const char *text;
    bool all;
} user_maps[] = {
    {"         0          0 4294967295\n", true},
    {"0 0 4294967295", true},
    {"0 0 1000\n1000 1001 4294966295\n", true},
    {"0 1001 4294967295\n1 1 1\n", true},
    {"         0       1000          1\n", false},
    {"         0     100000      65536\n", false},
    {"0 0 4294967294\n", false},
    {"0 0 1000\n1000 1001 4294966294\n", false},
    {"", false},
    {"\n\n", false},
    {"0 0\n", false},
    {"0 0 \n4294967295\n", false},
    {"0 4294967295\n", false},
    {"0 0 4294967296\n", false},
    {"0 0 99999999999999999999\n", false},
    {"0 0 -1\n", false},
    {"0 0 all\n", false},
};

START_TEST(known_users)
{
    ck_assert_int_eq(msi_proc_maps_all(user_maps[_i].text), user_maps[_i].all);
}
END_TEST

static const struct {
    const char *text;
    uint32_t number;
    bool maps;
} mapped_numbers[] = {
    {"         0          0 4294967295\n", 65534, true},
    {"0 1000 1\n", 0, true},
    {"0 1000 1\n", 1, false},
    {"0 1000 1\n", 1000, false},
    {"0 1000 1\n1 100000 65533\n", 65533, true},
    {"0 1000 1\n1 100000 65533\n", 65534, false},
    {"0 1000 1\n1 100000 65534\n", 65534, true},
    {"1000 1000 1\n0 1 999\n", 998, true},
    {"1000 1000 1\n0 1 999\n", 999, false},
    {"4294967290 0 5\n", UINT32_MAX - 1, true},
    {"4294967290 0 5\n", UINT32_MAX, false},
    {"", 0, false},
    {"0 0\n", 0, false},
    {"0 0 all\n", 0, false},
};

START_TEST(known_number)
{
    ck_assert_int_eq(msi_proc_maps(mapped_numbers[_i].text, mapped_numbers[_i].number),
                     mapped_numbers[_i].maps);
}
END_TEST

/* --------------------------------------------------------------- memory -- */

/** Groups as "2 PATH;1 PATH;", each followed by those above it as "< PATH;". */
static const struct {
    const char *text;
    const char *groups;
} control_groups[] = {
    {"0::/\n", "2 /;< ;"},
    {"0::/user.slice/a b:c.scope\n", "2 /user.slice/a b:c.scope;< /user.slice;< ;"},
    {"0::/../other\n", "2 /../other;< /..;< ;"},
    /* Version 1, and both. */
    {"12:pids:/a\n11:memory:/docker/77\n10:cpu,cpuacct:/b\n1:name=systemd:/c\n",
     "1 /docker/77;< /docker;< ;"},
    {"9:cpu,memory:/x\n0::/y\n", "1 /x;< ;2 /y;< ;"},
    {"9:memory,cpu:/x\n", "1 /x;< ;"},
    {"9:cpu,memory,io:/x", "1 /x;< ;"},
    /* No controllers of memory. */
    {"1:name=memory:/c\n2:memoryless:/d\n3:nomemory:/e\n4:memor:/f\n", ""},
    /* Cut off, and what is no such text. */
    {"0::/a", "2 /a;< ;"},
    {"0::", ""},
    {"0:\n::\n:\n\n", ""},
    {"0\n::/a\n", "2 /a;< ;"},
    {"9:memory\n/x\n", ""},
    {"\n\n0::/a\n\n", "2 /a;< ;"},
    {"0::a\n", "2 a;"},
    {"", ""},
};

START_TEST(groups)
{
    const char *rest = control_groups[_i].text;
    struct msi_proc_group group;
    char found[256] = "";

    while ((rest = msi_proc_next_group(rest, &group)) != NULL) {
        strcat(found, group.unified ? "2 " : "1 ");
        strncat(found, group.path, group.length);
        strcat(found, ";");
        while (msi_proc_group_above(&group)) {
            strcat(found, "< ");
            strncat(found, group.path, group.length);
            strcat(found, ";");
        }
    }
    ck_assert_str_eq(found, control_groups[_i].groups);
}
END_TEST

static const struct {
    const char *text;
    uint64_t bytes;
} limits[] = {
    {"max\n", UINT64_MAX},
    {"0\n", 0},
    {"1073741824\n", 1073741824},
    {"1073741824", 1073741824},
    /* What version 1 calls no limit. */
    {"9223372036854771712\n", UINT64_C(9223372036854771712)},
    {"18446744073709551615\n", UINT64_MAX},
    {"18446744073709551616\n", UINT64_MAX},
    {"99999999999999999999999999\n", UINT64_MAX},
    {"-1\n", UINT64_MAX},
    {"", UINT64_MAX},
    {"\n77\n", UINT64_MAX},
    {"77M\n", UINT64_MAX},
};

START_TEST(group_limits)
{
    ck_assert_uint_eq(msi_proc_group_limit(limits[_i].text), limits[_i].bytes);
}
END_TEST

/** Mounts of both versions, as systemd has them, in a container, and with a blank in a name. */
#define GROUPS_OF_BOTH                                                                             \
    "32 25 0:29 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n"                            \
    "33 32 0:30 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n"                         \
    "34 32 0:31 / /sys/fs/cgroup/memory rw shared:9 master:2 - cgroup cgroup rw,memory\n"          \
    "35 32 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
#define GROUPS_OF_CONTAINER "40 1 0:32 /docker/77 /sys/fs/cgroup ro - cgroup2 cgroup ro\n"
#define GROUPS_WITH_BLANKS "41 1 0:32 /a\\040b /my\\040place rw - cgroup2 cgroup rw\n"

static const struct {
    const char *mounts;
    bool unified;
    const char *path;
    const char *directory; /* "": none is to be seen */
} group_directories[] = {
    {GROUPS_OF_BOTH, false, "/x/y", "/sys/fs/cgroup/memory/x/y"},
    {GROUPS_OF_BOTH, true, "/x/y", "/sys/fs/cgroup/unified/x/y"},
    {GROUPS_OF_BOTH, false, "/", "/sys/fs/cgroup/memory/"},
    {GROUPS_OF_BOTH, false, "", "/sys/fs/cgroup/memory"},
    {GROUPS_OF_CONTAINER, true, "/docker/77", "/sys/fs/cgroup"},
    {GROUPS_OF_CONTAINER, true, "/docker/77/in", "/sys/fs/cgroup/in"},
    {GROUPS_OF_CONTAINER, true, "/docker", ""},
    {GROUPS_OF_CONTAINER, true, "/docker/778", ""},
    {GROUPS_OF_CONTAINER, true, "/docker/7", ""},
    {GROUPS_OF_CONTAINER, true, "", ""},
    {GROUPS_OF_CONTAINER, false, "/docker/77", ""},
    {GROUPS_OF_CONTAINER GROUPS_OF_BOTH, true, "/docker", "/sys/fs/cgroup/unified/docker"},
    {GROUPS_WITH_BLANKS, true, "/a b/c", "/my place/c"},
    /* Of a namespace that shows less: nothing outside of it is looked at. */
    {GROUPS_OF_BOTH, true, "/../other", ""},
    {GROUPS_OF_BOTH, true, "/..", ""},
    {GROUPS_OF_BOTH, true, "/..other", "/sys/fs/cgroup/unified/..other"},
    {"35 32 0:32 /.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", true, "/../other",
     "/sys/fs/cgroup/other"},
    /* Another controller, and options that only look like it. */
    {"34 32 0:31 / /g rw memory - cgroup memory rw,memoryless\n", false, "/x", ""},
    {"34 32 0:31 / /g rw - cgroup cgroup rw,cpu,memory\n", false, "/x", "/g/x"},
    {"34 32 0:31 / /g rw,memory cgroup2", true, "/x", ""},
    {"34 32 0:31 /\\04", true, "/x", ""},
    {"", true, "/x", ""},
};

START_TEST(directories_of_groups)
{
    const struct msi_proc_group group = {group_directories[_i].unified, group_directories[_i].path,
                                         strlen(group_directories[_i].path)};
    const char *expected = group_directories[_i].directory;
    char directory[64] = "";
    bool seen =
        msi_proc_group_directory(group_directories[_i].mounts, &group, directory, sizeof directory);

    ck_assert_int_eq(seen, *expected != '\0');
    ck_assert_str_eq(seen ? directory : "", expected);
    /* Room for all of it but the end. */
    if (seen)
        ck_assert(!msi_proc_group_directory(group_directories[_i].mounts, &group, directory,
                                            strlen(expected)));
}
END_TEST

static const struct {
    const char *text;
    bool unified;
    uint64_t bytes;
} caches[] = {
    {"anon 5\nfile 70\nshmem 9\ninactive_file 10\nactive_file 20\nslab_reclaimable 3\n", true, 33},
    {"cache 5\ninactive_file 1\ntotal_cache 9\ntotal_inactive_file 10\ntotal_active_file 20\n",
     false, 30},
    {"inactive_file 10\nactive_file 20\n", false, 0},
    {"inactive_file 10", true, 10},
    {"inactive_file", true, 0},
    {"inactive_filed 10\n", true, 0},
    {"inactive_file 18446744073709551615\nactive_file 1\n", true, UINT64_MAX},
    {"", true, 0},
};

START_TEST(caches_of_groups)
{
    ck_assert_uint_eq(msi_proc_group_cache(caches[_i].text, caches[_i].unified), caches[_i].bytes);
}
END_TEST

#define NONE UINT64_MAX

static const struct {
    struct msi_proc_memory memory;
    uint64_t free_swap;
    uint64_t room;
} rooms[] = {
    /* 64 of which 40 are in use. */
    {{true, 64, 40, 0, NONE, 0}, 0, 24},
    {{true, 64, 40, 10, NONE, 0}, 0, 34},
    {{true, 64, 40, 40, NONE, 0}, 0, 64},
    {{true, 64, 40, 41, NONE, 0}, 0, 64},
    {{true, 64, 65, 0, NONE, 0}, 0, 0},
    {{true, 64, 0, 0, NONE, 0}, 0, 64},
    {{true, NONE, 40, 0, NONE, 0}, 0, NONE},
    {{true, 0, 0, 0, NONE, 0}, 0, 0},
    /* Swap space: the group's and the machine's. */
    {{true, 64, 40, 0, NONE, 0}, 100, 124},
    {{true, 64, 40, 0, 0, 0}, 100, 24},
    {{true, 64, 40, 0, 30, 10}, 100, 44},
    {{true, 64, 40, 0, 30, 10}, 5, 29},
    {{true, 64, 40, 0, 30, 31}, 100, 24},
    {{true, 64, 40, 0, NONE, 0}, NONE, NONE},
    /* Version 1 has one limit for both. */
    {{false, 64, 40, 0, NONE, 0}, 0, 24},
    {{false, 64, 40, 0, NONE, 0}, 100, 124},
    {{false, 64, 40, 0, 64, 40}, 100, 24},
    {{false, 64, 40, 10, 64, 40}, 100, 34},
    {{false, 64, 40, 0, 80, 50}, 100, 30},
    {{false, 64, 40, 0, 80, 50}, 3, 27},
    {{false, 64, 40, 0, 80, 81}, 100, 0},
};

START_TEST(rooms_of_groups)
{
    ck_assert_uint_eq(msi_proc_group_room(&rooms[_i].memory, rooms[_i].free_swap), rooms[_i].room);
}
END_TEST

static const struct {
    const char *text;
    uint64_t bytes;
} swaps[] = {
    {"MemFree: 5 kB\nSwapTotal: 10 kB\nSwapFree: 24 kB\n", 24576},
    {"MemFree: 5 kB\n", 0},
    {"SwapFree: lots\n", 0},
    {"SwapFree: 18446744073709551615 kB\n", UINT64_MAX},
    {"", 0},
};

START_TEST(swap_space)
{
    ck_assert_uint_eq(msi_proc_free_swap(swaps[_i].text), swaps[_i].bytes);
}
END_TEST

static const struct {
    const char *text;
    uint64_t bytes;
} memories[] = {
    {"MemTotal:       8000 kB\nMemFree:  90 kB\nMemAvailable:    1000 kB\nSwapTotal: 10 kB\n"
     "SwapFree:             24 kB\n",
     1048576},
    {"MemAvailable:    1000 kB\n", 1024000},
    {"SwapFree: 24 kB\nMemAvailable: 1000 kB", 1048576},
    {"MemAvailable: 1000", 1024000},
    /* Before Linux 3.14. */
    {"MemTotal:       8000 kB\nMemFree:  90 kB\nSwapFree:  24 kB\n", 0},
    {"MemAvailable: 0 kB\nSwapFree: 0 kB\n", 0},
    {"NotMemAvailable: 1000 kB\n MemAvailable: 1000 kB\n", 0},
    {"", 0},
    {"MemAvailable:", 0},
    {"MemAvailable:\n1000 kB\n", 0},
    {"MemAvailable: -1 kB\n", 0},
    {"MemAvailable: 1000 kB\nSwapFree: lots\n", 1024000},
    {"MemAvailable: 99999999999999999999 kB\n", 0},
    {"MemAvailable: 18446744073709551615 kB\n", UINT64_MAX},
    {"MemAvailable: 18014398509481984 kB\n", UINT64_MAX},
    {"MemAvailable: 18014398509481983 kB\n", UINT64_MAX - 1023},
    {"MemAvailable: 18014398509481983 kB\nSwapFree: 1 kB\n", UINT64_MAX},
    {"MemAvailable: 1 kB\nSwapFree: 18446744073709551615 kB\n", UINT64_MAX},
};

START_TEST(available_memory)
{
    ck_assert_uint_eq(msi_proc_available_memory(memories[_i].text), memories[_i].bytes);
}
END_TEST

/* --------------------------------------------------------- hostile text -- */

static void
read_each(const char *text)
{
    struct msi_proc_group group;
    char directory[64];
    uint64_t mount;
    dev_t device;
    ino_t inode;

    (void)msi_proc_mount_number(text, &mount);
    (void)msi_proc_inode(text, &inode);
    (void)msi_proc_device_of_mount(text, 48, &device);
    (void)msi_proc_allows_huge(SETTING_NEVER, text, makedev(0, 26));
    (void)msi_proc_allows_huge(text, "", makedev(0, 26));
    (void)msi_proc_huge_bytes(text, 0x7000);
    (void)msi_proc_count_readers(text, makedev(0, 0x1a), 77, BYTE);
    (void)msi_proc_overflow_number(text);
    (void)msi_proc_maps_all(text);
    for (const char *rest = text; (rest = msi_proc_next_group(rest, &group)) != NULL;)
        while (msi_proc_group_above(&group))
            (void)msi_proc_group_directory(GROUPS_OF_BOTH, &group, directory, sizeof directory);
    group = (struct msi_proc_group){true, "/docker/77", strlen("/docker/77")};
    (void)msi_proc_group_directory(text, &group, directory, sizeof directory);
    (void)msi_proc_group_limit(text);
    (void)msi_proc_group_cache(text, true);
    (void)msi_proc_free_swap(text);
    (void)msi_proc_available_memory(text);
}

START_TEST(texts_cut_off_anywhere)
{
    cut_everywhere(fdinfo, read_each);
    cut_everywhere(mountinfo, read_each);
    cut_everywhere(SETTING_ADVISE, read_each);
    cut_everywhere(mappings[1].text, read_each);
    cut_everywhere(tables[1].text, read_each);
    cut_everywhere("         0          0 4294967295\n", read_each);
    cut_everywhere(control_groups[3].text, read_each);
    cut_everywhere(GROUPS_OF_CONTAINER GROUPS_WITH_BLANKS GROUPS_OF_BOTH, read_each);
    cut_everywhere(caches[0].text, read_each);
    cut_everywhere(memories[0].text, read_each);
}
END_TEST

/* Whatever a line is full of, what stands in the others is found. */
START_TEST(long_lines)
{
    static const char letters[] = "0a9 \t:,-[/=\x01\xff";
    dev_t device = 0;
    ino_t inode = 0;
    char *text;

    for (const char *letter = letters; *letter != '\0'; letter++) {
        text =
            long_line("x", *letter, "\nino:\t5\n31 1 0:26 / / rw - tmpfs t huge=always\n" READER);
        read_each(text);
        ck_assert(msi_proc_inode(text, &inode) && inode == 5);
        ck_assert(msi_proc_device_of_mount(text, 31, &device) && device == makedev(0, 26));
        ck_assert(msi_proc_allows_huge(SETTING_NEVER, text, device));
        ck_assert_uint_eq(msi_proc_count_readers(text, device, 77, BYTE), 1);
        free(text);
        text = long_line("", *letter, "");
        read_each(text);
        free(text);
        /* A number with more digits than a number has. */
        text = long_line("mnt_id:\t", *letter, "\n");
        read_each(text);
        free(text);
    }
    text = long_line("ino:\t", '0', "7\n");
    ck_assert(msi_proc_inode(text, &inode) && inode == 7);
    free(text);
    text = long_line("31 1 0:26 / /", 'n', " rw - tmpfs t huge=always\n");
    ck_assert(msi_proc_allows_huge(SETTING_NEVER, text, makedev(0, 26)));
    free(text);
}
END_TEST

static const char segments[] =
    "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid"
    "      atime      dtime      ctime                   rss                  swap\n"
    "1358954515          3  1600                  5000    11    12      2     7     8     9    10"
    " 1700000001 1700000002 1700000003                  8192                     0\n"
    "-1191182321          4   644                   1    13     0      0     0     0     0     0"
    "          0          0 1700000004                  4096                     0";

START_TEST(segments_of_system_v)
{
    struct msi_proc_segment segment;
    const char *rest = msi_proc_next_segment(segments, &segment);

    ck_assert_ptr_nonnull(rest);
    ck_assert_uint_eq(segment.key, 1358954515);
    ck_assert_uint_eq(segment.number, 3);
    ck_assert_uint_eq(segment.mode, 0600);
    ck_assert_uint_eq(segment.bytes, 5000);
    ck_assert_uint_eq(segment.creator_pid, 11);
    ck_assert_uint_eq(segment.last_pid, 12);
    ck_assert_uint_eq(segment.attached, 2);
    ck_assert_uint_eq(segment.uid, 7);
    ck_assert_uint_eq(segment.gid, 8);
    ck_assert_uint_eq(segment.creator_uid, 9);
    ck_assert_int_eq(segment.changed, 1700000003);
    rest = msi_proc_next_segment(rest, &segment);
    ck_assert_ptr_nonnull(rest);
    ck_assert_uint_eq(segment.key, 0xb900000f);
    ck_assert_uint_eq(segment.number, 4);
    ck_assert_int_eq(segment.changed, 1700000004);
    ck_assert_ptr_null(msi_proc_next_segment(rest, &segment));
    ck_assert_ptr_null(msi_proc_next_segment("", &segment));
}
END_TEST

static void
read_segments(const char *cut)
{
    struct msi_proc_segment segment;

    while ((cut = msi_proc_next_segment(cut, &segment)) != NULL)
        ck_assert_uint_ne(segment.key, 0);
}

START_TEST(segments_cut_off_anywhere)
{
    cut_everywhere(segments, read_segments);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("proc");
    TCase *test_case = new_case(suite, "texts");

#define EACH(test, table)                                                                          \
    tcase_add_loop_test(test_case, test, 0, (int)(sizeof table / sizeof *(table)))
    EACH(descriptors, descriptions);
    EACH(devices_of_mounts, mounts);
    EACH(huge_pages_allowed, huge);
    EACH(huge_pages_mapped, mappings);
    EACH(readers, tables);
    EACH(overflow_user, overflow_users);
    EACH(known_number, mapped_numbers);
    EACH(known_users, user_maps);
    EACH(groups, control_groups);
    EACH(group_limits, limits);
    EACH(directories_of_groups, group_directories);
    EACH(caches_of_groups, caches);
    EACH(rooms_of_groups, rooms);
    EACH(swap_space, swaps);
    EACH(available_memory, memories);
    tcase_add_test(test_case, segments_of_system_v);
    tcase_add_test(test_case, segments_cut_off_anywhere);
    tcase_add_test(test_case, a_long_table);
    tcase_add_test(test_case, texts_cut_off_anywhere);
    tcase_add_test(test_case, long_lines);
    return run_suite(suite);
}
