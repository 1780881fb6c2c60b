/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ALTER TABLE. Anything may be changed in a table that the new migrations have created. A new
 * column of an older table may be changed too, since the running version does not read it. But
 * constraints on writing bind that version as well, though it does not know of them: a required
 * value, a key that the column's default violates.
 */

#include <string.h>

#include "system/check/breaks_read.h"

static bool has_constraint(const json_t *column, const char *type)
{
    size_t i;
    json_t *item;
    json_array_foreach (json_object_get(column, "constraints"), i, item) {
        if (strcmp(breaks_text_at(json_object_get(item, "Constraint"), "contype"), type) == 0)
            return true;
    }
    return false;
}

static bool fills_itself(const json_t *column)
{
    const json_t *names = json_object_get(json_object_get(column, "typeName"), "names");
    const char *type = breaks_text_of(json_array_get(names, json_array_size(names) - 1));
    return strstr(type, "serial") || has_constraint(column, "CONSTR_DEFAULT") ||
           has_constraint(column, "CONSTR_IDENTITY") || has_constraint(column, "CONSTR_GENERATED");
}

static void judge_new_column(struct reading *reading, const char *table, const json_t *column)
{
    char name[BREAKS_NAME_SIZE];
    breaks_column_name(table, breaks_text_at(column, "colname"), name);
    struct made *made = breaks_made_add(reading, name);
    made->is_new = true;
    made->has_default = fills_itself(column);
    made->not_null =
        has_constraint(column, "CONSTR_NOTNULL") || has_constraint(column, "CONSTR_PRIMARY");
    if (made->not_null && !made->has_default)
        breaks_report(reading, CHANGE_ADD_NOT_NULL, "adds the column", name,
                      " NOT NULL without a default");
    else if (has_constraint(column, "CONSTR_DEFAULT") &&
             (has_constraint(column, "CONSTR_UNIQUE") || has_constraint(column, "CONSTR_FOREIGN")))
        breaks_report(reading, CHANGE_CONSTRAINT, "adds the column", name,
                      " with a constraint on its default");
}

static void judge_new_constraint(struct reading *reading, const char *table,
                                 const json_t *constraint)
{
    static const struct {
        const char *type, *columns, *what;
    } types[] = {{"CONSTR_UNIQUE", "keys", "adds a unique constraint to"},
                 {"CONSTR_PRIMARY", "keys", "adds a primary key to"},
                 {"CONSTR_FOREIGN", "fk_attrs", "adds a reference to"},
                 {"CONSTR_CHECK", NULL, "adds a check to"},
                 {"CONSTR_EXCLUSION", NULL, "adds an exclusion to"}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(breaks_text_at(constraint, "contype"), types[i].type) != 0)
            continue;
        const json_t *columns =
            types[i].columns ? json_object_get(constraint, types[i].columns) : NULL;
        if (!columns || breaks_bind(reading, table, columns))
            breaks_report(reading, CHANGE_CONSTRAINT, types[i].what, table, "");
    }
}

static void judge_default(struct reading *reading, const char *name, const json_t *value)
{
    const struct made *known = map_get(&reading->made, name);
    bool may_be_null = known && known->is_new && !known->not_null;
    if (!value && !may_be_null)
        breaks_report(reading, CHANGE_DROP_DEFAULT, "drops the default of", name, "");
    breaks_made_add(reading, name)->has_default = value != NULL;
}

static void judge_column_change(struct reading *reading, const char *subtype, const char *name,
                                const json_t *command)
{
    struct made *made = breaks_made_add(reading, name);
    if (strcmp(subtype, "AT_DropColumn") == 0 && !made->is_new)
        breaks_report(reading, CHANGE_DROP, "drops the column", name, "");
    else if (strcmp(subtype, "AT_AlterColumnType") == 0 && !made->is_new)
        breaks_report(reading, CHANGE_TYPE, "changes the type of", name, "");
    else if (strcmp(subtype, "AT_SetNotNull") == 0 && !made->has_default)
        breaks_report(reading, CHANGE_NOT_NULL, "sets", name, " NOT NULL");
    else if (strcmp(subtype, "AT_ColumnDefault") == 0)
        judge_default(reading, name, json_object_get(command, "def"));
    else if ((strcmp(subtype, "AT_DropIdentity") == 0 ||
              strcmp(subtype, "AT_DropExpression") == 0) &&
             !made->is_new)
        breaks_report(reading, CHANGE_DROP_DEFAULT, "takes from", name, " what fills it");
    if (strcmp(subtype, "AT_SetNotNull") == 0)
        made->not_null = true;
    else if (strcmp(subtype, "AT_DropNotNull") == 0)
        made->not_null = false;
}

void breaks_alter_table(struct reading *reading, const json_t *statement)
{
    char table[BREAKS_NAME_SIZE], column[BREAKS_NAME_SIZE];
    size_t i;
    json_t *item;
    breaks_table_name(json_object_get(statement, "relation"), table);
    if (breaks_is_new(reading, table))
        return;
    json_array_foreach (json_object_get(statement, "cmds"), i, item) {
        const json_t *command = json_object_get(item, "AlterTableCmd");
        const json_t *definition = json_object_get(command, "def");
        const char *subtype = breaks_text_at(command, "subtype");
        breaks_column_name(table, breaks_text_at(command, "name"), column);
        if (strcmp(subtype, "AT_AddColumn") == 0)
            judge_new_column(reading, table, json_object_get(definition, "ColumnDef"));
        else if (strcmp(subtype, "AT_AddConstraint") == 0)
            judge_new_constraint(reading, table, json_object_get(definition, "Constraint"));
        else if (strcmp(subtype, "AT_DetachPartition") == 0)
            breaks_report(reading, CHANGE_ROWS, "detaches a partition of", table, "");
        else if (strcmp(subtype, "AT_EnableRowSecurity") == 0 ||
                 strcmp(subtype, "AT_ForceRowSecurity") == 0)
            breaks_report(reading, CHANGE_ROWS, "puts row security on", table, "");
        else
            judge_column_change(reading, subtype, column, command);
    }
}
