#include <inttypes.h>
#include <mapseg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A change of this layout gets another tag, so that an old program refuses the new data. */
#define CONFIG_TAG UINT64_C(0x636f6e6669670001)

struct config {
    char host[60];
    uint32_t port;
};

static int
fail(mapseg *seg)
{
    fprintf(stderr, "%s\n", seg ? mapseg_error_string(seg) : "out of memory");
    mapseg_free(seg);
    return 1;
}

/* Fills a new segment before any process can find it. */
static mapseg_result
fill(void *data, size_t size, void *defaults)
{
    memcpy(data, defaults, size);
    return MAPSEG_OK;
}

/* Opens the config, which stays when no process uses it. */
static mapseg_result
open_config(mapseg *seg, mapseg_access access)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct config defaults = {.host = "localhost", .port = 80};

    options.flags = MAPSEG_PERSISTENT | MAPSEG_REQUIRE_TAG;
    options.user_tag = CONFIG_TAG;
    options.initialize = fill;
    options.initialize_argument = &defaults;
    return mapseg_create_or_attach_with(seg, sizeof(struct config), access, &options, NULL);
}

/* Replaces all of the config as one version, which also repairs what a dead writer left.
 * After a failure the caller detaches, and readers are told that it is half written. */
static bool
replace(mapseg *seg, const struct config *config)
{
    mapseg_result result = mapseg_write_begin(seg);

    if (!mapseg_result_owes_unlock(result) ||
        mapseg_write(seg, 0, config, sizeof(*config)) != MAPSEG_OK)
        return false;
    if (result == MAPSEG_OWNER_DIED && mapseg_consistent(seg) != MAPSEG_OK)
        return false;
    return mapseg_write_end(seg) == MAPSEG_OK;
}

static int
set(mapseg *seg, const char *host, const char *port)
{
    struct config config = {.host = ""};
    char *end;
    unsigned long number = strtoul(port, &end, 10);

    if (strlen(host) >= sizeof(config.host) || *end != '\0' || number < 1 || number > 65535) {
        fprintf(stderr, "no host and port: %s %s\n", host, port);
        mapseg_free(seg);
        return 1;
    }
    strcpy(config.host, host);
    config.port = (uint32_t)number;
    if (open_config(seg, MAPSEG_READ_WRITE) != MAPSEG_OK || !replace(seg, &config))
        return fail(seg);
    mapseg_free(seg);
    return 0;
}

/* Shows the config, and each one that replaces it. Of several that come at once only the last
 * is seen, and never a mixture. */
static int
watch(mapseg *seg)
{
    uint64_t version = MAPSEG_ANY_VERSION;

    if (open_config(seg, MAPSEG_READ_ONLY) != MAPSEG_OK)
        return fail(seg);
    for (;;) {
        struct config config;
        mapseg_result result = mapseg_wait(seg, version, NULL, MAPSEG_TIMEOUT_DEFAULT);

        if (result == MAPSEG_OK)
            result = mapseg_read(seg, 0, &config, sizeof(config), &version);
        if (result == MAPSEG_OWNER_DIED) { /* what was read before still counts */
            fprintf(stderr, "a writer was killed half way; waiting for the next one\n");
            continue;
        }
        if (result != MAPSEG_OK)
            return fail(seg);
        printf("version %" PRIu64 ": %s:%" PRIu32 "\n", version, config.host, config.port);
        if (fflush(stdout) != 0) {
            mapseg_free(seg);
            return 1;
        }
    }
}

int
main(int argc, char **argv)
{
    const char *action = argc > 2 ? argv[2] : "";
    mapseg *seg = mapseg_new_with_key(argc > 1 ? argv[1] : NULL);

    if (seg == NULL)
        return fail(seg);
    if (argc == 5 && strcmp(action, "set") == 0)
        return set(seg, argv[3], argv[4]);
    if (argc == 3 && strcmp(action, "watch") == 0)
        return watch(seg);
    fprintf(stderr, "usage: config KEY watch | config KEY set HOST PORT\n");
    mapseg_free(seg);
    return 1;
}
