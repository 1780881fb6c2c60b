/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and makes traceparent headers. */

#include "call/trace.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static bool take_hex(const char **at, char *out, size_t length)
{
    if (strspn(*at, "0123456789abcdef") < length)
        return false;
    memcpy(out, *at, length);
    out[length] = '\0';
    *at += length;
    return true;
}

static bool take_dash(const char **at)
{
    return *(*at)++ == '-';
}

static bool all_zeros(const char *hex)
{
    return hex[strspn(hex, "0")] == '\0';
}

bool trace_parse(const char *text, struct trace *ret)
{
    char version[3], flags[3];
    const char *at = text;
    if (!text || !take_hex(&at, version, 2) || !take_dash(&at) || !take_hex(&at, ret->id, 32) ||
        !take_dash(&at) || !take_hex(&at, ret->span, 16) || !take_dash(&at) ||
        !take_hex(&at, flags, 2))
        return false;
    if (strcmp(version, "ff") == 0 || all_zeros(ret->id) || all_zeros(ret->span))
        return false;
    /* Version 00 ends here; a later one may continue after another dash. */
    if (*at != '\0' && (strcmp(version, "00") == 0 || *at != '-'))
        return false;
    return sscanf(flags, "%2x", &ret->flags) == 1;
}

/* Not all zeros: that would be no id. */
static void hex_of(const unsigned char *bytes, size_t length, char *out)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char all = 0;
    for (size_t i = 0; i < length; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
        all |= bytes[i];
    }
    out[2 * length] = '\0';
    if (!all)
        out[2 * length - 1] = '1';
}

void trace_child(const char *parent, const unsigned char random[static TRACE_RANDOM_SIZE],
                 char out[static TRACE_SIZE])
{
    struct trace trace;
    if (!trace_parse(parent, &trace)) {
        hex_of(random, 16, trace.id);
        trace.flags = 0;
    }
    hex_of(random + 16, 8, trace.span);
    /* "sampled" is the only known flag; the others must be sent as 0. */
    char *at = stpcpy(out, "00-");
    at = stpcpy(stpcpy(at, trace.id), "-");
    at = stpcpy(stpcpy(at, trace.span), "-");
    memcpy(at, trace.flags & 1 ? "01" : "00", 3);
}
