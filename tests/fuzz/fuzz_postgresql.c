/* SPDX-License-Identifier: Apache-2.0 */
/* Values as a PostgreSQL server sends them: a byte that chooses the type, and a text, for each
 * column. Whatever the texts are, a row has a value for each column, and for those that a reader of
 * the ledger expects and the server left out. */

#include <dlfcn.h>

#include "engine/postgresql/internal.h"
#include "fuzz.h"

#define COLUMNS 3

static const Oid oids[] = {16,   20,   21,   23,   25,   17,   114,  700,  701,  1114, 1184, 1700,
                           3802, 1000, 1001, 1007, 1009, 1016, 1022, 1185, 1231, 199,  3807, 99999};

static PGresult *(*make)(PGconn *connection, ExecStatusType status);
static int (*set_attributes)(PGresult *result, int count, PGresAttDesc *attributes);
static int (*set_value)(PGresult *result, int row, int column, char *value, int length);

static bool visit_row(void *context, const struct sql_row *row)
{
    int *visited = context;
    FH_ASSERT(row->count == COLUMNS);
    for (int i = 0; i < SQL_VALUES_MIN; i++) {
        const struct sql_value *value = &row->values[i];
        FH_ASSERT(i < COLUMNS || value->kind == SQL_NULL);
        if (value->kind == SQL_TEXT)
            FH_ASSERT(value->text && strlen(value->text) <= value->length + 1);
        if (value->kind == SQL_BLOB && value->length)
            FH_ASSERT(value->text != NULL);
    }
    ++*visited;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PGresAttDesc attributes[COLUMNS] = {{0}};
    char *texts[COLUMNS], name[] = "a";
    int visited = 0;
    fuzz_start();
    FH_ASSERT(postgresql_load(ERROR_UNHEEDED) == FH_OK);
    if (!make) {
        void *library = dlopen("libpq.so.5", RTLD_NOW);
        FH_ASSERT(library != NULL);
        *(void **)&set_attributes = dlsym(library, "PQsetResultAttrs");
        *(void **)&set_value = dlsym(library, "PQsetvalue");
        *(void **)&make = dlsym(library, "PQmakeEmptyPGresult");
    }
    PGresult *result = make(NULL, PGRES_TUPLES_OK);
    for (int i = 0; i < COLUMNS; i++) {
        texts[i] = fuzz_take(&data, &size, '\n');
        attributes[i].name = name;
        attributes[i].typid = oids[(unsigned char)texts[i][0] % (sizeof oids / sizeof *oids)];
    }
    FH_ASSERT(result && set_attributes(result, COLUMNS, attributes));
    for (int i = 0; i < COLUMNS; i++) {
        char *text = texts[i][0] ? texts[i] + 1 : texts[i];
        bool null = strcmp(text, "null") == 0;
        FH_ASSERT(set_value(result, 0, i, null ? NULL : text, null ? -1 : (int)strlen(text)));
        free(texts[i]);
    }
    FH_ASSERT(postgresql_visit_rows(result, visit_row, &visited) && visited == 1);
    postgresql_pq.PQclear(result);
    return 0;
}
