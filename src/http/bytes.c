/* SPDX-License-Identifier: Apache-2.0 */
/* The classes of bytes in one table, and spans of them. Most of what a server reads is the values
 * of headers, so these are looked at eight bytes at a time. */

#include "http/bytes.h"

#include <string.h>

const uint8_t byte_classes[256] = {
    0,  0,  0,  0,  0,  0,  0,  0,  0,  2,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
    0,  0,  0,  0,  0,  0,  0,  0,  2,  15, 6,  3,  15, 15, 15, 15, 14, 14, 15, 15, 6,  15, 15, 6,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6,  14, 6,  14, 6,  6,  6,  15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6,  6,  6,  7,  15,
    7,  15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 6,  7,  6,  15, 0,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
    2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
};

size_t byte_span(const char *data, size_t length, unsigned kind)
{
    size_t at = 0;
    while (at < length && byte_classes[(unsigned char)data[at]] & kind)
        at++;
    return at;
}

#define EACH_OF_EIGHT(byte) (0x0101010101010101u * (byte))

/* Whether the eight bytes are all a value's, and no tab is among them. */
static bool are_eight_plain(const char *data)
{
    uint64_t eight;
    memcpy(&eight, data, sizeof eight);
    uint64_t control = (eight - EACH_OF_EIGHT(' ')) & ~eight;
    uint64_t other = eight ^ EACH_OF_EIGHT(0x7f);
    uint64_t rubout = (other - EACH_OF_EIGHT(1)) & ~other;
    return ((control | rubout) & EACH_OF_EIGHT(0x80)) == 0;
}

size_t value_span(const char *data, size_t length)
{
    size_t at = 0, step = 8;
    while (step == 8 && length - at >= 8) {
        step = are_eight_plain(data + at) ? 8 : byte_span(data + at, 8, BYTE_VALUE);
        at += step;
    }
    return step < 8 ? at : at + byte_span(data + at, length - at, BYTE_VALUE);
}

bool text_is_token(const char *text)
{
    size_t length = strlen(text);
    return length && byte_span(text, length, BYTE_TOKEN) == length;
}
