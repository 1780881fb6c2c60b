/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps PostgreSQL's errors to ours, by SQLSTATE (the manual's appendix A). Its message is passed on
 * only where it can't contain a value: a value may be a secret, and messages reach clients. The
 * column that a constraint is about is read from the detail, "Key (email)=(...)", which has the
 * same shape in whatever language the server speaks.
 */

#include <stdio.h>
#include <string.h>

#include "store/ledger.h"
#include "engine/postgresql/internal.h"
#include "store/tls_openssl.h"

#define LOST_STATEMENT                                                                             \
    "A prepared statement was lost on the way to the server: a pooler between must keep a "        \
    "session "                                                                                     \
    "for each connection (pool_mode=session)."

#define IDLE "25P03" /* idle_in_transaction_session_timeout */

static const char *field_of_result(const PGresult *result, int field)
{
    const char *text = postgresql_pq.PQresultErrorField(result, field);
    return text ? text : "";
}

/* "Key (email)=(a@x) already exists." -> "email", "Key (a, b)=(...)" -> "a" */
static void field_of_key(const PGresult *result, char *field, size_t size)
{
    const char *detail = field_of_result(result, PG_DIAG_MESSAGE_DETAIL);
    const char *open = strchr(detail, '('), *close = strstr(detail, ")=(");
    snprintf(field, size, "%s", field_of_result(result, PG_DIAG_CONSTRAINT_NAME));
    if (!open || !close || open > close)
        return;
    open += open[1] == '"' ? 2 : 1;
    size_t length = strcspn(open, ",)\"(");
    if (length && open[length] != '(') /* an expression has no column */
        snprintf(field, size, "%.*s", (int)length, open);
}

static enum fh_code postgresql_constraint_error(const PGresult *result, const char *sqlstate,
                                                struct fh_error *error)
{
    char field[64];
    enum fh_code code = FH_CONFLICT;
    if (strcmp(sqlstate, "23502") == 0) {
        snprintf(field, sizeof field, "%s", field_of_result(result, PG_DIAG_COLUMN_NAME));
        code = error_set(error, FH_INVALID, "A value for %s is needed.", field);
    } else if (strcmp(sqlstate, "23505") == 0) {
        field_of_key(result, field, sizeof field);
        error_set(error, code, "There is one with the same %s already.", field);
    } else if (strcmp(sqlstate, "23503") == 0) {
        field_of_key(result, field, sizeof field);
        error_set(error, code, "It refers to a row that is not there, or is referred to.");
    } else {
        snprintf(field, sizeof field, "%s", field_of_result(result, PG_DIAG_CONSTRAINT_NAME));
        error_set(error, code, "The rule %s of the store forbids it.", field);
    }
    snprintf(error->field, sizeof error->field, "%s", field);
    return code;
}

static enum fh_code value_error(const char *sqlstate, struct fh_error *error)
{
    static const struct {
        const char *sqlstate, *message;
    } known[] = {{"22001", "A text is longer than its column in the store takes."},
                 {"22003", "A number is out of the range that the store has for it."},
                 {"22007", "A value is not a date or time as the store takes it."},
                 {"22008", "A date or time is out of the range that the store has for it."},
                 {"22012", "A division by zero."},
                 {"22021", "A text is not UTF-8, or holds a NUL."},
                 {"22P05", "A text holds a character that the store can't keep."},
                 {"22P02", "A value is not of the type that the store has for it."}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].sqlstate, sqlstate) == 0)
            return error_set(error, FH_INVALID, "%s", known[i].message);
    }
    return error_set(error, FH_INVALID, "The store can't take one of the values.");
}

/* A SQLSTATE has the kind of the first listed prefix it starts with: longer prefixes come first. */
enum kind {
    KIND_STATEMENT,
    KIND_CONSTRAINT,
    KIND_VALUE,
    KIND_AGAIN,
    KIND_GONE,
    KIND_LATE,
    KIND_FULL,
    KIND_READ_ONLY,
    KIND_RIGHTS,
    KIND_RAISED,
    KIND_FENCED,
    KIND_DAMAGED,
    KIND_PREPARED,
    KIND_IDLE,
};

static enum kind kind_of_state(const PGresult *result, const char *sqlstate)
{
    static const struct {
        const char *beginning;
        enum kind kind;
    } kinds[] = {{"0A000", KIND_STATEMENT}, {"23", KIND_CONSTRAINT},     {"22", KIND_VALUE},
                 {"25006", KIND_READ_ONLY}, {"26000", KIND_PREPARED},    {"42P05", KIND_PREPARED},
                 {"42501", KIND_RIGHTS},    {"40", KIND_AGAIN},          {"25P02", KIND_AGAIN},
                 {"55P03", KIND_AGAIN},     {"55006", KIND_AGAIN},       {"57014", KIND_LATE},
                 {"53100", KIND_FULL},      {"XX001", KIND_DAMAGED},     {"XX002", KIND_DAMAGED},
                 {"08", KIND_GONE},         {IDLE, KIND_IDLE},           {"53", KIND_GONE},
                 {"57", KIND_GONE},         {"58", KIND_GONE},           {"XX", KIND_GONE},
                 {"P0001", KIND_RAISED},    {LEDGER_FENCED, KIND_FENCED}};
    if (strcmp(sqlstate, "0A000") == 0 &&
        strcmp(field_of_result(result, PG_DIAG_SOURCE_FUNCTION), "RevalidateCachedQuery") == 0)
        return KIND_AGAIN;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strncmp(sqlstate, kinds[i].beginning, strlen(kinds[i].beginning)) == 0)
            return kinds[i].kind;
    }
    return KIND_STATEMENT;
}

