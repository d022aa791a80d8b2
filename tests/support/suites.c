/*
 * suites.c - a test program from its beginning to its end.
 *
 * SPDX-License-Identifier: MIT
 */
#include "suites.h"

#include "places.h"
#include "skips.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** The program's first process, and whether it forks for each test. */
static pid_t runner_process;
static bool runner_forks;
static bool is_running;

Suite *
new_suite(const char *name)
{
    /* Learned while there are descriptors to spare, and no child has a mark of its own. */
    (void)run_mark();
    (void)under_valgrind();
    runner_process = getpid();
    return suite_create(name);
}

TCase *
new_case(Suite *suite, const char *name)
{
    return new_long_case(suite, name, 0);
}

TCase *
new_long_case(Suite *suite, const char *name, double seconds)
{
    TCase *group = tcase_create(name);

    tcase_set_timeout(group, seconds > TEST_TIMEOUT ? seconds : TEST_TIMEOUT);
    suite_add_tcase(suite, group);
    return group;
}

bool
is_test_process(void)
{
    return runner_forks ? getppid() == runner_process : getpid() == runner_process && is_running;
}

/** Whether a name is what a creator leaves that is killed where files cannot be without a name. */
static bool
is_unfinished(const char *name)
{
    return strcmp(test_directory(), SHM_DIRECTORY) != 0 && strstr(name, ".mapseg-") != NULL;
}

/** Removes what the run left where its segments lie; how many names. */
static int
sweep(void)
{
    DIR *directory = opendir(test_directory());
    struct dirent *entry;
    int found = 0;

    if (directory == NULL)
        return 0;
    while ((entry = readdir(directory)) != NULL) {
        if (strstr(entry->d_name, run_mark()) == NULL)
            continue;
        if (!is_unfinished(entry->d_name)) {
            printf("left behind: %s/%s\n", test_directory(), entry->d_name);
            found++;
        }
        if (unlinkat(dirfd(directory), entry->d_name, 0) != 0)
            (void)unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
    }
    closedir(directory);
    return found;
}

int
run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed, left;

    runner_forks = srunner_fork_status(runner) == CK_FORK;
    is_running = true;
    srunner_run_all(runner, CK_ENV);
    is_running = false;
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    left = sweep();
    if (failed != 0 || left != 0)
        return EXIT_FAILURE;
    return has_skipped() ? EXIT_SKIPPED : EXIT_SUCCESS;
}
