/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's head. It is read line by line: a line is first measured, so that each of its bytes is
 * known to be one that a head can have and its end is known to be CR LF, and then taken apart. A
 * head that arrives in pieces is measured and checked as far as it goes; when its empty line has
 * come, it is read once more as a whole.
 *
 * Refused: a CR or LF that is not part of CR LF, any other control character but a tab in a value,
 * a line that begins with space (folding), a name that is no token (so also space before the
 * colon), a method that is no token, more than one space in the request line, a target with bytes
 * that are no URI's, versions but 1.0 and 1.1, no Host or two or one that is no host, a
 * Content-Length that is not digits alone, two of them, or one next to a Transfer-Encoding, any
 * Transfer-Encoding but one "chunked", duplicates of a header that decides who asks for what.
 *
 * One empty line before the request line is skipped (RFC 9112, 2.2).
 */

#define _GNU_SOURCE
#include "http/head.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

bool refusal_set(struct http_refusal *refusal, enum problem_type type, const char *format, ...)
{
    refusal->type = type;
    refusal->status = problem_status(type);
    va_list args;
    va_start(args, format);
    vsnprintf(refusal->detail, sizeof refusal->detail, format, args);
    va_end(args);
    return false;
}

/* ---- Lines ---- */

/* What is known while a head is read. */
struct reading {
    struct http_head *head;
    const char *data;
    struct http_refusal *refusal;
    unsigned line; /* its number, from 1: the request line */
    unsigned hosts, lengths, encodings;
    struct head_progress *progress;
    struct head_span authority, host;
    bool close, keep;
    bool whole; /* from the head's first byte on: it can be judged when it ends */
};

static bool refuse_byte(struct reading *reading, unsigned char byte, const char *at_end)
{
    const char *what = byte == '\r'   ? "has a CR that no LF follows"
                       : byte == '\n' ? "ends with an LF that follows no CR"
                                      : NULL;
    if (what)
        return refusal_set(reading->refusal, PROBLEM_REQUEST_MALFORMED,
                           "Line %u of the request's head %s: lines end with CR LF.", reading->line,
                           what);
    const char *colon = memchr(reading->data, ':', (size_t)(at_end - reading->data));
    int name = colon ? (int)(colon - reading->data) : 0;
    if (reading->line > 1 && name && name <= 64 &&
        byte_span(reading->data, (size_t)name, BYTE_TOKEN) == (size_t)name)
        return refusal_set(reading->refusal, PROBLEM_REQUEST_MALFORMED,
                           "The header %.*s has control characters in its value: 0x%02x at byte "
                           "%zd of its line.",
                           name, reading->data, byte, at_end - reading->data + 1);
    return refusal_set(reading->refusal, PROBLEM_REQUEST_MALFORMED,
                       "Line %u of the request's head has a control character: 0x%02x at byte %zd.",
                       reading->line, byte, at_end - reading->data + 1);
}

/* Measures the line that begins at data[progress->line]: *ret_end is where its CR LF is. */
static enum read_result measure_line(struct reading *reading, const char *data, size_t length,
                                     struct head_progress *progress, size_t *ret_end)
{
    size_t at = progress->scanned;
    at += value_span(data + at, length - at);
    progress->scanned = (uint32_t)at;
    if (at == length || (data[at] == '\r' && at + 1 == length))
        return READ_MORE;
    if (data[at] == '\r' && data[at + 1] == '\n') {
        *ret_end = at;
        return READ_DONE;
    }
    reading->data = data + progress->line;
    refuse_byte(reading, (unsigned char)data[at], data + at);
    return READ_REFUSED;
}

/* ---- The request line ---- */

