/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SERVICE_H
#define TESTS_SERVICE_H

/* A service without its process: a declaration, an embedded store in a folder of its own, the
 * context of its units of work. Handlers are run as such, on fibers. Header only. */

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "harness.h"
#include "engine/engines.h"
#include "store/ledger.h"
#include "store/relational/sql.h"
#include "work/work.h"

struct service {
    struct work_context context;
    char folder[128];
    struct harness *harness;
    enum fh_code code;
    struct fh_error error;
};

static inline void service_open_entry(void *argument)
{
    struct service *service = argument;
    struct store_options options = {.service = service->context.service->name,
                                    .folder = service->folder,
                                    .model = FH_RELATIONAL};
    service->code = engine_named("sqlite")->store->open(&options, service->context.world,
                                                        &service->context.store, &service->error);
}

/* Opens the store (again, after service_close: what was durable is there). */
static inline void service_open(struct service *service, struct harness *harness,
                                struct world *world, const fh_service *declaration)
{
    memset(service, 0, sizeof *service);
    service->harness = harness;
    service->context.world = world;
    service->context.service = declaration;
    snprintf(service->folder, sizeof service->folder, "%s/%s", harness->folder, declaration->name);
    mkdir(service->folder, 0700);
    harness_run(harness, service_open_entry, service);
    if (service->code != FH_OK)
        fail_msg("%s", service->error.message);
}

static inline void service_close_entry(void *argument)
{
    store_close(((struct service *)argument)->context.store);
}

static inline void service_close(struct service *service)
{
    harness_run(service->harness, service_close_entry, service);
    service->context.store = NULL;
}

/* One handler as one unit of work: what came of it. */
struct service_run {
    struct service *service;
    fh_handler *handler;
    bool read_only;
    int64_t deadline_ms; /* 0: none */
    const char *trace;
    enum fh_code code;
    int status, retry_after_s;
    char *body; /* JSON text of the answer, malloc'ed, or NULL */
    struct fh_error failure;
};

static inline void service_run_entry(void *argument)
{
    struct service_run *run = argument;
    fh_work w;
    work_init(&w, &run->service->context, run->handler);
    w.read_only = run->read_only;
    w.trace = run->trace;
    if (run->deadline_ms)
        w.deadline_ns = world_in_ms(run->service->context.world, run->deadline_ms);
    run->code = work_run(&w);
    run->status = w.reply_status;
    run->retry_after_s = w.retry_after_s;
    run->failure = w.failure;
    run->body = w.reply_body ? json_dumps(w.reply_body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    work_release(&w);
}

static inline struct service_run service_do(struct service *service, fh_handler *handler)
{
    struct service_run run = {.service = service, .handler = handler};
    harness_run(service->harness, service_run_entry, &run);
    return run;
}

/* Does it, and forgets the answer: it must succeed. */
static inline void service_must(struct service *service, fh_handler *handler)
{
    struct service_run run = service_do(service, handler);
    if (run.code != FH_OK)
        fail_msg("%s", run.failure.message);
    json_text_free(run.body);
}

/* One statement in a unit of work of its own. */
struct service_sql {
    struct service *service;
    const char *sql;
    int64_t integer; /* the first column of the last row */
    char text[256];  /* or its text */
    enum fh_code code;
    struct fh_error error;
};

static inline bool service_sql_row(void *context, const struct sql_row *row)
{
    struct service_sql *sql = context;
    sql->integer = row->values[0].integer;
    snprintf(sql->text, sizeof sql->text, "%s",
             row->values[0].kind == SQL_TEXT ? row->values[0].text : "");
    return true;
}

static inline void service_sql_entry(void *argument)
{
    struct service_sql *sql = argument;
    struct store_work *work;
    sql->code = store_begin(sql->service->context.store, STORE_WRITE, &work, &sql->error);
    if (sql->code != FH_OK)
        return;
    sql->code = sql_run(work, sql->sql, NULL, 0, service_sql_row, sql, NULL, &sql->error);
    if (sql->code == FH_OK)
        sql->code = store_commit(work, &sql->error);
    else
        store_rollback(work);
}

static inline struct service_sql service_sql(struct service *service, const char *statement)
{
    struct service_sql sql = {.service = service, .sql = statement};
    harness_run(service->harness, service_sql_entry, &sql);
    if (sql.code != FH_OK)
        fail_msg("%s", sql.error.message);
    return sql;
}

static inline int64_t service_count(struct service *service, const char *statement)
{
    return service_sql(service, statement).integer;
}

/* Events up to a position leave its outbox. */
struct service_trimming {
    struct service *service;
    int64_t position;
};

static inline void service_trim_entry(void *argument)
{
    struct service_trimming *trimming = argument;
    struct store_work *work;
    int64_t removed;
    FH_ASSERT(store_begin(trimming->service->context.store, STORE_WRITE, &work, ERROR_UNHEEDED) ==
              FH_OK);
    ledger_outbox_trim(work, trimming->position, 10000, &removed, ERROR_UNHEEDED);
    FH_ASSERT(store_commit(work, ERROR_UNHEEDED) == FH_OK);
}

static inline void service_trim(struct service *service, int64_t position)
{
    struct service_trimming trimming = {service, position};
    harness_run(service->harness, service_trim_entry, &trimming);
}

#endif
