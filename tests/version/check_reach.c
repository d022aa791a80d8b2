/*
 * check_reach.c - whose segments are read without the system, and whose by its calls.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "support.h"

#include <sys/stat.h>
#include <unistd.h>

#define DATA_BYTES 65536

static struct msi_os_operations healthy;
static int asked;

static int64_t
count_read(int fd, void *to, size_t bytes, int64_t offset)
{
    asked++;
    return healthy.read(fd, to, bytes, offset);
}

static int
count_status(int fd, struct stat *status)
{
    asked++;
    return healthy.status(fd, status);
}

static int64_t
count_copy(void *to, const void *from, size_t bytes)
{
    asked++;
    return healthy.copy_to_mapping(to, from, bytes);
}

/** How often the system is asked while the handle reads, looks, and finds that nothing is new. */
static int
asked_to_read(mapseg *seg)
{
    uint64_t version = 1;
    char bytes[100];

    healthy = msi_os;
    asked = 0;
    msi_os.read = count_read;
    msi_os.status = count_status;
    for (int i = 0; i < 10; i++) {
        need_call(MAPSEG_OK, seg, mapseg_read(seg, 50, bytes, sizeof bytes, &version));
        need_call(MAPSEG_OK, seg, mapseg_read_for(seg, 50, bytes, sizeof bytes, &version, 0));
        need_call(MAPSEG_OK, seg, mapseg_read_begin(seg, &version));
        need(!mapseg_read_retry(seg, version));
        need_call(MAPSEG_OK, seg, mapseg_wait(seg, MAPSEG_ANY_VERSION, NULL, 0));
    }
    msi_os = healthy;
    return asked;
}

/** The same while it writes, the wake apart. */
static int
asked_to_write(mapseg *seg)
{
    char bytes[100] = "";

    healthy = msi_os;
    asked = 0;
    msi_os.read = count_read;
    msi_os.status = count_status;
    msi_os.copy_to_mapping = count_copy;
    for (int i = 0; i < 10; i++)
        need_call(MAPSEG_OK, seg, mapseg_write(seg, 50, bytes, sizeof bytes));
    msi_os = healthy;
    return asked;
}

static void
need_direct(mapseg *seg)
{
    need_number(0, asked_to_read(seg));
    need_number(0, asked_to_write(seg));
}

/** Each call asks, at the least once. */
static void
need_by_system(mapseg *seg)
{
    need(asked_to_read(seg) >= 50);
    need(asked_to_write(seg) >= 10);
}

static void
remove_file(const char *key)
{
    char path[KEY_BYTES];

    path_of(path, key);
    need(unlink(path) == 0);
}

START_TEST(sealed_memory)
{
    mapseg *seg = created("memfd:", DATA_BYTES);

    need_direct(seg);
    mapseg_free(seg);
}
END_TEST

/* Modes by which no other user can write, and others. */
static const uint32_t own_modes[] = {0, 0600, 0644, 0604};
static const uint32_t shared_modes[] = {0660, 0666, 0602};
#define OWN_MODES ((int)(sizeof own_modes / sizeof *own_modes))
#define SHARED_MODES ((int)(sizeof shared_modes / sizeof *shared_modes))

START_TEST(own_segment)
{
    char key[KEY_BYTES];
    mapseg *seg, *other;

    unique_key(key);
    seg = created_for(own_modes[_i], key, DATA_BYTES, 0);
    need_direct(seg);
    other = attached(key, MAPSEG_READ_WRITE);
    need_direct(other);
    mapseg_free(other);
    other = attached(key, MAPSEG_READ_ONLY);
    need_number(0, asked_to_read(other));
    mapseg_free(other);
    mapseg_free(seg);
    remove_persistent(key);
}
END_TEST

START_TEST(segment_that_others_write)
{
    char key[KEY_BYTES];
    mapseg *seg, *other;

    unique_key(key);
    seg = created_for(shared_modes[_i], key, DATA_BYTES, 0);
    need_by_system(seg);
    other = attached_as(key, MAPSEG_READ_WRITE, MAPSEG_ALLOW_SHARED_WRITE);
    need_by_system(other);
    mapseg_free(other);
    /* Guarded, it is read as one's own. */
    other = attached_as(key, MAPSEG_READ_WRITE, MAPSEG_ALLOW_SHARED_WRITE | MAPSEG_GUARDED);
    need_direct(other);
    mapseg_free(other);
    mapseg_free(seg);
    remove_file(key);
}
END_TEST

