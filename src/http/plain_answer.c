/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer read from bytes, however they arrive: status line, headers, then a body whose end a
 * length, chunks or the connection's end says. Lines are judged by transfer.c, as those that
 * libcurl reads; what is no answer there is none here. A head before the last one (100 to 199) is
 * dropped; 101 would change what follows, and nobody asked for it.
 */

#define _GNU_SOURCE
#include <string.h>

#include "http/plain.h"
#include "http/protocol.h"
#include "http/transfer.h"

#define HEADS_LENGTH_MAX (2 * ANSWER_HEADERS_LENGTH_MAX) /* with those that are dropped */
#define NO_ANSWER "what came is no HTTP answer"

static bool is_status_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200 OK" */
static bool take_status(struct transfer *transfer, const char *line, size_t length)
{
    struct plain_answer *answer = &transfer->plain_answer;
    bool is_status = length >= 12 && memcmp(line, "HTTP/1.", 7) == 0 &&
                     (line[7] == '0' || line[7] == '1') && line[8] == ' ' &&
                     is_status_digit(line[9]) && is_status_digit(line[10]) &&
                     is_status_digit(line[11]) && (length == 12 || line[12] == ' ') &&
                     value_span(line, length) == length;
    if (is_status)
        transfer->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + line[11] - '0';
    if (!is_status || transfer->status < 100) {
        transfer_fail(transfer, NO_ANSWER);
        return false;
    }
    answer->old = line[7] == '0';
    answer->state = PLAIN_HEADERS;
    return true;
}

static bool has_no_body(const struct transfer *transfer)
{
    return transfer->status == 204 || transfer->status == 304 ||
           strcmp(transfer->request->method, "HEAD") == 0;
}

static bool begin_body(struct transfer *transfer)
{
    struct plain_answer *answer = &transfer->plain_answer;
    if (has_no_body(transfer)) {
        answer->state = PLAIN_ENDED;
    } else if (transfer->chunked) {
        answer->state = PLAIN_CHUNKS;
    } else if (!transfer->framed) {
        answer->state = PLAIN_REST;
    } else {
        answer->left = transfer->body_length;
        answer->state = answer->left ? PLAIN_BODY : PLAIN_ENDED;
        transfer->answer.overflow = answer->left > transfer->answer.length_max;
        if (answer->left && !transfer->answer.overflow)
            text_reserve(&transfer->answer, (size_t)answer->left);
        if (transfer->answer.overflow)
            transfer_take_body(transfer, "", 0); /* which says so */
    }
    return !transfer->failure[0];
}

/* The empty line after the headers. */
static bool end_head(struct transfer *transfer)
{
    if (transfer->status == 101 || transfer->status > 599) {
        transfer_check_status(transfer);
        return false;
    }
    if (transfer->status >= 200) {
        transfer->head_ended = true;
        return begin_body(transfer);
    }
    transfer_drop_head(transfer);
    transfer->plain_answer.state = PLAIN_STATUS;
    return true;
}

/* A line with its LF. */
static bool take_answer_line(struct transfer *transfer, const char *line, size_t length)
{
    if (transfer->plain_answer.state == PLAIN_STATUS &&
        (length < 5 || memcmp(line, "HTTP/", 5) != 0)) {
        transfer_fail(transfer, NO_ANSWER);
        return false;
    }
    if (length < 2 || line[length - 2] != '\r') {
        transfer_fail(transfer, "the answer has a line that does not end with CR LF");
        return false;
    }
    if (transfer->plain_answer.state == PLAIN_STATUS)
        return take_status(transfer, line, length - 2);
    return length == 2 ? end_head(transfer) : transfer_keep_header(transfer, line, length - 2);
}

/* Lines that come in pieces are put together in `line`. Returns how many bytes were taken; a failed
 * transfer says why. */
static size_t take_head(struct transfer *transfer, const char *data, size_t length)
{
    struct plain_answer *answer = &transfer->plain_answer;
    struct text *begun = &transfer->line;
    const char *end = memchr(data, '\n', length);
    size_t part = end ? (size_t)(end - data) + 1 : length;
    answer->head_length += part;
    if (answer->head_length > HEADS_LENGTH_MAX) {
        transfer_fail(transfer, "the answer's headers are larger than %zu bytes",
                      ANSWER_HEADERS_LENGTH_MAX);
        return part;
    }
    if (end && !begun->length) {
        take_answer_line(transfer, data, part);
        return part;
    }
    text_append(begun, data, part);
    if (begun->overflow)
        transfer_fail(transfer, "the answer's headers are larger than %zu bytes",
                      ANSWER_HEADERS_LENGTH_MAX);
    else if (end && take_answer_line(transfer, begun->data, begun->length))
        text_clear(begun);
    else if (!end && answer->state == PLAIN_STATUS &&
             memcmp(begun->data, "HTTP/", begun->length < 5 ? begun->length : 5) != 0)
        transfer_fail(transfer, NO_ANSWER);
    return part;
}

static size_t take_chunks(struct transfer *transfer, const char *data, size_t length)
{
    struct http_refusal refusal;
    const char *body;
    size_t used = 0, body_length;
    enum read_result result =
        chunked_read(&transfer->plain_answer.chunked, data, length, ANSWER_HEADERS_LENGTH_MAX,
                     &used, &body, &body_length, &refusal);
    if (body_length)
        transfer_take_body(transfer, body, body_length);
    if (result == READ_REFUSED)
        transfer_fail(transfer, "the chunks of the answer's body are malformed");
    if (result == READ_DONE)
        transfer->plain_answer.state = PLAIN_ENDED;
    return used;
}

static size_t take_counted(struct transfer *transfer, const char *data, size_t length)
{
    struct plain_answer *answer = &transfer->plain_answer;
    size_t part = length < answer->left ? length : (size_t)answer->left;
    transfer_take_body(transfer, data, part);
    answer->left -= part;
    if (!answer->left)
        answer->state = PLAIN_ENDED;
    return part;
}

enum read_result plain_answer_read(struct transfer *transfer, const char *data, size_t length,
                                   size_t *ret_used)
{
    const struct plain_answer *answer = &transfer->plain_answer;
    size_t at = 0;
    while (at < length && answer->state != PLAIN_ENDED && !transfer->failure[0]) {
        if (answer->state == PLAIN_STATUS || answer->state == PLAIN_HEADERS) {
            at += take_head(transfer, data + at, length - at);
        } else if (answer->state == PLAIN_BODY) {
            at += take_counted(transfer, data + at, length - at);
        } else if (answer->state == PLAIN_CHUNKS) {
            at += take_chunks(transfer, data + at, length - at);
        } else {
            transfer_take_body(transfer, data + at, length - at);
            at = length;
        }
    }
    *ret_used = at;
    if (transfer->failure[0])
        return READ_REFUSED;
    return answer->state == PLAIN_ENDED ? READ_DONE : READ_MORE;
}

bool plain_answer_end(struct transfer *transfer)
{
    const struct plain_answer *answer = &transfer->plain_answer;
    if (answer->state == PLAIN_REST || answer->state == PLAIN_ENDED)
        return true;
    if (!answer->head_length)
        transfer_fail(transfer, "the connection was closed without an answer");
    else
        transfer_fail(transfer, "the connection was closed in the middle of the answer");
    return false;
}
