/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of a server's sequencer, which returns positions as rows of event and position.
 * MariaDB's takes the events that are asked for, as a JSON array of ids. PostgreSQL's returns what
 * it has numbered, which mostly is what was asked for; only events that another process's call
 * numbered first are then asked for by id.
 *
 * Also the server's time.
 */

#include "base/json.h"
#include "base/map.h"
#include "store/relational/ledger.h"
#include "store/relational/ledger_sql.h"

/* Never ""; NULL: no memory. */
static char *ids_text(const struct store_placed *placed, int count)
{
    json_t *ids = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(ids, json_string(placed[i].event_id));
    char *text = json_array_size(ids) == (size_t)count ? json_text(ids) : NULL;
    json_decref(ids);
    return text;
}

struct answer {
    struct store *store;
    struct map by_id; /* struct store_placed of the events that are asked for */
};

static bool take_sequenced_position(void *context, const struct sql_row *row)
{
    struct answer *answer = context;
    struct store_placed *placed = map_get(&answer->by_id, ledger_word(&row->values[0]));
    if (placed)
        placed->position = row->values[1].integer;
    else
        store_sequence_told(answer->store, ledger_word(&row->values[0]), row->values[1].integer);
    return true;
}

static bool all_rows_told(const struct store_placed *placed, int count)
{
    for (int i = 0; i < count; i++) {
        if (!placed[i].position)
            return false;
    }
    return true;
}

static enum fh_code run_with_ids(struct answer *answer, ledger_run *run,
                                 enum ledger_statement statement, const struct store_placed *placed,
                                 int count, struct fh_error *error)
{
    struct store *store = answer->store;
    struct arena *before = json_arena_set(NULL);
    char *text = ids_text(placed, count);
    json_arena_set(before);
    if (!text)
        return error_set(error, FH_NO_MEMORY, "There is no memory to ask for positions.");
    struct sql_value ids[] = {sql_text(text)};
    enum fh_code code = run(store, sql_dialect_of(store)->ledger[statement], ids, 1,
                            take_sequenced_position, answer, error);
    before = json_arena_set(NULL);
    json_text_free(text);
    json_arena_set(before);
    return code;
}

enum fh_code ledger_sequence(struct store *store, ledger_run *run, struct store_placed *placed,
                             int count, struct fh_error *error)
{
    const char *const *statements = sql_dialect_of(store)->ledger;
    struct answer answer = {.store = store};
    map_init(&answer.by_id);
    for (int i = 0; i < count; i++)
        map_put(&answer.by_id, placed[i].event_id, &placed[i]);
    enum fh_code code;
    if (!statements[LEDGER_PLACED]) {
        code = run_with_ids(&answer, run, LEDGER_SEQUENCE, placed, count, error);
    } else {
        code = run(store, statements[LEDGER_SEQUENCE], NULL, 0, take_sequenced_position, &answer,
                   error);
        if (code == FH_OK && !all_rows_told(placed, count))
            code = run_with_ids(&answer, run, LEDGER_PLACED, placed, count, error);
    }
    map_release(&answer.by_id);
    return code;
}

enum fh_code ledger_clock(struct store *store, int64_t *ret_ms, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_READ_COMMITTED, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_integer(work, ledger_sql(work, LEDGER_CLOCK), NULL, 0, ret_ms, error);
    store_rollback(work);
    return code;
}
