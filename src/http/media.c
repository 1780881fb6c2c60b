/* SPDX-License-Identifier: Apache-2.0 */
/* See media.h. What can't be read in an Accept is passed over: a client that says nothing that can
 * be understood gets what there is. */

#include "http/media.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "http/bytes.h"

static size_t media_name_length(const char *text)
{
    return strcspn(text, "; \t,");
}

bool media_is_type(const char *text)
{
    const char *slash = strchr(text, '/');
    if (!slash || slash == text || strlen(text) >= MEDIA_TYPE_SIZE || strchr(text, '*'))
        return false;
    for (const char *at = text; *at; at++) {
        if (isupper((unsigned char)*at))
            return false;
    }
    return byte_span(text, strlen(text), BYTE_TOKEN) == (size_t)(slash - text) &&
           text_is_token(slash + 1);
}

bool media_is_json(const char *content_type)
{
    size_t length = content_type ? strcspn(content_type, "; \t") : 0, suffix = strlen("+json");
    return (length == strlen("application/json") &&
            strncasecmp(content_type, "application/json", length) == 0) ||
           (length > suffix && strncasecmp(content_type + length - suffix, "+json", suffix) == 0);
}

bool media_is_text(const char *type)
{
    return strncmp(type, "text/", strlen("text/")) == 0;
}

static bool charset_is(const char *value, size_t length, const char *name)
{
    if (length >= 2 && value[0] == '"' && value[length - 1] == '"') {
        value++;
        length -= 2;
    }
    return length == strlen(name) && strncasecmp(value, name, length) == 0;
}

static bool charset_fits(const char *parameters)
{
    while (*parameters) {
        parameters += strspn(parameters, "; \t");
        size_t length = strcspn(parameters, "; \t");
        const char *value = parameters + strlen("charset=");
        if (length >= strlen("charset=") &&
            strncasecmp(parameters, "charset=", strlen("charset=")) == 0) {
            size_t left = length - strlen("charset=");
            return charset_is(value, left, "utf-8") || charset_is(value, left, "us-ascii");
        }
        parameters += length;
    }
    return true;
}

bool media_fits(const char *content_type, const char *type)
{
    size_t length = content_type ? media_name_length(content_type) : 0;
    const char *rest = content_type ? content_type + length : "";
    char next = rest[strspn(rest, " \t")]; /* a ',' begins a second type */
    return length && length == strlen(type) && strncasecmp(content_type, type, length) == 0 &&
           (!next || next == ';') && (!media_is_text(type) || charset_fits(rest));
}

/* 0: q=0, which refuses. */
static bool range_takes(const char *parameters, size_t length)
{
    for (size_t i = 0; i + 2 < length; i++) {
        if (tolower((unsigned char)parameters[i]) == 'q' && parameters[i + 1] == '=' &&
            strchr("; \t", parameters[i - (i > 0)]))
            return strspn(parameters + i + 2, "0.") < strcspn(parameters + i + 2, ";, \t");
    }
    return true;
}

/* 3: it is this type; 2: type/ *; 1: all types; 0: another. */
static int range_precision(const char *range, size_t length, const char *type)
{
    size_t major = strcspn(type, "/") + 1;
    if (length == strlen(type) && strncasecmp(range, type, length) == 0)
        return 3;
    if (length == major + 1 && strncasecmp(range, type, major) == 0 && range[major] == '*')
        return 2;
    return length == 3 && memcmp(range, "*/*", 3) == 0 ? 1 : 0;
}

bool media_accepted(const char *accept, const char *type)
{
    int best = 0;
    bool takes = true, understood = false;
    while (accept && *accept) {
        accept += strspn(accept, ", \t");
        size_t length = strcspn(accept, ","), name = media_name_length(accept);
        int precision = range_precision(accept, name, type);
        if (memchr(accept, '/', name))
            understood = true;
        if (precision > best) {
            best = precision;
            takes = range_takes(accept + name, length - name);
        }
        accept += length;
    }
    return best ? takes : !understood;
}

/* RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
bool media_is_utf8(const void *data, size_t length)
{
    const uint8_t *at = data, *end = at + length;
    while (at < end) {
        size_t more = *at < 0x80 ? 0 : *at < 0xc2 ? 4 : *at < 0xe0 ? 1 : *at < 0xf0 ? 2 : 3;
        if (more > 3 || *at > 0xf4 || (size_t)(end - at) <= more)
            return false;
        if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
            (*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f))
            return false;
        for (size_t i = 1; i <= more; i++) {
            if ((at[i] & 0xc0) != 0x80)
                return false;
        }
        at += more + 1;
    }
    return true;
}
