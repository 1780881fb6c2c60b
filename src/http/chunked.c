/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chunked body (RFC 9112, 7.1), byte by byte but for the data itself:
 *
 *     size -> [extension] -> LF -> data -> CR -> LF -> size ...
 *     "0"  -> [extension] -> LF -> trailers -> LF -> done
 *
 * A size is 1 to 15 hexadecimal digits that a CR or ';' follows at once. Extensions and trailers
 * mean nothing here: any text may stand in them, up to the CR LF that all readers take for their
 * end, and up to a bound. A trailer that would change where a request ends, or whose it is, is
 * refused.
 */

#define _GNU_SOURCE
#include <string.h>
#include <strings.h>

#include "http/head.h"

#define SIZE_DIGITS_MAX 15

enum chunked_state {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    TRAILER_BEGIN,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    CHUNKED_LF
};

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool refuse_chunked(struct http_refusal *refusal, const char *what, unsigned char byte)
{
    return refusal_set(refusal, PROBLEM_REQUEST_MALFORMED,
                       "The chunked body is malformed: %s, not 0x%02x.", what, byte);
}

static bool take_size(struct chunked *chunked, char c, struct http_refusal *refusal)
{
    int digit = digit_value(c);
    if (digit >= 0 && chunked->digits < SIZE_DIGITS_MAX) {
        chunked->left = chunked->left << 4 | (size_t)digit;
        chunked->digits++;
        return true;
    }
    if (digit >= 0 || !chunked->digits || (c != '\r' && c != ';'))
        return refuse_chunked(refusal,
                              chunked->digits
                                  ? "expected at most 15 digits of a chunk's size, then CR LF"
                                  : "expected a chunk's size in hexadecimal digits",
                              (unsigned char)c);
    chunked->last = chunked->left == 0;
    chunked->state = c == ';' ? CHUNK_EXTENSION : CHUNK_SIZE_LF;
    return true;
}

static bool take_name(struct chunked *chunked, char c, struct http_refusal *refusal)
{
    static const char *const framing[] = {"Content-Length", "Transfer-Encoding", "Host"};
    if (byte_classes[(unsigned char)c] & BYTE_TOKEN) {
        if (chunked->name < TRAILER_NAME_SIZE)
            chunked->trailer[chunked->name] = c;
        chunked->name++;
        return true;
    }
    if (c != ':' || !chunked->name)
        return refuse_chunked(refusal, "expected a trailer's name and a colon", (unsigned char)c);
    for (size_t i = 0; i < sizeof framing / sizeof *framing; i++) {
        if (strlen(framing[i]) == chunked->name &&
            strncasecmp(chunked->trailer, framing[i], chunked->name) == 0)
            return refusal_set(refusal, PROBLEM_REQUEST_MALFORMED,
                               "The chunked body has a %s among its trailers.", framing[i]);
    }
    chunked->state = TRAILER_VALUE;
    return true;
}

static bool expect_byte(struct chunked *chunked, char c, char wanted, enum chunked_state next,
                        struct http_refusal *refusal)
{
    if (c != wanted)
        return refuse_chunked(refusal, wanted == '\n' ? "expected LF after CR" : "expected CR LF",
                              (unsigned char)c);
    chunked->state = (int)next;
    return true;
}

/* Of an extension or a trailer's value. */
static bool take_text(struct chunked *chunked, char c, enum chunked_state next,
                      struct http_refusal *refusal)
{
    if (c == '\r')
        chunked->state = (int)next;
    else if (!(byte_classes[(unsigned char)c] & BYTE_VALUE))
        return refuse_chunked(refusal, "expected text, then CR LF", (unsigned char)c);
    return true;
}

static void begin_chunk(struct chunked *chunked)
{
    chunked->state = CHUNK_SIZE;
    chunked->left = 0;
    chunked->digits = 0;
}

/* One byte that is not data. False: refused. */
static bool take_byte(struct chunked *chunked, char c, struct http_refusal *refusal)
{
    switch ((enum chunked_state)chunked->state) {
    case CHUNK_SIZE:
        return take_size(chunked, c, refusal);
    case CHUNK_EXTENSION:
        return take_text(chunked, c, CHUNK_SIZE_LF, refusal);
    case CHUNK_SIZE_LF:
        return expect_byte(chunked, c, '\n', chunked->last ? TRAILER_BEGIN : CHUNK_DATA, refusal);
    case CHUNK_DATA_CR:
        return expect_byte(chunked, c, '\r', CHUNK_DATA_LF, refusal);
    case CHUNK_DATA_LF:
        if (!expect_byte(chunked, c, '\n', CHUNK_SIZE, refusal))
            return false;
        begin_chunk(chunked);
        return true;
    case TRAILER_BEGIN:
        if (c == '\r') {
            chunked->state = CHUNKED_LF;
            return true;
        }
        chunked->name = 0;
        chunked->state = TRAILER_NAME;
        return take_name(chunked, c, refusal);
    case TRAILER_NAME:
        return take_name(chunked, c, refusal);
    case TRAILER_VALUE:
        return take_text(chunked, c, TRAILER_LF, refusal);
    case TRAILER_LF:
        return expect_byte(chunked, c, '\n', TRAILER_BEGIN, refusal);
    case CHUNKED_LF:
        return expect_byte(chunked, c, '\n', CHUNKED_LF, refusal);
    case CHUNK_DATA:
        break;
    }
    return false; /* data is taken in pieces */
}

static bool is_overhead(const struct chunked *chunked)
{
    return chunked->state == CHUNK_EXTENSION || chunked->state == TRAILER_NAME ||
           chunked->state == TRAILER_VALUE || chunked->state == TRAILER_LF;
}

enum read_result chunked_read(struct chunked *chunked, const char *data, size_t length,
                              size_t overhead_max, size_t *ret_used, const char **ret_body,
                              size_t *ret_body_length, struct http_refusal *refusal)
{
    *ret_body_length = 0;
    for (size_t at = 0; at < length;) {
        if (chunked->state == CHUNK_DATA) {
            size_t part = length - at < chunked->left ? length - at : chunked->left;
            *ret_body = data + at;
            *ret_body_length = part;
            *ret_used = at + part;
            chunked->left -= part;
            if (!chunked->left)
                chunked->state = CHUNK_DATA_CR;
            return READ_MORE;
        }
        bool is_end = chunked->state == CHUNKED_LF;
        if (!take_byte(chunked, data[at++], refusal))
            return READ_REFUSED;
        if (is_overhead(chunked) && ++chunked->overhead > overhead_max) {
            refusal_set(refusal, PROBLEM_REQUEST_MALFORMED,
                        "The extensions and trailers of the chunked body have more than %zu bytes.",
                        overhead_max);
            return READ_REFUSED;
        }
        if (is_end) {
            *ret_used = at;
            return READ_DONE;
        }
    }
    *ret_used = length;
    return READ_MORE;
}
