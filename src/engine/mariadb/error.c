/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps the server's errors to ours, by their number. Names of fields are taken from the message,
 * which quotes them.
 */

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdio.h>

#include "engine/mariadb/internal.h"
#include "store/tls_openssl.h"

#define ER_CONSTRAINT_FAILED_MARIADB 4025 /* CHECK; the header's name for it varies by version */

static bool is_in_numbers(unsigned number, const unsigned *numbers)
{
    for (; *numbers; numbers++) {
        if (*numbers == number)
            return true;
    }
    return false;
}

bool mariadb_is_gone(unsigned number)
{
    static const unsigned gone[] = {CR_SERVER_GONE_ERROR,
                                    CR_SERVER_LOST,
                                    CR_CONNECTION_ERROR,
                                    CR_CONN_HOST_ERROR,
                                    CR_SERVER_LOST_EXTENDED,
                                    CR_MALFORMED_PACKET,
                                    CR_COMMANDS_OUT_OF_SYNC,
                                    CR_SSL_CONNECTION_ERROR,
                                    CR_SERVER_HANDSHAKE_ERR,
                                    CR_UNKNOWN_HOST,
                                    ER_SERVER_SHUTDOWN,
                                    ER_NORMAL_SHUTDOWN,
                                    ER_CONNECTION_KILLED,
                                    ER_NET_READ_ERROR,
                                    ER_NET_READ_INTERRUPTED,
                                    ER_NET_ERROR_ON_WRITE,
                                    ER_NET_WRITE_INTERRUPTED,
                                    ER_NEW_ABORTING_CONNECTION,
                                    0};
    return is_in_numbers(number, gone);
}

/* ER_AUTOINC_READ_FAILED: a transaction lost a conflict while it waited for its next AUTO_INCREMENT
 * value during another's INSERT ... SELECT. InnoDB has then rolled the whole transaction back, but
 * the server says only that it could not read the value. */
bool mariadb_is_lost(unsigned number)
{
    static const unsigned lost[] = {ER_LOCK_DEADLOCK,     ER_LOCK_WAIT_TIMEOUT,   ER_CHECKREAD,
                                    ER_TABLE_DEF_CHANGED, ER_AUTOINC_READ_FAILED, 0};
    return is_in_numbers(number, lost);
}

/* Copies the text in the n-th pair of quotes from `from` on: `a`.`b` are two pairs. */
static bool quoted_name(const char *from, const char *quotes, int n, char *field, size_t size)
{
    for (const char *at = from; (at = strpbrk(at, quotes)) != NULL;) {
        const char *end = strchr(at + 1, *at);
        if (!end)
            return false;
        if (n-- == 0) {
            snprintf(field, size, "%.*s", (int)(end - at - 1), at + 1);
            return true;
        }
        at = end + 1;
    }
    return false;
}

/* "... for column `db`.`person`.`age` at row 1", "... for column 'age' at row 1",
 * "Column 'email' cannot be null", "Field 'email' doesn't have a default value". Messages about
 * expressions name no column. */
static void column_of(const char *message, char *field, size_t size)
{
    const char *at = strstr(message, "olumn ");
    bool whole = at && at[strlen("olumn ")] == '`';
    if (!at && strncmp(message, "Field ", strlen("Field ")) == 0)
        at = message;
    if (!at || !quoted_name(at, whole ? "`" : "'", whole ? 2 : 0, field, size))
        field[0] = '\0';
}

/* "CONSTRAINT `name` failed for `db`.`table`"; a column's own constraint: `table.column` */
static void rule_of(const char *message, char *field, size_t size)
{
    char name[192];
    field[0] = '\0';
    if (!quoted_name(message, "`", 0, name, sizeof name))
        return;
    const char *dot = strrchr(name, '.');
    snprintf(field, size, "%.*s", (int)size - 1, dot ? dot + 1 : name);
}

/* "... FOREIGN KEY (`item_id`) REFERENCES ..." for the referring row; no field for a referenced
 * one. */
static void reference_of(unsigned number, const char *message, char *field, size_t size)
{
    const char *at = strstr(message, "FOREIGN KEY (");
    field[0] = '\0';
    if (at && (number == ER_NO_REFERENCED_ROW || number == ER_NO_REFERENCED_ROW_2))
        quoted_name(at, "`\"", 0, field, size); /* depends on sql_mode */
}

