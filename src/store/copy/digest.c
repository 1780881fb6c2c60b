/* SPDX-License-Identifier: Apache-2.0 */
/* Sums, so that the order in which rows are read does not matter; of 128 bits, so that equal sums
 * by chance don't, either. */

#include "store/copy/digest.h"

#include <sodium.h>
#include <stdio.h>

#include "base/json.h"

/* Hashes the value in a form that is the same in every engine. */
static void hash_value(crypto_generichash_state *state, const struct sql_value *value)
{
    char number[40];
    const char *text = number;
    size_t length = 0;
    json_t *parsed = NULL;
    char *canonical = NULL;
    unsigned char kind = value->kind == SQL_NULL ? 0 : value->kind == SQL_BLOB ? 2 : 1;
    switch (value->kind) {
    case SQL_NULL:
        break;
    case SQL_INTEGER:
        length = (size_t)snprintf(number, sizeof number, "%lld", (long long)value->integer);
        break;
    case SQL_REAL:
        length = (size_t)snprintf(number, sizeof number, "%.15g", value->real);
        break;
    case SQL_TEXT:
    case SQL_BLOB:
        text = value->text;
        length = value->length;
        break;
    }
    if (value->kind == SQL_TEXT && length && (*text == '{' || *text == '[') &&
        json_parse(text, length, &parsed, ERROR_UNHEEDED) == FH_OK) {
        canonical = json_dumps(parsed, JSON_COMPACT | JSON_SORT_KEYS);
        if (canonical) {
            text = canonical;
            length = strlen(canonical);
        }
    }
    crypto_generichash_update(state, &kind, 1);
    crypto_generichash_update(state, (const unsigned char *)&length, sizeof length);
    crypto_generichash_update(state, (const unsigned char *)text, length);
    json_text_free(canonical);
    json_decref(parsed);
}

void digest_add(struct digest *digest, const struct sql_value *values, int count)
{
    uint64_t hash[2];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    for (int i = 0; i < count; i++)
        hash_value(&state, &values[i]);
    crypto_generichash_final(&state, (unsigned char *)hash, sizeof hash);
    digest->sums[0] += hash[0];
    digest->sums[1] += hash[1];
    digest->rows++;
}

bool digest_equal(const struct digest *one, const struct digest *other)
{
    return one->rows == other->rows && one->sums[0] == other->sums[0] &&
           one->sums[1] == other->sums[1];
}
