/* SPDX-License-Identifier: Apache-2.0 */
/* Writes names and fields into query strings, and parses the partition found in one. */

#include "event/feed/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "event/envelope.h"

void query_encode(struct text *out, const char *value)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (; *value; value++) {
        if (strchr(plain, *value))
            text_append(out, value, 1);
        else
            text_printf(out, "%%%02X", (unsigned char)*value);
    }
}

/* "UserUpdated:id,UserUpdated:name": a type that needs all of its data does not appear. */
void query_add_fields(struct text *out, const struct fh_subscription *subscribed,
                      const char **separator)
{
    const char *at = subscribed->fields;
    while (at && *at) {
        size_t length = strcspn(at, ", ");
        if (length) {
            char *field = strndup(at, length);
            FH_ASSERT(field != NULL);
            text_add(out, *separator);
            query_encode(out, subscribed->type);
            text_add(out, ":");
            query_encode(out, field);
            *separator = ",";
            free(field);
        }
        at += length + (at[length] != '\0');
    }
}

bool query_share(const char *text, unsigned *ret_index, unsigned *ret_count)
{
    int length = 0;
    if (sscanf(text, "%3u/%3u%n", ret_index, ret_count, &length) != 2)
        return false;
    return text[length] == '\0' && *ret_count >= 1 && *ret_count <= ENVELOPE_SHARES_MAX &&
           *ret_index < *ret_count;
}
