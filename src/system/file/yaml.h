/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_YAML_H
#define SYSTEM_FILE_YAML_H

/*
 * A YAML document with places, read by libyaml, and the few functions needed to read a file of a
 * known shape: mappings by a table of keys, texts with ${NAME} from the environment, whole numbers,
 * true and false. Every fault becomes a finding with file, line and column, and reading goes on.
 *
 * The same functions can describe what they accept: given a `schema` to write into, they read
 * nothing (every node is NULL) and emit JSON Schema (2020-12) instead. So every file read with them
 * has a schema, and reader and schema can't drift apart.
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
#define YAML_VALUES_MAX 10000 /* in one JSON value, an alias counting each time it is used */

struct yaml_reader {
    const char *path; /* borrowed: findings show it */
    struct findings *findings;
    struct arena *arena; /* texts come from here */
    bool sealed; /* ${NAME} is checked but not looked up: for a profile that is not chosen */
    const char *variables[YAML_VARIABLES_MAX]; /* the environment variables looked up so far */
    size_t variable_count;
    json_t *schema; /* schema of the value that would be read now; NULL: reading, not describing */
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

/* The root node of the file's only document; NULL with a finding. Call yaml_release in either
 * case. */
yaml_node_t *yaml_open(struct yaml_reader *reader, const char *path, size_t size_max);
void yaml_release(struct yaml_reader *reader);

struct place yaml_place(const struct yaml_reader *reader, const yaml_node_t *node);
/* The key of this name of a mapping, and its value; NULL: it has none, or is no mapping. */
yaml_node_pair_t *yaml_pair(struct yaml_reader *reader, const yaml_node_t *node, const char *name);
/* Calls `read` for each key present, in the table's order, with `what`.NAME (or NAME if `what` is
 * ""). */
void yaml_read_mapping(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                       const struct yaml_key *keys, size_t key_count, void *into);
/* A mapping whose keys are names chosen by the user: [a-z][a-z0-9_-]{0,31}, no duplicates. */
void yaml_read_names(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                     size_t count_max,
                     void (*read)(struct yaml_reader *reader, yaml_node_t *key, const char *name,
                                  yaml_node_t *value, const char *what, void *into),
                     void *into);
void yaml_read_list(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                    size_t count_max, yaml_read *read, void *into);
bool yaml_is_name(const char *text);

/* NULL with a finding when it is not a text, is empty, or names a variable that is not set. */
const char *yaml_text(struct yaml_reader *reader, yaml_node_t *node, const char *what);
bool yaml_integer(struct yaml_reader *reader, yaml_node_t *node, const char *what, int minimum,
                  int maximum, int *ret);
bool yaml_bool(struct yaml_reader *reader, yaml_node_t *node, const char *what, bool *ret);
/* The index of its value in `words` (ended by NULL); -1 with a finding. `defaults`: the first is
 * what counts where the key is missing. */
int yaml_word(struct yaml_reader *reader, yaml_node_t *node, const char *what,
              const char *const *words, bool defaults);
/* Nothing follows the key, which is allowed here. */
bool yaml_nothing(struct yaml_reader *reader, const yaml_node_t *node);
/* Any mapping; plain scalars in it become null, booleans or numbers where they look like them. New
 * reference, or NULL with a finding. */
json_t *yaml_json(struct yaml_reader *reader, yaml_node_t *node, const char *what);

/* ---- Describing: what the functions above do when given a schema ---- */

void yaml_describe_mapping(struct yaml_reader *reader, const struct yaml_key *keys,
                           size_t key_count, void *into);
void yaml_describe_names(struct yaml_reader *reader, size_t count_max,
                         void (*read)(struct yaml_reader *reader, yaml_node_t *key,
                                      const char *name, yaml_node_t *value, const char *what,
                                      void *into),
                         void *into);
void yaml_describe_list(struct yaml_reader *reader, size_t count_max, yaml_read *read, void *into);
void yaml_describe_integer(struct yaml_reader *reader, int minimum, int maximum);
void yaml_describe_words(struct yaml_reader *reader, const char *const *words, bool defaults);
void yaml_describe_type(struct yaml_reader *reader, const char *type);
void yaml_describe_text(struct yaml_reader *reader);

#endif
