/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The statements are read in order, each by libpg_query, whose tree comes as JSON. What the new
 * migrations have created so far is remembered: a table ("orders") or a column ("orders.total"),
 * with whether it has a default and may be NULL. The running version does not know these, so they
 * may be changed, except where that constrains what it writes itself (a column that must have a
 * value).
 *
 * A statement that the parser can't read is reported as not judged, never passed over; so is one
 * that runs code (DO). Statements that only change rows are not judged: they break no schema.
 */

#include "system/check/breaks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef FREEHOLD_PG_QUERY
#include <pg_query.h>

#include "base/json.h"
#include "system/check/breaks_read.h"

static void report_unread(struct reading *reading, const char *why)
{
    struct breaking breaking = {
        .migration = reading->migration, .line = reading->statement->line, .why = why};
    migration_breaks(reading->migration, reading->statement, &breaking.reason,
                     &breaking.reason_length);
    reading->visit(reading->context, &breaking);
}

/* A name given as a list of its parts. */
static void list_name(const json_t *parts, char ret[BREAKS_NAME_SIZE])
{
    size_t i, length = 0;
    json_t *part;
    ret[0] = '\0';
    json_array_foreach (parts, i, part) {
        if (length < BREAKS_NAME_SIZE - 72)
            length += (size_t)snprintf(ret + length, BREAKS_NAME_SIZE - length, "%s%.70s",
                                       i ? "." : "", breaks_text_of(part));
    }
}

/* The name of an object that is not a table: each kind is named in its own way. */
static void object_name(const json_t *object, char ret[BREAKS_NAME_SIZE])
{
    const json_t *parts = json_at(object, "List.items");
    if (!parts)
        parts = json_at(object, "ObjectWithArgs.objname");
    if (!parts)
        parts = json_at(object, "TypeName.names");
    if (parts)
        list_name(parts, ret);
    else
        snprintf(ret, BREAKS_NAME_SIZE, "%.190s", breaks_text_of(object));
}

/* ---- Statements ---- */

static void note_new_table(struct reading *reading, const json_t *relation)
{
    char name[BREAKS_NAME_SIZE];
    breaks_table_name(relation, name);
    breaks_made_add(reading, name)->is_new = true;
}

static void create_table(struct reading *reading, const json_t *statement)
{
    note_new_table(reading, json_object_get(statement, "relation"));
}

static void create_table_as(struct reading *reading, const json_t *statement)
{
    note_new_table(reading, json_object_get(json_object_get(statement, "into"), "rel"));
}

static void create_view(struct reading *reading, const json_t *statement)
{
    note_new_table(reading, json_object_get(statement, "view"));
}

static void create_index(struct reading *reading, const json_t *statement)
{
    char table[BREAKS_NAME_SIZE];
    breaks_table_name(json_object_get(statement, "relation"), table);
    if (json_is_true(json_object_get(statement, "unique")) && !breaks_is_new(reading, table) &&
        breaks_bind(reading, table, json_object_get(statement, "indexParams")))
        breaks_report(reading, CHANGE_CONSTRAINT, "adds a unique index to", table, "");
}

static void judge_drop(struct reading *reading, const json_t *statement)
{
    static const struct {
        const char *type, *what;
    } types[] = {
        {"OBJECT_TABLE", "drops the table"},         {"OBJECT_VIEW", "drops the view"},
        {"OBJECT_MATVIEW", "drops the view"},        {"OBJECT_FOREIGN_TABLE", "drops the table"},
        {"OBJECT_SEQUENCE", "drops the sequence"},   {"OBJECT_FUNCTION", "drops the function"},
        {"OBJECT_PROCEDURE", "drops the procedure"}, {"OBJECT_ROUTINE", "drops the routine"},
        {"OBJECT_TYPE", "drops the type"},           {"OBJECT_DOMAIN", "drops the domain"},
        {"OBJECT_SCHEMA", "drops the schema"}};
    char name[BREAKS_NAME_SIZE];
    size_t i, type;
    json_t *object;
    for (type = 0; type < sizeof types / sizeof *types; type++) {
        if (strcmp(breaks_text_at(statement, "removeType"), types[type].type) == 0)
            break;
    }
    if (type == sizeof types / sizeof *types)
        return; /* an index, a trigger, a cast: statements don't name them */
    json_array_foreach (json_object_get(statement, "objects"), i, object) {
        object_name(object, name);
        if (!breaks_is_new(reading, name))
            breaks_report(reading, CHANGE_DROP, types[type].what, name, "");
    }
}

