/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a unit of work: what it shares with what is committed, and what it has copied to
 * change it. */

#include "internal.h"

#include <string.h>

#include "base/json.h"

json_t *toy_table(const struct store_work *work, const char *table)
{
    return json_object_get(((const struct toy_work *)work)->state, table);
}

json_t *toy_get(const struct store_work *work, const char *table, const char *id)
{
    return json_object_get(toy_table(work, table), id);
}

/* The table as the unit of work may change it. With no arena set. NULL: no memory. */
static json_t *own_table(struct toy_work *work, const char *table)
{
    if (work->state == work->before) {
        json_t *state = json_copy(work->before);
        if (!state)
            return NULL;
        json_decref(work->state);
        work->state = state;
    }
    json_t *values = json_object_get(work->state, table);
    if (values && values != json_object_get(work->before, table))
        return values;
    values = values ? json_copy(values) : json_object();
    return json_object_set_new(work->state, table, values) == 0 ? values : NULL;
}

enum fh_code toy_put(struct store_work *work, const char *table, const char *id, json_t *value,
                     struct fh_error *error)
{
    if (!store_writes(work->mode)) {
        json_decref(value);
        return error_set(error, FH_UNSUPPORTED, "This work only reads: it can't change %s.", table);
    }
    struct arena *arena = json_arena_set(NULL);
    json_t *values = own_table((struct toy_work *)work, table);
    bool done = values != NULL;
    if (values && value)
        done = json_object_set_nocheck(values, id, value) == 0;
    else if (values)
        json_object_del(values, id);
    json_decref(value);
    json_arena_set(arena);
    return done ? FH_OK : error_set(error, FH_NO_MEMORY, "There is no memory for %s.", table);
}

enum fh_code toy_remove(struct store_work *work, const char *table,
                        bool (*goes)(void *context, const char *id, const json_t *value),
                        void *context, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    const char *id;
    json_t *values = toy_table(work, table), *value; /* while `work` removes from its copy */
    void *next;
    json_object_foreach_safe (values, next, id, value) {
        if (code == FH_OK && (!goes || goes(context, id, value)))
            code = toy_put(work, table, id, NULL, error);
    }
    return code;
}

bool toy_is_within(const char *id, const char *within)
{
    size_t length = strlen(within);
    return strncmp(id, within, length) == 0 && id[length] == RECORD_SEPARATOR[0];
}
