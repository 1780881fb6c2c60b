/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads YAML with places. libyaml's document form keeps a mark for every node and does not merge
 * equal keys, so each fault can be reported where it stands. libyaml resolves an alias to the same
 * node, which may even be its own ancestor, so every walk is bounded in depth and count. A value
 * from the environment never appears in a message; messages quote the file.
 */

#define _GNU_SOURCE
#include "system/file/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "system/file/nearest.h"

static yaml_node_t *reader_node(struct yaml_reader *reader, int id)
{
    return yaml_document_get_node(&reader->document, id);
}

struct place yaml_place(const struct yaml_reader *reader, const yaml_node_t *node)
{
    if (!node)
        return (struct place){0};
    return (struct place){reader->path, (int)node->start_mark.line + 1,
                          (int)node->start_mark.column + 1};
}

static const char *scalar_text(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

static const char *kind_of_node(const yaml_node_t *node)
{
    switch (node->type) {
    case YAML_MAPPING_NODE:
        return "a mapping";
    case YAML_SEQUENCE_NODE:
        return "a list";
    case YAML_SCALAR_NODE:
        return node->data.scalar.length ? "a text" : "nothing";
    case YAML_NO_NODE:
        break;
    }
    return "nothing";
}

/* ---- Mappings and lists ---- */

bool yaml_is_name(const char *text)
{
    size_t length = strlen(text);
    return length >= 1 && length <= 32 && text[0] >= 'a' && text[0] <= 'z' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

static const char *path_join(struct yaml_reader *reader, const char *what, const char *name)
{
    return *what ? arena_printf(reader->arena, "%s.%s", what, name) : name;
}

static bool expect_type(struct yaml_reader *reader, const yaml_node_t *node, const char *what,
                        yaml_node_type_t type, const char *expected)
{
    if (node->type == type)
        return true;
    findings_error(reader->findings, yaml_place(reader, node), "%s is %s; expected %s",
                   *what ? what : "the file", kind_of_node(node), expected);
    return false;
}

static bool read_key_text(struct yaml_reader *reader, const yaml_node_t *key, const char *what,
                          const char **ret)
{
    if (!expect_type(reader, key,
                     *what ? arena_printf(reader->arena, "a key of %s", what) : "a key",
                     YAML_SCALAR_NODE, "a text"))
        return false;
    *ret = scalar_text(key);
    return true;
}

static void report_unknown(struct yaml_reader *reader, const yaml_node_t *node, const char *what,
                           const struct yaml_key *keys, size_t key_count)
{
    struct nearest nearest = nearest_begin(scalar_text(node));
    struct text known;
    text_init(&known, 1024);
    for (size_t i = 0; i < key_count; i++) {
        nearest_offer(&nearest, keys[i].name);
        text_printf(&known, "%s%s", i ? ", " : "", keys[i].name);
    }
    const char *where = *what ? arena_printf(reader->arena, " in %s", what) : "";
    if (nearest.word)
        findings_error(reader->findings, yaml_place(reader, node),
                       "unknown key '%.64s'%s; did you mean '%s'?", scalar_text(node), where,
                       nearest.word);
    else
        findings_error(reader->findings, yaml_place(reader, node),
                       "unknown key '%.64s'%s; expected one of %s", scalar_text(node), where,
                       known.data);
    text_release(&known);
}

#define KEYS_MAX 24

void yaml_read_mapping(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                       const struct yaml_key *keys, size_t key_count, void *into)
{
    yaml_node_t *found[KEYS_MAX] = {0};
    int found_line[KEYS_MAX] = {0};
    FH_ASSERT(key_count <= KEYS_MAX);
    if (reader->schema) {
        yaml_describe_mapping(reader, keys, key_count, into);
        return;
    }
    if (!expect_type(reader, node, what, YAML_MAPPING_NODE, "a mapping"))
        return;
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        yaml_node_t *key = reader_node(reader, pair->key);
        const char *name;
        if (!read_key_text(reader, key, what, &name))
            continue;
        size_t i = 0;
        while (i < key_count && strcmp(keys[i].name, name) != 0)
            i++;
        if (i == key_count) {
            report_unknown(reader, key, what, keys, key_count);
        } else if (found[i]) {
            findings_error(reader->findings, yaml_place(reader, key),
                           "'%s' is given twice, first in line %d", name, found_line[i]);
        } else {
            found[i] = reader_node(reader, pair->value);
            found_line[i] = yaml_place(reader, key).line;
        }
    }
    for (size_t i = 0; i < key_count; i++) {
        if (found[i])
            keys[i].read(reader, found[i], path_join(reader, what, keys[i].name), into);
        else if (keys[i].required)
            findings_error(reader->findings, yaml_place(reader, node), "'%s' is missing in %s",
                           keys[i].name, *what ? what : "the file");
    }
}

void yaml_read_names(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                     size_t count_max,
                     void (*read)(struct yaml_reader *reader, yaml_node_t *key, const char *name,
                                  yaml_node_t *value, const char *what, void *into),
                     void *into)
{
    if (reader->schema) {
        yaml_describe_names(reader, count_max, read, into);
        return;
    }
    if (!expect_type(reader, node, what, YAML_MAPPING_NODE, "a mapping from names"))
        return;
    yaml_node_pair_t *start = node->data.mapping.pairs.start, *top = node->data.mapping.pairs.top;
    if ((size_t)(top - start) > count_max) {
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s has %zu entries; at most %zu are possible", what, (size_t)(top - start),
                       count_max);
        return;
    }
    for (yaml_node_pair_t *pair = start; pair < top; pair++) {
        yaml_node_t *key = reader_node(reader, pair->key);
        const char *name;
        if (!read_key_text(reader, key, what, &name))
            continue;
        bool twice = false;
        for (yaml_node_pair_t *other = start; other < pair && !twice; other++) {
            yaml_node_t *earlier = reader_node(reader, other->key);
            twice = earlier->type == YAML_SCALAR_NODE && strcmp(scalar_text(earlier), name) == 0;
        }
        if (!yaml_is_name(name))
            findings_error(
                reader->findings, yaml_place(reader, key),
                "'%.64s' is not a name for %s; expected a lower-case letter, then up to 31 "
                "of a-z, 0-9, '_' and '-'",
                name, what);
        else if (twice)
            findings_error(reader->findings, yaml_place(reader, key), "'%s' is given twice in %s",
                           name, what);
        else
            read(reader, key, arena_text(reader->arena, name), reader_node(reader, pair->value),
                 path_join(reader, what, name), into);
    }
}

