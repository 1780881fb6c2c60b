/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a statement touches, in words that are the same for all kinds of statements: the names in
 * its parse tree, the tables and columns that earlier statements of the new migrations have made,
 * and a report of what breaks. Which statements break what is decided in breaks.c and
 * breaks_alter.c.
 */

#include "system/check/breaks_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static const struct {
    const char *why, *instead;
} changes[] = {
    [CHANGE_DROP] = {"which the version that runs may still use",
                     "First release a version that does not use it, then drop it in a later one."},
    [CHANGE_RENAME] = {"which the version that runs knows by the old name",
                       "Add the new one, release a version that writes both, copy what is there, "
                       "then drop the old one in a later version."},
    [CHANGE_TYPE] = {"which the version that runs reads and writes as it was",
                     "Add another column of the new type, release a version that writes both, copy "
                     "what is there, then drop the old one in a later version."},
    [CHANGE_NOT_NULL] = {"where the version that runs may still write NULL",
                         "Give it a default, or release a version that always writes it; then set "
                         "it NOT NULL in a later one."},
    [CHANGE_ADD_NOT_NULL] = {"which the version that runs does not write",
                             "Give it a DEFAULT; or add it without NOT NULL, release a version "
                             "that writes it, and set it NOT NULL in a later one."},
    [CHANGE_CONSTRAINT] = {"which the version that runs may violate",
                           "First release a version that keeps to it, then add it in a later one."},
    [CHANGE_DROP_DEFAULT] = {"on which the version that runs may rely",
                             "First release a version that always writes the column, then drop "
                             "it in a later one."},
    [CHANGE_ROWS] = {"whose rows the version that runs may still read",
                     "First release a version that does without them, then do it in a later one."},
};

void breaks_report(struct reading *reading, enum change change, const char *before,
                   const char *name, const char *after)
{
    char what[BREAKS_NAME_SIZE + 80];
    snprintf(what, sizeof what, "%s %s%s", before, name, after);
    struct breaking breaking = {.migration = reading->migration,
                                .line = reading->statement->line,
                                .judged = true,
                                .what = what,
                                .why = changes[change].why,
                                .instead = changes[change].instead};
    migration_breaks(reading->migration, reading->statement, &breaking.reason,
                     &breaking.reason_length);
    reading->visit(reading->context, &breaking);
}

/* ---- Names, and what the new migrations have created ---- */

const char *breaks_text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

const char *breaks_text_of(const json_t *node)
{
    return breaks_text_at(json_object_get(node, "String"), "sval");
}

void breaks_table_name(const json_t *relation, char ret[BREAKS_NAME_SIZE])
{
    const char *schema = breaks_text_at(relation, "schemaname");
    snprintf(ret, BREAKS_NAME_SIZE, "%.90s%s%.90s", schema, *schema ? "." : "",
             breaks_text_at(relation, "relname"));
}

void breaks_column_name(const char *table, const char *column, char ret[BREAKS_NAME_SIZE])
{
    snprintf(ret, BREAKS_NAME_SIZE, "%.120s.%.70s", table, column);
}

struct made *breaks_made_add(struct reading *reading, const char *name)
{
    struct made *made = map_get(&reading->made, name);
    if (!made) {
        made = calloc(1, sizeof *made);
        FH_ASSERT(made != NULL);
        map_put(&reading->made, name, made);
    }
    return made;
}

bool breaks_is_new(const struct reading *reading, const char *name)
{
    const struct made *made = map_get(&reading->made, name);
    return made && made->is_new;
}

/* A key with a new column that stays NULL does not constrain a version that does not know the
 * column. */
bool breaks_bind(const struct reading *reading, const char *table, const json_t *columns)
{
    size_t i;
    json_t *column;
    json_array_foreach (columns, i, column) {
        char name[BREAKS_NAME_SIZE];
        const char *text = breaks_text_of(column);
        breaks_column_name(
            table, *text ? text : breaks_text_at(json_object_get(column, "IndexElem"), "name"),
            name);
        const struct made *made = map_get(&reading->made, name);
        if (made && made->is_new && !made->has_default)
            return false;
    }
    return true;
}
