/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One report on the server: over a connection of its own, as a user who may read the service's own
 * tables and views and has no other right, in a transaction that only reads, which is never
 * committed; and the connection is closed after it. So neither its changes nor what it has done to
 * its session are there for anybody after it.
 *
 *     as it is     it is prepared: what it lacks is told, and its columns
 *     as a part    SELECT ... FROM (it) AS fh_report WHERE ... is run: of all statements only those
 *                  that read can be a part of another, and a row that is too large is an error of
 *                  the server's, before it is sent. As it stands by itself, no bracket in it ends
 *                  the part.
 *
 * Rows come singly, and are made JSON of as they come; now and then others get their turn. A report
 * whose time is over loses its connection, which the server notices within a second (14 and newer),
 * and ends it after its statement_timeout if not.
 *
 * A parameter's type is what the statement makes of it. Where the server finds none, since
 * ":x IS NULL" says nothing of it, those that its value may have are tried.
 *
 * No message of the server's is passed on that may hold a value: neither what a report finds nor
 * what it is asked with is in any log.
 */

#include "engine/postgresql/report_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROW_SIZE_MAX 25165824 /* as text; more than an answer takes in any case */
#define LOOK_MS 100
#define ROWS_A_TURN 200
#define TOO_LARGE "freehold: too large"
#define TOO_LARGE_VALUE "it makes or meets a value that is too large"
#define TOO_LARGE_FILES "it sorts or groups more than its user may keep in files (temp_file_limit)"
#define NO_READING "it does something else than to read"
#define TEXT_OF(what) #what
#define TEXT(number) TEXT_OF(number)

#define PART_BEGIN "SELECT fh_report.* FROM (\n"
#define ROW "CAST((fh_report.*) AS pg_catalog.text)"
/* concat is evaluated with a row, not before. */
static const char part_end[] =
    "\n) AS fh_report WHERE CASE WHEN pg_catalog.octet_length(" ROW
    ") > " TEXT(ROW_SIZE_MAX) " THEN CAST(pg_catalog.concat('" TOO_LARGE "', pg_catalog.left(" ROW
                              ", 0)) AS pg_catalog.bool)"
                              " ELSE true END";

/* Object ids from pg_type.dat: boolean, bigint, text, double precision, date, timestamptz, numeric,
 * uuid. */
enum { OID_BOOL = 16, OID_INT = 20, OID_TEXT = 25, OID_REAL = 701, OID_DATE = 1082 };
enum { OID_TIME = 1184, OID_NUMERIC = 1700, OID_UUID = 2950 };

/* ---- Its time ---- */

static bool is_report_over(const struct report_run *run)
{
    return report_is_over(&run->store->base, run->deadline_ns);
}

/* ---- What the server says ---- */

static bool is_state(const char *state, const char *beginning)
{
    return strncmp(state, beginning, strlen(beginning)) == 0;
}

/* "could not determine data type of parameter $2", in whatever language */
static int untyped_parameter(const char *state, const char *message)
{
    const char *dollar = strchr(message, '$');
    if (strcmp(state, "42P08") != 0 && strcmp(state, "42P18") != 0)
        return 0;
    return dollar ? (int)strtol(dollar + 1, NULL, 10) : 0;
}

/* Once it runs a value may be what the server does not know: a text that is cast to regclass, or is
 * no tsquery. What it may not read it names as ever. */
static enum fh_code report_says(struct report_run *run, const char *state, const char *message)
{
    if (is_state(state, "25006"))
        return error_set(run->error, FH_UNSUPPORTED, NO_READING);
    if (is_state(state, "42501") || (is_state(state, "42") && !run->valued))
        return error_set(run->error, FH_UNSUPPORTED, "%.180s", message);
    run->by_value = run->valued;
    if (is_state(state, "54") || (is_state(state, "22P02") && strstr(message, TOO_LARGE)))
        return error_set(run->error, FH_INVALID, TOO_LARGE_VALUE);
    if (is_state(state, "53400"))
        return error_set(run->error, FH_UNSUPPORTED, TOO_LARGE_FILES);
    return error_set(run->error, FH_UNSUPPORTED, "it fails, with the server's error %.5s", state);
}

