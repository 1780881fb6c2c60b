/* SPDX-License-Identifier: Apache-2.0 */
/* Files of SQL: cut into statements, read for the tables that they leave behind, and as reports.
 * The first line says in which dialect. */

#include "fuzz.h"
#include "engine/engines.h"
#include "service/adopt.h"
#include "store/relational/report.h"

static const struct sql_ops *sql_called(const char *word)
{
    const struct engine *engine = NULL;
    while ((engine = engine_next(engine)) && (!engine->sql || engine->name[0] != *word))
        ;
    return (engine ? engine : engine_embedded())->sql;
}

/* One that can be run says so, and what each of its names is. */
static void read_as_report(const char *sql, const struct sql_ops *ops)
{
    struct report report = {.name = "fuzzed"};
    bool fits = report_read(&report, sql, ops);
    FH_ASSERT(fits == !report.why[0] && report.line > 0);
    for (int i = 0; i < report.reading.count && fits; i++)
        FH_ASSERT(report_type_name(report.types[i]) != NULL);
    report_release(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *word = fuzz_take(&data, &size, '\n'), *sql = fuzz_rest(&data, &size);
    const struct sql_ops *ops = sql_called(word);
    const struct sql_dialect *dialect = ops->dialect;
    struct migration migration = {.version = 1, .name = "0001_fuzzed.sql", .sql = sql};
    struct script script = script_begin(sql, dialect);
    struct script_statement statement;
    size_t end = 0;
    while (script_next(&script, &statement)) {
        FH_ASSERT(statement.length > 0 && statement.start >= end && statement.text > sql - 1);
        end = statement.end;
        FH_ASSERT(end <= strlen(sql));
    }
    json_t *tables = json_object(), *table;
    const char *name;
    adopt_tables_read(tables, &migration, dialect);
    json_object_foreach (tables, name, table)
        FH_ASSERT(json_is_object(json_object_get(table, "columns")));
    json_decref(tables);
    read_as_report(sql, ops);
    free(word);
    free(sql);
    return 0;
}
