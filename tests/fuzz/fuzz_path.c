/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns and paths: PATTERN\nPATH. What a pattern takes out of a path fills the pattern as a
 * template again, and that path gives the same values. */

#include "fuzz.h"
#include "http/path.h"

/* "/a/{id:int}" as a template: "/a/{id}". */
static char *template_of(const char *pattern)
{
    char *to_fill = malloc(strlen(pattern) + 1), *to = to_fill;
    for (const char *from = pattern; *from; from++) {
        if (strncmp(from, ":int}", 5) == 0)
            from += 4;
        *to++ = *from;
    }
    *to = '\0';
    return to_fill;
}

static void check_round_trip(const char *pattern, json_t *values)
{
    struct arena arena;
    struct fh_error error;
    const char *filled;
    json_t *again = NULL;
    char *to_fill = template_of(pattern);
    arena_init(&arena, ARENA_SIZE_MAX);
    FH_ASSERT(path_fill(&arena, to_fill, &values, 1, &filled, &error) == FH_OK);
    FH_ASSERT(path_match(pattern, filled, &again));
    FH_ASSERT(json_equal(values, again));
    json_decref(again);
    arena_release(&arena);
    free(to_fill);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *pattern = fuzz_take(&data, &size, '\n'), *path = fuzz_rest(&data, &size);
    struct fh_error error;
    json_t *values = NULL;
    path_literals(pattern);
    if (path_check(pattern, &error) == FH_OK && path_match(pattern, path, &values)) {
        FH_ASSERT(json_is_object(values));
        /* What is escaped takes three times its place, and a filled path has its own bound. */
        if (strlen(path) < 2000)
            check_round_trip(pattern, values);
    }
    json_decref(values);
    free(pattern);
    free(path);
    return 0;
}