/* The last match, since the entry may contain quotes. */
void mariadb_key_of(const char *message, char *key, size_t size)
{
    const char *at = NULL;
    for (const char *next = message; (next = strstr(next, " for key '")) != NULL; next++)
        at = next;
    if (!at || !quoted_name(at, "'", 0, key, size))
        key[0] = '\0';
}

static enum fh_code value_fail(const struct mariadb_failure *failure, struct fh_error *error)
{
    char field[64];
    column_of(failure->message, field, sizeof field);
    if (failure->number == ER_BAD_NULL_ERROR || failure->number == ER_NO_DEFAULT_FOR_FIELD)
        error_set(error, FH_INVALID, "A value for %s is needed.", field);
    else if (field[0])
        error_set(error, FH_INVALID, "The value for %s does not fit there.", field);
    else
        error_set(error, FH_INVALID, "A value can't be used so: %.180s.", failure->message);
    snprintf(error->field, sizeof error->field, "%s", field);
    return FH_INVALID;
}

static enum fh_code rule_fail(const struct mariadb_failure *failure, struct fh_error *error)
{
    char field[64] = "";
    if (failure->number == ER_SIGNAL_EXCEPTION) { /* a trigger's own message */
        error_set(error, FH_CONFLICT, "The store forbids it: %.180s.", failure->message);
    } else if (failure->number == ER_CONSTRAINT_FAILED_MARIADB) {
        rule_of(failure->message, field, sizeof field);
        error_set(error, FH_CONFLICT, "The rule %s of the store forbids it.", field);
    } else if (failure->number == ER_DUP_ENTRY || failure->number == ER_DUP_ENTRY_WITH_KEY_NAME) {
        mariadb_key_of(failure->message, field, sizeof field);
        error_set(error, FH_CONFLICT, "There is one with the same %s already.", field);
    } else {
        reference_of(failure->number, failure->message, field, sizeof field);
        error_set(error, FH_CONFLICT, "It refers to a row that is not there, or is referred to.");
    }
    snprintf(error->field, sizeof error->field, "%s", field);
    return FH_CONFLICT;
}

/* Of TLS failures, only CR_SSL_CONNECTION_ERROR has a code of its own. */
bool mariadb_tls_failed(const char *host, const char *said, struct fh_error *error)
{
    static const struct store_tls_words known[] = {
        {"SSL is required, but the server does not", STORE_TLS_PLAIN},
        {"Validation of SSL server certificate failed", STORE_TLS_OTHER_HOST},
        STORE_TLS_OPENSSL_WORDS,
        {"reading authorization packet", STORE_TLS_UNKNOWN_CLIENT},
        {NULL, STORE_TLS_UNKNOWN}};
    return store_tls_failed(host, store_tls_said(known, said), error);
}

static enum fh_code unavailable_fail(const struct mariadb_store *store,
                                     const struct mariadb_failure *failure, struct fh_error *error)
{
    const char *what = failure->message;
    switch (failure->number) {
    case ER_ACCESS_DENIED_ERROR:
    case ER_ACCESS_DENIED_NO_PASSWORD_ERROR:
    case ER_DBACCESS_DENIED_ERROR:
        return error_set(error, FH_UNAVAILABLE,
                         "The store's server refuses the user \"%.64s\" with the password it was "
                         "given, or has no rights on \"%.64s\" for it%s.",
                         store->user, store->database,
                         store->tls.verify ? ", or wants a certificate of the service" : "");
    case ER_CON_COUNT_ERROR:
    case ER_TOO_MANY_USER_CONNECTIONS:
    case ER_USER_LIMIT_REACHED:
        return error_set(error, FH_UNAVAILABLE,
                         "The store's server accepts no more connections (max_connections, "
                         "max_user_connections).");
    case ER_DISK_FULL:
    case ER_RECORD_FILE_FULL:
        return error_set(error, FH_UNAVAILABLE, "The store's disk is full.");
    case CR_SERVER_LOST: /* this is how it ends a link with an unknown certificate */
    case CR_SSL_CONNECTION_ERROR:
        if ((store->tls.certificate[0] || failure->number == CR_SSL_CONNECTION_ERROR) &&
            mariadb_tls_failed(store->host, what, error))
            return FH_UNAVAILABLE;
        __attribute__((fallthrough));
    default:
        return error_set(error, FH_UNAVAILABLE, "The store's server is not available now: %.170s.",
                         what);
    }
}

