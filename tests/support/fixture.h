/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FIXTURE_H
#define TESTS_FIXTURE_H

/* A new store on the embedded engine and the context of units of work on it, for each test: what
 * tests of units of work and commands are built on. Header only. */

#include "harness.h"

#include "engine/engines.h"
#include "store/derived/derived.h"
#include "store/model.h"
#include "store/relational/sql.h"
#include "work/command.h"
#include "work/work.h"

struct fixture {
    struct harness harness;
    struct work_context context;
    const char *script; /* its tables, where it is relational */
    enum fh_code code;
    struct fh_error error;
};

static inline enum fh_code fixture_prepare(struct fixture *fixture, struct store_work *work)
{
    struct work_context *context = &fixture->context;
    struct model_data data = model_data_of(context->service);
    if (context->service->model == FH_RELATIONAL)
        return context->store->engine->sql->script(work, fixture->script, &fixture->error);
    return model_of(context->service->model)->prepare(work, &data, &fixture->error);
}

static inline void fixture_open(void *argument)
{
    struct fixture *fixture = argument;
    struct work_context *context = &fixture->context;
    struct store_options options = {.service = context->service->name,
                                    .folder = fixture->harness.folder,
                                    .model = context->service->model};
    struct store_work *work;
    fixture->code =
        engine_embedded()->store->open(&options, context->world, &context->store, &fixture->error);
    if (fixture->code == FH_OK)
        fixture->code = store_begin(context->store, STORE_WRITE_EXCLUSIVE, &work, &fixture->error);
    if (fixture->code != FH_OK)
        return;
    fixture->code = fixture_prepare(fixture, work);
    if (fixture->code == FH_OK)
        fixture->code = store_commit(work, &fixture->error);
    else
        store_rollback(work);
    if (fixture->code == FH_OK)
        fixture->code = derived_prepare(context->store, context->service, 0, &fixture->error);
}

/* *state: the fixture. */
static inline int fixture_set_up(void **state, const fh_service *service, const char *script)
{
    static struct fixture fixture;
    fixture = (struct fixture){.script = script};
    harness_init(&fixture.harness);
    fixture.context.world = fixture.harness.world;
    fixture.context.service = service;
    fixture.context.keys = work_keys_new();
    harness_run(&fixture.harness, fixture_open, &fixture);
    if (fixture.code != FH_OK)
        fail_msg("%s", fixture.error.message);
    *state = &fixture;
    return 0;
}

static inline int fixture_tear_down(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->context.store);
    work_keys_free(fixture->context.keys);
    harness_release(&fixture->harness);
    return 0;
}

#endif
