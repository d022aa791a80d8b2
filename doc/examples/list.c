#include <inttypes.h>
#include <mapseg.h>
#include <stdio.h>

int
main(void)
{
    mapseg_list *list;
    mapseg_result result = mapseg_list_new(&list);
    if (result != MAPSEG_OK) {
        fprintf(stderr, "%s\n", mapseg_result_text(result));
        return 1;
    }
    for (size_t i = 0; i < mapseg_list_count(list); i++) {
        const mapseg_info *information = mapseg_list_get(list, i);
        printf("%s: %" PRIu64 " bytes, %" PRIu32 " attached\n", information->native_key,
               information->data_size, information->attached);
    }
    mapseg_list_free(list);
    return fflush(stdout) != 0 || ferror(stdout);
}
