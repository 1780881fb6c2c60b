/* SPDX-License-Identifier: Apache-2.0 */
/* Templates filled with what is in JSON: TEMPLATE\nJSON. What comes out is printable ASCII. */

#include "fuzz.h"
#include "http/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *pattern = fuzz_take(&data, &size, '\n'), *text = fuzz_rest(&data, &size);
    json_t *object = fuzz_json(text);
    struct arena arena;
    struct fh_error error;
    const char *filled;
    arena_init(&arena, ARENA_SIZE_MAX);
    bool plain = true;
    for (const char *c = pattern; *c; c++)
        plain = plain && *c > ' ' && *c < 0x7f;
    if (object && plain && path_fill(&arena, pattern, &object, 1, &filled, &error) == FH_OK)
        for (const char *c = filled; *c; c++)
            FH_ASSERT(*c > ' ' && *c < 0x7f);
    arena_release(&arena);
    json_decref(object);
    free(pattern);
    free(text);
    return 0;
}