void yaml_read_list(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                    size_t count_max, yaml_read *read, void *into)
{
    if (reader->schema) {
        yaml_describe_list(reader, count_max, read, into);
        return;
    }
    if (!expect_type(reader, node, what, YAML_SEQUENCE_NODE, "a list"))
        return;
    yaml_node_item_t *start = node->data.sequence.items.start;
    size_t count = (size_t)(node->data.sequence.items.top - start);
    if (count > count_max) {
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s has %zu elements; at most %zu are possible", what, count, count_max);
        return;
    }
    for (size_t i = 0; i < count; i++)
        read(reader, reader_node(reader, start[i]), arena_printf(reader->arena, "%s[%zu]", what, i),
             into);
}

/* ---- Scalars ---- */

static bool note_variable(struct yaml_reader *reader, const char *name)
{
    for (size_t i = 0; i < reader->variable_count; i++) {
        if (strcmp(reader->variables[i], name) == 0)
            return true;
    }
    if (reader->variable_count == YAML_VARIABLES_MAX)
        return false;
    reader->variables[reader->variable_count++] = arena_text(reader->arena, name);
    return true;
}

/* Takes the text after "${" and returns the text after its "}", or NULL with a finding. Appends the
 * variable's value to `out`. */
static const char *expand_variable(struct yaml_reader *reader, const yaml_node_t *node,
                                   const char *what, const char *from, struct text *out)
{
    size_t length = strspn(from, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    char name[128];
    if (length == 0 || length >= sizeof name || from[length] != '}' ||
        isdigit((unsigned char)*from)) {
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: '${' begins a variable of the environment; expected ${NAME} "
                       "(or $${ for the two characters themselves)",
                       what);
        return NULL;
    }
    memcpy(name, from, length);
    name[length] = '\0';
    const char *value = reader->sealed ? "" : getenv(name);
    if (!value) {
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s needs the environment variable %s, which is not set", what, name);
        return NULL;
    }
    if (!note_variable(reader, name)) {
        findings_error(reader->findings, yaml_place(reader, node),
                       "the file uses more than %d environment variables", YAML_VARIABLES_MAX);
        return NULL;
    }
    text_add(out, value);
    return from + length + 1;
}

