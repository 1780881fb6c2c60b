/* SPDX-License-Identifier: Apache-2.0 */
/* Each member of an envelope is made here: a message's own attributes get into it one by one, so
 * that none passes for one of ours. */

#include "event/source/map.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/json.h"
#include "event/envelope.h"
#include "event/outbox/publish.h"

#define STRUCTURED "application/cloudevents+json"
#define TRACE_LENGTH 55 /* "00-…-…-01" */
#define POINTER_STEP_MAX 256
#define SMALL_MAX 512 /* bytes of a header */

/* A message that is being mapped. */
struct mapped {
    const struct source_mapping *mapping;
    const struct broker_message *message;
    json_t *body; /* what it says as JSON; NULL: not read */
    json_t *data;
    const char *type;
    char key[OUTBOX_KEY_LENGTH_MAX + 1];
    char header[SMALL_MAX + 1]; /* the type, where that is one */
    struct fh_error error;
};

void source_id(const struct broker_message *message, char ret[static ID_SIZE])
{
    XXH3_state_t state;
    int64_t numbers[] = {message->offset, message->time_ms, (int64_t)message->key_length,
                         (int64_t)message->length};
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, numbers, sizeof numbers);
    if (message->key_length)
        XXH3_128bits_update(&state, message->key, message->key_length);
    if (message->length)
        XXH3_128bits_update(&state, message->data, message->length);
    XXH128_hash_t hash = XXH3_128bits_digest(&state);
    snprintf(ret, ID_SIZE, "%016" PRIx64 "%016" PRIx64, hash.high64, hash.low64);
}

/* ---- parts of a message ---- */

/* The value at a JSON pointer (RFC 6901); NULL: there is none. */
static json_t *value_at(json_t *value, const char *pointer)
{
    char step[POINTER_STEP_MAX];
    while (value && *pointer == '/') {
        size_t length = 0;
        for (pointer++; *pointer && *pointer != '/'; pointer++) {
            bool escaped = *pointer == '~' && (pointer[1] == '0' || pointer[1] == '1');
            if (length + 1 == sizeof step)
                return NULL;
            step[length++] = !escaped ? *pointer : *++pointer == '0' ? '~' : '/';
        }
        step[length] = '\0';
        char *end = step;
        size_t index = json_is_array(value) && step[0] >= '0' && step[0] <= '9'
                           ? (size_t)strtoul(step, &end, 10)
                           : SIZE_MAX;
        value = json_is_object(value)  ? json_object_get(value, step)
                : end != step && !*end ? json_array_get(value, index)
                                       : NULL;
    }
    return value;
}

/* A header as a text; false: it is missing, or is none. */
static bool header_text(const struct mapped *mapped, const char *name, char *ret, size_t size)
{
    size_t length;
    const char *value = mapped->mapping->driver->header(mapped->message, name, &length);
    if (!value || length == 0 || length >= size || memchr(value, '\0', length))
        return false;
    memcpy(ret, value, length);
    ret[length] = '\0';
    return true;
}

static bool attribute_text(const struct mapped *mapped, const char *name, char *ret, size_t size)
{
    char header[64];
    snprintf(header, sizeof header, "%s%s", mapped->mapping->driver->attributes, name);
    return header_text(mapped, header, ret, size);
}

/* Whether a key can be kept, and shown in one line. */
static bool is_good_key(const char *key, size_t length)
{
    if (length == 0 || length > OUTBOX_KEY_LENGTH_MAX)
        return false;
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)key[i] < ' ' || key[i] == 0x7f)
            return false;
    }
    json_t *text = json_stringn(key, length); /* only UTF-8 becomes one */
    bool good = text != NULL;
    json_decref(text);
    return good;
}

static bool take_key(struct mapped *mapped, const char *key, size_t length)
{
    if (!key || !is_good_key(key, length))
        return false;
    memcpy(mapped->key, key, length);
    mapped->key[length] = '\0';
    return true;
}

static bool take_key_value(struct mapped *mapped, const json_t *value)
{
    char number[32];
    if (!json_is_integer(value))
        return take_key(mapped, json_string_value(value), json_string_length(value));
    snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return take_key(mapped, number, strlen(number));
}

static void take_key_of_its_own(struct mapped *mapped)
{
    snprintf(mapped->key, sizeof mapped->key, "@%u:%lld", mapped->message->partition,
             (long long)mapped->message->offset);
}

/* The message's own key. Bytes that are no text are written in hex. */
static bool take_message_key(struct mapped *mapped)
{
    const struct broker_message *message = mapped->message;
    if (!message->key || message->key_length == 0)
        return false;
    if (take_key(mapped, message->key, message->key_length))
        return true;
    if (2 * message->key_length + 2 > OUTBOX_KEY_LENGTH_MAX)
        return false;
    snprintf(mapped->key, sizeof mapped->key, "0x");
    for (size_t i = 0; i < message->key_length; i++)
        snprintf(mapped->key + 2 + 2 * i, 3, "%02x", (unsigned char)message->key[i]);
    return true;
}

