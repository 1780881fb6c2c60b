/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_YAML_H
#define SYSTEM_FILE_YAML_H

/*
 * A YAML document with places, read by libyaml, and the few things that reading a file with a known
 * shape needs: mappings by a table of keys, texts with ${NAME} from the environment, whole numbers,
 * true and false. Every fault becomes a finding with file, line and column, and reading goes on.
 *
 * The same functions tell what they would take: with a `schema` to write into they read nothing
 * (every node is NULL), and describe instead, as JSON Schema (2020-12). So whoever reads a file by
 * them has its schema, and neither can be changed without the other.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

#include "base/arena.h"
#include "system/file/findings.h"

#define YAML_TEXT_LENGTH_MAX 4096
#define YAML_DEPTH_MAX 16
#define YAML_VARIABLES_MAX 64
#define YAML_VALUES_MAX 10000 /* in one json value, aliases counted each time */

struct yaml_reader {
    const char *path; /* borrowed: findings show it */
    struct findings *findings;
    struct arena *arena; /* texts come from here */
    bool sealed;         /* ${NAME} is checked but not looked up: a profile that is not in use */
    const char *variables[YAML_VARIABLES_MAX]; /* of the environment, each that was looked up */
    size_t variable_count;
    json_t *schema; /* of the value that would be read now; NULL: it reads */
    yaml_document_t document;
    bool open;
};

typedef void yaml_read(struct yaml_reader *reader, yaml_node_t *value, const char *what,
                       void *into);

struct yaml_key {
    const char *name;
    yaml_read *read;
    bool required;
    const char *help; /* for editors, or NULL */
};

/* The root node of the one document in the file; NULL with a finding. Release either way. */
yaml_node_t *yaml_open(struct yaml_reader *reader, const char *path, size_t size_max);
void yaml_release(struct yaml_reader *reader);

struct place yaml_place(const struct yaml_reader *reader, const yaml_node_t *node);
/* Calls each given key's `read` in the table's order, with `what`.NAME (or NAME if what is ""). */
void yaml_read_mapping(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                       const struct yaml_key *keys, size_t key_count, void *into);
/* A mapping whose keys are names that people choose: [a-z][a-z0-9_-]{0,31}, none twice. */
void yaml_read_names(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                     size_t count_max,
                     void (*read)(struct yaml_reader *reader, yaml_node_t *key, const char *name,
                                  yaml_node_t *value, const char *what, void *into),
                     void *into);
void yaml_read_list(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                    size_t count_max, yaml_read *read, void *into);
bool yaml_is_name(const char *text);

/* NULL with a finding when it is no text, is empty, or names a variable that is not set. */
const char *yaml_text(struct yaml_reader *reader, yaml_node_t *node, const char *what);
bool yaml_integer(struct yaml_reader *reader, yaml_node_t *node, const char *what, int minimum,
                  int maximum, int *ret);
bool yaml_bool(struct yaml_reader *reader, yaml_node_t *node, const char *what, bool *ret);
/* Which of `words` (up to NULL) it is, the first being the default; -1 with a finding. */
int yaml_word(struct yaml_reader *reader, yaml_node_t *node, const char *what,
              const char *const *words);
/* Nothing stands behind the key, and that may be so. */
bool yaml_nothing(struct yaml_reader *reader, const yaml_node_t *node);
/* Any mapping; plain scalars in it become null, booleans and numbers where they look so. New
 * reference or NULL with a finding. */
json_t *yaml_json(struct yaml_reader *reader, yaml_node_t *node, const char *what);

/* ---- Describing: what the functions above do with a schema ---- */

void yaml_describe_mapping(struct yaml_reader *reader, const struct yaml_key *keys,
                           size_t key_count, void *into);
void yaml_describe_names(struct yaml_reader *reader, size_t count_max,
                         void (*read)(struct yaml_reader *reader, yaml_node_t *key,
                                      const char *name, yaml_node_t *value, const char *what,
                                      void *into),
                         void *into);
void yaml_describe_list(struct yaml_reader *reader, size_t count_max, yaml_read *read, void *into);
void yaml_describe_integer(struct yaml_reader *reader, int minimum, int maximum);
void yaml_describe_words(struct yaml_reader *reader, const char *const *words);
void yaml_describe_type(struct yaml_reader *reader, const char *type);
void yaml_describe_text(struct yaml_reader *reader);

#endif
