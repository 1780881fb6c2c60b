/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One statement, and what its answer means. Errors name the server, the status and the number of
 * the server's own error (60: there is no such table), and never its text: that quotes values and
 * statements. An answer without a header of ClickHouse's is somebody else's, whatever it says: an
 * empty one would mean that there is nothing.
 *
 *     no answer                      FH_UNAVAILABLE, or FH_OUTCOME_UNKNOWN if it may be done
 *     60, 81                         FH_NOT_FOUND: of a table, of a database
 *     what time mends                FH_UNAVAILABLE: passing_errors
 *     319                            FH_OUTCOME_UNKNOWN
 *     of users and rights            FH_UNSUPPORTED, which says so
 *     any other number               FH_UNSUPPORTED
 *     no number: 408, 429, 5xx       FH_UNAVAILABLE: of a proxy
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "carrier/clickhouse/internal.h"

#define NO_SUCH_TABLE 60
#define NO_SUCH_DATABASE 81
#define STATUS_OF_INSERT_UNKNOWN 319

/* Those that the same statement need not meet again. */
static const int passing_errors[] = {
    3,   /* UNEXPECTED_END_OF_FILE: a statement that was cut short */
    74,  /* CANNOT_READ_FROM_FILE_DESCRIPTOR */
    75,  /* CANNOT_WRITE_TO_FILE_DESCRIPTOR: the disk, most often */
    76,  /* CANNOT_OPEN_FILE: as a rule, too many are open */
    159, /* TIMEOUT_EXCEEDED */
    160, /* TOO_SLOW */
    173, /* CANNOT_ALLOCATE_MEMORY */
    201, /* QUOTA_EXPIRED */
    202, /* TOO_MANY_SIMULTANEOUS_QUERIES */
    203, /* NO_FREE_CONNECTION */
    209, /* SOCKET_TIMEOUT */
    210, /* NETWORK_ERROR */
    218, /* TABLE_IS_DROPPED: the next statement finds none */
    236, /* ABORTED: it is ending */
    241, /* MEMORY_LIMIT_EXCEEDED */
    242, /* TABLE_IS_READ_ONLY: while its ZooKeeper is away */
    243, /* NOT_ENOUGH_SPACE */
    252, /* TOO_MANY_PARTS: it has not merged yet what was sent */
    394, /* QUERY_WAS_CANCELLED */
    439, /* CANNOT_SCHEDULE_TASK */
    473, /* DEADLOCK_AVOIDED */
};

static const int user_errors[] = {164, 192, 193, 194, 195, 291, 492, 497, 516};

static bool is_among_errors(int number, const int *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] == number)
            return true;
    }
    return false;
}

/* ---- What it means ---- */

enum fh_code clickhouse_strange(const struct clickhouse *server, struct fh_error *error)
{
    return error_set(error, FH_UNSUPPORTED,
                     "What answers at %.100s is no ClickHouse that this version knows.",
                     server->base_url);
}

static const char *header_of_answer(const struct world_request *request, const char *prefix)
{
    for (size_t i = 0; i < request->answer_header_count; i++) {
        const struct world_header *header = &request->answer_headers[i];
        if (strncmp(header->name, prefix, strlen(prefix)) == 0)
            return header->value;
    }
    return NULL;
}

/* "Code: 60, e.displayText() = ...", or a header of later versions. */
static int error_number_of(const struct world_request *request)
{
    static const char begins[] = "Code: ";
    char digits[12] = "";
    const char *header = header_of_answer(request, "x-clickhouse-exception-code");
    if (header)
        snprintf(digits, sizeof digits, "%s", header);
    else if (request->answer_length > sizeof begins &&
             memcmp(request->answer, begins, sizeof begins - 1) == 0)
        snprintf(digits, sizeof digits, "%.*s",
                 (int)(request->answer_length - sizeof begins + 1 < 8
                           ? request->answer_length - sizeof begins + 1
                           : 8),
                 request->answer + sizeof begins - 1);
    long number = strtol(digits, NULL, 10);
    return number > 0 && number < 100000 ? (int)number : 0;
}

static enum fh_code judge_error_number(const struct clickhouse *server, int number,
                                       struct fh_error *error)
{
    if (number == NO_SUCH_TABLE || number == NO_SUCH_DATABASE)
        return error_set(error, FH_NOT_FOUND, "ClickHouse at %.100s has no such table.",
                         server->base_url);
    if (number == STATUS_OF_INSERT_UNKNOWN)
        return error_retry(error, FH_OUTCOME_UNKNOWN,
                           "ClickHouse at %.100s does not know what it did: error %d.",
                           server->base_url, number);
    if (is_among_errors(number, passing_errors, sizeof passing_errors / sizeof *passing_errors))
        return error_retry(error, FH_UNAVAILABLE, "ClickHouse at %.100s can't do it now: error %d.",
                           server->base_url, number);
    if (is_among_errors(number, user_errors, sizeof user_errors / sizeof *user_errors))
        return error_set(error, FH_UNSUPPORTED,
                         "ClickHouse at %.100s refuses its user (error %d): look at the password "
                         "and the rights.",
                         server->base_url, number);
    return error_set(error, FH_UNSUPPORTED, "ClickHouse at %.100s does not take it: error %d.",
                     server->base_url, number);
}