/* ---- what kind it is ---- */

static enum fh_code read_message_json(struct mapped *mapped)
{
    if (mapped->message->length > BROKER_MESSAGE_SIZE_MAX)
        return error_set(&mapped->error, FH_INVALID,
                         "The message is too large: it has %zu bytes, and %zu are the most.",
                         mapped->message->length, BROKER_MESSAGE_SIZE_MAX);
    enum fh_code code =
        json_parse(mapped->message->data, mapped->message->length, &mapped->body, &mapped->error);
    if (code == FH_OK && !json_is_object(mapped->body))
        code = error_set(&mapped->error, FH_INVALID, "The message is not a JSON object.");
    return code;
}

static enum fh_code check_message_type(struct mapped *mapped)
{
    const char *type = mapped->type;
    mapped->type = NULL;
    if (!type || !*type)
        return error_set(&mapped->error, FH_INVALID, "The message has no type%s%.100s.",
                         mapped->mapping->type ? " at " : "",
                         mapped->mapping->type ? mapped->mapping->type : "");
    if (strlen(type) > SOURCE_TYPE_LENGTH_MAX || !is_good_key(type, strlen(type)))
        return error_set(&mapped->error, FH_INVALID, "The message's type is too long.");
    mapped->type = type;
    return FH_OK;
}

static enum fh_code map_structured(struct mapped *mapped)
{
    json_t *body = mapped->body;
    mapped->type = json_string_at(body, "type");
    mapped->data = json_object_get(body, "data");
    enum fh_code code = check_message_type(mapped);
    if (code == FH_OK && !json_string_at(body, "specversion"))
        return error_set(&mapped->error, FH_INVALID,
                         "The message is not a CloudEvent: it has no specversion.");
    if (code == FH_OK && !json_is_object(mapped->data))
        return error_set(&mapped->error, FH_INVALID,
                         "The data of the CloudEvent is not a JSON object.");
    if (code == FH_OK && !take_key_value(mapped, json_object_get(body, "partitionkey")) &&
        !take_key_value(mapped, json_object_get(body, "subject")) && !take_message_key(mapped))
        take_key_of_its_own(mapped);
    return code;
}

static enum fh_code map_binary(struct mapped *mapped)
{
    char key[SMALL_MAX + 1];
    mapped->type = mapped->header;
    mapped->data = mapped->body;
    if (!(attribute_text(mapped, "partitionkey", key, sizeof key) &&
          take_key(mapped, key, strlen(key))) &&
        !(attribute_text(mapped, "subject", key, sizeof key) &&
          take_key(mapped, key, strlen(key))) &&
        !take_message_key(mapped))
        take_key_of_its_own(mapped);
    return check_message_type(mapped);
}

static enum fh_code map_other(struct mapped *mapped)
{
    const char *type = mapped->mapping->type;
    mapped->data = mapped->body;
    mapped->type = *type == '/' ? json_string_value(value_at(mapped->data, type)) : type;
    if (!take_message_key(mapped))
        take_key_of_its_own(mapped);
    return check_message_type(mapped);
}

static enum fh_code map_empty(struct mapped *mapped)
{
    if (!mapped->mapping->empty)
        return error_set(&mapped->error, FH_INVALID,
                         "The message is empty, and the source does not say what that means.");
    if (!take_message_key(mapped))
        return error_set(&mapped->error, FH_INVALID, "The message is empty, and has no key.");
    mapped->type = mapped->mapping->empty;
    mapped->data = json_pack("{s:s}", "key", mapped->key);
    return FH_OK;
}

static enum fh_code map_message(struct mapped *mapped)
{
    char kind[SMALL_MAX + 1] = "";
    bool structured = header_text(mapped, "content-type", kind, sizeof kind) &&
                      strncmp(kind, STRUCTURED, sizeof STRUCTURED - 1) == 0;
    bool binary =
        !structured && attribute_text(mapped, "type", mapped->header, sizeof mapped->header);
    if (mapped->message->length == 0 && !binary)
        return map_empty(mapped);
    enum fh_code code = read_message_json(mapped);
    if (code != FH_OK)
        return code;
    code = binary                                 ? map_binary(mapped)
           : structured || !mapped->mapping->type ? map_structured(mapped)
                                                  : map_other(mapped);
    const char *key = mapped->mapping->key;
    if (code != FH_OK || !key)
        return code;
    if (!take_key_value(mapped, value_at(mapped->data, key)))
        return error_set(&mapped->error, FH_INVALID,
                         "The message has no key at %.100s, or one that can't be kept.", key);
    return FH_OK;
}

