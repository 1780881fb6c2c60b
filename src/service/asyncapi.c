/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptions as AsyncAPI. A channel is an event type of one service, "orders.OrderCreated": its
 * address is the publisher's feed, its only message the envelope with that type's data. An
 * operation is a service that publishes it, or one that subscribes to it, with a handler's own
 * choice of fields.
 *
 * Schemas are of AsyncAPI's own kind (JSON Schema draft 7 and a little more): what shapes need of
 * JSON Schema is in both.
 */

#include "service/asyncapi.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "event/feed/feed.h"
#include "event/versions.h"
#include "service/openapi.h"

#define EVENT_CONTENT_TYPE "application/cloudevents+json"
#define REFERENCE_LENGTH_MAX ((size_t)4096)

static void put_asyncapi(json_t *object, const char *name, json_t *value)
{
    int result = json_object_set_new(object, name, value);
    FH_ASSERT(result == 0);
}

/* {"$ref": "#/channels/..."}: a JSON Pointer, whose '~' and '/' are escaped (RFC 6901). */
static json_t *channel_reference(const char *channel, const char *message)
{
    struct text text;
    text_init(&text, REFERENCE_LENGTH_MAX);
    text_add(&text, "#/channels/");
    for (int part = 0; part < (message ? 2 : 1); part++) {
        text_add(&text, part ? "/messages/" : "");
        for (const char *at = part ? message : channel; *at; at++)
            text_append(&text,
                        *at == '~'   ? "~0"
                        : *at == '/' ? "~1"
                                     : at,
                        *at == '~' || *at == '/' ? 2 : 1);
    }
    char *path = text_take(&text);
    json_t *object = json_pack("{s:s}", "$ref", path);
    free(path);
    return object;
}

/* CloudEvents' integers end at 2^31 - 1; larger ones are sent as strings of digits. */
static json_t *position_schema(const char *description)
{
    return json_pack("{s:[s, s], s:s}", "type", "integer", "string", "description", description);
}

static json_t *constant_schema(const char *type, json_t *value)
{
    return json_pack("{s:s, s:o}", "type", type, "const", value);
}

/* The envelope, see event/envelope.h and docs/guide/events.md. `data` is stolen. */
static json_t *envelope_schema(const char *service, const char *type, json_t *data)
{
    static const char *const plain[] = {"id", "subject", "traceparent"};
    static const char *const required[] = {"specversion", "id",      "source", "type",
                                           "time",        "subject", "data",   "position"};
    json_t *properties = json_object(), *names = json_array();
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        put_asyncapi(properties, plain[i], json_pack("{s:s}", "type", "string"));
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        json_array_append_new(names, json_string(required[i]));
    put_asyncapi(json_object_get(properties, "subject"), "description",
                 json_string("The key: events of one key are applied in their order."));
    put_asyncapi(properties, "specversion", constant_schema("string", json_string("1.0")));
    put_asyncapi(properties, "source", constant_schema("string", json_sprintf("/%s", service)));
    put_asyncapi(properties, "type", constant_schema("string", json_string(type)));
    put_asyncapi(properties, "time",
                 json_pack("{s:s, s:s}", "type", "string", "format", "date-time"));
    put_asyncapi(properties, "position", position_schema("Its place in the order of its store."));
    put_asyncapi(properties, "prev",
                 position_schema("The place of its key's event before; 0: none."));
    put_asyncapi(properties, "version", json_pack("{s:s}", "type", "integer"));
    put_asyncapi(properties, "datacontenttype",
                 constant_schema("string", json_string("application/json")));
    put_asyncapi(properties, "data", data);
    return json_pack("{s:s, s:o, s:o}", "type", "object", "required", names, "properties",
                     properties);
}

static void add_channel(json_t *document, const char *service, const char *type,
                        const char *description, json_t *data)
{
    char *name = NULL;
    struct text text;
    text_init(&text, REFERENCE_LENGTH_MAX);
    text_printf(&text, "%s.%s", service, type);
    name = text_take(&text);
    json_t *message = json_pack("{s:s, s:s, s:o}", "name", type, "contentType", EVENT_CONTENT_TYPE,
                                "payload", envelope_schema(service, type, data));
    json_t *channel =
        json_pack("{s:o, s:s, s:{s:o}}", "address", json_sprintf("%s?types=%s", FEED_PATH, type),
                  "description", description, "messages", type, message);
    FH_ASSERT(channel != NULL);
    put_asyncapi(json_object_get(document, "channels"), name, channel);
    free(name);
}

static void add_channel_operation(json_t *document, const char *action, const char *by,
                                  const char *service, const char *type, const char *description)
{
    struct text channel, id;
    text_init(&channel, REFERENCE_LENGTH_MAX);
    text_init(&id, REFERENCE_LENGTH_MAX);
    text_printf(&channel, "%s.%s", service, type);
    text_printf(&id, "%s.%s.%s", by, action, channel.data);
    json_t *operation = json_pack("{s:s, s:o, s:[o], s:[{s:s}]}", "action", action, "channel",
                                  channel_reference(channel.data, NULL), "messages",
                                  channel_reference(channel.data, type), "tags", "name", by);
    FH_ASSERT(operation != NULL);
    if (description)
        put_asyncapi(operation, "description", json_string(description));
    put_asyncapi(json_object_get(document, "operations"), id.data, operation);
    text_release(&channel);
    text_release(&id);
}

