/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a new generation as the service's own handler of `state` lists them. A page that fails is
 * listed again with half the rows (base/portion.h): what limits a handler is memory. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doing.h"
#include "carrier/fill.h"
#include "work/batch.h"
#include "work/carried.h"

#define TORN_MAX 8        /* times that a page is listed */
#define TORN_BESIDE_MAX 3 /* of these, while others of this process write */
#define TORN_PAUSE_MS 5   /* and as much longer each time */

struct state_page {
    struct filling_page page; /* first: it is cast from */
    fh_work w;                /* the handler's, which lists the rows */
    int limit;
};

static enum fh_code list_state_rows(struct filling_page *page, struct store_work *snapshot,
                                    struct fh_error *error)
{
    struct state_page *state = (struct state_page *)page;
    const struct fh_derived *declared = page->carrier->declared;
    const struct work_listing listing = {.after = page->generation->after,
                                         .integers = declared->keys == FH_INT,
                                         .limit = state->limit};
    enum fh_code code = work_list(&state->w, snapshot, &listing, error);
    state->w.snapshot = NULL;
    if (code != FH_OK)
        return code;
    const json_t *rows = state->w.reply_body;
    page->ends = json_array_size(rows) < (size_t)state->limit;
    if (json_is_array(rows) && json_array_size(rows) <= (size_t)state->limit)
        return FH_OK;
    return error_set(error, FH_INVALID, "The state of %s must be an array of at most `limit` rows.",
                     declared->name);
}

static enum fh_code take_state_row(struct filling_page *page, const json_t *row,
                                   struct fh_error *error)
{
    const struct fh_derived *declared = page->carrier->declared;
    char digits[TEXT_INTEGER_SIZE];
    const char *key = work_listed_key(row, digits);
    if (!key || derived_key_check(key, error) != FH_OK)
        return error_set(
            error, FH_INVALID,
            "The state of %s has a row whose first member is not a key of 1 to %d bytes.",
            declared->name, DERIVED_KEY_LENGTH_MAX);
    if (strcmp(key, page->after) == 0)
        return error_set(error, FH_INVALID, "The state of %s does not continue after `after`.",
                         declared->name);
    snprintf(page->after, sizeof page->after, "%s", key);
    enum fh_code code = derived_value_check(declared, row, error);
    if (code == FH_OK)
        carried_write_op(filling_add(page), declared, key, row);
    return code;
}

static enum fh_code publish_state_rows(struct filling_page *page, struct fh_error *error)
{
    size_t i;
    const json_t *row, *rows = ((struct state_page *)page)->w.reply_body;
    enum fh_code code = FH_OK;
    json_array_foreach (rows, i, row) {
        if (code == FH_OK)
            code = take_state_row(page, row, error);
    }
    return code;
}

static const struct filling_source state_source = {list_state_rows, publish_state_rows};

static enum fh_code fill_state_page(struct derived_carrier *carrier,
                                    const struct carried_generation *generation, int limit,
                                    bool alone, bool *ret_torn, bool *ret_more,
                                    struct fh_error *error)
{
    struct state_page *state = calloc(1, sizeof *state);
    if (!state)
        return error_set(error, FH_NO_MEMORY, "There is no memory to fill a derived store.");
    *state =
        (struct state_page){.page = {carrier, generation, &state_source, alone}, .limit = limit};
    work_init(&state->w, carrier->context, carrier->declared->state);
    state->w.read_only = true;
    state->w.doing = doing_of((doing_function *)carrier->declared->state, "state of %s",
                              carrier->declared->name);
    state->w.deadline_ns = world_in_ms(carrier->context->world, FILL_DEADLINE_MS);
    enum fh_code code = filling_run(&state->page, ret_more, error);
    *ret_torn = state->page.torn;
    work_release(&state->w);
    free(state);
    return code;
}

/* That rows change while they are listed is nobody's fault: they are listed again, and soon while
 * no unit of work of this process changes any. Those of others may, and then fewer at a time help.
 */
enum fh_code carrier_fill_state(struct derived_carrier *carrier,
                                const struct carried_generation *generation, bool *ret_more,
                                struct fh_error *error)
{
    struct world *world = carrier->context->world;
    int limit = portion_size(&carrier->rows, CARRIED_ROWS_MAX), tries = 0;
    bool torn = false;
    enum fh_code code;
    do {
        if (tries)
            fiber_sleep_until(world, world_in_ms(world, tries * TORN_PAUSE_MS));
        code = fill_state_page(carrier, generation, limit, tries >= TORN_BESIDE_MAX, &torn,
                               ret_more, error);
    } while (torn && ++tries < TORN_MAX);
    if (code == FH_OK) {
        portion_passed(&carrier->rows, limit);
    } else if (code != FH_UNAVAILABLE && limit > 1) {
        portion_failed(&carrier->rows, limit / 2);
        *ret_more = true;
        return FH_OK;
    }
    if (torn)
        error->code = code = FH_UNAVAILABLE;
    return code;
}