static void rename_any(struct reading *reading, const json_t *statement)
{
    static const char *const unnamed[] = {"OBJECT_INDEX", "OBJECT_TABCONSTRAINT",
                                          "OBJECT_DOMCONSTRAINT", "OBJECT_TRIGGER"};
    const char *type = breaks_text_at(statement, "renameType");
    char table[BREAKS_NAME_SIZE], name[BREAKS_NAME_SIZE];
    for (size_t i = 0; i < sizeof unnamed / sizeof *unnamed; i++) {
        if (strcmp(type, unnamed[i]) == 0)
            return;
    }
    breaks_table_name(json_object_get(statement, "relation"), table);
    snprintf(name, sizeof name, "%s", table);
    if (*breaks_text_at(statement, "subname"))
        breaks_column_name(table, breaks_text_at(statement, "subname"), name);
    if (!*table)
        object_name(json_object_get(statement, "object"), name);
    if (!breaks_is_new(reading, table) && !breaks_is_new(reading, name))
        breaks_report(reading, CHANGE_RENAME, "renames", name, "");
    char renamed[BREAKS_NAME_SIZE];
    const char *to = breaks_text_at(statement, "newname");
    if (*breaks_text_at(statement, "subname"))
        breaks_column_name(table, to, renamed);
    else
        snprintf(renamed, sizeof renamed, "%.190s", to);
    breaks_made_add(reading, renamed)->is_new = true; /* nobody knows it by that name */
}

static void set_schema(struct reading *reading, const json_t *statement)
{
    char table[BREAKS_NAME_SIZE];
    breaks_table_name(json_object_get(statement, "relation"), table);
    if (!breaks_is_new(reading, table))
        breaks_report(reading, CHANGE_RENAME, "moves", *table ? table : "something",
                      " to another schema");
}

static void truncate_tables(struct reading *reading, const json_t *statement)
{
    char table[BREAKS_NAME_SIZE];
    size_t i;
    json_t *relation;
    json_array_foreach (json_object_get(statement, "relations"), i, relation) {
        breaks_table_name(json_object_get(relation, "RangeVar"), table);
        if (!breaks_is_new(reading, table))
            breaks_report(reading, CHANGE_ROWS, "empties", table, "");
    }
}

static void alter_enum(struct reading *reading, const json_t *statement)
{
    if (*breaks_text_at(statement, "oldVal"))
        breaks_report(reading, CHANGE_RENAME, "renames the value",
                      breaks_text_at(statement, "oldVal"), "");
}

static void alter_domain(struct reading *reading, const json_t *statement)
{
    char name[BREAKS_NAME_SIZE];
    const char *subtype = breaks_text_at(statement, "subtype");
    list_name(json_object_get(statement, "typeName"), name);
    if (strcmp(subtype, "O") == 0)
        breaks_report(reading, CHANGE_NOT_NULL, "sets", name, " NOT NULL");
    else if (strcmp(subtype, "C") == 0)
        breaks_report(reading, CHANGE_CONSTRAINT, "adds a check to", name, "");
}

static void run_code(struct reading *reading, const json_t *statement)
{
    (void)statement;
    report_unread(reading, "it runs code");
}

