/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_MODEL_H
#define STORE_MODEL_H

/*
 * The models that a service's data can have: what differs between them, a row each, for those who
 * take a store as a whole. What handlers call stands in src/work.
 */

#include "freehold.h"
#include "store/store.h"

struct copy_options;
struct copy_result;
struct engine;

/* What a service declares of its data. */
struct model_data {
    const struct fh_collection *collections;
    int count;
};

struct model {
    enum fh_model id;
    const char *name;  /* as descriptions have it */
    const char *keeps; /* as people say: "documents" */
    /* What it keeps things in is made by the service's own migrations, and nothing by `prepare`. */
    bool has_migrations;
    /* Where an engine keeps it in tables: which of them hold what is the service's, a condition of
     * SQL on `name`. */
    const char *tables;
    /* Whether the engine has all that it needs. */
    bool (*is_served)(const struct engine *engine);
    /* Makes what it keeps things in, in an open STORE_WRITE_ALONE work. */
    enum fh_code (*prepare)(struct store_work *work, const struct model_data *data,
                            struct fh_error *error);
    /* All of options->from into options->to, both prepared, read again and compared: as
     * relational_copy. On a fiber. */
    enum fh_code (*copy)(const struct copy_options *options, const struct model_data *data,
                         struct copy_result *ret, struct fh_error *error);
    /* Whether the store, which need not be prepared, holds anything that neither migrations nor
     * published events tell of. On a fiber. */
    enum fh_code (*is_used)(struct store *store, const struct model_data *data, bool *ret,
                            struct fh_error *error);
};

/* NULL: there is none of this number. */
const struct model *model_of(enum fh_model id);
/* By its name in a description; NULL: there is none. */
const struct model *model_named(const char *name);
/* The first one (of NULL), and the next. */
const struct model *model_next(const struct model *model);

/* What a service declares. */
struct model_data model_data_of(const fh_service *service);
/* Prepares a store in a work of its own. On a fiber. */
enum fh_code model_prepare(struct store *store, const struct model_data *data,
                           struct fh_error *error);

#endif