/** Also where the guard has nothing to do with the mode. */
START_TEST(guarded_segment)
{
    char key[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    seg = created_as(key, DATA_BYTES, MAPSEG_GUARDED);
    need_direct(seg);
    mapseg_free(seg);
}
END_TEST

/** Memory that was not reserved may be wanting at the first touch, for the guard to mistake. */
START_TEST(lazy_segment)
{
    const uint32_t flags = _i == 0 ? 0 : MAPSEG_GUARDED;
    char key[KEY_BYTES];
    mapseg *seg, *other;

    unique_key(key);
    seg = created_as(key, DATA_BYTES, MAPSEG_LAZY | flags);
    need_by_system(seg);
    other = attached_as(key, MAPSEG_READ_WRITE, flags);
    need_by_system(other);
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

START_TEST(after_the_first_section)
{
    char key[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    seg = created_for(0666, key, DATA_BYTES, 0);
    need_by_system(seg);
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    need_direct(seg);
    need_call(MAPSEG_OK, seg, mapseg_guard_end(seg));
    need_direct(seg);
    mapseg_free(seg);
    seg = attached_as(key, MAPSEG_READ_WRITE, MAPSEG_ALLOW_SHARED_WRITE);
    /* This thread can have sections now: nothing more is asked for. */
    need_direct(seg);
    mapseg_free(seg);
    remove_file(key);
}
END_TEST

/** A process that gets a descriptor to write can make the file shorter. */
START_TEST(after_an_export)
{
    char key[KEY_BYTES];
    mapseg *seg;
    int fd;

    unique_key(key);
    seg = created(key, DATA_BYTES);
    fd = exported_fd(seg, MAPSEG_READ_ONLY);
    need(fd >= 0 && close(fd) == 0);
    need_direct(seg);
    fd = exported_fd(seg, MAPSEG_READ_WRITE);
    need(fd >= 0 && close(fd) == 0);
    need_by_system(seg);
    mapseg_free(seg);
    seg = created_as(key, DATA_BYTES, MAPSEG_GUARDED);
    fd = exported_fd(seg, MAPSEG_READ_WRITE);
    need(fd >= 0 && close(fd) == 0);
    need_direct(seg);
    mapseg_free(seg);
}
END_TEST

/** While each version that is given out is noted, the reach is the same. */
START_TEST(with_a_descriptor_for_changes)
{
    char key[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    seg = created(key, DATA_BYTES);
    need(notify_fd(seg) >= 0);
    need_number(0, asked_to_read(seg));
    mapseg_free(seg);
}
END_TEST

/* ----------------------------------------------------------- two users -- */

static int
read_foreign(void *key)
{
    mapseg *seg = attached_as(key, MAPSEG_READ_ONLY, 0);

    /* Root made it, and could end this process too. */
    need_number(0, asked_to_read(seg));
    mapseg_free(seg);
    return 0;
}

static int
make_foreign(void *key)
{
    mapseg_free(created_for(0644, key, DATA_BYTES, 0));
    return 0;
}

START_TEST(segment_of_root)
{
    char key[KEY_BYTES];

    unique_key(key);
    mapseg_free(created_for(0644, key, DATA_BYTES, 0));
    need_number(0, as_ordinary_user(read_foreign, key));
    remove_persistent(key);
}
END_TEST

START_TEST(segment_of_another_user)
{
    char key[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    need_number(0, as_ordinary_user(make_foreign, key));
    seg = attached_as(key, MAPSEG_READ_WRITE, MAPSEG_ALLOW_OTHER_OWNER);
    need_by_system(seg);
    mapseg_free(seg);
    remove_file(key);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("reach");
    TCase *group = new_case(suite, "reach");

    tcase_add_test(group, sealed_memory);
    tcase_add_loop_test(group, own_segment, 0, OWN_MODES);
    tcase_add_loop_test(group, segment_that_others_write, 0, SHARED_MODES);
    tcase_add_test(group, guarded_segment);
    tcase_add_loop_test(group, lazy_segment, 0, 2);
    tcase_add_test(group, after_the_first_section);
    tcase_add_test(group, after_an_export);
    tcase_add_test(group, with_a_descriptor_for_changes);
    if (skip_unless(is_root(), "only root can be two users")) {
        tcase_add_test(group, segment_of_root);
        tcase_add_test(group, segment_of_another_user);
    }
    return run_suite(suite);
}