static enum fh_code classify_failure(const struct mariadb_store *store,
                                     const struct mariadb_failure *failure, struct fh_error *error)
{
    static const unsigned values[] = {ER_BAD_NULL_ERROR,
                                      ER_NO_DEFAULT_FOR_FIELD,
                                      ER_WARN_DATA_OUT_OF_RANGE,
                                      ER_DATA_TOO_LONG,
                                      ER_TRUNCATED_WRONG_VALUE_FOR_FIELD,
                                      ER_TRUNCATED_WRONG_VALUE,
                                      ER_DATA_OUT_OF_RANGE,
                                      ER_DIVISION_BY_ZERO,
                                      WARN_DATA_TRUNCATED,
                                      0};
    static const unsigned rules[] = {ER_DUP_ENTRY,
                                     ER_DUP_ENTRY_WITH_KEY_NAME,
                                     ER_NO_REFERENCED_ROW,
                                     ER_NO_REFERENCED_ROW_2,
                                     ER_ROW_IS_REFERENCED,
                                     ER_ROW_IS_REFERENCED_2,
                                     ER_CONSTRAINT_FAILED_MARIADB,
                                     ER_SIGNAL_EXCEPTION,
                                     0};
    static const unsigned absent[] = {ER_ACCESS_DENIED_ERROR,
                                      ER_ACCESS_DENIED_NO_PASSWORD_ERROR,
                                      ER_DBACCESS_DENIED_ERROR,
                                      ER_CON_COUNT_ERROR,
                                      ER_TOO_MANY_USER_CONNECTIONS,
                                      ER_USER_LIMIT_REACHED,
                                      ER_DISK_FULL,
                                      ER_RECORD_FILE_FULL,
                                      ER_BAD_DB_ERROR,
                                      ER_HOST_IS_BLOCKED,
                                      ER_HOST_NOT_PRIVILEGED,
                                      ER_OPTION_PREVENTS_STATEMENT,
                                      ER_QUERY_INTERRUPTED,
                                      ER_STATEMENT_TIMEOUT,
                                      0};
    if (is_in_numbers(failure->number, values))
        return value_fail(failure, error);
    if (is_in_numbers(failure->number, rules))
        return rule_fail(failure, error);
    if (mariadb_is_gone(failure->number) || is_in_numbers(failure->number, absent))
        return unavailable_fail(store, failure, error);
    if (mariadb_is_lost(failure->number))
        return error_retry(error, FH_CONFLICT,
                           failure->number == ER_AUTOINC_READ_FAILED
                               ? "The transaction conflicted with another one over the next "
                                 "AUTO_INCREMENT, or there are none left."
                               : "The transaction conflicted with another one.");
    if (failure->number == ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION)
        return error_set(error, FH_UNSUPPORTED, "A read-only unit of work can't change the store.");
    if (failure->number == ER_NET_PACKET_TOO_LARGE)
        return error_set(error, FH_INVALID,
                         "A value is too large for the store (max_allowed_packet).");
    if (failure->number == CR_OUT_OF_MEMORY)
        return error_set(error, FH_NO_MEMORY, "No memory for what the store answers.");
    return error_set(error, FH_UNSUPPORTED, "A statement can't be run: %.180s.", failure->message);
}

enum fh_code mariadb_fail(struct mariadb_connection *connection,
                          const struct mariadb_failure *failure, struct fh_error *error)
{
    bool of_client = failure->number >= CR_MIN_ERROR && failure->number <= CR_MAX_ERROR;
    struct mariadb_failure said = *failure;
    if (mariadb_is_gone(failure->number) || of_client || !failure->number)
        mariadb_connection_break(connection);
    if (!said.message[0])
        snprintf(said.message, sizeof said.message, "error %u, without a message", said.number);
    enum fh_code code = said.number ? classify_failure(connection->store, &said, error)
                                    : unavailable_fail(connection->store, &said, error);
    if (!store_tls_is_failure(error))
        snprintf(error->native, sizeof error->native, "%s %u", failure->state, failure->number);
    return code;
}
