/*
 * machine.c - what the figures were measured on.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "report.h"

#include <mapseg.h>

#include <dlfcn.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void
read_processor(char *text, size_t bytes)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[256];

    snprintf(text, bytes, "unknown processor");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || value == NULL)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(text, bytes, "%s", value + 1 + strspn(value + 1, " \t"));
        break;
    }
    if (file != NULL)
        fclose(file);
}

/** Which library the calls go to: a static one would save each of them a jump. */
static void
find_library(char *text, size_t bytes)
{
    Dl_info found;
    mapseg_result (*call)(mapseg *) = mapseg_lock;
    void *address;

    memcpy(&address, &call, sizeof address);
    if (dladdr(address, &found) == 0 || found.dli_fname == NULL)
        snprintf(text, bytes, "mapseg %s", mapseg_version());
    else
        snprintf(text, bytes, "mapseg %s in %s", mapseg_version(), found.dli_fname);
}

void
describe_machine(struct machine *machine)
{
    struct utsname name;

    read_processor(machine->processor, sizeof machine->processor);
    machine->cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (uname(&name) == 0)
        snprintf(machine->kernel, sizeof machine->kernel, "%.30s %.60s %.30s", name.sysname,
                 name.release, name.machine);
    if (confstr(_CS_GNU_LIBC_VERSION, machine->c_library, sizeof machine->c_library) == 0)
        snprintf(machine->c_library, sizeof machine->c_library, "unknown C library");
    find_library(machine->library, sizeof machine->library);
}
