/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request, and what its answer means. Errors name the server and the status, and never the
 * server's own words: those quote tags, values and statements. They are only compared with what is
 * known of them.
 *
 *     no answer, 408, 429, 5xx       FH_UNAVAILABLE, or FH_OUTCOME_UNKNOWN if it may have been done
 *     "database not found"           FH_NOT_FOUND, where the answer says that it is an InfluxDB's
 *     a limit of time or number      FH_UNAVAILABLE
 *     400 "partial write"            not all lines were taken; the others are there
 *     401, 403                       FH_UNSUPPORTED: its user
 *     anything else                  FH_UNSUPPORTED
 *
 * InfluxDB opens its port once it has read all that it has, so it does not find nothing because it
 * has only just begun.
 */

#include <stdio.h>

#include "carrier/influxdb/internal.h"

static void set_influxdb_headers(const struct influxdb *server, const char *type,
                                 struct world_request *request)
{
    int count = 0;
    request->headers[count++] = (struct world_header){"Accept", "application/json"};
    request->headers[count++] = (struct world_header){"Content-Type", type};
    if (server->authorization)
        request->headers[count++] = (struct world_header){"Authorization", server->authorization};
}

static enum fh_code influxdb_not_answered(const struct influxdb *server,
                                          const struct world_request *request,
                                          struct fh_error *error)
{
    if (request->oversized)
        return error_set(error, FH_UNSUPPORTED,
                         "InfluxDB at %.100s answers with more than %zu bytes.", server->base_url,
                         request->answer_size_max);
    bool known = request->unsent || server->silent;
    return error_retry(error, known ? FH_UNAVAILABLE : FH_OUTCOME_UNKNOWN,
                       "InfluxDB at %.100s did not answer: %.100s", server->base_url,
                       request->failure);
}

static enum fh_code ask_influxdb(struct influxdb *server, struct influxdb_call *call,
                                 const char *path, const char *type, const struct text *body,
                                 struct fh_error *error)
{
    struct world_request *request = &call->request;
    char url[sizeof server->base_url + CARRIED_OWNER_SIZE + 64];
    if (server->silent)
        return error_retry(error, FH_UNAVAILABLE, "The link to InfluxDB is closing.");
    snprintf(url, sizeof url, "%s%s&db=%s", server->base_url, path, server->owner);
    *request = (struct world_request){
        .url = url,
        .method = "POST",
        .body = body->data,
        .body_length = body->length,
        .deadline_ns = call->deadline_ns > 0 ? call->deadline_ns
                                             : world_in_ms(server->world, INFLUXDB_REQUEST_MS),
        .answer_size_max = call->answer_max ? call->answer_max : INFLUXDB_SMALL};
    set_influxdb_headers(server, type, request);
    if (server->client)
        world_request_wait_by(http_client_send, server->client, request);
    else
        world_request_wait(server->world, request);
    request->url = NULL;
    return request->status ? FH_OK : influxdb_not_answered(server, request, error);
}

/* ---- What it means ---- */

enum fh_code influxdb_strange(const struct influxdb *server, struct fh_error *error)
{
    return error_set(error, FH_UNSUPPORTED,
                     "What answers at %.100s is no InfluxDB that this version knows.",
                     server->base_url);
}

static bool words_begin(const char *words, size_t length, const char *with)
{
    return length >= strlen(with) && memcmp(words, with, strlen(with)) == 0;
}

/* Of limits of the server's, or its end: the same may be answered a little later. */
static bool is_until_later(const char *words, size_t length)
{
    static const char *const known[] = {"query-timeout limit exceeded",
                                        "max-concurrent-queries",
                                        "query interrupted",
                                        "timeout",
                                        "engine is closed",
                                        "shard is closed",
                                        "database is closed"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (words_begin(words, length, known[i]))
            return true;
    }
    return false;
}