static enum fh_code judge_clickhouse_answer(const struct clickhouse *server,
                                            struct clickhouse_call *call, struct fh_error *error)
{
    const struct world_request *request = &call->request;
    int status = request->status;
    bool own = header_of_answer(request, "x-clickhouse-") != NULL;
    if (status == 200 && own)
        return FH_OK;
    call->number = own && status != 200 ? error_number_of(request) : 0;
    if (call->number)
        return judge_error_number(server, call->number, error);
    if (status == 408 || status == 429 || status >= 500)
        return error_retry(error, FH_UNAVAILABLE, "ClickHouse at %.100s can't do it now: %d.",
                           server->base_url, status);
    if (status == 401 || status == 403)
        return error_set(error, FH_UNSUPPORTED,
                         "ClickHouse at %.100s refuses its user (%d): look at the password and "
                         "the rights.",
                         server->base_url, status);
    return clickhouse_strange(server, error);
}

/* ---- A statement ---- */

static enum fh_code clickhouse_is_silent(const struct clickhouse *server,
                                         const struct world_request *request,
                                         struct fh_error *error)
{
    if (request->oversized)
        return error_set(error, FH_UNSUPPORTED,
                         "ClickHouse at %.100s answers with more than %zu bytes.", server->base_url,
                         request->answer_size_max);
    bool known = request->unsent || server->silent;
    return error_retry(error, known ? FH_UNAVAILABLE : FH_OUTCOME_UNKNOWN,
                       "ClickHouse at %.100s did not answer: %.100s", server->base_url,
                       request->failure);
}

enum fh_code clickhouse_ask(struct clickhouse *server, struct clickhouse_call *call,
                            struct fh_error *error)
{
    struct world_request *request = &call->request;
    struct text url;
    if (server->silent)
        return error_retry(error, FH_UNAVAILABLE, "The link to ClickHouse is closing.");
    text_init(&url, CLICKHOUSE_SMALL);
    text_printf(&url, "%s%s", server->base_url, call->path ? call->path : "/");
    FH_ASSERT(!url.overflow);
    *request = (struct world_request){
        .url = url.data,
        .method = "POST",
        .body = call->body,
        .body_length = call->body_length,
        .headers = {{"Content-Type", "application/octet-stream"},
                    {server->authorization ? "Authorization" : NULL, server->authorization}},
        .deadline_ns = call->deadline_ns > 0 ? call->deadline_ns
                                             : world_in_ms(server->world, CLICKHOUSE_REQUEST_MS),
        .answer_size_max = call->answer_max ? call->answer_max : CLICKHOUSE_SMALL};
    if (server->client)
        world_request_wait_by(http_client_send, server->client, request);
    else
        world_request_wait(server->world, request);
    request->url = NULL;
    text_release(&url);
    return request->status ? judge_clickhouse_answer(server, call, error)
                           : clickhouse_is_silent(server, request, error);
}

void clickhouse_asking_path(const struct clickhouse *server, int64_t deadline_ns,
                            char ret[static CLICKHOUSE_ASKING_SIZE])
{
    int64_t left_s = (deadline_ns - world_in_ms(server->world, 0)) / 1000000000 + 1;
    int length = snprintf(ret, CLICKHOUSE_ASKING_SIZE, CLICKHOUSE_ASKING);
    if (deadline_ns > 0)
        length += snprintf(ret + length, CLICKHOUSE_ASKING_SIZE - (size_t)length,
                           "&max_execution_time=%lld", (long long)left_s);
    FH_ASSERT(length < CLICKHOUSE_ASKING_SIZE);
}

enum fh_code clickhouse_ask_rows(struct clickhouse *server, const struct text *statement,
                                 int64_t deadline_ns, json_t **ret_rows, struct fh_error *error)
{
    char path[CLICKHOUSE_ASKING_SIZE];
    struct clickhouse_call call = {.path = path,
                                   .body = statement->data,
                                   .body_length = statement->length,
                                   .deadline_ns = deadline_ns};
    json_t *answer = NULL;
    struct fh_error unread;
    *ret_rows = NULL;
    clickhouse_asking_path(server, deadline_ns, path);
    FH_ASSERT(!statement->overflow);
    enum fh_code code = clickhouse_ask(server, &call, error);
    struct arena *before = json_arena_set(NULL);
    if (code == FH_OK &&
        json_parse(call.request.answer, call.request.answer_length, &answer, &unread) == FH_OK)
        *ret_rows = json_incref(json_object_get(answer, "data"));
    json_decref(answer);
    json_arena_set(before);
    clickhouse_call_release(&call);
    return code == FH_OK && !json_is_array(*ret_rows) ? clickhouse_strange(server, error) : code;
}

void clickhouse_call_release(struct clickhouse_call *call)
{
    world_request_release(&call->request);
}
