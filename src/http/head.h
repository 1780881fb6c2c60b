/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

/*
 * Reading requests from bytes, by the grammar of RFC 9112 and nothing beyond it: each byte belongs
 * to a head, to a body, or to what is refused. Nothing here knows of connections.
 *
 * Whoever stands in front of this server may read the same bytes more leniently. So there is no
 * second form of anything: lines end with CR LF, no line is folded, names are tokens that end at
 * their colon, and one header alone says how long the body is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/bytes.h"
#include "shape/problem.h"

#define HEAD_FIELDS_MAX 128

/* Why a request can't be accepted. */
struct http_refusal {
    enum problem_type type;
    int status;
    char detail[160];
};
bool refusal_set(struct http_refusal *refusal, enum problem_type type, const char *format, ...)
    __attribute__((format(printf, 3, 4))); /* returns false */

/* Bytes of the data that the head was read from. */
struct head_span {
    uint32_t at, length;
};

struct head_field {
    struct head_span name, value; /* without the space around the value */
};

struct http_head {
    struct head_span method, path, query; /* `query` is empty without '?' */
    uint32_t start;                       /* where the request line begins */
    uint32_t length;                      /* with the empty line at its end */
    bool old;                             /* HTTP/1.0 */
    bool persistent;                      /* the client may send another request afterwards */
    bool chunked;
    bool awaits_continue; /* Expect: 100-continue */
    uint64_t body_length; /* as announced; 0 for a chunked body */
    unsigned field_count;
    struct head_field fields[HEAD_FIELDS_MAX];
};

/* How far an incomplete head has been read: {0} for a new one. */
struct head_progress {
    uint32_t line;    /* where its first incomplete line begins */
    uint32_t scanned; /* up to here that line is known to be sound */
    uint32_t lines;   /* complete ones, from the request line on */
    uint32_t singles; /* bit i: the i-th of the headers that come once at most has come */
};

enum read_result { READ_MORE, READ_DONE, READ_REFUSED };

/* Reads a head that begins at data[0]. READ_MORE: call again with the same bytes and further ones;
 * each byte is looked at twice at most, however they arrive. A head of more than `size_max` bytes
 * is refused. */
enum read_result head_read(struct http_head *head, const char *data, size_t length,
                           struct head_progress *progress, size_t size_max,
                           struct http_refusal *refusal);

/* A chunked body, read incrementally: {0} at its beginning. */
#define TRAILER_NAME_SIZE 20
struct chunked {
    int state;
    bool last;                       /* the size of the last chunk has been read */
    unsigned digits;                 /* of this chunk's size so far */
    size_t left;                     /* of this chunk's data */
    size_t overhead;                 /* bytes of extensions and trailers so far */
    size_t name;                     /* bytes of a trailer's name so far */
    char trailer[TRAILER_NAME_SIZE]; /* that name's beginning */
};

/* Reads on at data[0]. *ret_used bytes were read; of those, *ret_body_length from *ret_body are the
 * body's (one piece a call). READ_MORE with fewer than `length` used: call again with the rest.
 * Extensions and trailers are checked and dropped. */
enum read_result chunked_read(struct chunked *chunked, const char *data, size_t length,
                              size_t overhead_max, size_t *ret_used, const char **ret_body,
                              size_t *ret_body_length, struct http_refusal *refusal);

/* Whether a comma-separated list has the word, in any case. */
bool list_has(const char *list, size_t length, const char *word);

#endif