static bool is_host(const char *text, size_t length)
{
    size_t name;
    if (length && *text == '[') { /* an IPv6 address */
        name = 1;
        while (name < length &&
               (byte_classes[(unsigned char)text[name]] & BYTE_HOST || text[name] == ':'))
            name++;
        if (name == 1 || name == length || text[name++] != ']')
            return false;
    } else {
        name = byte_span(text, length, BYTE_HOST);
    }
    if (name == length)
        return true;
    if (text[name++] != ':')
        return false;
    while (name < length && text[name] >= '0' && text[name] <= '9')
        name++;
    return name == length;
}

/* "/path?query", or the same after "http://host". `data` is the whole target. */
static bool read_target(struct reading *reading, const char *data, struct head_span target)
{
    struct http_refusal *refusal = reading->refusal;
    const char *text = data + target.at, *end = text + target.length, *path = text;
    size_t scheme = target.length >= 7 && strncasecmp(text, "http://", 7) == 0    ? 7
                    : target.length >= 8 && strncasecmp(text, "https://", 8) == 0 ? 8
                                                                                  : 0;
    if (scheme) {
        path = text + scheme;
        while (path < end && *path != '/' && *path != '?')
            path++;
        reading->authority = (struct head_span){target.at + (uint32_t)scheme,
                                                (uint32_t)((size_t)(path - text) - scheme)};
        if (path == end || *path != '/')
            return refusal_set(refusal, PROBLEM_REQUEST_MALFORMED,
                               "The request's target has no path.");
        if (!reading->authority.length ||
            !is_host(data + reading->authority.at, reading->authority.length))
            return refusal_set(refusal, PROBLEM_REQUEST_MALFORMED,
                               "The request's target has no valid host.");
    }
    if (*path != '/')
        return refusal_set(refusal, PROBLEM_REQUEST_MALFORMED,
                           "The request's target does not begin with '/'.");
    const char *mark = memchr(path, '?', (size_t)(end - path));
    const char *path_end = mark ? mark : end;
    const char *query = mark ? mark + 1 : end;
    reading->head->path = (struct head_span){(uint32_t)(path - data), (uint32_t)(path_end - path)};
    reading->head->query = (struct head_span){(uint32_t)(query - data), (uint32_t)(end - query)};
    return true;
}

static bool read_version(struct reading *reading, const char *text, size_t length)
{
    bool is_version = length == 8 && memcmp(text, "HTTP/", 5) == 0 && text[5] >= '0' &&
                      text[5] <= '9' && text[6] == '.' && text[7] >= '0' && text[7] <= '9';
    if (!is_version)
        return refusal_set(reading->refusal, PROBLEM_REQUEST_MALFORMED,
                           "The request line does not end with \"HTTP/1.1\".");
    if (text[5] != '1' || text[7] > '1')
        return refusal_set(reading->refusal, PROBLEM_VERSION_UNSUPPORTED,
                           "The request is in HTTP/%c.%c; HTTP/1.1 and HTTP/1.0 are known here.",
                           text[5], text[7]);
    reading->head->old = text[7] == '0';
    return true;
}

static bool read_request_line(struct reading *reading, const char *data, size_t at, size_t end)
{
    struct http_head *head = reading->head;
    size_t method = byte_span(data + at, end - at, BYTE_TOKEN);
    if (!method || at + method == end || data[at + method] != ' ')
        return refusal_set(reading->refusal, PROBLEM_REQUEST_MALFORMED,
                           "The request's method is not a token that one space follows.");
    head->start = (uint32_t)at;
    head->method = (struct head_span){(uint32_t)at, (uint32_t)method};
    size_t target_at = at + method + 1;
    const char *last = memrchr(data + target_at, ' ', end - target_at);
    if (!last)
        return refusal_set(reading->refusal, PROBLEM_REQUEST_MALFORMED,
                           "The request line has no HTTP version.");
    struct head_span target = {(uint32_t)target_at, (uint32_t)((size_t)(last - data) - target_at)};
    size_t sound = byte_span(data + target_at, target.length, BYTE_TARGET);
    if (sound < target.length)
        return refusal_set(
            reading->refusal, PROBLEM_REQUEST_MALFORMED,
            "The request's target has spaces or control characters, a '#' or bytes beyond ASCII: "
            "0x%02x at its byte %zu.",
            (unsigned char)data[target_at + sound], sound + 1);
    if (!target.length)
        return refusal_set(reading->refusal, PROBLEM_REQUEST_MALFORMED,
                           "The request has no target, or two spaces before it.");
    return read_version(reading, last + 1, end - (size_t)(last + 1 - data)) &&
           read_target(reading, data, target);
}