/* With the versions that are made of it for those who read an earlier one. */
static json_t *published_words(const json_t *published, const char *service, int version,
                               const char *order)
{
    struct text text;
    size_t i;
    json_t *downcast;
    text_init(&text, REFERENCE_LENGTH_MAX);
    text_printf(&text, "Published by %s, in version %d", service, version);
    json_array_foreach (json_object_get(published, "downcasts"), i, downcast)
        text_printf(&text, "%s%d", i ? ", " : "; for who asks for it in version ",
                    (int)json_integer_value(json_object_get(downcast, "to")));
    text_printf(&text, "; kept in order by %s.", order);
    json_t *words = json_string(text.data);
    text_release(&text);
    return words;
}

/* The payload in an earlier version is another message of the channel. */
static void add_version_message(json_t *document, const char *service, const char *type,
                                const json_t *downcast)
{
    char name[VERSIONS_TYPE_SIZE];
    json_t *channel = json_sprintf("%s.%s", service, type);
    versions_type(name, type, (int)json_integer_value(json_object_get(downcast, "to")));
    json_t *message =
        json_pack("{s:s, s:s, s:o}", "name", name, "contentType", EVENT_CONTENT_TYPE, "payload",
                  envelope_schema(service, type,
                                  openapi_schema_of(json_object_get(downcast, "schema"), service)));
    put_asyncapi(json_object_get(json_object_get(json_object_get(document, "channels"),
                                                 json_string_value(channel)),
                                 "messages"),
                 name, message);
    json_decref(channel);
}

void asyncapi_add_published(json_t *document, const json_t *description)
{
    const char *service = json_string_at(description, "name");
    size_t i, j;
    json_t *published, *downcast;
    json_array_foreach (json_object_get(description, "publishes"), i, published) {
        const char *type = json_string_at(published, "type");
        const char *key = json_string_at(published, "key");
        const json_t *schema = json_object_get(published, "schema");
        json_int_t version = json_integer_value(json_object_get(published, "version"));
        json_t *words = published_words(published, service, (int)version, key ? key : "its type");
        add_channel(document, service, type, json_string_value(words),
                    schema ? openapi_schema_of(schema, service)
                           : json_pack("{s:s}", "type", "object"));
        json_array_foreach (json_object_get(published, "downcasts"), j, downcast)
            add_version_message(document, service, type, downcast);
        add_channel_operation(document, "send", service, service, type, NULL);
        json_decref(words);
    }
}

/* The fields asked for, "id,name", each of any type. */
static json_t *asked_schema(const char *fields)
{
    json_t *properties = json_object();
    for (const char *at = fields; at && *at;) {
        size_t length = strcspn(at, ",");
        json_t *name = json_stringn(at, length);
        if (length)
            put_asyncapi(properties, json_string_value(name), json_object());
        json_decref(name);
        at += length + (at[length] == ',');
    }
    return json_pack("{s:s, s:o}", "type", "object", "properties", properties);
}

static bool message_is_known(const json_t *document, const char *service, const char *type)
{
    json_t *name = json_sprintf("%s.%s", service, type);
    bool known =
        json_object_get(json_object_get(document, "channels"), json_string_value(name)) != NULL;
    json_decref(name);
    return known;
}

void asyncapi_add_subscriptions(json_t *document, const json_t *description)
{
    const char *by = json_string_at(description, "name");
    size_t i;
    json_t *subscribed;
    json_array_foreach (json_object_get(description, "hears"), i, subscribed) {
        const char *service = json_string_at(subscribed, "service");
        const char *type = json_string_at(subscribed, "type");
        const char *fields = json_string_at(subscribed, "fields");
        if (!message_is_known(document, service, type))
            add_channel(document, service, type, "Published by another service: see its document.",
                        asked_schema(fields));
        json_int_t version = json_integer_value(json_object_get(subscribed, "version"));
        char read[64] = "";
        if (version)
            snprintf(read, sizeof read, " Reads version %d.", (int)version);
        json_t *words = fields ? json_sprintf("Needs of the data: %s.%s", fields, read)
                               : json_sprintf("Needs it all.%s", read);
        add_channel_operation(document, "receive", by, service, type, json_string_value(words));
        json_decref(words);
    }
}

json_t *asyncapi_new(const char *title)
{
    json_t *document =
        json_pack("{s:s, s:{s:s, s:s}, s:s, s:{}, s:{}, s:{s:{}}}", "asyncapi", "3.0.0", "info",
                  "title", title, "version", "1", "defaultContentType", EVENT_CONTENT_TYPE,
                  "channels", "operations", "components", "schemas");
    FH_ASSERT(document != NULL);
    return document;
}

void asyncapi_name_schemas(json_t *document)
{
    openapi_name_schemas(document, "channels");
}
