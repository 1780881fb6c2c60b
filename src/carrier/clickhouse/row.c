/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows as RowBinary has them: an integer is eight bytes, a text its length and its bytes, a value
 * that may be null begins with a byte that says whether it is. So nothing is escaped, no value can
 * be refused (one that is not as declared has none), and a body that was cut short within a row is
 * refused whole; one that was cut between two rows is a beginning without the link, which is the
 * last row.
 */

#include <endian.h>
#include <string.h>

#include "carrier/clickhouse/internal.h"
#include "carrier/values.h"

/* Where a row is written to: there is room for all of it. */
static void put_row_byte(char **at, unsigned byte)
{
    *(*at)++ = (char)byte;
}

static void put_row_integer(char **at, int64_t integer)
{
    uint64_t bits = htole64((uint64_t)integer);
    memcpy(*at, &bits, sizeof bits);
    *at += sizeof bits;
}

/* There is one zero, as values are told apart by their bits. */
static void put_row_real(char **at, double real)
{
    int64_t bits = 0;
    if (real != 0)
        memcpy(&bits, &real, sizeof bits);
    put_row_integer(at, bits);
}

static void put_row_text(char **at, const char *text, size_t length)
{
    size_t rest = length;
    for (; rest >= 0x80; rest >>= 7)
        put_row_byte(at, (unsigned)(rest & 0x7f) | 0x80);
    put_row_byte(at, (unsigned)rest);
    memcpy(*at, text, length);
    *at += length;
}

static void put_row_tag(char **at, const struct fh_derived_field *field,
                        const struct carried_value *value)
{
    if (field->type == FH_STRING)
        put_row_text(at, value->text, value->length);
    else if (field->type == FH_BOOL)
        put_row_byte(at, value->kind == CARRIED_TRUE);
    else
        put_row_integer(at, carried_integer(value));
}

static void put_row_measured(char **at, const struct fh_derived_field *field,
                             const struct carried_value *value)
{
    put_row_byte(at, value->kind == CARRIED_NULL);
    if (value->kind == CARRIED_NULL)
        return;
    if (field->type == FH_NUMBER)
        put_row_real(at, carried_real(value));
    else
        put_row_integer(at, carried_integer(value));
}

static void put_row_head(char **at, unsigned kind, int64_t at_ms, const char *key, int64_t position,
                         const char *life)
{
    put_row_byte(at, kind);
    put_row_integer(at, at_ms);
    put_row_text(at, key, strlen(key));
    put_row_integer(at, position);
    if (*life)
        put_row_text(at, life, strlen(life));
}

#define VALUE_MAX 10 /* bytes of a value that is no text, or of a text's length */

/* NULL: the body is too long. `values`: NULL, of a link. */
static char *begin_row(struct text *body, const struct fh_derived *declared, const char *key,
                       const char *life, const struct carried_value *values)
{
    size_t most = 3 * VALUE_MAX + strlen(key) + VALUE_MAX + strlen(life);
    for (int i = 0; declared->fields[i].name; i++)
        most += VALUE_MAX + (values ? values[i].length : 0);
    return text_reserve(body, most) ? body->data + body->length : NULL;
}

static void end_row(struct text *body, const char *end)
{
    body->length = (size_t)(end - body->data);
    body->data[body->length] = '\0';
}

void clickhouse_write_fact(struct text *body, const struct fh_derived *declared,
                           const struct carried_op *op, const char *life)
{
    char *at = begin_row(body, declared, op->key, life, op->values);
    if (!at)
        return;
    put_row_head(&at, 1, op->at_ms, op->key, op->position, life);
    for (int i = 0; declared->fields[i].name; i++) {
        const struct fh_derived_field *field = &declared->fields[i];
        if (series_is_tag(field))
            put_row_tag(&at, field, &op->values[i]);
        else
            put_row_measured(&at, field, &op->values[i]);
    }
    end_row(body, at);
}

void clickhouse_write_link(struct text *body, const struct fh_derived *declared,
                           const struct carried_link *link, const char *life)
{
    char digits[TEXT_INTEGER_SIZE], named[CLICKHOUSE_LINK_SIZE];
    clickhouse_link_key(link, named);
    const char *key = *life ? named : text_of_integer(link->from, digits);
    char *at = begin_row(body, declared, key, life, NULL);
    if (!at)
        return;
    put_row_head(&at, 0, link->to, key, link->to, life);
    for (const struct fh_derived_field *field = declared->fields; field->name; field++) {
        if (!series_is_tag(field))
            put_row_byte(&at, 1); /* null */
        else if (field->type == FH_INT)
            put_row_integer(&at, 0);
        else
            put_row_byte(&at, 0); /* false, or "" */
    }
    end_row(body, at);
}