static enum fh_code server_failure(struct report_run *run, const PGresult *result)
{
    const char *state = postgresql_pq.PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = postgresql_pq.PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (!state || !message)
        return postgresql_lost_error(run->error);
    run->untyped = untyped_parameter(state, message);
    if (is_state(state, "57014"))
        run->late = true;
    /* By itself it can be run, and not as a part: it is no SELECT. */
    if (run->part && (is_state(state, "42601") || is_state(state, "0A000")))
        return error_set(run->error, FH_UNSUPPORTED, NO_READING);
    bool full = is_state(state, "53") && !is_state(state, "53400");
    if (full || is_state(state, "57") || is_state(state, "08") || is_state(state, "25P0") ||
        is_state(state, "XX001") || is_state(state, "XX002"))
        return postgresql_error(result, run->error);
    return report_says(run, state, message);
}

/* False: the link broke, or its time is over. *ret NULL: there is no more. */
static bool next_report_result(struct report_run *run, PGresult **ret)
{
    struct world *world = run->store->base.world;
    PGconn *pg = run->link->pg;
    for (;;) {
        int left = postgresql_pq.PQflush(pg);
        if (left < 0)
            return false;
        if (left == 0 && !postgresql_pq.PQisBusy(pg))
            break;
        if (is_report_over(run)) {
            run->late = true;
            return false;
        }
        unsigned held = world_wait_for(world, postgresql_pq.PQsocket(pg),
                                       WORLD_READABLE | (left ? WORLD_WRITABLE : 0),
                                       world_in_ms(world, LOOK_MS));
        if (held & WORLD_READABLE && postgresql_pq.PQconsumeInput(pg) != 1)
            return false;
    }
    *ret = postgresql_pq.PQgetResult(pg);
    return true;
}

typedef enum fh_code report_take(struct report_run *run, PGresult *result);

/* Takes all that comes of what was sent, if it was. */
static enum fh_code take_report_answer(struct report_run *run, int sent, report_take *take)
{
    enum fh_code code = FH_OK;
    PGresult *result;
    while (sent == 1 && next_report_result(run, &result)) {
        if (!result)
            return code;
        ExecStatusType status = postgresql_pq.PQresultStatus(result);
        if (status == PGRES_FATAL_ERROR)
            code = server_failure(run, result);
        else if (code == FH_OK && take)
            code = take(run, result);
        postgresql_pq.PQclear(result);
        if (run->stopped)
            return code;
    }
    return postgresql_lost_error(run->error);
}

/* ---- Preparing ---- */

/* The n-th type that it may have, from 0; 0: there are no more. A null may have any. */
static Oid type_of_report_value(const struct sql_value *value, int n)
{
    static const Oid of_integers[] = {OID_INT, OID_BOOL, OID_NUMERIC, OID_REAL, 0};
    static const Oid of_reals[] = {OID_REAL, OID_NUMERIC, 0};
    static const Oid of_others[] = {OID_TEXT, OID_INT,  OID_NUMERIC, OID_DATE,
                                    OID_TIME, OID_BOOL, OID_UUID,    0};
    const Oid *types = value->kind == SQL_INTEGER ? of_integers
                       : value->kind == SQL_REAL  ? of_reals
                                                  : of_others;
    return types[n];
}

static enum fh_code prepare_report_text(struct report_run *run, const char *sql)
{
    int sent = postgresql_pq.PQsendPrepare(run->link->pg, "", sql, run->count,
                                           run->count ? run->statement.types : NULL);
    run->untyped = 0;
    return take_report_answer(run, sent, NULL);
}

static enum fh_code take_described(struct report_run *run, PGresult *result)
{
    const char *names[SQL_VALUES_MAX];
    int count = postgresql_pq.PQnfields(result);
    if (postgresql_pq.PQnparams(result) != run->count)
        return error_set(run->error, FH_UNSUPPORTED, "it takes a parameter that has no name");
    if (count == 0)
        return error_set(run->error, FH_UNSUPPORTED, NO_READING);
    if (count > SQL_VALUES_MAX)
        return error_set(run->error, FH_UNSUPPORTED, "it has too many columns");
    for (int i = 0; i < run->count; i++)
        run->statement.types[i] = postgresql_pq.PQparamtype(result, i);
    run->statement.typed = true;
    for (int i = 0; i < count; i++)
        names[i] = postgresql_pq.PQfname(result, i);
    run->stopped = !run->taker->columns(run->taker->context, names, count);
    return FH_OK;
}

/* The types of its parameters are found one by one: each in turn that the server knows none for
 * gets the first with which the statement can be prepared, or goes on to the next such. */
