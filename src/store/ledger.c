/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the ledger that are the same on all engines. */

#include "store/ledger.h"

#include <string.h>

#include "base/json.h"

enum fh_code ledger_ancestor_cut(struct store_work *work, const char *incarnation, int64_t *ret,
                                 struct fh_error *error)
{
    char text[LEDGER_ANCESTORS_SIZE];
    json_t *ancestors = NULL, *ancestor;
    size_t index;
    enum fh_code code = ledger_meta_get(work, LEDGER_ANCESTORS, text, sizeof text, error);
    if (code == FH_OK && text[0])
        code = json_parse(text, strlen(text), &ancestors, error);
    if (code != FH_OK)
        return code;
    code = FH_NOT_FOUND;
    json_array_foreach (ancestors, index, ancestor) {
        const char *name = json_string_at(ancestor, "incarnation");
        json_int_t position;
        if (name && strcmp(name, incarnation) == 0 &&
            json_integer_at(ancestor, "position", &position)) {
            *ret = position;
            code = FH_OK;
        }
    }
    json_decref(ancestors);
    return code;
}

/* A server sends all rows of a query, even if the reader stops early; and an event can be as large
 * as a mebibyte. So each query asks for no more than a few mebibytes, judging the size of the next
 * events by the last ones read. */
#define SLICE_ROWS_MAX 256
#define SLICE_SIZE ((size_t)2 << 20)

struct slice {
    bool (*visit)(void *context, const struct ledger_event *event);
    void *context;
    int rows;
    size_t size;
    int64_t last;
    bool goes_on;
};

static bool visit_of_slice(void *context, const struct ledger_event *event)
{
    struct slice *slice = context;
    slice->rows++;
    slice->size += strlen(event->data);
    slice->last = event->position;
    slice->goes_on = slice->visit(slice->context, event);
    return slice->goes_on;
}

static int slice_rows(struct store *store)
{
    return store->outbox_rows ? store->outbox_rows : SLICE_ROWS_MAX / 4;
}

/* Grows at most twofold each time. */
static void learn_row_size(struct store *store, const struct slice *slice)
{
    if (slice->rows == 0)
        return;
    size_t fit = SLICE_SIZE / (slice->size / (size_t)slice->rows + 1);
    size_t most = 2 * (size_t)slice_rows(store);
    fit = fit < most ? fit : most;
    store->outbox_rows = fit < 2 ? 2 : fit > SLICE_ROWS_MAX ? SLICE_ROWS_MAX : (int)fit;
}

enum fh_code ledger_outbox_read(struct store_work *work, int64_t after, int limit,
                                bool (*visit)(void *context, const struct ledger_event *event),
                                void *context, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    struct slice slice = {.last = after, .goes_on = true};
    for (int left = limit; code == FH_OK && slice.goes_on && left > 0; left -= slice.rows) {
        int asked = slice_rows(work->store);
        asked = asked < left ? asked : left;
        slice = (struct slice){visit, context, 0, 0, slice.last, true};
        code = work->store->engine->ledger->outbox_read(work, slice.last, asked, visit_of_slice,
                                                        &slice, error);
        learn_row_size(work->store, &slice);
        if (slice.rows < asked)
            break;
    }
    return code;
}

enum fh_code ledger_caller_look(struct store_work *work, struct arena *arena, const char *caller,
                                const char *birth, char ret_incarnation[ID_SIZE],
                                struct ledger_caller *ret, struct fh_error *error)
{
    const struct ledger_ops *ops = work->store->engine->ledger;
    if (ops->caller_look)
        return ops->caller_look(work, arena, caller, birth, ret_incarnation, ret, error);
    enum fh_code code = ops->caller_newest(work, caller, ret_incarnation, error);
    return code == FH_OK ? ops->caller_get(work, arena, caller, birth, ret, error) : code;
}

static const char *const outcome_names[] = {
    [LEDGER_DONE] = "done",   [LEDGER_REFUSED] = "refused", [LEDGER_UNDONE] = "undone",
    [LEDGER_NEVER] = "never", [LEDGER_PENDING] = "pending",
};

const char *ledger_outcome_name(enum ledger_outcome outcome)
{
    return outcome_names[outcome];
}

enum ledger_outcome ledger_outcome_of(const char *name)
{
    for (size_t i = 0; i < sizeof outcome_names / sizeof outcome_names[0]; i++) {
        if (strcmp(outcome_names[i], name) == 0)
            return (enum ledger_outcome)i;
    }
    error_assertion_failed("a command record has a known outcome", __FILE__, __LINE__);
}
