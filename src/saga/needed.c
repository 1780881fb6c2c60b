/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of this program's definitions the sagas that are not over began with: a program that
 * replaces it must have these too. Read from the rows in one snapshot, those of all instances and
 * the parked ones included, since they are to continue some day. Sagas whose definition this
 * program lacks are not counted.
 */

#include <string.h>

#include "base/json.h"
#include "saga/manager.h"
#include "saga/show.h"

struct needs {
    struct saga_manager *manager;
    int64_t sagas[SAGA_TYPES_MAX];
};

static bool count_row(void *context, const struct ledger_saga *row)
{
    struct needs *needs = context;
    json_t *state = NULL;
    struct fh_error error;
    if (json_parse(row->state, strlen(row->state), &state, &error) != FH_OK)
        return true;
    const struct saga_type *type = saga_manager_type_of(needs->manager, row->name, state, &error);
    json_decref(state);
    if (type)
        needs->sagas[type - needs->manager->types]++;
    return true;
}

enum fh_code saga_needed(struct work_context *context, json_t **ret, struct fh_error *error)
{
    struct needs needs = {.manager = context->sagas};
    struct store_work *work;
    enum fh_code code = store_begin(context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_sagas_open(work, &(struct ledger_open){0}, count_row, &needs, error);
    store_rollback(work);
    if (code != FH_OK)
        return code;
    json_t *definitions = json_array();
    for (int i = 0; i < needs.manager->type_count; i++) {
        const struct saga_type *type = &needs.manager->types[i];
        if (needs.sagas[i])
            json_array_append_new(definitions,
                                  json_pack("{s:s, s:i, s:s, s:I}", "name", type->rules.name,
                                            "version", type->version, "digest", type->digest,
                                            "sagas", (json_int_t)needs.sagas[i]));
    }
    *ret = json_pack("{s:o}", "definitions", definitions);
    return FH_OK;
}