static enum fh_code prepare_typed(struct report_run *run)
{
    Oid *types = run->statement.types;
    struct fh_error first = {0};
    int last = -1, n = 0;
    for (;;) {
        enum fh_code code = prepare_report_text(run, run->statement.sql);
        int untyped = run->untyped - 1;
        bool next = untyped >= 0 && untyped < run->count && !types[untyped];
        if (code == FH_OK || run->link->pg == NULL || code == FH_UNAVAILABLE)
            return code;
        if (next) {
            last = untyped;
            n = 0;
            first = (struct fh_error){0};
        } else if (last < 0) {
            return code;
        } else if (first.code == FH_OK) {
            first = *run->error;
        }
        Oid type = type_of_report_value(&run->values[last], next ? n : ++n);
        if (!type) { /* what the likeliest one lacked */
            *run->error = first;
            return first.code;
        }
        types[last] = type;
    }
}

static enum fh_code prepare_itself(struct report_run *run)
{
    memset(run->statement.types, 0, sizeof run->statement.types);
    enum fh_code code = prepare_typed(run);
    if (code != FH_OK)
        return code;
    int sent = postgresql_pq.PQsendDescribePrepared(run->link->pg, "");
    return take_report_answer(run, sent, take_described);
}

/* `begin`: PART_BEGIN, or more before it. */
static enum fh_code prepare_as_part(struct report_run *run, const char *begin)
{
    size_t size = strlen(run->statement.sql) + strlen(begin) + sizeof part_end;
    char *sql = malloc(size);
    FH_ASSERT(sql != NULL);
    snprintf(sql, size, "%s%s%s", begin, run->statement.sql, part_end);
    run->part = true;
    enum fh_code code = prepare_report_text(run, sql);
    run->part = false;
    free(sql);
    return code;
}

/* ---- Running ---- */

static enum fh_code take_report_row(struct report_run *run, PGresult *result)
{
    struct world *world = run->store->base.world;
    run->stopped = !postgresql_visit_rows(result, run->taker->row, run->taker->context);
    if (++run->rows < ROWS_A_TURN)
        return FH_OK;
    run->rows = 0;
    fiber_sleep_until(world, world_monotonic_ns(world));
    if (is_report_over(run))
        run->late = run->stopped = true;
    return FH_OK;
}

static enum fh_code run_prepared(struct report_run *run)
{
    struct postgresql_parameters parameters;
    PGconn *pg = run->link->pg;
    enum fh_code code = postgresql_parameters_init(&parameters, &run->statement, run->values,
                                                   run->count, run->error);
    int sent = 0;
    if (code == FH_OK)
        sent = postgresql_pq.PQsendQueryPrepared(pg, "", run->count, parameters.values,
                                                 parameters.lengths, parameters.formats, 0);
    postgresql_parameters_release(&parameters);
    if (code != FH_OK)
        return error_set(run->error, FH_UNSUPPORTED,
                         "a value that it is given does not fit what is made of it");
    if (sent == 1)
        postgresql_pq.PQsetSingleRowMode(pg);
    run->valued = true;
    code = take_report_answer(run, sent, take_report_row);
    run->valued = false;
    return code;
}

static void read_membership(void *context, PGresult *result)
{
    if (postgresql_pq.PQnfields(result) == 2 && postgresql_pq.PQntuples(result) == 1)
        *(bool *)context = *postgresql_pq.PQgetvalue(result, 0, 0) == 't';
}

enum fh_code postgresql_report_unfit(const struct postgresql_store *store, struct fh_error *error)
{
    return error_set(error, FH_UNSUPPORTED,
                     "the user for reports, %.63s, may do whatever the service's may: expected one "
                     "who may do nothing else",
                     store->options.reports_user);
}

/* Before anything is prepared, since that waits for locks as well. */
static enum fh_code bound_session(struct report_run *run)
{
    char sql[512];
    bool member = false;
    int64_t left_ms = (run->deadline_ns - world_monotonic_ns(run->store->base.world)) / 1000000;
    snprintf(
        sql, sizeof sql,
        "SET statement_timeout=%lld; SET idle_in_transaction_session_timeout=10000;"
        "SELECT pg_has_role((SELECT relowner FROM pg_class WHERE oid = to_regclass('fh_meta')),"
        " 'MEMBER'), (SELECT set_config(name, '1000', false) FROM pg_settings"
        " WHERE name='client_connection_check_interval')",
        (long long)(left_ms > 0 ? left_ms : 0) + LOOK_MS);
    enum fh_code code =
        postgresql_simple(run->link, sql, run->deadline_ns, read_membership, &member, run->error);
    return code == FH_OK && member ? postgresql_report_unfit(run->store, run->error) : code;
}

