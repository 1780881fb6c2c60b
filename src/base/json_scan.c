/* SPDX-License-Identifier: Apache-2.0 */
/* Eight bytes at a time, where they are plain. No step looks for the end of the text: the NUL
 * behind it is part of nothing. */

#include "base/json_scan.h"

#include <string.h>

#include "base/json.h"
#include "base/json_plain.h"

#define DIGITS_MAX 18          /* of an integer: fits into 64 bits */
#define DIGITS_OF_REAL_MAX 100 /* before the point; with EXPONENT_DIGITS_MAX it is finite */
#define EXPONENT_DIGITS_MAX 2

static bool refuse_scan(struct json_scan *scan)
{
    scan->refused = true;
    scan->at = scan->end;
    return false;
}

/* The next byte that is no blank, which stays; NUL at the end. */
static inline char next_scan_byte(struct json_scan *scan)
{
    while (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t')
        scan->at++;
    return *scan->at;
}

/* ---- Strings ---- */

/* The next byte that is not plain: the NUL behind the text at the latest. */
static inline const char *after_plain_bytes(const char *at)
{
    size_t count;
    do {
        count = json_plain_bytes(at);
        at += count;
    } while (count == JSON_PLAIN_STEP);
    return at;
}

static bool is_continued(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* How many bytes the character has that begins at `at`; 0: it is no UTF-8. */
static size_t utf8_length(const char *at, const char *end)
{
    const unsigned char *byte = (const unsigned char *)at;
    size_t left = (size_t)(end - at);
    if (byte[0] >= 0xc2 && byte[0] <= 0xdf)
        return left >= 2 && is_continued(byte[1]) ? 2 : 0;
    if (left < 3 || !is_continued(byte[1]) || !is_continued(byte[2]))
        return 0;
    if ((byte[0] & 0xf0) == 0xe0) {
        bool is_short = byte[0] == 0xe0 && byte[1] < 0xa0;
        bool is_surrogate = byte[0] == 0xed && byte[1] >= 0xa0;
        return is_short || is_surrogate ? 0 : 3;
    }
    if (byte[0] < 0xf0 || byte[0] > 0xf4 || left < 4 || !is_continued(byte[3]))
        return 0;
    bool is_outside = (byte[0] == 0xf0 && byte[1] < 0x90) || (byte[0] == 0xf4 && byte[1] >= 0x90);
    return is_outside ? 0 : 4;
}

/* Behind a backslash: how many bytes the escape has; 0: it is none, or one of a surrogate. */
static size_t escape_length(const char *at, const char *end)
{
    if (at == end)
        return 0;
    if (*at != 'u')
        return *at && strchr("\"\\/bfnrt", *at) ? 1 : 0;
    if (end - at < 5)
        return 0;
    for (int i = 1; i < 5; i++) {
        char c = at[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
            return 0;
    }
    bool is_surrogate = (at[1] == 'd' || at[1] == 'D') && at[2] >= '8';
    return is_surrogate ? 0 : 5;
}

/* From its first quote on. */
static inline bool scan_string(struct json_scan *scan, bool *ret_escapes)
{
    const char *at = scan->at + 1, *end = scan->end;
    *ret_escapes = false;
    while (*(at = after_plain_bytes(at)) != '"') {
        size_t length = 0;
        if (*at == '\\') {
            length = escape_length(at + 1, end);
            length += length > 0;
            *ret_escapes = true;
        } else if ((unsigned char)*at >= 0x80) {
            length = utf8_length(at, end);
        }
        if (!length)
            return refuse_scan(scan);
        at += length;
    }
    scan->at = at + 1;
    return true;
}

/* ---- Numbers and names ---- */

static size_t scan_digits(const char *at)
{
    size_t count = 0;
    while (at[count] >= '0' && at[count] <= '9')
        count++;
    return count;
}

static bool scan_number(struct json_scan *scan)
{
    const char *at = scan->at;
    at += *at == '-';
    size_t whole = scan_digits(at), more = 1, exponent = 1;
    bool is_real = false;
    if (!whole || (whole > 1 && *at == '0'))
        return refuse_scan(scan);
    at += whole;
    if (*at == '.') {
        is_real = true;
        more = scan_digits(++at);
        at += more;
    }
    if (*at == 'e' || *at == 'E') {
        is_real = true;
        at++;
        at += *at == '-' || *at == '+';
        exponent = scan_digits(at);
        at += exponent;
    }
    if (!more || !exponent || exponent > EXPONENT_DIGITS_MAX ||
        whole > (is_real ? DIGITS_OF_REAL_MAX : DIGITS_MAX))
        return refuse_scan(scan);
    scan->at = at;
    return true;
}

static bool scan_word(struct json_scan *scan, const char *word, size_t length)
{
    if (strncmp(scan->at, word, length) != 0)
        return refuse_scan(scan);
    scan->at += length;
    return true;
}

/* ---- Containers ---- */

bool json_scan_open(struct json_scan *scan, char bracket, struct json_scan_in *in)
{
    *in = (struct json_scan_in){.first_name = scan->name_count};
    if (next_scan_byte(scan) != bracket || scan->depth == JSON_DEPTH_MAX)
        return refuse_scan(scan);
    scan->at++;
    scan->depth++;
    return true;
}

bool json_scan_next(struct json_scan *scan, char bracket, struct json_scan_in *in)
{
    char next = next_scan_byte(scan);
    if (next == bracket) {
        scan->at++;
        scan->depth--;
        scan->name_count = in->first_name;
        return false;
    }
    if (in->begun && next != ',')
        return refuse_scan(scan);
    scan->at += in->begun;
    in->begun = true;
    return !scan->refused;
}

/* Notes it. False: the object has it already, or there is no room. */
static bool is_new_name(struct json_scan *scan, struct json_scan_in *in,
                        const struct json_piece *name)
{
    size_t length = name->length;
    unsigned hash = 0; /* of an envelope's names, each has another */
    if (length)
        hash = (unsigned char)name->at[length - 1] + 3U * (unsigned char)name->at[length / 2];
    uint64_t bit = UINT64_C(1) << (hash & 63);
    for (int i = in->first_name; (in->seen & bit) && i < scan->name_count; i++) {
        if (scan->names[i].length == length && memcmp(scan->names[i].at, name->at, length) == 0)
            return false;
    }
    if (scan->name_count == JSON_SCAN_NAMES_MAX)
        return false;
    in->seen |= bit;
    scan->names[scan->name_count++] = *name;
    return true;
}

bool json_scan_string(struct json_scan *scan, struct json_piece *ret)
{
    bool escapes;
    if (next_scan_byte(scan) != '"')
        return refuse_scan(scan);
    ret->at = scan->at + 1;
    if (!scan_string(scan, &escapes))
        return false;
    ret->length = (size_t)(scan->at - 1 - ret->at);
    return !escapes || refuse_scan(scan);
}

bool json_scan_name(struct json_scan *scan, struct json_scan_in *in, struct json_piece *ret)
{
    if (!json_scan_string(scan, ret))
        return false;
    if (!is_new_name(scan, in, ret) || next_scan_byte(scan) != ':')
        return refuse_scan(scan);
    scan->at++;
    return true;
}

static bool scan_value(struct json_scan *scan);

static bool scan_object(struct json_scan *scan)
{
    struct json_scan_in in;
    struct json_piece name;
    if (!json_scan_open(scan, '{', &in))
        return false;
    while (json_scan_next(scan, '}', &in)) {
        if (!json_scan_name(scan, &in, &name) || !scan_value(scan))
            return false;
    }
    return !scan->refused;
}

static bool scan_array(struct json_scan *scan)
{
    struct json_scan_in in;
    if (!json_scan_open(scan, '[', &in))
        return false;
    while (json_scan_next(scan, ']', &in)) {
        if (!scan_value(scan))
            return false;
    }
    return !scan->refused;
}

static bool scan_value(struct json_scan *scan)
{
    bool escapes;
    scan->value_count++;
    switch (next_scan_byte(scan)) {
    case '{':
        return scan_object(scan);
    case '[':
        return scan_array(scan);
    case '"':
        return scan_string(scan, &escapes);
    case 't':
        return scan_word(scan, "true", 4);
    case 'f':
        return scan_word(scan, "false", 5);
    case 'n':
        return scan_word(scan, "null", 4);
    default:
        return scan_number(scan);
    }
}

bool json_scan_value(struct json_scan *scan, struct json_piece *ret)
{
    next_scan_byte(scan);
    ret->at = scan->at;
    bool is_good = scan_value(scan);
    ret->length = (size_t)(scan->at - ret->at);
    return is_good;
}

void json_scan_begin(struct json_scan *scan, const char *text, size_t length)
{
    scan->at = text;
    scan->end = text + length;
    scan->refused = false;
    scan->depth = scan->name_count = 0;
    scan->value_count = 0;
}

bool json_scan_end(struct json_scan *scan)
{
    next_scan_byte(scan);
    return !scan->refused && scan->at == scan->end;
}
