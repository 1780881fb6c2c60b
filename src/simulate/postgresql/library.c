/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libpq's functions as the engine calls them, on a link of the model. In the pipeline a command's
 * results are followed by NULL, a sync's are not; rows come all at once, single-row mode or not.
 * The end of the stream is found by the read after the last one that brought something, as in
 * libpq; then whatever is still owed ends with an error without SQLSTATE.
 */

#include "simulate/postgresql/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "simulate/socket.h"

#define DIAG_SEVERITY 'V'

static struct model_link *link_of(PGconn *connection)
{
    return (struct model_link *)(void *)connection;
}

static const struct model_link *link_of_const(const PGconn *connection)
{
    return (const struct model_link *)(const void *)connection;
}

/* ---- connections ---- */

static PGconn *start_params(const char *const *names, const char *const *values, int expand)
{
    struct model_server *server = model_the_server();
    FH_ASSERT(server->simulate->running != NULL);
    struct model_link *link = model_link_new(server, server->simulate->running);
    (void)expand;
    for (int i = 0; names[i]; i++) {
        if (strcmp(names[i], "application_name") == 0)
            snprintf(link->application, sizeof link->application, "%s", values[i]);
        else if (strcmp(names[i], "dbname") == 0)
            snprintf(link->database, sizeof link->database, "%s", values[i]);
    }
    return (PGconn *)(void *)link;
}

static PostgresPollingStatusType connect_poll(PGconn *connection)
{
    const struct model_link *link = link_of(connection);
    return link->status == CONNECTION_OK    ? PGRES_POLLING_OK
           : link->status == CONNECTION_BAD ? PGRES_POLLING_FAILED
                                            : PGRES_POLLING_WRITING;
}

static ConnStatusType connection_status(const PGconn *connection)
{
    return link_of_const(connection)->status;
}

static char *error_message(const PGconn *connection)
{
    return (char *)(uintptr_t)link_of_const(connection)->message;
}

static void connection_finish(PGconn *connection)
{
    model_link_close(link_of(connection), true);
}

static int connection_socket_of(const PGconn *connection)
{
    return link_of_const(connection)->socket.fd;
}

static int backend_pid(const PGconn *connection)
{
    const struct model_link *link = link_of_const(connection);
    return link->session ? link->session->pid : 0;
}

/* As libpq: neither way while an answer is owed, which would be taken for the next command's. */
static int change_pipeline(PGconn *connection, bool on)
{
    struct model_link *link = link_of(connection);
    if (link->pipeline == on)
        return 1;
    if (link->owed > 0) {
        snprintf(link->message, sizeof link->message,
                 "cannot %s pipeline mode, connection not idle", on ? "enter" : "exit");
        return 0;
    }
    link->pipeline = on;
    return link->status == CONNECTION_OK;
}

static int enter_pipeline(PGconn *connection)
{
    return change_pipeline(connection, true);
}

static int exit_pipeline(PGconn *connection)
{
    return change_pipeline(connection, false);
}

static int set_nonblocking(PGconn *connection, int on)
{
    (void)connection, (void)on;
    return 0;
}

static PGVerbosity set_verbosity(PGconn *connection, PGVerbosity verbosity)
{
    (void)connection;
    return verbosity;
}

static PQnoticeReceiver set_receiver(PGconn *connection, PQnoticeReceiver receiver, void *argument)
{
    link_of(connection)->receiver = receiver;
    link_of(connection)->receiver_argument = argument;
    return NULL;
}

static PGTransactionStatusType transaction_status(const PGconn *connection)
{
    const struct model_link *link = link_of_const(connection);
    return link->session && link->session->block ? PQTRANS_INTRANS : PQTRANS_IDLE;
}

/* ---- sending ---- */

static struct model_command *buffer_command(struct model_link *link, enum model_kind kind,
                                            const char *name, const char *text)
{
    struct model_command *command = calloc(1, sizeof *command);
    FH_ASSERT(command != NULL);
    command->kind = kind;
    command->name = name ? strdup(name) : NULL;
    command->text = text ? strdup(text) : NULL;
    *link->buffer_last = command;
    link->buffer_last = &command->next;
    link->owed++;
    return command;
}

static int send_parse(PGconn *connection, const char *name, const char *sql, int count,
                      const Oid *types)
{
    struct model_link *link = link_of(connection);
    (void)count, (void)types;
    if (link->status != CONNECTION_OK)
        return 0;
    buffer_command(link, MODEL_PARSE, name, sql);
    return 1;
}