/* ---- Headers ---- */

/* Headers that decide who asks for what, and how often: duplicates would be ambiguous. */
static const struct {
    const char *name;
    size_t length;
} singles[] = {
#define SINGLE(name)                                                                               \
    {                                                                                              \
        name, sizeof(name) - 1                                                                     \
    }
    SINGLE("Content-Type"), SINGLE("Authorization"), SINGLE("Idempotency-Key"), SINGLE("Origin"),
    SINGLE("Sec-Fetch-Site")};

/* Of what the processes of a system tell each other: none comes twice. */
#define OWN_PREFIX "Freehold-"
#define OWN_PREFIX_LENGTH (sizeof OWN_PREFIX - 1)

static bool is_named(const char *name, size_t length, const char *wanted, size_t wanted_length)
{
    return length == wanted_length && strncasecmp(name, wanted, length) == 0;
}

bool list_has(const char *list, size_t length, const char *word)
{
    const char *end = list + length;
    size_t word_length = strlen(word);
    while (list < end) {
        const char *comma = memchr(list, ',', (size_t)(end - list));
        const char *item_end = comma ? comma : end;
        const char *next = comma ? comma + 1 : end;
        while (list < item_end && (*list == ' ' || *list == '\t'))
            list++;
        while (item_end > list && (item_end[-1] == ' ' || item_end[-1] == '\t'))
            item_end--;
        if (is_named(list, (size_t)(item_end - list), word, word_length))
            return true;
        list = next;
    }
    return false;
}

static bool note_single(struct reading *reading, const char *name, size_t length)
{
    for (unsigned i = 0; i < sizeof singles / sizeof *singles; i++) {
        if (!is_named(name, length, singles[i].name, singles[i].length))
            continue;
        if (reading->progress->singles & 1u << i)
            return refusal_set(reading->refusal, PROBLEM_REQUEST_MALFORMED,
                               "The request has more than one %s.", singles[i].name);
        reading->progress->singles |= 1u << i;
    }
    return true;
}

static bool note_length(struct reading *reading, const char *value, size_t length)
{
    uint64_t number = 0;
    size_t at = 0;
    reading->lengths++;
    while (at < length && value[at] >= '0' && value[at] <= '9')
        number = number * 10 + (uint64_t)(value[at++] - '0');
    if (at < length || !length)
        return refusal_set(reading->refusal, PROBLEM_REQUEST_MALFORMED,
                           "The Content-Length is not a number: expected digits alone.");
    /* 18 digits are less than 2^63; a body of more is beyond every limit. */
    if (length > 18)
        return refusal_set(reading->refusal, PROBLEM_BODY_TOO_LARGE,
                           "The Content-Length has %zu digits, and at most 18 are accepted.",
                           length);
    reading->head->body_length = number;
    return true;
}

/* The headers that decide where the request ends, and what follows it. */
static bool note_framing(struct reading *reading, const char *name, size_t name_length,
                         const struct head_span *at, const char *value)
{
    switch (name_length) {
    case 4:
        if (is_named(name, name_length, "Host", 4)) {
            reading->hosts++;
            reading->host = *at;
        }
        return true;
    case 6:
        if (is_named(name, name_length, "Expect", 6))
            reading->head->awaits_continue |= list_has(value, at->length, "100-continue");
        return true;
    case 10:
        if (is_named(name, name_length, "Connection", 10)) {
            reading->close |= list_has(value, at->length, "close");
            reading->keep |= list_has(value, at->length, "keep-alive");
        }
        return true;
    case 14:
        return !is_named(name, name_length, "Content-Length", 14) ||
               note_length(reading, value, at->length);
    case 17:
        if (is_named(name, name_length, "Transfer-Encoding", 17)) {
            reading->encodings++;
            reading->head->chunked = is_named(value, at->length, "chunked", 7);
        }
        return true;
    default:
        return true;
    }
}

