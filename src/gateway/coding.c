/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers are in memory as a whole, so each is coded in one call. That is done on the loop: at most
 * CODING_SIZE_MAX at a time, and within a budget of each second, so that clients who ask for much
 * take time from nobody else; what is beyond the budget goes out as it is, which no client can
 * mistake.
 */

#define _GNU_SOURCE
#define ZLIB_CONST
#include "gateway/coding.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>
#include <zstd.h>

#include "http/media.h"

#define GZIP_LEVEL 3
#define GZIP_WINDOW (15 + 16) /* 32 KiB, in gzip's form */
#define GZIP_MEMORY 8
#define ZSTD_LEVEL 3
#define NS_A_SECOND 1000000000

const char *coding_name(enum coding coding)
{
    static const char *const names[] = {[CODING_GZIP] = "gzip", [CODING_ZSTD] = "zstd"};
    return names[coding];
}

/* ---- What the client accepts ---- */

/* A weight in thousandths: "0.5", "1", "1.000". Anything else is no weight: 0. */
static int weight_of(const char *text, size_t length)
{
    int weight = 0, places = 1000;
    if (!length || (text[0] != '0' && text[0] != '1') || (length > 1 && text[1] != '.') ||
        length > 5)
        return 0;
    weight = (text[0] - '0') * 1000;
    for (size_t i = 2; i < length; i++) {
        if (!isdigit((unsigned char)text[i]))
            return 0;
        places /= 10;
        weight += (text[i] - '0') * places;
    }
    return weight > 1000 ? 0 : weight;
}

/* The weight in "gzip ; q=0.5"; 1000 without one. */
static int element_weight(const char *parameters, size_t length)
{
    const char *end = parameters + length;
    while (parameters < end && strchr("; \t", *parameters))
        parameters++;
    if (parameters == end)
        return 1000;
    if (end - parameters < 2 || tolower((unsigned char)parameters[0]) != 'q' ||
        parameters[1] != '=')
        return 0;
    return weight_of(parameters + 2, (size_t)(end - parameters) - 2);
}

static bool element_is(const char *name, size_t length, const char *coding)
{
    return strlen(coding) == length && strncasecmp(name, coding, length) == 0;
}

struct accepted {
    int zstd, gzip, identity, others; /* weights; -1: not said */
};

static void accept_element(struct accepted *accepted, const char *element, size_t length)
{
    while (length && strchr(" \t", element[length - 1]))
        length--;
    size_t name = strcspn(element, "; \t,");
    if (name > length)
        name = length;
    int weight = element_weight(element + name, length - name);
    if (element_is(element, name, "zstd"))
        accepted->zstd = weight;
    else if (element_is(element, name, "gzip") || element_is(element, name, "x-gzip"))
        accepted->gzip = weight;
    else if (element_is(element, name, "identity"))
        accepted->identity = weight;
    else if (element_is(element, name, "*"))
        accepted->others = weight;
}

enum coding coding_accepted(const char *header)
{
    struct accepted accepted = {-1, -1, -1, -1};
    if (!header)
        return CODING_NONE;
    while (*header) {
        header += strspn(header, ", \t");
        size_t length = strcspn(header, ",");
        if (length)
            accept_element(&accepted, header, length);
        header += length;
    }
    int zstd = accepted.zstd >= 0 ? accepted.zstd : accepted.others;
    int gzip = accepted.gzip >= 0 ? accepted.gzip : accepted.others;
    int best = zstd >= gzip ? zstd : gzip;
    if (best <= 0 || accepted.identity > best)
        return CODING_NONE;
    return zstd == best ? CODING_ZSTD : CODING_GZIP;
}

/* ---- Which answers ---- */

/* Text: of what is coded already, as pictures are, nothing is left to gain. */
static bool coded_type_fits(const char *type)
{
    static const char *const fitting[] = {"application/javascript", "application/xml",
                                          "image/svg+xml"};
    if (!type || media_is_json(type))
        return true;
    size_t length = strcspn(type, "; \t");
    if (length > 5 && strncasecmp(type, "text/", 5) == 0)
        return true;
    for (size_t i = 0; i < sizeof fitting / sizeof *fitting; i++) {
        if (element_is(type, length, fitting[i]))
            return true;
    }
    return false;
}

bool coding_fits(const struct http_answer *answer)
{
    if (!answer->body || answer->body_length < CODING_SIZE_MIN ||
        answer->body_length > CODING_SIZE_MAX || answer->status < 200 || answer->status == 204 ||
        answer->status == 206 || answer->status == 304 || !coded_type_fits(answer->content_type))
        return false;
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct http_header *header = &answer->headers[i];
        if (strcasecmp(header->name, "ETag") == 0 && strncmp(header->value, "W/", 2) != 0)
            return false;
        if (strcasecmp(header->name, "Cache-Control") == 0 &&
            strcasestr(header->value, "no-transform"))
            return false;
        if (strcasecmp(header->name, "Content-Encoding") == 0)
            return false;
    }
    return true;
}

bool coder_affords(struct coder *coder, int64_t now_ns)
{
    if (now_ns / NS_A_SECOND != coder->second) {
        coder->second = now_ns / NS_A_SECOND;
        coder->spent_ns = 0;
    }
    return coder->spent_ns < (int64_t)CODING_BUDGET_MS * 1000000;
}

void coder_spent(struct coder *coder, int64_t spent_ns)
{
    coder->spent_ns += spent_ns;
}

/* ---- Coding ---- */

/* NULL: no memory. */
static z_stream *gzip_of(struct coder *coder)
{
    if (coder->gzip)
        return deflateReset(coder->gzip) == Z_OK ? coder->gzip : NULL;
    z_stream *stream = calloc(1, sizeof *stream);
    if (stream && deflateInit2(stream, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
                               Z_DEFAULT_STRATEGY) != Z_OK) {
        free(stream);
        return NULL;
    }
    return coder->gzip = stream;
}

static size_t encode_gzip(struct coder *coder, const char *body, size_t length, char *ret,
                          size_t size)
{
    z_stream *stream = gzip_of(coder);
    if (!stream)
        return 0;
    stream->next_in = (const Bytef *)body;
    stream->avail_in = (uInt)length;
    stream->next_out = (Bytef *)ret;
    stream->avail_out = (uInt)size;
    return deflate(stream, Z_FINISH) == Z_STREAM_END ? stream->total_out : 0;
}

static size_t encode_zstd(struct coder *coder, const char *body, size_t length, char *ret,
                          size_t size)
{
    if (!coder->zstd)
        coder->zstd = ZSTD_createCCtx();
    if (!coder->zstd)
        return 0;
    size_t written = ZSTD_compressCCtx(coder->zstd, ret, size, body, length, ZSTD_LEVEL);
    return ZSTD_isError(written) ? 0 : written;
}

char *coder_encode(struct coder *coder, enum coding coding, const char *body, size_t length,
                   size_t *ret_length)
{
    size_t size = length - length / 16; /* no smaller than this: not worth it */
    char *coded = malloc(size);
    if (!coded)
        return NULL;
    *ret_length = coding == CODING_ZSTD ? encode_zstd(coder, body, length, coded, size)
                                        : encode_gzip(coder, body, length, coded, size);
    if (!*ret_length) {
        free(coded);
        return NULL;
    }
    return coded;
}

void coder_release(struct coder *coder)
{
    if (coder->gzip)
        deflateEnd(coder->gzip);
    free(coder->gzip);
    ZSTD_freeCCtx(coder->zstd);
    *coder = (struct coder){0};
}
