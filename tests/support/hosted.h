/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_HOSTED_H
#define TESTS_HOSTED_H

/* A whole service within the test, from its start to its end, on an embedded store with a table for
 * effects; its requests come from memory. Header only. */

#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/exchange.h"
#include "service/runtime.h"
#include "store/relational/sql.h"

struct fixture {
    struct runtime runtime; /* first: it is cast from */
    struct harness harness;
    json_t *config;
    bool ready, ended;
};

/* ---- Its process ---- */

static inline enum fh_code host_serve(struct runtime *runtime, struct fh_error *error)
{
    (void)runtime;
    (void)error;
    return FH_OK;
}

static inline void host_ready(struct runtime *runtime)
{
    ((struct fixture *)runtime)->ready = true;
}

static inline void host_drain(struct runtime *runtime)
{
    runtime_requests_drained(runtime);
}

static inline void host_silence(struct runtime *runtime)
{
    (void)runtime;
}

static inline void host_ended(struct runtime *runtime)
{
    ((struct fixture *)runtime)->ended = true;
}

static inline void host_fail(struct runtime *runtime, int exit_code)
{
    (void)runtime;
    (void)exit_code;
    abort();
}

static const struct runtime_host host = {.serve = host_serve,
                                         .ready = host_ready,
                                         .drain = host_drain,
                                         .silence = host_silence,
                                         .ended = host_ended,
                                         .fail = host_fail};

/* ---- Its store ---- */

struct statement {
    struct fixture *fixture;
    const char *sql;
    int64_t number;
    char text[ID_SIZE];
};

static inline bool take_value(void *context, const struct sql_row *row)
{
    struct statement *statement = context;
    if (row->values[0].kind == SQL_TEXT)
        snprintf(statement->text, sizeof statement->text, "%s", row->values[0].text);
    else
        statement->number = row->values[0].integer;
    return true;
}

static inline void run_statement(void *argument)
{
    struct statement *statement = argument;
    struct store_work *work;
    struct fh_error error;
    if (store_begin(statement->fixture->runtime.context.store, STORE_WRITE, &work, &error) !=
            FH_OK ||
        sql_run(work, statement->sql, NULL, 0, take_value, statement, NULL, &error) != FH_OK ||
        store_commit(work, &error) != FH_OK)
        abort();
}

static inline int64_t number_of(struct fixture *fixture, const char *sql)
{
    struct statement statement = {.fixture = fixture, .sql = sql};
    harness_run(&fixture->harness, run_statement, &statement);
    return statement.number;
}

static inline int64_t effects(struct fixture *fixture, const char *what)
{
    char sql[96];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM effect WHERE what = '%s'", what);
    return number_of(fixture, sql);
}

/* ---- Each test ---- */

static inline bool is_ready(void *fixture)
{
    return ((struct fixture *)fixture)->ready;
}

static inline bool has_ended(void *fixture)
{
    return ((struct fixture *)fixture)->ended;
}

/* From `fixture->config`. */
static inline void hosted_start(struct fixture *fixture, const fh_service *service)
{
    fixture->ready = fixture->ended = false;
    runtime_init(&fixture->runtime, service, fixture->config, fixture->harness.world, &host);
    assert_true(runtime_start(&fixture->runtime));
    harness_until(&fixture->harness, is_ready, fixture);
}

static inline void hosted_stop(struct fixture *fixture)
{
    runtime_stop(&fixture->runtime);
    harness_until(&fixture->harness, has_ended, fixture);
}

static inline struct fixture *hosted_new(void)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    harness_init(&fixture->harness);
    fixture->config = json_pack("{s:s}", "folder", fixture->harness.folder);
    return fixture;
}

static inline void hosted_free(struct fixture *fixture)
{
    json_decref(fixture->config);
    harness_release(&fixture->harness);
    free(fixture);
}

static inline int hosted_set_up(void **state, const fh_service *service)
{
    struct fixture *fixture = hosted_new();
    hosted_start(fixture, service);
    number_of(fixture, "CREATE TABLE effect (id INTEGER PRIMARY KEY, what TEXT)");
    *state = fixture;
    return 0;
}

static inline int tear_down(void **state)
{
    hosted_stop(*state);
    hosted_free(*state);
    return 0;
}

#endif
