/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of requests: an input is what one connection receives; its first byte says how it is
 * parted. What is read must not depend on that, each byte must belong to a head, a body or the
 * refusal, and a head's parts must be where a head can have them. Where http-parser is there, a
 * reader of other people's, it reads the requests that were taken as well: where it takes them,
 * too, both must have seen the same ones.
 */

#define _GNU_SOURCE
#include <stdio.h>
#include <strings.h>

#ifdef FUZZ_HTTP_PARSER
#include <http_parser.h>
#endif

#include "base/text.h"
#include "fuzz.h"
#include "http/head.h"

#define HEAD_SIZE_MAX ((size_t)2048)
#define TOLD_MAX ((size_t)1 << 20)

/* What was read so far, in words; `bodies` are all bodies, one after another. */
struct told {
    struct text heads, bodies;
    size_t requests, refused_at; /* refused_at: SIZE_MAX if it was not */
    size_t taken, bodies_taken;  /* bytes up to the last whole request's end */
};

static void check_span(const struct http_head *head, const char *data, struct head_span span,
                       unsigned kind)
{
    FH_ASSERT(span.at >= head->start && span.at + span.length <= head->length);
    FH_ASSERT(byte_span(data + span.at, span.length, kind) == span.length);
}

static void tell_span(struct told *told, const char *data, struct head_span span)
{
    text_append(&told->heads, data + span.at, span.length);
    text_append(&told->heads, "\n", 1);
}

static void check_head(struct told *told, const struct http_head *head, const char *data)
{
    size_t lengths = 0, encodings = 0;
    check_span(head, data, head->method, BYTE_TOKEN);
    check_span(head, data, head->path, BYTE_TARGET);
    check_span(head, data, head->query, BYTE_TARGET);
    tell_span(told, data, head->method);
    tell_span(told, data, head->path);
    tell_span(told, data, head->query);
    FH_ASSERT(head->length >= 4 && memcmp(data + head->length - 4, "\r\n\r\n", 4) == 0);
    for (size_t i = head->start; i < head->length; i++) {
        char c = data[i];
        FH_ASSERT(c != '\0' && (c != '\n' || data[i - 1] == '\r'));
        FH_ASSERT(c != '\r' || data[i + 1] == '\n');
        FH_ASSERT(c != '\n' || i + 1 == head->length ||
                  (data[i + 1] != ' ' && data[i + 1] != '\t'));
    }
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct head_field *field = &head->fields[i];
        check_span(head, data, field->name, BYTE_TOKEN);
        check_span(head, data, field->value, BYTE_VALUE);
        FH_ASSERT(data[field->name.at + field->name.length] == ':');
        const char *name = data + field->name.at;
        lengths += field->name.length == 14 && strncasecmp(name, "Content-Length", 14) == 0;
        encodings += field->name.length == 17 && strncasecmp(name, "Transfer-Encoding", 17) == 0;
        tell_span(told, data, field->name);
        tell_span(told, data, field->value);
    }
    FH_ASSERT(lengths + encodings <= 1 && (encodings == 1) == head->chunked);
    FH_ASSERT(lengths == 1 || head->body_length == 0);
}

/* ---- Our reading ---- */

struct reader {
    const char *data;
    size_t size, part; /* how many more bytes each time */
    size_t at, arrived;
    struct told *told;
};

static bool wait_for_more(struct reader *reader)
{
    size_t left = reader->size - reader->arrived;
    reader->arrived += left < reader->part ? left : reader->part;
    return left > 0;
}

static enum read_result read_a_head(struct reader *reader, struct http_head *head)
{
    struct head_progress progress = {0};
    struct http_refusal refusal;
    for (;;) {
        enum read_result result =
            head_read(head, reader->data + reader->at, reader->arrived - reader->at, &progress,
                      HEAD_SIZE_MAX, &refusal);
        FH_ASSERT((result == READ_REFUSED) == (refusal.status != 0));
        if (result == READ_DONE)
            FH_ASSERT(head->length <= reader->arrived - reader->at);
        if (result != READ_MORE || !wait_for_more(reader))
            return result;
    }
}

