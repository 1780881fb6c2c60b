/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_MODEL_H
#define STORE_MODEL_H

/*
 * The models that a service's data can have: what differs between them, one row each, for code that
 * handles a store as a whole. What handlers call is in src/work.
 */

#include "freehold.h"
#include "store/store.h"

struct copy_options;
struct copy_result;
struct engine;

/* What a service declares about its data. */
struct model_data {
    const struct fh_collection *collections;
    int count;
};

struct model {
    enum fh_model id;
    const char *name;  /* as in descriptions */
    const char *keeps; /* in words: "documents" */
    /* The service's migrations create its tables, and `prepare` creates nothing. */
    bool has_migrations;
    /* For engines that keep it in tables: an SQL condition on `name` for those with the service's
     * data. */
    const char *tables;
    /* Whether the engine has everything that the model needs. */
    bool (*is_served)(const struct engine *engine);
    /* Creates what the data are kept in, in an open STORE_WRITE_EXCLUSIVE unit of work. */
    enum fh_code (*prepare)(struct store_work *work, const struct model_data *data,
                            struct fh_error *error);
    /* Copies everything from options->from to options->to, both prepared, then reads it again and
     * compares: like relational_copy. On a fiber. */
    enum fh_code (*copy)(const struct copy_options *options, const struct model_data *data,
                         struct copy_result *ret, struct fh_error *error);
    /* Whether the store, which need not be prepared, holds data that neither migrations nor
     * published events account for. On a fiber. */
    enum fh_code (*is_used)(struct store *store, const struct model_data *data, bool *ret,
                            struct fh_error *error);
};

/* NULL: no such model. */
const struct model *model_of(enum fh_model id);
/* By its name in a description; NULL: no such model. */
const struct model *model_named(const char *name);
/* The model after this one (NULL: the first); NULL: no more. */
const struct model *model_next(const struct model *model);

/* What the service declares; borrowed from it. */
struct model_data model_data_of(const fh_service *service);
/* Prepares a store in a unit of work of its own. On a fiber. */
enum fh_code model_prepare(struct store *store, const struct model_data *data,
                           struct fh_error *error);

#endif
