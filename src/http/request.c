/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request from its head to its last byte. libmicrohttpd is lenient where two readers of the same
 * bytes could come to different results (RFC 9112, 11.2), so its output is checked again. Then it
 * is copied into one allocation; the body, if any, is a second one.
 *
 * Refused here: a method or a header's name that is not a token (including "Content-Length :"),
 * control characters in a value or in the target, HTTP/1.1 without exactly one Host, two
 * Content-Lengths, a Content-Length together with a Transfer-Encoding, any Transfer-Encoding but
 * "chunked", duplicates of a header that decides who asks for what, a head or a body beyond the
 * limits. A body that is announced as too long is refused before it is read.
 *
 * The target is used as it arrived: in the decoded path that the library offers, an encoded slash
 * and %00 can't be told from real ones.
 */

#define _GNU_SOURCE
#include "http/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/protocol.h"

/* RFC 9110, 5.6.2. */
static bool is_token_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+.^_`|~", c));
}

static bool is_token(const char *text)
{
    const char *at = text;
    while (is_token_character(*at))
        at++;
    return at != text && *at == '\0';
}

static bool has_control_characters(const char *text, size_t length, bool spaces_too)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == 0x7f || (c < ' ' && (c != '\t' || spaces_too)) || (c == ' ' && spaces_too))
            return true;
    }
    return false;
}

__attribute__((format(printf, 3, 4))) static bool
set_refusal(struct http_refusal *refusal, enum problem_type type, const char *format, ...)
{
    refusal->type = type;
    refusal->status = problem_status(type);
    va_list args;
    va_start(args, format);
    vsnprintf(refusal->detail, sizeof refusal->detail, format, args);
    va_end(args);
    return false;
}

bool connection_keep_target(struct http_connection *connection, const char *target)
{
    size_t size = strlen(target) + 1;
    if (size > connection->target_capacity) {
        size_t capacity = size < 128 ? 128 : size;
        char *memory = realloc(connection->target, capacity);
        if (!memory)
            return false;
        connection->target = memory;
        connection->target_capacity = capacity;
    }
    memcpy(connection->target, target, size);
    return true;
}

/* ---- The head ---- */

/* State while the headers are copied. */
struct head {
    struct http_request *request;
    struct http_refusal *refusal;
    char *text; /* the next free byte */
    int hosts, lengths, encodings;
    unsigned singles; /* bit i: singles[i] has been seen */
    uint64_t length;
    bool chunked;
};

static char *copy_head_text(struct head *head, const char *text, size_t length)
{
    char *at = head->text;
    memcpy(at, text, length);
    at[length] = '\0';
    head->text += length + 1;
    return at;
}

/* Headers that decide who asks for what, and how often: duplicates would be ambiguous. */
static const char *const singles[] = {
    "Content-Type",  "Authorization",    "Idempotency-Key",   "Freehold-From",  "Freehold-To",
    "Freehold-Undo", "Freehold-Attempt", "Freehold-Deadline", "Freehold-Token", PROTOCOL_HEADER};

/* Most names differ in their first letter, and each request takes many comparisons. */
static bool is_header_name(const char *name, const char *wanted)
{
    return ((*name ^ *wanted) & ~0x20) == 0 && strcasecmp(name, wanted) == 0;
}

static bool note_single(struct head *head, const char *name)
{
    for (unsigned i = 0; i < sizeof singles / sizeof *singles; i++) {
        if (!is_header_name(name, singles[i]))
            continue;
        if (head->singles & 1u << i)
            return set_refusal(head->refusal, PROBLEM_REQUEST_MALFORMED,
                               "The request has more than one %s.", singles[i]);
        head->singles |= 1u << i;
    }
    return true;
}

static void note_framing(struct head *head, const char *name, size_t name_length, const char *value)
{
    if (name_length == 4 && strcasecmp(name, "Host") == 0) {
        head->hosts++;
    } else if (name_length == 14 && strcasecmp(name, "Content-Length") == 0) {
        head->lengths++;
        head->length = strtoull(value, NULL, 10); /* only digits: the library has checked */
    } else if (name_length == 17 && strcasecmp(name, "Transfer-Encoding") == 0) {
        head->encodings++;
        head->chunked = strcasecmp(value, "chunked") == 0;
    }
}

static enum MHD_Result take_header(void *context, enum MHD_ValueKind kind, const char *name,
                                   size_t name_length, const char *value, size_t value_length)
{
    (void)kind;
    struct head *head = context;
    struct http_request *request = head->request;
    if (!is_token(name)) {
        set_refusal(head->refusal, PROBLEM_REQUEST_MALFORMED,
                    "The name of header %zu is not a token.", request->header_count + 1);
        return MHD_NO;
    }
    if (!value) {
        value = "";
        value_length = 0;
    }
    /* Trailing space is not part of a value, but the library leaves it there. */
    while (value_length && (value[value_length - 1] == ' ' || value[value_length - 1] == '\t'))
        value_length--;
    if (has_control_characters(value, value_length, false)) {
        set_refusal(head->refusal, PROBLEM_REQUEST_MALFORMED,
                    "The header %.64s has control characters in its value.", name);
        return MHD_NO;
    }
    struct http_header *header = &request->headers[request->header_count++];
    header->name = copy_head_text(head, name, name_length);
    header->value = copy_head_text(head, value, value_length);
    note_framing(head, header->name, name_length, header->value);
    return note_single(head, header->name) ? MHD_YES : MHD_NO;
}

/* Path and query of the raw target: "/path?query", or the same after "http://host". */
static bool take_request_target(struct head *head, const char *target)
{
    struct http_incoming *incoming = &head->request->incoming;
    char *path = copy_head_text(head, target, strlen(target));
    if (strncasecmp(path, "http://", 7) == 0 || strncasecmp(path, "https://", 8) == 0) {
        path = strchr(path, ':') + 3;
        path += strcspn(path, "/?");
        if (*path != '/')
            return set_refusal(head->refusal, PROBLEM_REQUEST_MALFORMED,
                               "The request's target has no path.");
    }
    if (*path != '/')
        return set_refusal(head->refusal, PROBLEM_REQUEST_MALFORMED,
                           "The request's target does not begin with '/'.");
    if (has_control_characters(path, strlen(path), true))
        return set_refusal(head->refusal, PROBLEM_REQUEST_MALFORMED,
                           "The request's target has spaces or control characters.");
    char *query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    incoming->path = path;
    incoming->query = query ? query : path + strlen(path);
    return true;
}

static bool check_framing(const struct head *head, const char *version)
{
    bool old = strcmp(version, "HTTP/1.0") == 0;
    if (head->lengths > 1)
        return set_refusal(head->refusal, PROBLEM_REQUEST_MALFORMED,
                           "The request has more than one Content-Length.");
    if (head->lengths && head->encodings)
        return set_refusal(head->refusal, PROBLEM_REQUEST_MALFORMED,
                           "The request has both a Content-Length and a Transfer-Encoding.");
    if (head->encodings > 1)
        return set_refusal(head->refusal, PROBLEM_REQUEST_MALFORMED,
                           "The request has more than one Transfer-Encoding.");
    if (head->encodings && old)
        return set_refusal(head->refusal, PROBLEM_REQUEST_MALFORMED,
                           "HTTP/1.0 has no Transfer-Encoding.");
    if (head->encodings && !head->chunked)
        return set_refusal(head->refusal, PROBLEM_ENCODING_UNSUPPORTED,
                           "The only Transfer-Encoding known here is chunked.");
    if (head->hosts > 1 || (head->hosts == 0 && !old))
        return set_refusal(head->refusal, PROBLEM_REQUEST_MALFORMED,
                           "The request has %s Host header: expected exactly one.",
                           head->hosts ? "more than one" : "no");
    return true;
}

static bool check_body(const struct head *head, const struct http_limits *limits)
{
    if (head->length <= limits->body_size_max)
        return true;
    return set_refusal(head->refusal, PROBLEM_BODY_TOO_LARGE,
                       "The body has %llu bytes, and at most %zu are accepted.",
                       (unsigned long long)head->length, limits->body_size_max);
}

static bool fill_head(struct head *head, struct http_connection *connection, const char *method,
                      const char *version, const struct http_limits *limits)
{
    struct http_request *request = head->request;
    if (!is_token(method))
        return set_refusal(head->refusal, PROBLEM_REQUEST_MALFORMED,
                           "The request's method is not a token.");
    request->incoming.method = copy_head_text(head, method, strlen(method));
    if (!take_request_target(head, connection->target))
        return false;
    MHD_get_connection_values_n(connection->native, MHD_HEADER_KIND, take_header, head);
    if (head->refusal->status)
        return false;
    request->chunked = head->chunked;
    request->body_capacity = (size_t)head->length;
    return check_framing(head, version) && check_body(head, limits);
}

struct http_request *request_new(struct http_connection *connection, const char *method,
                                 const char *version, const struct http_limits *limits,
                                 struct http_refusal *refusal)
{
    *refusal = (struct http_refusal){0};
    size_t head_size =
        MHD_get_connection_info(connection->native, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)
            ->header_size;
    int header_count = MHD_get_connection_values_n(connection->native, MHD_HEADER_KIND, NULL, NULL);
    if (head_size > limits->header_size_max || header_count > REQUEST_HEADERS_MAX) {
        set_refusal(
            refusal, PROBLEM_HEAD_TOO_LARGE,
            "The request's head has %zu bytes and %d headers, and at most %zu and %d are accepted.",
            head_size, header_count, limits->header_size_max, REQUEST_HEADERS_MAX);
        return NULL;
    }
    /* In the head, every text is followed by at least one byte, which its NUL replaces; a header
     * without a value and a method that was cut need one more. */
    size_t headers_size = (size_t)header_count * sizeof(struct http_header);
    size_t text_size = head_size + 2 * (size_t)header_count + strlen(connection->target) + 8;
    struct http_request *request = malloc(sizeof *request + headers_size + text_size);
    if (!request)
        return NULL;
    *request = (struct http_request){
        .incoming = {.request = request, .body = ""},
        .server = connection->server,
        .native = connection->native,
    };
    struct head head = {
        .request = request, .refusal = refusal, .text = (char *)&request->headers[header_count]};
    if (fill_head(&head, connection, method, version, limits))
        return request;
    request_free(request);
    return NULL;
}

/* ---- The body ---- */

bool request_has_body(struct MHD_Connection *native)
{
    const char *length = MHD_lookup_connection_value(native, MHD_HEADER_KIND, "Content-Length");
    return (length && strcmp(length, "0") != 0) ||
           MHD_lookup_connection_value(native, MHD_HEADER_KIND, "Transfer-Encoding");
}

bool request_take_body(struct http_request *request, const char *data, size_t length,
                       const struct http_limits *limits, struct http_refusal *refusal)
{
    *refusal = (struct http_refusal){0};
    struct http_incoming *incoming = &request->incoming;
    if (length > limits->body_size_max - incoming->body_length)
        return set_refusal(refusal, PROBLEM_BODY_TOO_LARGE,
                           "The body has more than the %zu bytes that are accepted.",
                           limits->body_size_max);
    size_t needed = incoming->body_length + length;
    if (!request->body || needed > request->body_capacity) {
        size_t capacity = request->body_capacity;
        if (needed > capacity)
            capacity = needed < 2048 ? 4096 : needed * 2;
        char *memory = realloc(request->body, capacity + 1);
        if (!memory)
            return set_refusal(refusal, PROBLEM_OVERLOADED, "There is no memory for the body now.");
        request->body = memory;
        request->body_capacity = capacity;
    }
    memcpy(request->body + incoming->body_length, data, length);
    request->body[needed] = '\0';
    incoming->body = request->body;
    incoming->body_length = needed;
    return true;
}

void request_free(struct http_request *request)
{
    if (!request)
        return;
    if (request->kept) {
        request->freed = true;
        return;
    }
    if (request->response)
        MHD_destroy_response(request->response);
    free(request->body);
    free(request);
}

void http_request_keep(struct http_request *request)
{
    request->kept = true;
}

void http_request_let_go(struct http_request *request)
{
    request->kept = false;
    if (request->freed)
        request_free(request);
}

/* ---- What handlers see ---- */

const char *http_request_header(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (is_header_name(request->headers[i].name, name))
            return request->headers[i].value;
    return NULL;
}

int http_request_headers(const struct http_request *request,
                         void (*visit)(void *context, const char *name, const char *value),
                         void *context)
{
    for (size_t i = 0; i < request->header_count; i++)
        visit(context, request->headers[i].name, request->headers[i].value);
    return (int)request->header_count;
}

int connection_socket(struct MHD_Connection *native)
{
    return MHD_get_connection_info(native, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}