static void judge_statement(struct reading *reading, const json_t *tree)
{
    static const struct {
        const char *node;
        void (*judge)(struct reading *reading, const json_t *statement);
    } nodes[] = {{"AlterTableStmt", breaks_alter_table},
                 {"CreateStmt", create_table},
                 {"CreateTableAsStmt", create_table_as},
                 {"ViewStmt", create_view},
                 {"IndexStmt", create_index},
                 {"DropStmt", judge_drop},
                 {"RenameStmt", rename_any},
                 {"AlterObjectSchemaStmt", set_schema},
                 {"TruncateStmt", truncate_tables},
                 {"AlterEnumStmt", alter_enum},
                 {"AlterDomainStmt", alter_domain},
                 {"DoStmt", run_code}};
    const json_t *first = json_array_get(json_object_get(tree, "stmts"), 0);
    const json_t *node = json_object_get(first, "stmt");
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        const json_t *statement = json_object_get(node, nodes[i].node);
        if (statement)
            nodes[i].judge(reading, statement);
    }
}

/* ---- Reading ---- */

static bool changes_rows(const struct script_statement *statement,
                         const struct sql_dialect *dialect)
{
    static const char *const words[] = {"INSERT", "UPDATE", "DELETE", "REPLACE", "SELECT", "WITH"};
    char first[SCRIPT_WORD_SIZE];
    script_word(statement, dialect, 0, first);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(first, words[i]) == 0)
            return true;
    }
    return false;
}

static void read_statement(struct reading *reading, const struct sql_dialect *dialect)
{
    if (changes_rows(reading->statement, dialect))
        return;
    char *text = script_as_postgresql(reading->statement, dialect);
    PgQueryParseResult result = pg_query_parse(text);
    json_t *tree = NULL;
    if (result.error)
        report_unread(reading, dialect->postgresql_grammar ? "PostgreSQL does not understand it"
                                                           : "it is SQL of this engine's own");
    else if (!result.parse_tree) /* the library says nothing of that */
        report_unread(reading, "memory ran out while it was read");
    else if (json_parse(result.parse_tree, strlen(result.parse_tree), &tree, ERROR_UNHEEDED) !=
             FH_OK)
        report_unread(reading, "it is nested too deep");
    else
        judge_statement(reading, tree);
    json_decref(tree);
    pg_query_free_parse_result(result);
    free(text);
}

bool breaks_built_in(void)
{
    return true;
}

enum fh_code breaks_parse(const char *sql, struct fh_error *error)
{
    PgQueryParseResult result = pg_query_parse(sql);
    enum fh_code code = FH_OK;
    if (result.error)
        code = error_set(error, FH_UNSUPPORTED, "%.200s", result.error->message);
    pg_query_free_parse_result(result);
    return code;
}

void breaks_find(const struct migrations *all, int64_t applied, const struct sql_dialect *dialect,
                 void (*visit)(void *context, const struct breaking *breaking), void *context)
{
    struct reading reading = {.visit = visit, .context = context};
    map_init(&reading.made);
    for (int i = 0; i < all->count; i++) {
        struct script_statement statement;
        struct script script = script_begin(all->rows[i].sql, dialect);
        reading.migration = &all->rows[i];
        reading.statement = &statement;
        while (all->rows[i].version > applied && script_next(&script, &statement))
            read_statement(&reading, dialect);
    }
    struct map_entry *entry = NULL;
    void *made;
    while (map_next(&reading.made, &entry, NULL, &made))
        free(made);
    map_release(&reading.made);
}

#else

bool breaks_built_in(void)
{
    return false;
}

enum fh_code breaks_parse(const char *sql, struct fh_error *error)
{
    (void)sql;
    return error_set(error, FH_UNAVAILABLE, "this freehold was built without libpg_query");
}

void breaks_find(const struct migrations *all, int64_t applied, const struct sql_dialect *dialect,
                 void (*visit)(void *context, const struct breaking *breaking), void *context)
{
    (void)all, (void)applied, (void)dialect, (void)visit, (void)context;
}

#endif