static enum read_result read_chunks(struct reader *reader)
{
    struct chunked chunked = {0};
    struct http_refusal refusal = {0};
    for (;;) {
        const char *body = NULL, *from = reader->data + reader->at;
        size_t used = 0, length = 0, given = reader->arrived - reader->at;
        enum read_result result =
            chunked_read(&chunked, from, given, HEAD_SIZE_MAX, &used, &body, &length, &refusal);
        if (result == READ_REFUSED)
            return result;
        FH_ASSERT(used <= given && (used > 0 || given == 0));
        FH_ASSERT(!length || (body >= from && body + length <= from + used));
        text_append(&reader->told->bodies, body ? body : "", length);
        reader->at += used;
        if (result == READ_DONE)
            return result;
        if (reader->at == reader->arrived && !wait_for_more(reader))
            return READ_MORE;
    }
}

static enum read_result read_announced(struct reader *reader, uint64_t length)
{
    while (reader->arrived - reader->at < length) {
        if (!wait_for_more(reader))
            return READ_MORE;
    }
    text_append(&reader->told->bodies, reader->data + reader->at, (size_t)length);
    reader->at += (size_t)length;
    return READ_DONE;
}

static void read_all(const char *data, size_t size, size_t part, struct told *told)
{
    static struct http_head head;
    struct reader reader = {.data = data, .size = size, .part = part, .told = told};
    enum read_result result = READ_DONE;
    text_init(&told->heads, TOLD_MAX);
    text_init(&told->bodies, TOLD_MAX);
    while (result == READ_DONE) {
        result = read_a_head(&reader, &head);
        if (result != READ_DONE)
            break;
        check_head(told, &head, data + reader.at);
        reader.at += head.length;
        result = head.chunked ? read_chunks(&reader) : read_announced(&reader, head.body_length);
        if (result != READ_DONE)
            break;
        told->requests++;
        told->taken = reader.at;
        told->bodies_taken = told->bodies.length;
        if (!head.persistent)
            return;
    }
    told->refused_at = result == READ_REFUSED ? told->taken : SIZE_MAX;
}

/* ---- Another's reading ---- */

#ifdef FUZZ_HTTP_PARSER
struct other {
    size_t requests;
    struct text bodies;
};

static int on_other_body(http_parser *parser, const char *data, size_t length)
{
    text_append(&((struct other *)parser->data)->bodies, data, length);
    return 0;
}

static int on_other_end(http_parser *parser)
{
    ((struct other *)parser->data)->requests++;
    return 0;
}

static void compare_with_other(const char *data, const struct told *told)
{
    static const http_parser_settings settings = {.on_body = on_other_body,
                                                  .on_message_complete = on_other_end};
    struct other other = {0};
    http_parser parser;
    text_init(&other.bodies, TOLD_MAX);
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = &other;
    size_t used = http_parser_execute(&parser, &settings, data, told->taken);
    if (used == told->taken && parser.http_errno == HPE_OK && !parser.upgrade) {
        FH_ASSERT(other.requests == told->requests);
        FH_ASSERT(other.bodies.length == told->bodies_taken);
        FH_ASSERT(!other.bodies.length ||
                  memcmp(other.bodies.data, told->bodies.data, other.bodies.length) == 0);
    }
    text_release(&other.bodies);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct told whole = {0}, parted = {0};
    fuzz_start();
    if (!size)
        return 0;
    size_t part = (size_t)bytes[0] % 32 + 1;
    char *data = malloc(size);
    FH_ASSERT(data != NULL);
    memcpy(data, bytes + 1, size - 1);
    read_all(data, size - 1, SIZE_MAX, &whole);
    read_all(data, size - 1, part, &parted);
    FH_ASSERT(whole.requests == parted.requests && whole.taken == parted.taken);
    FH_ASSERT(whole.refused_at == parted.refused_at);
    FH_ASSERT(whole.heads.length == parted.heads.length &&
              (!whole.heads.length ||
               memcmp(whole.heads.data, parted.heads.data, whole.heads.length) == 0));
#ifdef FUZZ_HTTP_PARSER
    compare_with_other(data, &whole);
#endif
    text_release(&whole.heads);
    text_release(&whole.bodies);
    text_release(&parted.heads);
    text_release(&parted.bodies);
    free(data);
    return 0;
}