static const char *expand_text(struct yaml_reader *reader, const yaml_node_t *node,
                               const char *what)
{
    const char *text = scalar_text(node);
    if (strlen(text) != node->data.scalar.length) {
        findings_error(reader->findings, yaml_place(reader, node), "%s contains a NUL character",
                       what);
        return NULL;
    }
    struct text out;
    text_init(&out, YAML_TEXT_LENGTH_MAX);
    while (text && *text) {
        if (strncmp(text, "$${", 3) == 0) {
            text_add(&out, "${");
            text += 3;
        } else if (strncmp(text, "${", 2) == 0) {
            text = expand_variable(reader, node, what, text + 2, &out);
        } else {
            text_append(&out, text++, 1);
        }
    }
    if (out.overflow)
        findings_error(reader->findings, yaml_place(reader, node), "%s is longer than %d bytes",
                       what, YAML_TEXT_LENGTH_MAX);
    const char *copy = NULL;
    if (text && !out.overflow)
        copy = arena_copy(reader->arena, out.data ? out.data : "", out.length);
    text_release(&out);
    return copy;
}

const char *yaml_text(struct yaml_reader *reader, yaml_node_t *node, const char *what)
{
    if (reader->schema) {
        yaml_describe_text(reader);
        return NULL;
    }
    if (!expect_type(reader, node, what, YAML_SCALAR_NODE, "a text"))
        return NULL;
    if (node->data.scalar.length == 0) {
        findings_error(reader->findings, yaml_place(reader, node), "%s is empty; expected a text",
                       what);
        return NULL;
    }
    return expand_text(reader, node, what);
}

bool yaml_integer(struct yaml_reader *reader, yaml_node_t *node, const char *what, int minimum,
                  int maximum, int *ret)
{
    if (reader->schema) {
        yaml_describe_integer(reader, minimum, maximum);
        return false;
    }
    if (node->type == YAML_SCALAR_NODE) {
        char *end;
        errno = 0;
        long number = strtol(scalar_text(node), &end, 10);
        if (isdigit((unsigned char)*scalar_text(node)) && !*end && !errno && number >= minimum &&
            number <= maximum) {
            *ret = (int)number;
            return true;
        }
    }
    findings_error(reader->findings, yaml_place(reader, node),
                   "%s is %s%.64s%s; expected a whole number from %d to %d", what,
                   node->type == YAML_SCALAR_NODE ? "'" : "",
                   node->type == YAML_SCALAR_NODE ? scalar_text(node) : kind_of_node(node),
                   node->type == YAML_SCALAR_NODE ? "'" : "", minimum, maximum);
    return false;
}

bool yaml_bool(struct yaml_reader *reader, yaml_node_t *node, const char *what, bool *ret)
{
    if (reader->schema) {
        yaml_describe_type(reader, "boolean");
        return false;
    }
    if (node->type == YAML_SCALAR_NODE) {
        *ret = strcmp(scalar_text(node), "true") == 0;
        if (*ret || strcmp(scalar_text(node), "false") == 0)
            return true;
    }
    findings_error(reader->findings, yaml_place(reader, node), "%s must be true or false", what);
    return false;
}

int yaml_word(struct yaml_reader *reader, yaml_node_t *node, const char *what,
              const char *const *words, bool defaults)
{
    struct text expected;
    if (reader->schema)
        yaml_describe_words(reader, words, defaults);
    const char *given = reader->schema ? NULL : yaml_text(reader, node, what);
    for (int i = 0; given && words[i]; i++) {
        if (strcmp(words[i], given) == 0)
            return i;
    }
    if (!given)
        return -1;
    text_init(&expected, 256);
    for (int i = 0; words[i]; i++)
        text_printf(&expected, "%s'%s'%s", i ? " or " : "", words[i],
                    i || !defaults ? "" : " (the default)");
    findings_error(reader->findings, yaml_place(reader, node), "%s is '%.64s'; expected %s", what,
                   scalar_text(node), expected.data);
    text_release(&expected);
    return -1;
}

