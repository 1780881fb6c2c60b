/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CODING_H
#define GATEWAY_CODING_H

/*
 * Content codings of answers (RFC 9110, 8.4 and 12.5.3): zstd (RFC 8878) and gzip. Which answers
 * are worth it and may have one, and which coding the client likes best.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/server.h"

#define CODING_SIZE_MIN ((size_t)1024) /* of a body: below, it saves no packet */
#define CODING_SIZE_MAX ((size_t)2 << 20)
/* Of the loop's time, in each second: what is beyond goes uncoded. */
#define CODING_BUDGET_MS 250

enum coding { CODING_NONE, CODING_GZIP, CODING_ZSTD };

const char *coding_name(enum coding coding); /* NULL: none */
/* By the header Accept-Encoding, or NULL. Of equals zstd, then gzip. */
enum coding coding_accepted(const char *header);
/* Whether the answer would be coded for a client that accepts it. Not one with a strong ETag, which
 * is of these very bytes, nor one that says `no-transform`. */
bool coding_fits(const struct http_answer *answer);

/* What codes: its memory is used again for each answer, since making it costs more than a short
 * answer does. Zero at first. */
struct coder {
    int64_t second; /* in which the time was spent */
    int64_t spent_ns;
    struct z_stream_s *gzip; /* NULL until it is needed */
    struct ZSTD_CCtx_s *zstd;
};
void coder_release(struct coder *coder);

/* Within the budget, at this time? */
bool coder_affords(struct coder *coder, int64_t now_ns);
void coder_spent(struct coder *coder, int64_t spent_ns);

/* malloc'ed; NULL: there is no memory, or it would be no smaller. */
char *coder_encode(struct coder *coder, enum coding coding, const char *body, size_t length,
                   size_t *ret_length);

#endif
