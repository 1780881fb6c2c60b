/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_JSON_PLAIN_H
#define BASE_JSON_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define JSON_PLAIN_STEP sizeof(uint64_t)
#define JSON_EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

static inline bool json_is_plain(char c)
{
    return (unsigned char)c >= ' ' && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* How many of the JSON_PLAIN_STEP bytes from `at` on are before the first one that is a quote, a
 * backslash, a control character or of more than ASCII. Of these bytes, the first with its highest
 * bit in `found` is such a one; a borrow makes more of them only behind it. */
static inline size_t json_plain_bytes(const char *at)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t bytes, found;
    memcpy(&bytes, at, sizeof bytes);
    found = (bytes | (bytes - JSON_EACH_BYTE(0x20)) |
             ((bytes ^ JSON_EACH_BYTE('"')) - JSON_EACH_BYTE(1)) |
             ((bytes ^ JSON_EACH_BYTE('\\')) - JSON_EACH_BYTE(1))) &
            JSON_EACH_BYTE(0x80);
    return found ? (size_t)__builtin_ctzll(found) / 8 : JSON_PLAIN_STEP;
#else
    size_t count = 0;
    while (count < JSON_PLAIN_STEP && json_is_plain(at[count]))
        count++;
    return count;
#endif
}

#endif
