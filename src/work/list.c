/* SPDX-License-Identifier: Apache-2.0 */
/* Runs handlers that list rows for the library: a publisher's state, what a subscriber holds, what
 * belongs into a derived store. */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "work/batch.h"

#define FIRST_INTEGER (-(INT64_C(1) << 53)) /* less than all keys */

enum fh_code work_list(fh_work *w, struct store_work *snapshot, const struct work_listing *listing,
                       struct fh_error *error)
{
    bool by_fence;
    const char *after = listing->after;
    struct arena *before = json_arena_set(&w->kept);
    json_t *from = listing->integers
                       ? json_integer(*after ? strtoll(after, NULL, 10) : FIRST_INTEGER)
                       : json_string(after);
    w->query = json_pack("{s:o, s:i}", "after", from, "limit", listing->limit);
    json_arena_set(before);
    w->snapshot = snapshot;
    work_record_begin(w);
    work_handler_run(w, &by_fence);
    w->store_work = NULL;
    w->phase = WORK_ENDED;
    if (w->failure.code == FH_OK)
        return FH_OK;
    *error = w->failure;
    return error->code;
}

const char *work_listed_key(const json_t *row, char digits[static TEXT_INTEGER_SIZE])
{
    void *first = json_object_iter((json_t *)(uintptr_t)row);
    const json_t *key = first ? json_object_iter_value(first) : NULL;
    if (json_is_integer(key))
        return text_of_integer(json_integer_value(key), digits);
    const char *text = json_string_value(key);
    return text && strlen(text) == json_string_length(key) ? text : NULL;
}
