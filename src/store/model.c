/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of models, one row each. A model without a row does not compile (model_of), and a row
 * that lacks a part ends the process when the first engine is registered (engine/engines.c).
 */

#include "store/model.h"

#include <string.h>

#include "store/copy/document.h"
#include "store/document/document.h"
#include "store/engine.h"
#include "store/copy/keyvalue.h"
#include "store/keyvalue/keyvalue.h"
#include "store/copy/copy.h"

#define COLLECTIONS_MAX                                                                            \
    ((int)(sizeof((fh_service *)NULL)->collections / sizeof *((fh_service *)NULL)->collections))

/* ---- Tables ---- */

static bool relational_is_served(const struct engine *engine)
{
    return engine->sql;
}

static enum fh_code relational_prepare(struct store_work *work, const struct model_data *data,
                                       struct fh_error *error)
{
    (void)work, (void)data, (void)error;
    return FH_OK;
}

static enum fh_code relational_copy_all(const struct copy_options *options,
                                        const struct model_data *data, struct copy_result *ret,
                                        struct fh_error *error)
{
    (void)data;
    return relational_copy(options, ret, error);
}

static enum fh_code relational_is_used(struct store *store, const struct model_data *data,
                                       bool *ret, struct fh_error *error)
{
    (void)store, (void)data, (void)error;
    *ret = false; /* without migrations it has no tables */
    return FH_OK;
}

static const struct model relational = {
    .id = FH_RELATIONAL,
    .name = "relational",
    .keeps = "relational tables",
    .has_migrations = true,
    .tables = "name NOT LIKE 'fh\\_%' ESCAPE '\\'",
    .is_served = relational_is_served,
    .prepare = relational_prepare,
    .copy = relational_copy_all,
    .is_used = relational_is_used,
};

/* ---- Documents ---- */

static bool document_is_served(const struct engine *engine)
{
    return engine->documents && (engine->sql || engine->copied_documents);
}

static enum fh_code document_prepare(struct store_work *work, const struct model_data *data,
                                     struct fh_error *error)
{
    return document_engine(work->store)->prepare(work, data->collections, data->count, error);
}

static enum fh_code document_copy_all(const struct copy_options *options,
                                      const struct model_data *data, struct copy_result *ret,
                                      struct fh_error *error)
{
    return document_copy(options, data->collections, data->count, ret, error);
}

static enum fh_code document_is_used(struct store *store, const struct model_data *data, bool *ret,
                                     struct fh_error *error)
{
    return document_any(store, data->collections, data->count, ret, error);
}

static const struct model document = {
    .id = FH_DOCUMENT,
    .name = "document",
    .keeps = "documents",
    .tables = "name LIKE 'doc\\_%' ESCAPE '\\'",
    .is_served = document_is_served,
    .prepare = document_prepare,
    .copy = document_copy_all,
    .is_used = document_is_used,
};

/* ---- Keys and values ---- */

static bool keyvalue_is_served(const struct engine *engine)
{
    return engine->keyvalue && (engine->sql || engine->copied_keys);
}

static enum fh_code keyvalue_prepare(struct store_work *work, const struct model_data *data,
                                     struct fh_error *error)
{
    const struct keyvalue_ops *keys = keyvalue_engine(work->store);
    (void)data;
    return keys->prepare ? keys->prepare(work, error) : FH_OK;
}

static enum fh_code keyvalue_copy_all(const struct copy_options *options,
                                      const struct model_data *data, struct copy_result *ret,
                                      struct fh_error *error)
{
    (void)data;
    return keyvalue_copy(options, ret, error);
}

static enum fh_code keyvalue_is_used(struct store *store, const struct model_data *data, bool *ret,
                                     struct fh_error *error)
{
    enum fh_code code = model_prepare(store, data, error);
    return code == FH_OK ? keyvalue_any(store, ret, error) : code;
}

static const struct model keyvalue = {
    .id = FH_KEY_VALUE,
    .name = "key-value",
    .keeps = "keys and values",
    .tables = "name = 'kv_key'",
    .is_served = keyvalue_is_served,
    .prepare = keyvalue_prepare,
    .copy = keyvalue_copy_all,
    .is_used = keyvalue_is_used,
};

/* ---- All of them ---- */

const struct model *model_of(enum fh_model id)
{
    switch (id) {
    case FH_RELATIONAL:
        return &relational;
    case FH_DOCUMENT:
        return &document;
    case FH_KEY_VALUE:
        return &keyvalue;
    case FH_SEARCH: /* no service's own, nor those below */
    case FH_SERIES:
    case FH_COLUMNS:
        break;
    }
    return NULL;
}

const struct model *model_next(const struct model *model)
{
    return model_of(model ? model->id + 1 : FH_RELATIONAL);
}

const struct model *model_named(const char *name)
{
    const struct model *model = NULL;
    while ((model = model_next(model)) && strcmp(model->name, name) != 0)
        ;
    return model;
}

struct model_data model_data_of(const fh_service *service)
{
    struct model_data data = {.collections = service->collections};
    while (data.count < COLLECTIONS_MAX && service->collections[data.count].name)
        data.count++;
    return data;
}

enum fh_code model_prepare(struct store *store, const struct model_data *data,
                           struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    code = model_of(store->model)->prepare(work, data, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}