/* `snapshot`: another transaction's, or "". */
static enum fh_code begin_report(struct report_run *run, const char *snapshot)
{
    char sql[256], shared[128] = "";
    if (*snapshot)
        snprintf(shared, sizeof shared, "; SET TRANSACTION SNAPSHOT '%s'", snapshot);
    snprintf(sql, sizeof sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY%s", shared);
    return postgresql_simple(run->link, sql, run->deadline_ns, NULL, NULL, run->error);
}

static enum fh_code connect_report(struct report_run *run)
{
    int64_t deadline_ns = world_in_ms(run->store->base.world, POSTGRESQL_CONNECT_MS);
    enum fh_code code = postgresql_connect_alone(
        run->link, deadline_ns < run->deadline_ns ? deadline_ns : run->deadline_ns, run->error);
    if (code != FH_OK &&
        (is_state(run->error->native, "28") || is_state(run->error->native, "42501")))
        error_set(run->error, FH_UNSUPPORTED,
                  "the store's server does not let in its user for reports, %s",
                  run->store->options.reports_user);
    return code == FH_OK ? FH_OK : run->error->code;
}

static enum fh_code open_report_link(struct report_run *run)
{
    enum fh_code code = connect_report(run);
    return code == FH_OK ? bound_session(run) : code;
}

enum fh_code report_link_run(struct report_run *run, const char *snapshot)
{
    enum fh_code code = open_report_link(run);
    if (code == FH_OK)
        code = prepare_itself(run);
    if (code == FH_OK && !run->stopped)
        code = begin_report(run, snapshot);
    if (code == FH_OK && !run->stopped)
        code = prepare_as_part(run, PART_BEGIN);
    if (code == FH_OK && !run->stopped)
        code = run_prepared(run);
    postgresql_disconnect(run->link);
    run->late |= code == FH_UNAVAILABLE && is_report_over(run);
    return run->late ? report_busy(run->error, STORE_ASKED_TOO_LATE, STORE_LATE) : code;
}

/* What it may read is looked at when its plan is made ready. */
static enum fh_code explain_part(struct report_run *run)
{
    enum fh_code code = begin_report(run, "");
    if (code == FH_OK)
        code = prepare_as_part(run, "EXPLAIN " PART_BEGIN);
    run->by_value = false;
    if (code == FH_OK)
        code = run_prepared(run);
    if (run->by_value) /* what the server computes before it runs anything */
        code = FH_OK;
    if (run->link->state != CONNECTION_DOWN &&
        postgresql_simple(run->link, "ROLLBACK", run->deadline_ns, NULL, NULL, ERROR_UNHEEDED) !=
            FH_OK)
        postgresql_disconnect(run->link);
    return code;
}

enum fh_code report_link_try(struct report_run *run)
{
    enum fh_code code = FH_OK;
    run->stopped = false;
    if (run->link->state == CONNECTION_DOWN)
        code = open_report_link(run);
    run->shut = code != FH_OK;
    if (!run->shut)
        code = prepare_itself(run);
    if (run->shut || run->stopped) /* its columns won't do; the rest of the answer is not awaited */
        postgresql_disconnect(run->link);
    return code == FH_OK && !run->stopped ? explain_part(run) : code;
}

enum fh_code report_link_init(struct report_run *run, const char *sql)
{
    struct postgresql_statement *statement;
    if (!run->store->options.reports_user[0])
        return error_set(run->error, FH_UNSUPPORTED,
                         "the configuration's \"store\" names no user for \"reports\"");
    enum fh_code code = postgresql_report_fits(sql, run->error);
    if (code == FH_OK)
        code = postgresql_statement_get(run->store, sql, &statement, run->error);
    if (code != FH_OK)
        return code;
    run->statement = *statement;
    run->statement.sql = strdup(statement->sql);
    FH_ASSERT(run->statement.sql != NULL);
    return FH_OK;
}

void report_link_release(struct report_run *run)
{
    free(run->statement.sql);
    run->statement.sql = NULL;
}

struct postgresql_connection *report_link_new(struct postgresql_store *store)
{
    struct postgresql_connection *link = calloc(1, sizeof *link);
    FH_ASSERT(link != NULL);
    link->store = store;
    link->reports = true;
    postgresql_pipeline_init(link);
    return link;
}
