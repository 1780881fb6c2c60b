/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's compositions: DECLARATION\nVALUES. What is declared well is run through against any
 * values that services could give: ids are collected, and rows put in their order. */

#include "fuzz.h"
#include "gateway/compose.h"
#include "gateway/routes.h"

static void run(const struct compose *compose, json_t *values)
{
    struct fh_error error;
    uint32_t finished = 0, all = (uint32_t)((1ull << compose->part_count) - 1);
    for (int round = 0; round <= compose->part_count && finished != all; round++) {
        uint32_t next = compose_startable(compose, finished, finished);
        FH_ASSERT(next != 0 && (next & finished) == 0); /* nothing waits for itself */
        finished |= next;
    }
    FH_ASSERT(finished == all);
    for (int i = 0; i < compose->part_count; i++) {
        const struct compose_part *part = &compose->parts[i];
        json_t *ids = NULL, *rows = NULL;
        compose_refers_to_nothing(part, values);
        if (part->ids && compose_ids(values, part->ids, &ids, &error) == FH_OK && ids) {
            FH_ASSERT(json_array_size(ids) <= COMPOSE_IDS_MAX);
            json_t *answer = json_object_get(values, "answer");
            if (answer && compose_merge(ids, &answer, 1, &rows, &error) == FH_OK)
                FH_ASSERT(json_array_size(rows) <= json_array_size(ids));
        }
        json_decref(ids);
        json_decref(rows);
        compose_target_fits(part->target, compose->pattern);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *first = fuzz_take(&data, &size, '\n'), *second = fuzz_rest(&data, &size);
    json_t *declared = fuzz_json(first), *values = fuzz_json(second);
    struct compose *compose = NULL;
    struct fh_error error;
    routes_path_is_reserved(second);
    routes_path_is_sound(second);
    routes_query_is_sound(second);
    compose_path_is_valid(second);
    if (declared && compose_parse(declared, &compose, &error) == FH_OK) {
        if (values)
            run(compose, values);
        compose_free(compose);
    }
    json_decref(declared);
    json_decref(values);
    free(first);
    free(second);
    return 0;
}
