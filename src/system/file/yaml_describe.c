/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Describes what a file's reader accepts, as JSON Schema (2020-12). The reader's functions run
 * without a document: mappings, names and lists call the functions that read their values, and each
 * of those ends in a function here, which writes into reader->schema, the schema of that value.
 *
 * A text may be more in YAML than in JSON: `password: 12345` is one. Conditions across values (a
 * server that a store names) are beyond a schema, and are left to `freehold check`.
 */

#include "base/error.h"
#include "system/file/yaml.h"

#define NAME_PATTERN "^[a-z][a-z0-9_-]{0,31}$" /* yaml_is_name */

static void put_described(json_t *object, const char *name, json_t *value)
{
    int result = json_object_set_new(object, name, value);
    FH_ASSERT(result == 0);
}

/* If there is a type already, the schema accepts either. */
void yaml_describe_type(struct yaml_reader *reader, const char *type)
{
    json_t *known = json_object_get(reader->schema, "type");
    if (known)
        put_described(reader->schema, "type", json_pack("[O, s]", known, type));
    else
        put_described(reader->schema, "type", json_string(type));
}

void yaml_describe_mapping(struct yaml_reader *reader, const struct yaml_key *keys,
                           size_t key_count, void *into)
{
    json_t *schema = reader->schema, *properties = json_object(), *required = json_array();
    yaml_describe_type(reader, "object");
    put_described(schema, "properties", properties);
    put_described(schema, "additionalProperties", json_false());
    for (size_t i = 0; i < key_count; i++) {
        reader->schema = json_object();
        put_described(properties, keys[i].name, reader->schema);
        if (keys[i].help)
            put_described(reader->schema, "description", json_string(keys[i].help));
        keys[i].read(reader, NULL, keys[i].name, into);
        if (keys[i].required)
            json_array_append_new(required, json_string(keys[i].name));
    }
    if (json_array_size(required))
        put_described(schema, "required", required);
    else
        json_decref(required);
    reader->schema = schema;
}

void yaml_describe_names(struct yaml_reader *reader, size_t count_max,
                         void (*read)(struct yaml_reader *reader, yaml_node_t *key,
                                      const char *name, yaml_node_t *value, const char *what,
                                      void *into),
                         void *into)
{
    json_t *schema = reader->schema;
    yaml_describe_type(reader, "object");
    put_described(schema, "propertyNames", json_pack("{s:s}", "pattern", NAME_PATTERN));
    put_described(schema, "maxProperties", json_integer((json_int_t)count_max));
    reader->schema = json_object();
    put_described(schema, "additionalProperties", reader->schema);
    read(reader, NULL, "", NULL, "", into);
    reader->schema = schema;
}

void yaml_describe_list(struct yaml_reader *reader, size_t count_max, yaml_read *read, void *into)
{
    json_t *schema = reader->schema;
    yaml_describe_type(reader, "array");
    put_described(schema, "maxItems", json_integer((json_int_t)count_max));
    reader->schema = json_object();
    put_described(schema, "items", reader->schema);
    read(reader, NULL, "", into);
    reader->schema = schema;
}

void yaml_describe_integer(struct yaml_reader *reader, int minimum, int maximum)
{
    yaml_describe_type(reader, "integer");
    put_described(reader->schema, "minimum", json_integer(minimum));
    put_described(reader->schema, "maximum", json_integer(maximum));
}

void yaml_describe_words(struct yaml_reader *reader, const char *const *words, bool defaults)
{
    json_t *values = json_array();
    for (int i = 0; words[i]; i++)
        json_array_append_new(values, json_string(words[i]));
    put_described(reader->schema, "enum", values);
    if (defaults)
        put_described(reader->schema, "default", json_string(words[0]));
}

void yaml_describe_text(struct yaml_reader *reader)
{
    put_described(reader->schema, "type", json_pack("[s, s, s]", "string", "number", "boolean"));
    put_described(reader->schema, "minLength", json_integer(1));
}
