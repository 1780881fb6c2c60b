/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_PATH_TEXT_H
#define HTTP_PATH_TEXT_H

/* Rules for characters of a path that patterns and templates share (RFC 3986, 2.3 and 5.2.4). */

#include <stdbool.h>
#include <stddef.h>

static inline bool is_dots(const char *text, size_t length)
{
    return (length == 1 && text[0] == '.') || (length == 2 && text[0] == '.' && text[1] == '.');
}

static inline bool is_word(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_'))
            return false;
    }
    return length > 0;
}

static inline bool is_unreserved(char c)
{
    return is_word(&c, 1) || c == '-' || c == '.' || c == '~';
}

#define PATH_NAME_LENGTH_MAX 127 /* of a {name} */

#endif
