/*
 * plants.c - what hostile users leave at a name.
 *
 * SPDX-License-Identifier: MIT
 */
#include "plants.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

struct scene scene;
bool with_devices;

mapseg *
handle_of_scene(void)
{
    mapseg *seg;

    if (!scene.plain)
        return handle_for(scene.key);
    seg = mapseg_new_with_key(scene.key);
    ck_assert_ptr_nonnull(seg);
    return seg;
}

void
become_user(void)
{
    if (scene.user != ROOT)
        become_nobody();
}

/** Where the user's plain key leads to. */
static int
derive_path(void *path)
{
    mapseg *seg;

    become_user();
    seg = handle_of_scene();
    path_of(path, mapseg_native_key(seg));
    mapseg_free(seg);
    return 0;
}

void
make_directory(const char *path, mode_t mode, uid_t owner)
{
    ck_assert_msg(mkdir(path, mode) == 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(chmod(path, mode), 0);
    ck_assert_int_eq(chown(path, owner, owner), 0);
}

void
use_runtime_directory(const char *name)
{
    char above[KEY_BYTES];

    make_directory("/dev/shm/run", 0700, scene.user);
    make_directory("/dev/shm/run/mapseg", 0700, scene.user);
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", "/dev/shm/run", 1), 0);
    snprintf(above, sizeof above, "/dev/shm/run/mapseg/%.100s", name);
    memcpy(scene.path, above, sizeof above);
}

void
set_scene(enum place_kind place, uid_t user)
{
    char name[KEY_BYTES];

    use_tiny_shm("size=4m");
    unique_name(name);
    scene.user = user;
    scene.other = user == ROOT ? NOBODY : THIRD_USER;
    scene.plain = place == PLACE_PLAIN;
    snprintf(scene.key, sizeof scene.key, "%s%.150s",
             place == PLACE_SHM       ? "shm:"
             : place == PLACE_RUNTIME ? "runtime:"
             : place == PLACE_FILE    ? "file:/dev/shm/box/"
                                      : "",
             name);
    snprintf(scene.target, sizeof scene.target, "/dev/shm/victim-%.150s", name);
    snprintf(scene.path, sizeof scene.path, "/dev/shm/%.150s", name);
    if (place == PLACE_FILE) {
        make_directory("/dev/shm/box", 01777, ROOT);
        snprintf(scene.path, sizeof scene.path, "/dev/shm/box/%.150s", name);
    } else if (place == PLACE_RUNTIME) {
        use_runtime_directory(name);
    } else if (place == PLACE_PLAIN) {
        char *path = shared_memory(KEY_BYTES);

        ck_assert_int_eq(in_child(derive_path, path), 0);
        memcpy(scene.path, path, KEY_BYTES);
    }
}

void
give(const char *path, mode_t mode, uid_t owner)
{
    ck_assert_msg(lchown(path, owner, owner) == 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(chmod(path, mode), 0);
}

/** A file that is no segment. */
static void
put_foreign(const char *path, mode_t mode, uid_t owner)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    for (int i = 0; i < 4000; i++)
        ck_assert_int_eq(write(fd, FOREIGN_TEXT, 2), 2);
    close(fd);
    give(path, mode, owner);
}

void
put_segment(const char *path, mode_t mode, uid_t owner)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    char key[KEY_BYTES + 8];
    mapseg *seg;

    snprintf(key, sizeof key, "file:%s", path);
    seg = handle_for(key);
    options.flags = MAPSEG_PERSISTENT | MAPSEG_ALLOW_SHARED_DIRECTORY;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    memset(mapseg_data(seg), OWN_BYTE, DATA_BYTES);
    mapseg_free(seg);
    give(path, mode, owner);
}

bool
is_own_segment(const mapseg *seg)
{
    const unsigned char *data = mapseg_const_data(seg);

    if (data == NULL || mapseg_size(seg) != DATA_BYTES)
        return false;
    for (size_t i = 0; i < DATA_BYTES; i++)
        if (data[i] != OWN_BYTE)
            return false;
    return true;
}

void
put_others_file(void)
{
    put_foreign(scene.path, 0600, scene.other);
}

void
put_open_file(void)
{
    put_foreign(scene.path, 0666, scene.user);
}

void
put_others_open_file(void)
{
    put_foreign(scene.path, 0666, scene.other);
}

void
put_own_file(void)
{
    put_foreign(scene.path, 0600, scene.user);
}

void
put_empty_file(void)
{
    close(open(scene.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    give(scene.path, 0600, scene.user);
}

void
put_open_segment(void)
{
    put_segment(scene.path, 0622, scene.user);
}

void
put_group_segment(void)
{
    put_segment(scene.path, 0660, scene.user);
}

void
put_others_segment(void)
{
    put_segment(scene.path, 0600, scene.other);
}

void
put_others_open_segment(void)
{
    put_segment(scene.path, 0666, scene.other);
}

void
put_link(void)
{
    ck_assert_int_eq(symlink(scene.target, scene.path), 0);
    ck_assert_int_eq(lchown(scene.path, scene.other, scene.other), 0);
}

void
put_link_to_file(void)
{
    put_foreign(scene.target, 0600, scene.user);
    put_link();
}

void
put_link_to_segment(void)
{
    put_segment(scene.target, 0600, scene.user);
    put_link();
}

void
put_hard_link_to_segment(void)
{
    put_segment(scene.target, 0600, scene.user);
    ck_assert_int_eq(link(scene.target, scene.path), 0);
}

void
put_hard_link_to_file(void)
{
    put_foreign(scene.target, 0600, scene.user);
    ck_assert_int_eq(link(scene.target, scene.path), 0);
}

void
put_fifo(void)
{
    ck_assert_int_eq(mkfifo(scene.path, 0600), 0);
    give(scene.path, 0666, scene.other);
}

void
put_directory(void)
{
    make_directory(scene.path, 0777, scene.other);
}

void
put_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%.107s", scene.path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    give(scene.path, 0777, scene.other);
}

void
put_device(void)
{
    ck_assert_int_eq(mknod(scene.path, S_IFCHR | 0600, makedev(1, 3)), 0);
    give(scene.path, 0666, scene.other);
}

mapseg_result
attach_with(mapseg *seg, uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = flags;
    return mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options);
}

mapseg_result
replace(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_RECLAIM;
    return mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options);
}