enum fh_code influxdb_judge(const struct influxdb *server, const char *words, size_t length,
                            struct fh_error *error)
{
    if (words_begin(words, length, "database not found"))
        return error_set(error, FH_NOT_FOUND, "InfluxDB at %.100s has no database %s.",
                         server->base_url, server->owner);
    if (is_until_later(words, length))
        return error_retry(error, FH_UNAVAILABLE, "InfluxDB at %.100s can't do it now.",
                           server->base_url);
    if (words_begin(words, length, "max-select-"))
        return error_set(
            error, FH_UNSUPPORTED,
            "InfluxDB at %.100s does not answer it, by one of its limits max-select-*.",
            server->base_url);
    return error_set(error, FH_UNSUPPORTED, "InfluxDB at %.100s does not do it.", server->base_url);
}

static enum fh_code influxdb_judge_status(const struct influxdb *server, struct influxdb_call *call,
                                          struct fh_error *error)
{
    const struct world_request *request = &call->request;
    const char *words = world_answer_header(request, "x-influxdb-error");
    int status = request->status;
    if (status == 408 || status == 429 || status >= 500)
        return error_retry(error, FH_UNAVAILABLE, "InfluxDB at %.100s can't do it now: %d.",
                           server->base_url, status);
    if (!world_answer_header(request, "x-influxdb-version"))
        return influxdb_strange(server, error);
    if (status >= 200 && status < 300)
        return FH_OK;
    if (status == 401 || status == 403)
        return error_set(error, FH_UNSUPPORTED,
                         "InfluxDB at %.100s refuses its user (%d): look at the password, the "
                         "database %s and the rights to it.",
                         server->base_url, status, server->owner);
    if (status == 413)
        return error_set(error, FH_UNSUPPORTED,
                         "InfluxDB at %.100s takes no page of that size: look at its "
                         "max-body-size.",
                         server->base_url);
    call->partial = status == 400 && words && words_begin(words, strlen(words), "partial write");
    if (status == 404 && words)
        return influxdb_judge(server, words, strlen(words), error);
    return error_set(error, FH_UNSUPPORTED, "InfluxDB at %.100s does not take it: %d.",
                     server->base_url, status);
}

/* ---- All of them ---- */

enum fh_code influxdb_write(struct influxdb *server, struct influxdb_call *call,
                            struct fh_error *error)
{
    struct text body = {.data = (char *)(uintptr_t)call->body, .length = call->body_length};
    call->partial = false;
    enum fh_code code = ask_influxdb(server, call, "/write?precision=ns",
                                     "text/plain; charset=utf-8", &body, error);
    return code == FH_OK ? influxdb_judge_status(server, call, error) : code;
}

static void add_statement_text(struct text *form, const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)data[i];
        if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
            (byte >= '0' && byte <= '9') || byte == '-' || byte == '_' || byte == '.')
            text_append(form, &data[i], 1);
        else
            text_printf(form, "%%%02X", byte);
    }
}

enum fh_code influxdb_query(struct influxdb *server, struct influxdb_call *call,
                            struct fh_error *error)
{
    struct text form;
    text_init(&form, INFLUXDB_SMALL);
    text_add(&form, "q=");
    add_statement_text(&form, call->body, call->body_length);
    enum fh_code code =
        form.overflow
            ? error_set(error, FH_NO_MEMORY, "There is no memory for a question to InfluxDB.")
            : ask_influxdb(server, call, "/query?epoch=ns&chunked=true",
                           "application/x-www-form-urlencoded", &form, error);
    call->request.body = NULL;
    text_release(&form);
    return code == FH_OK ? influxdb_judge_status(server, call, error) : code;
}

/* It says so to whoever asks. */
enum fh_code influxdb_ask_itself(struct influxdb *server, struct influxdb_call *call,
                                 struct fh_error *error)
{
    struct text nothing = {.data = (char *)(uintptr_t) "", .length = 0};
    call->answer_max = INFLUXDB_POINTS_MAX; /* 2.6 kB for each shard */
    enum fh_code code =
        ask_influxdb(server, call, "/debug/vars?ours=1", "application/json", &nothing, error);
    return code == FH_OK ? influxdb_judge_status(server, call, error) : code;
}

void influxdb_call_release(struct influxdb_call *call)
{
    world_request_release(&call->request);
}