static int send_describe(PGconn *connection, const char *name)
{
    struct model_link *link = link_of(connection);
    if (link->status != CONNECTION_OK)
        return 0;
    buffer_command(link, MODEL_DESCRIBE, name, NULL);
    return 1;
}

static int send_prepared(PGconn *connection, const char *name, int count, const char *const *values,
                         const int *lengths, const int *formats, int result_format)
{
    struct model_link *link = link_of(connection);
    (void)result_format;
    if (link->status != CONNECTION_OK)
        return 0;
    struct model_command *command = buffer_command(link, MODEL_EXECUTE, name, NULL);
    FH_ASSERT(count <= MODEL_PARAMETERS_MAX);
    command->count = count;
    for (int i = 0; i < count; i++) {
        command->texts[i] = formats[i] == 1;
        if (values[i])
            command->values[i] =
                formats[i] == 1 ? strndup(values[i], (size_t)lengths[i]) : strdup(values[i]);
    }
    return 1;
}

static int send_params(PGconn *connection, const char *sql, int count, const Oid *types,
                       const char *const *values, const int *lengths, const int *formats,
                       int result_format)
{
    struct model_link *link = link_of(connection);
    (void)types, (void)values, (void)lengths, (void)formats, (void)result_format;
    FH_ASSERT(count == 0);
    if (link->status != CONNECTION_OK)
        return 0;
    buffer_command(link, MODEL_EXECUTE, NULL, sql);
    return 1;
}

static int connection_flush(PGconn *connection)
{
    struct model_link *link = link_of(connection);
    if (link->status != CONNECTION_OK)
        return -1;
    if (link->buffer)
        model_link_send(link);
    return 0;
}

static int pipeline_sync(PGconn *connection)
{
    struct model_link *link = link_of(connection);
    if (link->status != CONNECTION_OK)
        return 0;
    buffer_command(link, MODEL_SYNC, NULL, NULL);
    return connection_flush(connection) == 0;
}

static int send_query(PGconn *connection, const char *sql)
{
    struct model_link *link = link_of(connection);
    if (link->status != CONNECTION_OK || link->owed > 0)
        return 0;
    buffer_command(link, MODEL_SIMPLE, NULL, sql);
    return connection_flush(connection) == 0;
}

/* ---- receiving ---- */

/* What a server said before it left: to the command under way, or to nobody. */
static void take_farewell(struct model_link *link, PGresult *farewell)
{
    if (link->owed == 0) {
        if (link->receiver)
            link->receiver(link->receiver_argument, farewell);
        model_result_free(farewell);
        return;
    }
    struct model_reply *reply = calloc(1, sizeof *reply);
    FH_ASSERT(reply != NULL);
    reply->results[reply->count++] = farewell;
    *link->input_last = reply;
    link->input_last = &reply->next;
}

static int consume_input(PGconn *connection)
{
    struct model_link *link = link_of(connection);
    bool some = link->arrived != NULL;
    if (link->arrived) {
        *link->input_last = link->arrived;
        link->input_last = link->arrived_last;
        link->arrived = NULL;
        link->arrived_last = &link->arrived;
    }
    for (struct model_notice *notice = link->notices; notice; notice = notice->next) {
        PGresult *farewell = notice->farewell;
        notice->farewell = NULL;
        some |= farewell != NULL;
        if (farewell)
            take_farewell(link, farewell);
    }
    if (!link->gone)
        simulate_socket_hold(&link->socket, WORLD_WRITABLE);
    if (some || !link->gone)
        return 1;
    link->broken = true;
    link->status = CONNECTION_BAD;
    snprintf(link->message, sizeof link->message, "server closed the connection unexpectedly");
    return 0;
}

static int is_busy(PGconn *connection)
{
    const struct model_link *link = link_of(connection);
    return !link->taken && !link->input && !link->broken && link->owed > 0;
}

static void reply_given(struct model_link *link)
{
    model_reply_free(link->taken);
    link->taken = NULL;
    link->owed--;
}

static PGresult *get_result(PGconn *connection)
{
    struct model_link *link = link_of(connection);
    if (!link->taken && link->input) {
        link->taken = link->input;
        link->input = link->taken->next;
        if (!link->input)
            link->input_last = &link->input;
    }
    if (link->taken && link->taken->taken < link->taken->count) {
        PGresult *result = link->taken->results[link->taken->taken++];
        if (link->taken->sync)
            reply_given(link);
        return result;
    }
    if (link->taken) {
        reply_given(link);
        return NULL;
    }
    if (link->owed == 0)
        return NULL;
    link->owed = 0;
    return model_error("", "", link->message);
}

