/* SPDX-License-Identifier: Apache-2.0 */
/* Writes names and fields into query strings, and parses the partition found in one. */

#include "event/feed/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "event/envelope.h"
#include "event/versions.h"

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

static void add_upcast_fields(struct text *out, const struct fh_upcast *upcast,
                              const char **separator)
{
    char type[VERSIONS_TYPE_SIZE];
    versions_type(type, upcast->type, upcast->from);
    for (const fh_field *field = upcast->shape; field->name; field++) {
        text_add(out, *separator);
        query_encode(out, type);
        text_add(out, ":");
        query_encode(out, field->name);
        *separator = ",";
    }
}

void query_add_version(struct text *out, const struct fh_subscription *subscribed,
                       const char **separator)
{
    if (!subscribed->version)
        return;
    text_add(out, *separator);
    query_encode(out, subscribed->type);
    text_printf(out, ":%d", subscribed->version);
    *separator = ",";
}

/* "UserUpdated:id,UserUpdated:name": a type that needs all of its data does not appear. */
void query_add_fields(struct text *out, const fh_service *service,
                      const struct fh_subscription *subscribed, const char **separator)
{
    const char *at = subscribed->fields;
    if (subscribed->version && versions_names_fields(at)) {
        for (size_t i = 0; i < sizeof service->upcasts / sizeof *service->upcasts; i++) {
            const struct fh_upcast *upcast = &service->upcasts[i];
            if (upcast->service && versions_upcast(service, subscribed, upcast->from) == upcast)
                add_upcast_fields(out, upcast, separator);
        }
    }
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
