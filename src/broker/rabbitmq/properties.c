/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a message of a source says besides its data: where it is in its stream, when it was
 * published, and its headers, which are kept behind the data as "name\0value\0", those of them that
 * are texts. CloudEvents' attributes are headers that begin with "cloudEvents_", or with
 * "cloudEvents:" as older clients write it.
 */

#include <string.h>

#include "broker/rabbitmq/internal.h"

#define HEADERS_SIZE_MAX ((size_t)32 << 10) /* the rest is left out */
#define ATTRIBUTE_LENGTH 12                 /* "cloudEvents_" */

bool rabbitmq_is_text(amqp_bytes_t bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.bytes, text, bytes.len) == 0;
}

int64_t rabbitmq_offset_of(const amqp_basic_properties_t *properties)
{
    if (!(properties->_flags & AMQP_BASIC_HEADERS_FLAG))
        return -1;
    for (int i = 0; i < properties->headers.num_entries; i++) {
        const amqp_table_entry_t *entry = &properties->headers.entries[i];
        if (!rabbitmq_is_text(entry->key, RABBITMQ_STREAM_OFFSET))
            continue;
        switch (entry->value.kind) {
        case AMQP_FIELD_KIND_I64:
            return entry->value.value.i64;
        case AMQP_FIELD_KIND_I32:
            return entry->value.value.i32;
        default:
            return -1;
        }
    }
    return -1;
}

int64_t rabbitmq_time_of(const amqp_basic_properties_t *properties)
{
    bool known = properties->_flags & AMQP_BASIC_TIMESTAMP_FLAG &&
                 properties->timestamp < (uint64_t)INT64_MAX / 1000;
    return known ? (int64_t)properties->timestamp * 1000 : 0;
}

/* `ret` NULL: only counted. Returns the size with this one. */
static size_t add_header(char *ret, size_t size, amqp_bytes_t name, amqp_bytes_t value)
{
    size_t all = size + name.len + value.len + 2;
    if (all > HEADERS_SIZE_MAX || memchr(name.bytes, '\0', name.len) ||
        memchr(value.bytes, '\0', value.len))
        return size;
    if (ret) {
        memcpy(ret + size, name.bytes, name.len);
        ret[size + name.len] = '\0';
        memcpy(ret + size + name.len + 1, value.bytes, value.len);
        ret[all - 1] = '\0';
    }
    return all;
}

size_t rabbitmq_headers(const amqp_basic_properties_t *properties, char *ret)
{
    size_t size = 0;
    if (properties->_flags & AMQP_BASIC_CONTENT_TYPE_FLAG && properties->content_type.len)
        size = add_header(ret, size, rabbitmq_bytes("content-type"), properties->content_type);
    for (int i = 0;
         properties->_flags & AMQP_BASIC_HEADERS_FLAG && i < properties->headers.num_entries; i++) {
        const amqp_table_entry_t *entry = &properties->headers.entries[i];
        if (entry->key.len && entry->value.value.bytes.len &&
            (entry->value.kind == AMQP_FIELD_KIND_UTF8 ||
             entry->value.kind == AMQP_FIELD_KIND_BYTES))
            size = add_header(ret, size, entry->key, entry->value.value.bytes);
    }
    return size;
}

static bool is_header(const char *is, const char *name)
{
    if (strcmp(is, name) == 0)
        return true;
    return strlen(is) > ATTRIBUTE_LENGTH && is[ATTRIBUTE_LENGTH - 1] == ':' &&
           strncmp(is, name, ATTRIBUTE_LENGTH - 1) == 0 && name[ATTRIBUTE_LENGTH - 1] == '_' &&
           strcmp(is + ATTRIBUTE_LENGTH, name + ATTRIBUTE_LENGTH) == 0;
}

const char *rabbitmq_header(const struct broker_message *message, const char *name,
                            size_t *ret_length)
{
    const struct rabbitmq_arrived *arrived = message->native;
    const char *at = arrived->data + arrived->length, *end = at + arrived->headers_size;
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        size_t length = strlen(value);
        if (is_header(at, name)) {
            *ret_length = length;
            return value;
        }
        at = value + length + 1;
    }
    return NULL;
}
