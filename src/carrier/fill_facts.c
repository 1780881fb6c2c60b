/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of a new generation that are points or facts of the owner's own store, which keeps all that
 * were ever given (docs/internals/carriers.md): so whatever a server has lost can be carried there
 * again. There may be millions, so a page is as large as an event may be, and is written as it is
 * read, off the loop. What is too old by now is not in it.
 */

#include <string.h>

#include "carrier/fill.h"
#include "work/carried.h"
#include "work/derived.h"

struct facts_page {
    struct filling_page page; /* first: it is cast from */
    struct text rows;
    int64_t last_id, last_at_ms;
    int count;
    bool full;
};

static bool take_listed_fact(void *context, const struct derived_fact *fact)
{
    struct facts_page *facts = context;
    if (facts->count == CARRIED_FACTS_MAX || facts->rows.length >= CARRIED_DATA_SIZE_MAX) {
        facts->full = true;
        return false;
    }
    char key[CARRIED_FACT_KEY_SIZE];
    carried_fact_key(key, fact);
    if (facts->count++)
        text_add(&facts->rows, ",");
    carried_write_fact(&facts->rows, facts->page.carrier->declared, key, fact);
    facts->last_id = fact->id;
    facts->last_at_ms = fact->at_ms;
    return !facts->rows.overflow;
}

static enum fh_code list_own_facts(struct filling_page *page, struct store_work *snapshot,
                                   struct fh_error *error)
{
    struct facts_page *facts = (struct facts_page *)page;
    struct work_context *context = page->carrier->context;
    const struct fh_derived *declared = page->carrier->declared;
    const char *key = page->generation->after;
    struct derived_fact after = {0};
    if (*key && !carried_fact_of_key(key, &after.id, &after.at_ms))
        return error_set(error, FH_UNSUPPORTED,
                         "How far the derived store %s is filled can't be read.", declared->name);
    snapshot->deadline_ns = world_in_ms(context->world, FILL_DEADLINE_MS);
    enum fh_code code =
        derived_engine(context->store)
            ->list(snapshot, declared, *key ? &after : NULL,
                   work_series_carried_ms(context, declared), take_listed_fact, facts, error);
    page->ends = !facts->full;
    if (code == FH_OK && facts->rows.overflow)
        return error_set(error, FH_NO_MEMORY, "There is no memory to fill a derived store.");
    return code;
}

static enum fh_code publish_own_facts(struct filling_page *page, struct fh_error *error)
{
    const struct facts_page *facts = (const struct facts_page *)page;
    (void)error;
    if (!facts->count)
        return FH_OK;
    char key[CARRIED_FACT_KEY_SIZE];
    carried_fact_key(key, &(struct derived_fact){.id = facts->last_id, .at_ms = facts->last_at_ms});
    memcpy(page->after, key, sizeof key);
    text_append(filling_add(page), facts->rows.data, facts->rows.length);
    return FH_OK;
}

static const struct filling_source facts_source = {list_own_facts, publish_own_facts};

enum fh_code carrier_fill_facts(struct derived_carrier *carrier,
                                const struct carried_generation *generation, bool *ret_more,
                                struct fh_error *error)
{
    struct facts_page facts = {.page = {carrier, generation, &facts_source}};
    text_init(&facts.rows, TEXT_LENGTH_MAX);
    enum fh_code code = filling_run(&facts.page, ret_more, error);
    text_release(&facts.rows);
    return code;
}
