/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers in the form that libmicrohttpd sends. The body is copied once, into memory that the
 * library frees after sending, since the caller's arena ends with the call. Refusals are problem
 * documents (RFC 9457), like every other failure that leaves a service.
 */

#define _GNU_SOURCE
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "http/request.h"
#include "shape/problem.h"

#define LAST_WORDS_LENGTH_MAX ((size_t)2048)
#define UNREAD_SIZE_MAX ((size_t)256 << 10)

static char *problem_text(enum problem_type type, const char *detail)
{
    struct arena *before = json_arena_set(NULL);
    json_t *problem = problem_new(type, detail, NULL);
    char *text = json_text(problem);
    json_decref(problem);
    json_arena_set(before);
    return text;
}

struct MHD_Response *answer_problem(enum problem_type type, const char *detail, bool close)
{
    int status = problem_status(type);
    char *text = problem_text(type, detail);
    const struct http_answer answer = {
        .status = status,
        .content_type = PROBLEM_CONTENT_TYPE,
        .body = text,
        .body_length = strlen(text),
        .headers = &(struct http_header){"Retry-After", "1"},
        .header_count = status == 503 ? 1 : 0,
    };
    int same;
    struct MHD_Response *response = answer_new(&answer, close, &same);
    json_text_free(text);
    return response;
}

/* Returns the first header that can't be sent; NULL: all were added. */
static const char *add_answer_headers(struct MHD_Response *response,
                                      const struct http_answer *answer, bool close)
{
    if (answer->body_length) {
        const char *type = answer->content_type ? answer->content_type : "application/json";
        if (!MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type))
            return MHD_HTTP_HEADER_CONTENT_TYPE;
    }
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct http_header *header = &answer->headers[i];
        if (!MHD_add_response_header(response, header->name, header->value))
            return header->name;
    }
    if (close && !MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close"))
        return MHD_HTTP_HEADER_CONNECTION;
    return NULL;
}

struct MHD_Response *answer_new(const struct http_answer *answer, bool close, int *ret_status)
{
    FH_ASSERT(answer->status >= 200 && answer->status <= 599);
    *ret_status = answer->status;
    /* The library copies the body and does not change it. */
    void *body = (void *)(uintptr_t)answer->body;
    struct MHD_Response *response =
        answer->body_length
            ? MHD_create_response_from_buffer(answer->body_length, body, MHD_RESPMEM_MUST_COPY)
            : MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return NULL;
    const char *unfit = add_answer_headers(response, answer, close);
    if (!unfit)
        return response;
    MHD_destroy_response(response);
    char detail[160];
    snprintf(detail, sizeof detail,
             "The answer's header \"%.64s\" is empty or has characters that no header can have.",
             unfit);
    *ret_status = 500;
    return answer_problem(PROBLEM_RESPONSE_INVALID, detail, close);
}

void answer_last_words(struct MHD_Connection *native, enum problem_type type, const char *detail)
{
    int socket = connection_socket(native), status = problem_status(type);
    char *problem = problem_text(type, detail);
    struct text text;
    text_init(&text, LAST_WORDS_LENGTH_MAX);
    text_printf(&text,
                "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: " PROBLEM_CONTENT_TYPE
                "\r\nContent-Length: %zu\r\n\r\n%s",
                status, problem_title(status), strlen(problem), problem);
    json_text_free(problem);
    if (!text.overflow && !tls_send(native, text.data, text.length))
        (void)!send(socket, text.data, text.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    text_release(&text);
    shutdown(socket, SHUT_WR);
    /* Closing a socket with unread input resets the connection, and the reset may overtake the
     * answer: so read the input that is already there. */
    char unread[4096];
    for (size_t taken = 0; taken < UNREAD_SIZE_MAX; taken += sizeof unread)
        if (recv(socket, unread, sizeof unread, MSG_DONTWAIT) <= 0)
            break;
}