static PGnotify *next_notify(PGconn *connection)
{
    struct model_link *link = link_of(connection);
    PGnotify *notify = NULL;
    while (link->notices && !notify) {
        struct model_notice *notice = link->notices;
        if (notice->farewell)
            return NULL;
        link->notices = notice->next;
        if (!link->notices)
            link->notices_last = &link->notices;
        notify = notice->notify;
        free(notice);
    }
    return notify;
}

static int single_row_mode(PGconn *connection)
{
    (void)connection;
    return 1;
}

/* ---- results ---- */

static ExecStatusType result_status(const PGresult *result)
{
    return result->status;
}

static char *result_field(const PGresult *result, int field)
{
    const char *text = NULL;
    if (field == PG_DIAG_SQLSTATE)
        text = result->sqlstate;
    else if (field == PG_DIAG_SEVERITY || field == DIAG_SEVERITY)
        text = result->severity;
    else if (field == PG_DIAG_MESSAGE_PRIMARY)
        text = result->message;
    else if (field == PG_DIAG_SOURCE_FILE && strstr(result->message, "read/write dependencies"))
        text = "predicate.c";
    return text && *text ? (char *)(uintptr_t)text : NULL;
}

static char *command_status(PGresult *result)
{
    return result->tag;
}

static char *command_tuples(PGresult *result)
{
    const char *last = strrchr(result->tag, ' ');
    return (char *)(uintptr_t)(last ? last + 1 : "");
}

static int field_count(const PGresult *result)
{
    return result->columns;
}

static int tuple_count(const PGresult *result)
{
    return result->rows;
}

static char *field_name(const PGresult *result, int column)
{
    return result->names[column];
}

static Oid field_type(const PGresult *result, int column)
{
    return result->types[column];
}

static Oid field_table(const PGresult *result, int column)
{
    (void)result, (void)column;
    return 0;
}

static char *value_of_row(const PGresult *result, int row, int column)
{
    char *text = result->values[row * result->columns + column];
    return text ? text : (char *)(uintptr_t) "";
}

static int is_null(const PGresult *result, int row, int column)
{
    return result->values[row * result->columns + column] == NULL;
}

static int result_value_length(const PGresult *result, int row, int column)
{
    return (int)strlen(value_of_row(result, row, column));
}

static int parameter_count(const PGresult *result)
{
    return result->parameters;
}

static Oid parameter_type(const PGresult *result, int parameter)
{
    (void)result, (void)parameter;
    return 25;
}

static void free_memory(void *memory)
{
    free(memory);
}

void model_library(void)
{
    simulate_socket_trust_models();
    postgresql_pq = (struct postgresql_library){
        .PQbackendPID = backend_pid,
        .PQclear = model_result_free,
        .PQcmdStatus = command_status,
        .PQcmdTuples = command_tuples,
        .PQconnectPoll = connect_poll,
        .PQconnectStartParams = start_params,
        .PQconsumeInput = consume_input,
        .PQenterPipelineMode = enter_pipeline,
        .PQerrorMessage = error_message,
        .PQexitPipelineMode = exit_pipeline,
        .PQfinish = connection_finish,
        .PQflush = connection_flush,
        .PQfname = field_name,
        .PQfreemem = free_memory,
        .PQftable = field_table,
        .PQftype = field_type,
        .PQgetResult = get_result,
        .PQgetisnull = is_null,
        .PQgetlength = result_value_length,
        .PQgetvalue = value_of_row,
        .PQisBusy = is_busy,
        .PQnfields = field_count,
        .PQnotifies = next_notify,
        .PQnparams = parameter_count,
        .PQntuples = tuple_count,
        .PQparamtype = parameter_type,
        .PQpipelineSync = pipeline_sync,
        .PQresultErrorField = result_field,
        .PQresultStatus = result_status,
        .PQsendDescribePrepared = send_describe,
        .PQsendPrepare = send_parse,
        .PQsendQuery = send_query,
        .PQsendQueryParams = send_params,
        .PQsendQueryPrepared = send_prepared,
        .PQsetErrorVerbosity = set_verbosity,
        .PQsetNoticeReceiver = set_receiver,
        .PQsetSingleRowMode = single_row_mode,
        .PQsetnonblocking = set_nonblocking,
        .PQsocket = connection_socket_of,
        .PQstatus = connection_status,
        .PQtransactionStatus = transaction_status,
    };
}