static enum fh_code error_of_kind(const PGresult *result, const char *sqlstate,
                                  struct fh_error *error)
{
    const char *message = field_of_result(result, PG_DIAG_MESSAGE_PRIMARY);
    switch (kind_of_state(result, sqlstate)) {
    case KIND_CONSTRAINT:
        return postgresql_constraint_error(result, sqlstate, error);
    case KIND_VALUE:
        return value_error(sqlstate, error);
    case KIND_AGAIN:
        return error_retry(error, FH_CONFLICT,
                           "The transaction conflicted with another one on the same rows.");
    case KIND_GONE:
        return error_retry(error, FH_UNAVAILABLE, "The store's server can't serve it now: %.160s.",
                           message);
    case KIND_LATE:
        return error_retry(error, FH_UNAVAILABLE,
                           "A statement took longer than the store's server lets it.");
    case KIND_FULL:
        return error_set(error, FH_UNAVAILABLE, "The store's disk is full.");
    case KIND_READ_ONLY:
        return error_set(error, FH_UNSUPPORTED, "A read-only unit of work can't change the store.");
    case KIND_RIGHTS:
        return error_set(error, FH_UNSUPPORTED, "The store's user lacks a right: %.160s.", message);
    case KIND_RAISED:
        return error_set(error, FH_CONFLICT, "The store forbids it: %.180s", message);
    case KIND_FENCED:
        return error_set(error, FH_CONFLICT, "%.180s", message);
    case KIND_DAMAGED:
        return error_set(error, FH_UNAVAILABLE,
                         "The store is damaged: %.120s. Restore the store from a backup.", message);
    case KIND_PREPARED:
        return error_retry(error, FH_CONFLICT, LOST_STATEMENT);
    case KIND_IDLE:
        return postgresql_idle_error(error);
    case KIND_STATEMENT:
        break;
    }
    return error_set(error, FH_UNSUPPORTED, "A statement can't be run: %.180s.", message);
}

enum fh_code postgresql_error(const PGresult *result, struct fh_error *error)
{
    const char *sqlstate = field_of_result(result, PG_DIAG_SQLSTATE);
    enum fh_code code = error_of_kind(result, sqlstate, error);
    bool damaged = kind_of_state(result, sqlstate) == KIND_DAMAGED;
    snprintf(error->native, sizeof error->native, "%s%s", damaged ? STORE_DAMAGED " " : "",
             sqlstate);
    return code;
}

enum fh_code postgresql_lost_error(struct fh_error *error)
{
    error_retry(error, FH_UNAVAILABLE, "The connection to the store's server broke.");
    snprintf(error->native, sizeof error->native, "08006");
    return FH_UNAVAILABLE;
}

enum fh_code postgresql_idle_error(struct fh_error *error)
{
    error_retry(error, FH_CONFLICT,
                "The transaction was idle between two statements for too long, and the store's "
                "server ended it.");
    snprintf(error->native, sizeof error->native, IDLE);
    return FH_CONFLICT;
}

/* ---- Connecting ---- */

/* libpq reports a refusal as text only; made verbose, it includes the SQLSTATE:
 * "... FATAL:  28P01: password authentication failed for user ...\nLOCATION: ..." */
static const char *state_in(const char *message, char ret[6])
{
    for (const char *at = message; (at = strchr(at, ':')); at++) {
        size_t length = strspn(at + 1, " ");
        const char *state = at + 1 + length;
        if (length && strspn(state, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 &&
            strcspn(state, "0123456789") < 5 && state[5] == ':') { /* but not "FATAL:" */
            memcpy(ret, state, 5);
            ret[5] = '\0';
            return state + 6 + strspn(state + 6, " ");
        }
    }
    ret[0] = '\0';
    return message;
}

/* TLS failures have no code. libpq doesn't tell an expired certificate from one of another
 * authority. */
bool postgresql_tls_failed(const char *host, const char *said, struct fh_error *error)
{
    static const struct store_tls_words known[] = {
        {"does not support SSL", STORE_TLS_PLAIN},
        {"does not match host name", STORE_TLS_OTHER_HOST},
        {"valid client certificate", STORE_TLS_UNKNOWN_CLIENT},
        STORE_TLS_OPENSSL_WORDS,
        {NULL, STORE_TLS_UNKNOWN}};
    return store_tls_failed(host, store_tls_said(known, said), error);
}

enum fh_code postgresql_connect_error(const struct postgresql_store *store, const char *message,
                                      struct fh_error *error)
{
    char sqlstate[6], why[160];
    const char *said = state_in(message, sqlstate);
    snprintf(why, sizeof why, "%.*s", (int)strcspn(said, "\n"), said);
    const struct postgresql_options *options = &store->options;
    if (postgresql_tls_failed(options->host, why, error))
        return FH_UNAVAILABLE;
    if (strcmp(sqlstate, "28P01") == 0)
        error_set(error, FH_UNAVAILABLE,
                  "The store's server refuses the password of user %s: put the present one into "
                  "the service's configuration and start the service again.",
                  options->user);
    else
        error_retry(error, FH_UNAVAILABLE, "The store's server can't be reached: %.180s.", why);
    snprintf(error->native, sizeof error->native, "%s", sqlstate[0] ? sqlstate : "08001");
    return FH_UNAVAILABLE;
}

bool postgresql_is_hopeless(const struct fh_error *error)
{
    return error->code != FH_UNAVAILABLE || strncmp(error->native, "28", 2) == 0 ||
           strcmp(error->native, "3D000") == 0 || store_tls_is_failure(error);
}
