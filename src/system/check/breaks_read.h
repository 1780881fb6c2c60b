/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_BREAKS_READ_H
#define SYSTEM_CHECK_BREAKS_READ_H

/* What both files that judge statements (breaks.c, breaks_alter.c) read: parse trees of
 * libpg_query, as JSON, and what the new migrations have created so far. */

#include <jansson.h>

#include "base/map.h"
#include "system/check/breaks.h"

#define BREAKS_NAME_SIZE 200

/* A table or column, by name, that the new migrations have created or changed. */
struct made {
    bool is_new, has_default, not_null;
};

struct reading {
    void (*visit)(void *context, const struct breaking *breaking);
    void *context;
    const struct migration *migration;
    const struct script_statement *statement;
    struct map made;
};

/* The kinds of change, each with why it breaks, and what to do instead. */
enum change {
    CHANGE_DROP,
    CHANGE_RENAME,
    CHANGE_TYPE,
    CHANGE_NOT_NULL,
    CHANGE_ADD_NOT_NULL,
    CHANGE_CONSTRAINT,
    CHANGE_DROP_DEFAULT,
    CHANGE_ROWS,
};

/* "it BEFORE NAME AFTER": "it sets orders.total NOT NULL" */
void breaks_report(struct reading *reading, enum change change, const char *before,
                   const char *name, const char *after);

const char *breaks_text_at(const json_t *object, const char *key); /* "" if there is none */
const char *breaks_text_of(const json_t *node);                    /* of a String node */
/* "orders" for a RangeVar; with a schema, "schema.orders". */
void breaks_table_name(const json_t *relation, char ret[BREAKS_NAME_SIZE]);
void breaks_column_name(const char *table, const char *column, char ret[BREAKS_NAME_SIZE]);
struct made *breaks_made_add(struct reading *reading, const char *name);
bool breaks_is_new(const struct reading *reading, const char *name);

/* Whether a key over these columns constrains a version that does not know the newest ones. */
bool breaks_bind(const struct reading *reading, const char *table, const json_t *columns);

/* breaks_alter.c, which breaks.c calls */
void breaks_alter_table(struct reading *reading, const json_t *statement);

#endif