static bool read_head_field(struct reading *reading, const char *data, size_t at, size_t end)
{
    struct http_head *head = reading->head;
    const char *name = data + at;
    size_t length = byte_span(name, end - at, BYTE_TOKEN);
    if (*name == ' ' || *name == '\t')
        return refusal_set(reading->refusal, PROBLEM_REQUEST_MALFORMED,
                           "Line %u of the request's head begins with space: a header is one line.",
                           reading->line);
    if (!length || at + length == end || name[length] != ':')
        return refusal_set(reading->refusal, PROBLEM_REQUEST_MALFORMED,
                           "The name of header %u is not a token that a colon follows.",
                           reading->line - 1);
    if (reading->line > HEAD_FIELDS_MAX + 1)
        return refusal_set(reading->refusal, PROBLEM_HEAD_TOO_LARGE,
                           "The request has more than %d headers.", HEAD_FIELDS_MAX);
    size_t from = at + length + 1, to = end;
    while (from < to && (data[from] == ' ' || data[from] == '\t'))
        from++;
    while (to > from && (data[to - 1] == ' ' || data[to - 1] == '\t'))
        to--;
    struct head_field *field = &head->fields[head->field_count++];
    field->name = (struct head_span){(uint32_t)at, (uint32_t)length};
    field->value = (struct head_span){(uint32_t)from, (uint32_t)(to - from)};
    return note_framing(reading, name, length, &field->value, data + from) &&
           note_single(reading, name, length);
}

/* ---- The whole head ---- */

static bool check_encoding(const struct reading *reading)
{
    const struct http_head *head = reading->head;
    const char *fault = NULL;
    if (reading->lengths > 1)
        fault = "The request has more than one Content-Length.";
    else if (reading->lengths && reading->encodings)
        fault = "The request has both a Content-Length and a Transfer-Encoding.";
    else if (reading->encodings > 1)
        fault = "The request has more than one Transfer-Encoding.";
    else if (reading->encodings && head->old)
        fault = "HTTP/1.0 has no Transfer-Encoding.";
    if (fault)
        return refusal_set(reading->refusal, PROBLEM_REQUEST_MALFORMED, "%s", fault);
    if (reading->encodings && !head->chunked)
        return refusal_set(reading->refusal, PROBLEM_ENCODING_UNSUPPORTED,
                           "The only Transfer-Encoding known here is chunked.");
    return true;
}

static bool check_host(const struct reading *reading, const char *data)
{
    const struct head_span *host = &reading->host, *other = &reading->authority;
    if (reading->hosts > 1 || (reading->hosts == 0 && !reading->head->old))
        return refusal_set(reading->refusal, PROBLEM_REQUEST_MALFORMED,
                           "The request has %s Host header: expected exactly one.",
                           reading->hosts ? "more than one" : "no");
    if (reading->hosts && !is_host(data + host->at, host->length))
        return refusal_set(
            reading->refusal, PROBLEM_REQUEST_MALFORMED,
            "The request's Host is not a host name or address, with or without a port.");
    if (reading->hosts && other->length &&
        !is_named(data + host->at, host->length, data + other->at, other->length))
        return refusal_set(reading->refusal, PROBLEM_REQUEST_MALFORMED,
                           "The request's target and its Host name different hosts.");
    return true;
}

