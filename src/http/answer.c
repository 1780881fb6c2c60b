/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heads of answers, and refusals, which are problem documents (RFC 9457) like every other
 * failure that leaves a service. A header that would end the head early, or say something else
 * about where the body ends, is not sent: the answer becomes a 500 that names it.
 */

#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "http/answer.h"
#include "http/head.h"

void answer_problem(enum problem_type type, const char *detail,
                    void (*send)(void *context, const struct http_answer *answer), void *context)
{
    int status = problem_status(type);
    struct arena *before = json_arena_set(NULL);
    json_t *problem = problem_new(type, detail, NULL);
    char *text = json_text(problem);
    json_decref(problem);
    json_arena_set(before);
    const struct http_answer answer = {
        .status = status,
        .content_type = PROBLEM_CONTENT_TYPE,
        .body = text,
        .body_length = strlen(text),
        .headers = &(struct http_header){"Retry-After", "1"},
        .header_count = status == 503 ? 1 : 0,
    };
    send(context, &answer);
    json_text_free(text);
}

static bool is_answer_header(const char *name, const char *value)
{
    static const char *const own[] = {"Content-Length", "Transfer-Encoding", "Date"};
    size_t length = strlen(value);
    if (!text_is_token(name) || !length || byte_span(value, length, BYTE_VALUE) < length)
        return false;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (strcasecmp(name, own[i]) == 0)
            return false;
    }
    return true;
}

/* Inline, so that the length of most names is known. */
static inline void add_header(struct text *text, const char *name, const char *value)
{
    text_append(text, name, strlen(name));
    text_append(text, ": ", 2);
    text_append(text, value, strlen(value));
    text_append(text, "\r\n", 2);
}

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } successes[] = {{200, "OK"},
                     {201, "Created"},
                     {202, "Accepted"},
                     {204, "No Content"},
                     {206, "Partial Content"},
                     {301, "Moved Permanently"},
                     {302, "Found"},
                     {303, "See Other"},
                     {304, "Not Modified"},
                     {307, "Temporary Redirect"},
                     {308, "Permanent Redirect"}};
    if (status >= 400)
        return problem_title(status);
    for (size_t i = 0; i < sizeof successes / sizeof *successes; i++) {
        if (successes[i].status == status)
            return successes[i].reason;
    }
    return status < 300 ? "Success" : "Redirection";
}

static void add_status(struct text *text, int status)
{
    char digits[TEXT_INTEGER_SIZE];
    text_append(text, "HTTP/1.1 ", 9);
    text_add(text, text_of_integer(status, digits));
    text_append(text, " ", 1);
    text_add(text, reason_of(status));
    text_append(text, "\r\n", 2);
}

static void add_length(struct text *text, size_t length)
{
    char digits[TEXT_INTEGER_SIZE];
    add_header(text, "Content-Length", text_of_integer((int64_t)length, digits));
}

bool answer_is_sound(const struct http_answer *answer, char ret_detail[static ANSWER_DETAIL_SIZE])
{
    const char *unfit = NULL;
    if (answer->body_length && answer->content_type &&
        !is_answer_header("Content-Type", answer->content_type))
        unfit = "Content-Type";
    for (size_t i = 0; i < answer->header_count && !unfit; i++) {
        if (!is_answer_header(answer->headers[i].name, answer->headers[i].value))
            unfit = answer->headers[i].name;
    }
    if (unfit)
        snprintf(
            ret_detail, ANSWER_DETAIL_SIZE,
            "The answer's header \"%.64s\" is empty or has characters that no header can have.",
            unfit);
    return !unfit;
}

void answer_head(struct text *text, const struct http_answer *answer, const char *date, bool old,
                 bool *close)
{
    text_clear(text);
    add_status(text, answer->status);
    add_header(text, "Date", date);
    if (answer->body_length)
        add_header(text, "Content-Type",
                   answer->content_type ? answer->content_type : "application/json");
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct http_header *header = &answer->headers[i];
        if (strcasecmp(header->name, "Connection") == 0)
            *close |= list_has(header->value, strlen(header->value), "close");
        else
            add_header(text, header->name, header->value);
    }
    if (*close)
        add_header(text, "Connection", "close");
    else if (old)
        add_header(text, "Connection", "keep-alive");
    if (answer->status != 204 && answer->status != 304)
        add_length(text, answer->body_length);
    text_append(text, "\r\n", 2);
}
