/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows as RowBinary has them: an integer is eight bytes, a text its length and its bytes, a value
 * that may be null begins with a byte that says whether it is. So nothing is escaped, no value can
 * be refused (one that is not as declared has none), and a body that was cut short within a row is
 * refused whole; one that was cut between two rows is a beginning without the link, which is the
 * last row.
 */

#include <string.h>

#include "carrier/clickhouse/internal.h"
#include "carrier/values.h"

static void write_row_byte(struct text *body, unsigned byte)
{
    char c = (char)byte;
    text_append(body, &c, 1);
}

static void write_row_integer(struct text *body, int64_t integer)
{
    uint64_t bits = (uint64_t)integer;
    char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (char)(bits >> (8 * i));
    text_append(body, bytes, sizeof bytes);
}

/* There is one zero, as values are told apart by their bits. */
static void write_row_real(struct text *body, double real)
{
    int64_t bits = 0;
    if (real != 0)
        memcpy(&bits, &real, sizeof bits);
    write_row_integer(body, bits);
}

static void write_row_text(struct text *body, const char *text, size_t length)
{
    size_t rest = length;
    for (; rest >= 0x80; rest >>= 7)
        write_row_byte(body, (unsigned)(rest & 0x7f) | 0x80);
    write_row_byte(body, (unsigned)rest);
    text_append(body, text, length);
}

static void write_tag(struct text *body, const struct fh_derived_field *field,
                      const struct carried_value *value)
{
    if (field->type == FH_STRING)
        write_row_text(body, value->text, value->length);
    else if (field->type == FH_BOOL)
        write_row_byte(body, value->kind == CARRIED_TRUE);
    else
        write_row_integer(body, carried_integer(value));
}

static void write_measured(struct text *body, const struct fh_derived_field *field,
                           const struct carried_value *value)
{
    write_row_byte(body, value->kind == CARRIED_NULL);
    if (value->kind == CARRIED_NULL)
        return;
    if (field->type == FH_NUMBER)
        write_row_real(body, carried_real(value));
    else
        write_row_integer(body, carried_integer(value));
}

static void write_row_head(struct text *body, unsigned kind, int64_t at, const char *key,
                           int64_t position, const char *life)
{
    write_row_byte(body, kind);
    write_row_integer(body, at);
    write_row_text(body, key, strlen(key));
    write_row_integer(body, position);
    if (*life)
        write_row_text(body, life, strlen(life));
}

void clickhouse_write_fact(struct text *body, const struct fh_derived *declared,
                           const struct carried_op *op, const char *life)
{
    write_row_head(body, 1, op->at_ms, op->key, op->position, life);
    for (int i = 0; declared->fields[i].name; i++) {
        const struct fh_derived_field *field = &declared->fields[i];
        if (series_is_tag(field))
            write_tag(body, field, &op->values[i]);
        else
            write_measured(body, field, &op->values[i]);
    }
}

void clickhouse_write_link(struct text *body, const struct fh_derived *declared,
                           const struct carried_link *link, const char *life)
{
    char digits[TEXT_INTEGER_SIZE], key[CLICKHOUSE_LINK_SIZE];
    clickhouse_link_key(link, key);
    write_row_head(body, 0, link->to, *life ? key : text_of_integer(link->from, digits), link->to,
                   life);
    for (const struct fh_derived_field *field = declared->fields; field->name; field++) {
        if (!series_is_tag(field))
            write_row_byte(body, 1); /* null */
        else if (field->type == FH_INT)
            write_row_integer(body, 0);
        else
            write_row_byte(body, 0); /* false, or "" */
    }
}
