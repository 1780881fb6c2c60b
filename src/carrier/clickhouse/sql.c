/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a generation's table is called and made, and how values and names are written.
 *
 *     `shop.sales`.`sold-0190a6b2-7c1e-7a55-8d4c-2f6b0e9a1c33-7`
 *
 * is of the owner "shop.sales", which has a database. A store's name has no '-', and an incarnation
 * has a form of its own. The table's columns are
 *
 *     fh_kind      1: a fact; 0: a link, in the same table and so in the same block as its facts
 *     fh_at        a fact's time; where a link ends
 *     fh_key       a fact's name; where a link begins
 *     fh_position  the version: of two rows of one kind, time and key the higher one stands
 *     fh_declared  an alias, which no row has: the declaration that the table was made by
 *
 * and the declared fields, by their names. Rows lie in the order of kind, time and key, so that a
 * question reads those of its time alone. There is no partition: a page is one block of one, which
 * is there or not.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/clickhouse/internal.h"

/* ---- Values and names ---- */

static void write_clickhouse_quoted(struct text *sql, const char *value, size_t length, char quote)
{
    text_append(sql, &quote, 1);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c < 0x20 || c == 0x7f || c == '\'' || c == '`' || c == '"' || c == '\\')
            text_printf(sql, "\\x%02X", (unsigned)c);
        else
            text_append(sql, &value[i], 1);
    }
    text_append(sql, &quote, 1);
}

void clickhouse_write_literal(struct text *sql, const char *value, size_t length)
{
    write_clickhouse_quoted(sql, value, length, '\'');
}

void clickhouse_write_name(struct text *sql, const char *name)
{
    write_clickhouse_quoted(sql, name, strlen(name), '`');
}

/* No declared name becomes one of the driver's own columns, or another's. */
void clickhouse_write_field(struct text *sql, const struct fh_derived_field *field)
{
    char name[DERIVED_FIELD_LENGTH_MAX + 4];
    snprintf(name, sizeof name, "%s%s", strncmp(field->name, "fh_", 3) == 0 ? "fh_" : "",
             field->name);
    clickhouse_write_name(sql, name);
}

void clickhouse_write_encoded(struct text *url, const char *plain)
{
    static const char digits[] = "0123456789ABCDEF";
    for (; *plain; plain++) {
        unsigned char c = (unsigned char)*plain;
        bool kept = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                    c == '_' || c == '-' || c == '.';
        char escaped[3] = {'%', digits[c >> 4], digits[c & 15]};
        text_append(url, kept ? plain : escaped, kept ? 1 : sizeof escaped);
    }
}

/* ---- The table's name ---- */

void clickhouse_table(const struct fh_derived *declared, const struct carried_name *generation,
                      char ret[static CLICKHOUSE_TABLE_SIZE])
{
    snprintf(ret, CLICKHOUSE_TABLE_SIZE, "%s-%s-%lld%s", declared->name, generation->incarnation,
             (long long)generation->number, generation->kept ? "-kept" : "");
}

bool clickhouse_table_read(const struct fh_derived *declared, const char *table,
                           struct carried_name *ret)
{
    char again[CLICKHOUSE_TABLE_SIZE];
    size_t length = strlen(declared->name);
    if (strncmp(table, declared->name, length) != 0 || table[length] != '-' ||
        strlen(table + length + 1) <= ID_SIZE)
        return false;
    const char *rest = table + length + 1;
    memcpy(ret->incarnation, rest, ID_SIZE - 1);
    ret->incarnation[ID_SIZE - 1] = '\0';
    char *end;
    ret->number = strtoll(rest + ID_SIZE, &end, 10);
    ret->kept = *end != '\0';
    if (!id_time_ms(ret->incarnation) || ret->number < 1)
        return false;
    clickhouse_table(declared, ret, again);
    return strcmp(table, again) == 0;
}

void clickhouse_write_table(struct text *sql, const struct clickhouse *server, const char *table)
{
    clickhouse_write_name(sql, server->owner);
    text_add(sql, ".");
    clickhouse_write_name(sql, table);
}

/* ---- How it is made ---- */

void clickhouse_digest(const struct fh_derived *declared, char ret[static CLICKHOUSE_DIGEST_SIZE])
{
    char digest[DERIVED_DIGEST_SIZE];
    derived_digest(declared, digest);
    snprintf(ret, CLICKHOUSE_DIGEST_SIZE, "%d %s", CLICKHOUSE_FORM, digest);
}

const char *clickhouse_type(const struct fh_derived_field *field)
{
    switch (field->type) {
    case FH_INT:
        return series_is_tag(field) ? "Int64" : "Nullable(Int64)";
    case FH_NUMBER:
        return "Nullable(Float64)";
    case FH_BOOL:
        return "UInt8";
    case FH_STRING:
    case FH_LIST:
    case FH_OBJECT:
    case FH_ARRAY:
    case FH_ANY:
    case FH_DECIMAL:
        break;
    }
    return "String";
}

void clickhouse_write_create(struct text *sql, const struct clickhouse *server, const char *table,
                             const struct fh_derived *declared, bool kept)
{
    char digest[CLICKHOUSE_DIGEST_SIZE];
    clickhouse_digest(declared, digest);
    text_add(sql, "CREATE TABLE IF NOT EXISTS ");
    clickhouse_write_table(sql, server, table);
    text_add(sql, " (fh_kind UInt8, fh_at Int64, fh_key String, fh_position Int64, fh_declared "
                  "String ALIAS ");
    clickhouse_write_literal(sql, digest, strlen(digest));
    if (kept)
        text_add(sql, ", fh_life String");
    for (const struct fh_derived_field *field = declared->fields; field->name; field++) {
        text_add(sql, ", ");
        clickhouse_write_field(sql, field);
        text_printf(sql, " %s", clickhouse_type(field));
    }
    text_add(sql, ") ENGINE = ReplacingMergeTree(fh_position) ORDER BY (fh_kind, fh_at, fh_key)");
}

void clickhouse_write_insert(struct text *sql, const struct clickhouse *server, const char *table,
                             const struct fh_derived *declared, bool kept)
{
    text_add(sql, "INSERT INTO ");
    clickhouse_write_table(sql, server, table);
    text_add(sql, " (fh_kind, fh_at, fh_key, fh_position");
    if (kept)
        text_add(sql, ", fh_life");
    for (const struct fh_derived_field *field = declared->fields; field->name; field++) {
        text_add(sql, ", ");
        clickhouse_write_field(sql, field);
    }
    text_add(sql, ") FORMAT RowBinary");
}

/* ---- Links that name events ---- */

void clickhouse_link_key(const struct carried_link *link, char ret[static CLICKHOUSE_LINK_SIZE])
{
    snprintf(ret, CLICKHOUSE_LINK_SIZE, "%016lld:%s:%s", (long long)link->from, link->from_id,
             link->to_id);
}

static bool take_link_id(const char **at, char ends, char ret[static ID_SIZE])
{
    size_t length = strcspn(*at, ":");
    if (length >= ID_SIZE || (*at)[length] != ends)
        return false;
    memcpy(ret, *at, length);
    ret[length] = '\0';
    *at += length + (ends != '\0');
    return true;
}

bool clickhouse_link_key_read(const char *key, struct carried_link *ret)
{
    char *end;
    ret->from = strtoll(key, &end, 10);
    const char *at = end + 1;
    return end == key + 16 && *end == ':' && take_link_id(&at, ':', ret->from_id) &&
           take_link_id(&at, '\0', ret->to_id);
}