bool yaml_nothing(struct yaml_reader *reader, const yaml_node_t *node)
{
    if (!reader->schema)
        return node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0;
    yaml_describe_type(reader, "null");
    return false;
}

/* ---- Free values ---- */

struct json_walk {
    struct yaml_reader *reader;
    size_t left;
};

static json_t *json_of_node(struct json_walk *state, yaml_node_t *node, const char *what,
                            int depth);

static json_t *plain_json(const char *text)
{
    if (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0)
        return json_null();
    if (strcmp(text, "true") == 0)
        return json_true();
    if (strcmp(text, "false") == 0)
        return json_false();
    /* Only JSON's own number syntax: 007 and 1_000 are texts. */
    if (*text == '-' || isdigit((unsigned char)*text)) {
        json_t *number = json_loads(text, JSON_DECODE_ANY, NULL);
        if (json_is_number(number))
            return number;
        json_decref(number);
    }
    return json_string(text);
}

static json_t *scalar_json(struct yaml_reader *reader, yaml_node_t *node, const char *what)
{
    bool plain =
        node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !strchr(scalar_text(node), '$');
    if (plain)
        return plain_json(scalar_text(node));
    const char *text = expand_text(reader, node, what);
    return text ? json_string(text) : NULL;
}

static json_t *mapping_json(struct json_walk *state, yaml_node_t *node, const char *what, int depth)
{
    json_t *object = json_object();
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         object && pair < node->data.mapping.pairs.top; pair++) {
        yaml_node_t *key = reader_node(state->reader, pair->key);
        const char *name;
        json_t *value = NULL;
        if (!read_key_text(state->reader, key, what, &name))
            goto failed;
        if (json_object_get(object, name)) {
            findings_error(state->reader->findings, yaml_place(state->reader, key),
                           "'%.64s' is given twice in %s", name, what);
            goto failed;
        }
        value = json_of_node(state, reader_node(state->reader, pair->value),
                             path_join(state->reader, what, name), depth + 1);
        if (value)
            json_object_set_new(object, name, value);
        else
            goto failed;
    }
    return object;
failed:
    json_decref(object);
    return NULL;
}

static json_t *sequence_json(struct json_walk *state, yaml_node_t *node, const char *what,
                             int depth)
{
    json_t *array = json_array();
    for (yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        json_t *value = json_of_node(state, reader_node(state->reader, *item), what, depth + 1);
        if (!value) {
            json_decref(array);
            return NULL;
        }
        json_array_append_new(array, value);
    }
    return array;
}

static json_t *json_of_node(struct json_walk *state, yaml_node_t *node, const char *what, int depth)
{
    if (depth > YAML_DEPTH_MAX || state->left == 0) {
        findings_error(state->reader->findings, yaml_place(state->reader, node),
                       depth > YAML_DEPTH_MAX ? "%s is nested deeper than %d levels"
                                              : "%s holds more than %d values",
                       what, depth > YAML_DEPTH_MAX ? YAML_DEPTH_MAX : YAML_VALUES_MAX);
        return NULL;
    }
    state->left--;
    switch (node->type) {
    case YAML_MAPPING_NODE:
        return mapping_json(state, node, what, depth);
    case YAML_SEQUENCE_NODE:
        return sequence_json(state, node, what, depth);
    case YAML_SCALAR_NODE:
    case YAML_NO_NODE:
        break;
    }
    return scalar_json(state->reader, node, what);
}

json_t *yaml_json(struct yaml_reader *reader, yaml_node_t *node, const char *what)
{
    struct json_walk state = {reader, YAML_VALUES_MAX};
    if (reader->schema) {
        yaml_describe_type(reader, "object");
        return NULL;
    }
    json_t *value = json_of_node(&state, node, what, 0);
    if (!value || json_is_object(value))
        return value;
    findings_error(reader->findings, yaml_place(reader, node), "%s must be a mapping", what);
    json_decref(value);
    return NULL;
}