/* When the head is whole: while it arrives, its earlier headers are not known. */
static bool check_own(const struct reading *reading, const char *data)
{
    const struct http_head *head = reading->head;
    for (unsigned i = 1; i < head->field_count; i++) {
        const struct head_span *own = &head->fields[i].name;
        const char *name = data + own->at;
        if (own->length < OWN_PREFIX_LENGTH ||
            strncasecmp(name, OWN_PREFIX, OWN_PREFIX_LENGTH) != 0)
            continue;
        for (unsigned j = 0; j < i; j++) {
            const struct head_span *other = &head->fields[j].name;
            if (is_named(data + other->at, other->length, name, own->length))
                return refusal_set(reading->refusal, PROBLEM_REQUEST_MALFORMED,
                                   "The request has more than one %.*s.",
                                   own->length < 64 ? (int)own->length : 64, name);
        }
    }
    return true;
}

static bool read_line(struct reading *reading, const char *data, size_t at, size_t end,
                      bool is_first)
{
    return is_first ? read_request_line(reading, data, at, end)
                    : read_head_field(reading, data, at, end);
}

static bool finish_head(struct reading *reading, const char *data, size_t end)
{
    struct http_head *head = reading->head;
    head->length = (uint32_t)end;
    head->persistent = head->old ? reading->keep && !reading->close : !reading->close;
    head->awaits_continue &= !head->old;
    return check_encoding(reading) && check_host(reading, data) && check_own(reading, data);
}

/* Reads the complete lines that begin at progress->line. READ_DONE: the empty one, too. */
static enum read_result read_lines(struct reading *reading, const char *data, size_t length,
                                   struct head_progress *progress)
{
    for (;;) {
        size_t end = 0, at = progress->line;
        enum read_result result = measure_line(reading, data, length, progress, &end);
        if (result != READ_DONE)
            return result;
        bool is_empty = end == at, is_first = progress->lines == 0;
        if (is_empty && is_first && at > 0) {
            refusal_set(reading->refusal, PROBLEM_REQUEST_MALFORMED,
                        "More than one empty line came before the request.");
            return READ_REFUSED;
        }
        progress->line = progress->scanned = (uint32_t)end + 2;
        if (is_empty && is_first)
            continue;
        if (is_empty)
            return !reading->whole || finish_head(reading, data, end + 2) ? READ_DONE
                                                                          : READ_REFUSED;
        if (!read_line(reading, data, at, end, is_first))
            return READ_REFUSED;
        reading->line = ++progress->lines + 1;
    }
}

static enum read_result refuse_size(struct http_refusal *refusal,
                                    const struct head_progress *progress, size_t size_max)
{
    if (progress->lines)
        refusal_set(refusal, PROBLEM_HEAD_TOO_LARGE,
                    "The request's head has more than the %zu bytes that are accepted.", size_max);
    else
        refusal_set(refusal, PROBLEM_TARGET_TOO_LONG,
                    "The request line alone has more than the %zu bytes that are accepted for a "
                    "head.",
                    size_max);
    return READ_REFUSED;
}

enum read_result head_read(struct http_head *head, const char *data, size_t length,
                           struct head_progress *progress, size_t size_max,
                           struct http_refusal *refusal)
{
    for (;;) {
        struct reading reading = {.head = head,
                                  .data = data,
                                  .refusal = refusal,
                                  .progress = progress,
                                  .line = progress->lines + 1,
                                  .whole = progress->lines == 0};
        *refusal = (struct http_refusal){0};
        head->field_count = 0;
        head->body_length = 0;
        head->chunked = head->awaits_continue = false;
        enum read_result result = read_lines(&reading, data, length, progress);
        if (result == READ_REFUSED)
            return result;
        if ((result == READ_DONE ? progress->line : length) > size_max)
            return refuse_size(refusal, progress, size_max);
        if (result == READ_MORE || reading.whole)
            return result;
        *progress = (struct head_progress){0};
    }
}