/* ---- the envelope ---- */

static json_t *message_base64(const char *data, size_t length)
{
    size_t size = sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(size);
    FH_ASSERT(text != NULL);
    sodium_bin2base64(text, size, (const unsigned char *)data, length,
                      sodium_base64_VARIANT_ORIGINAL);
    json_t *value = json_string(text);
    free(text);
    return value;
}

/* How it begins, as it is or in base64. */
static json_t *unreadable_data(const struct broker_message *message)
{
    size_t kept = message->length < SOURCE_KEPT_MAX ? message->length : SOURCE_KEPT_MAX;
    json_t *data = json_pack("{s:I}", "bytes", (json_int_t)message->length);
    json_t *text = NULL;
    /* The cut may be within a character, which has four bytes at most. */
    for (size_t cut = 0; !text && cut < 4 && cut <= kept; cut++)
        text = memchr(message->data, '\0', kept) ? NULL : json_stringn(message->data, kept - cut);
    if (text)
        json_object_set_new(data, "text", text);
    else
        json_object_set_new(data, "base64", message_base64(message->data, kept));
    return data;
}

static void add_time_and_trace(const struct mapped *mapped, json_t *envelope)
{
    char time[ENVELOPE_TIME_SIZE], trace[TRACE_LENGTH + 1];
    if (mapped->message->time_ms) {
        envelope_time(time, mapped->message->time_ms);
        json_object_set_new(envelope, "time", json_string(time));
    }
    if ((attribute_text(mapped, "traceparent", trace, sizeof trace) ||
         header_text(mapped, "traceparent", trace, sizeof trace)) &&
        strlen(trace) == TRACE_LENGTH && strspn(trace, "0123456789abcdef-") == TRACE_LENGTH)
        json_object_set_new(envelope, "traceparent", json_string(trace));
}

static json_t *envelope_of(struct mapped *mapped)
{
    char id[ID_SIZE];
    bool good = mapped->error.code == FH_OK;
    if (!good && !*mapped->key && !take_message_key(mapped))
        take_key_of_its_own(mapped);
    source_id(mapped->message, id);
    json_t *envelope = json_pack("{s:s, s:s, s:s+, s:s, s:s, s:I, s:O*}", "specversion", "1.0",
                                 "id", id, "source", "/", mapped->mapping->name, "type",
                                 mapped->type ? mapped->type : mapped->mapping->unread, "subject",
                                 mapped->key, "position", (json_int_t)mapped->message->offset + 1,
                                 "data", good ? mapped->data : NULL);
    FH_ASSERT(envelope != NULL);
    if (!good) {
        json_object_set_new(envelope, "data", unreadable_data(mapped->message));
        json_object_set_new(envelope, SOURCE_UNREADABLE, json_string_lossy(mapped->error.message));
    }
    add_time_and_trace(mapped, envelope);
    return envelope;
}

json_t *source_map(const struct source_mapping *mapping, const struct broker_message *message,
                   struct arena *arena, bool must)
{
    struct arena mark = *arena;
    struct mapped mapped = {.mapping = mapping, .message = message};
    map_message(&mapped);
    if (mapped.error.code != FH_NO_MEMORY && !arena->refused) {
        json_t *envelope = envelope_of(&mapped);
        if (!arena->refused)
            return envelope;
    }
    arena_rewind(arena, &mark);
    if (!must)
        return NULL;
    mapped = (struct mapped){.mapping = mapping, .message = message};
    error_set(&mapped.error, FH_NO_MEMORY, "The message takes too much memory when it is read.");
    return envelope_of(&mapped);
}

json_t *source_lost(const char *name, unsigned partition, int64_t first, int64_t end)
{
    char key[48], id[ID_SIZE];
    snprintf(key, sizeof key, "@%u:lost", partition);
    snprintf(id, sizeof id, "lost-%lld", (long long)first);
    json_t *envelope =
        json_pack("{s:s, s:s, s:s+, s:s, s:s, s:I, s:{s:I, s:I, s:I}}", "specversion", "1.0", "id",
                  id, "source", "/", name, "type", SOURCE_LOST_TYPE, "subject", key, "position",
                  (json_int_t)end, "data", "partition", (json_int_t)partition, "first",
                  (json_int_t)first, "last", (json_int_t)end - 1);
    FH_ASSERT(envelope != NULL);
    json_object_set_new(envelope, SOURCE_UNREADABLE,
                        json_sprintf("The messages %lld to %lld of partition %u are lost: the "
                                     "broker had removed them before they were read.",
                                     (long long)first, (long long)(end - 1), partition));
    return envelope;
}
