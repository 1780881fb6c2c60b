/* SPDX-License-Identifier: Apache-2.0 */
/* Results as libpq has them: made by the model, read and freed by the engine. */

#include "simulate/postgresql/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define TYPE_TEXT 25

PGresult *model_result(ExecStatusType status, const char *tag)
{
    PGresult *result = calloc(1, sizeof *result);
    FH_ASSERT(result != NULL);
    result->status = status;
    snprintf(result->tag, sizeof result->tag, "%s", tag);
    return result;
}

PGresult *model_error(const char *severity, const char *sqlstate, const char *message)
{
    PGresult *result = model_result(PGRES_FATAL_ERROR, "");
    snprintf(result->severity, sizeof result->severity, "%s", severity);
    snprintf(result->sqlstate, sizeof result->sqlstate, "%s", sqlstate);
    snprintf(result->message, sizeof result->message, "%s", message);
    return result;
}

void model_result_columns(PGresult *result, int columns)
{
    result->columns = columns;
    result->names = calloc((size_t)columns + 1, sizeof *result->names);
    result->types = calloc((size_t)columns + 1, sizeof *result->types);
    FH_ASSERT(result->names != NULL && result->types != NULL);
    for (int i = 0; i < columns; i++)
        result->types[i] = TYPE_TEXT;
}

void model_result_row(PGresult *result, const char *const *values)
{
    size_t columns = (size_t)result->columns, used = (size_t)result->rows * columns;
    result->values = realloc(result->values, (used + columns + 1) * sizeof *result->values);
    FH_ASSERT(result->values != NULL);
    for (size_t i = 0; i < columns; i++)
        result->values[used + i] = values[i] ? strdup(values[i]) : NULL;
    result->rows++;
}

void model_result_free(PGresult *result)
{
    if (!result)
        return;
    for (int i = 0; i < result->columns; i++)
        free(result->names[i]);
    for (int i = 0; i < result->rows * result->columns; i++)
        free(result->values[i]);
    free(result->names);
    free(result->types);
    free(result->values);
    free(result);
}

static void mix_digest(uint64_t *digest, const char *text)
{
    for (const char *at = text; *at; at++)
        *digest = (*digest ^ (unsigned char)*at) * 1099511628211u;
    *digest = (*digest ^ 0xff) * 1099511628211u;
}

uint64_t model_digest(const PGresult *result)
{
    uint64_t digest = 14695981039346656037u;
    mix_digest(&digest, result->tag);
    mix_digest(&digest, result->sqlstate);
    for (int i = 0; i < result->rows * result->columns; i++)
        mix_digest(&digest, result->values[i] ? result->values[i] : "\1");
    return digest;
}
