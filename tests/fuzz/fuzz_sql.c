/* SPDX-License-Identifier: Apache-2.0 */
/* Files of SQL: cut into statements, and read for the tables that they leave behind. The first line
 * says in which dialect. */

#include "fuzz.h"
#include "engine/engines.h"
#include "service/adopt.h"
#include "store/relational/sql.h"

static const struct sql_dialect *dialect_of(const char *word)
{
    const struct engine *engine = NULL;
    while ((engine = engine_next(engine)) && (!engine->sql || engine->name[0] != *word))
        ;
    return (engine ? engine : engine_embedded())->sql->dialect;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    char *word = fuzz_take(&data, &size, '\n'), *sql = fuzz_rest(&data, &size);
    const struct sql_dialect *dialect = dialect_of(word);
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
    free(word);
    free(sql);
    return 0;
}
