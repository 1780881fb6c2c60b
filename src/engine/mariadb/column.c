/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The columns of a result and how they become values. Integers, reals and texts arrive in the
 * protocol's binary form, decimals as text. Times are written as everywhere in Freehold:
 * 2026-11-20T11:25:39.123Z (sessions are in UTC). TINYINT(1), which is MariaDB's BOOLEAN, and
 * BIT(1) are "BOOLEAN"; a LONGTEXT that the server knows to be JSON is "JSON".
 *
 * Buffers belong to the prepared statement, grow with the values, and shrink after a large one.
 */

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "engine/mariadb/internal.h"

#define BUFFER_SIZE_MIN 128
#define BUFFER_SIZE_KEPT ((size_t)64 << 10)
#define CHARSET_BINARY 63

enum column_kind {
    COLUMN_KIND_INTEGER,
    COLUMN_KIND_UNSIGNED,
    COLUMN_KIND_REAL,
    COLUMN_KIND_FLOAT,
    COLUMN_KIND_TIME,
    COLUMN_KIND_BITS,
    COLUMN_KIND_TEXT,
    COLUMN_KIND_BLOB
};

struct mariadb_column {
    enum column_kind kind;
    enum enum_field_types type;
    unsigned flags, decimals;
    const char *name, *declared; /* declared: "BOOLEAN", "JSON" or NULL */
    union {
        int64_t integer;
        double real;
        float real4;
        MYSQL_TIME time;
    } fixed;
    char written[40]; /* text of a time or a large integer */
    char *buffer;
    size_t size; /* of buffer, not counting its final NUL */
    unsigned long length;
    my_bool null, cut;
};

static bool is_attribute(const MYSQL_FIELD *field, enum mariadb_field_attr_t attribute,
                         const char *text)
{
    MARIADB_CONST_STRING found = {0};
    return mariadb.mariadb_field_attr(&found, field, attribute) == 0 && found.str &&
           found.length == strlen(text) && memcmp(found.str, text, found.length) == 0;
}

/* UUID and INET6 arrive as text, though without a character set. */
static bool is_named_type(const MYSQL_FIELD *field)
{
    MARIADB_CONST_STRING found = {0};
    return mariadb.mariadb_field_attr(&found, field, MARIADB_FIELD_ATTR_DATA_TYPE_NAME) == 0 &&
           found.length > 0;
}

static enum column_kind kind_of_column(const MYSQL_FIELD *field)
{
    switch ((int)field->type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_YEAR:
        return field->flags & UNSIGNED_FLAG ? COLUMN_KIND_UNSIGNED : COLUMN_KIND_INTEGER;
    case MYSQL_TYPE_DOUBLE:
        return COLUMN_KIND_REAL;
    case MYSQL_TYPE_FLOAT:
        return COLUMN_KIND_FLOAT;
    case MYSQL_TYPE_DATE:
    case MYSQL_TYPE_NEWDATE:
    case MYSQL_TYPE_TIME:
    case MYSQL_TYPE_DATETIME:
    case MYSQL_TYPE_TIMESTAMP:
        return COLUMN_KIND_TIME;
    case MYSQL_TYPE_BIT:
        return COLUMN_KIND_BITS;
    case MYSQL_TYPE_DECIMAL:
    case MYSQL_TYPE_NEWDECIMAL:
    case MYSQL_TYPE_NULL:
    case MYSQL_TYPE_JSON:
    case MYSQL_TYPE_ENUM:
    case MYSQL_TYPE_SET:
        return COLUMN_KIND_TEXT;
    default:
        return field->charsetnr == CHARSET_BINARY && !is_named_type(field) ? COLUMN_KIND_BLOB
                                                                           : COLUMN_KIND_TEXT;
    }
}

static const char *declared_as(const MYSQL_FIELD *field)
{
    if ((field->type == MYSQL_TYPE_TINY || field->type == MYSQL_TYPE_BIT) && field->length == 1)
        return "BOOLEAN";
    if (field->type == MYSQL_TYPE_JSON ||
        is_attribute(field, MARIADB_FIELD_ATTR_FORMAT_NAME, "json"))
        return "JSON";
    return NULL;
}

static void bind_fixed(MYSQL_BIND *bind, enum enum_field_types type, void *buffer)
{
    bind->buffer_type = type;
    bind->buffer = buffer;
}

static void column_bind(struct mariadb_column *column, MYSQL_BIND *bind)
{
    *bind =
        (MYSQL_BIND){.length = &column->length, .is_null = &column->null, .error = &column->cut};
    switch (column->kind) {
    case COLUMN_KIND_INTEGER:
    case COLUMN_KIND_UNSIGNED:
        bind_fixed(bind, MYSQL_TYPE_LONGLONG, &column->fixed.integer);
        bind->is_unsigned = column->kind == COLUMN_KIND_UNSIGNED;
        return;
    case COLUMN_KIND_REAL:
        bind_fixed(bind, MYSQL_TYPE_DOUBLE, &column->fixed.real);
        return;
    case COLUMN_KIND_FLOAT:
        bind_fixed(bind, MYSQL_TYPE_FLOAT, &column->fixed.real4);
        return;
    case COLUMN_KIND_TIME:
        bind_fixed(bind, column->type, &column->fixed.time);
        return;
    case COLUMN_KIND_BITS:
    case COLUMN_KIND_TEXT:
    case COLUMN_KIND_BLOB:
        break;
    }
    if (!column->buffer) {
        column->size = BUFFER_SIZE_MIN;
        column->buffer = malloc(column->size + 1);
        FH_ASSERT(column->buffer != NULL);
    }
    bind_fixed(bind, column->kind == COLUMN_KIND_TEXT ? MYSQL_TYPE_STRING : MYSQL_TYPE_BLOB,
               column->buffer);
    bind->buffer_length = (unsigned long)column->size;
}

enum fh_code mariadb_columns_bind(struct mariadb_statement *statement, struct fh_error *error)
{
    int count = (int)mariadb.mysql_stmt_field_count(statement->stmt);
    const MYSQL_FIELD *fields = mariadb.mariadb_stmt_fetch_fields(statement->stmt);
    if (count > MARIADB_COLUMNS_MAX || !fields)
        return error_set(error, FH_UNSUPPORTED, "A statement returns more than %d columns.",
                         MARIADB_COLUMNS_MAX);
    if (statement->column_count != count) {
        mariadb_columns_free(statement);
        statement->columns = calloc((size_t)count, sizeof *statement->columns);
        statement->binds = calloc((size_t)count, sizeof *statement->binds);
        FH_ASSERT(statement->columns && statement->binds);
        statement->column_count = count;
    }
    for (int i = 0; i < count; i++) {
        struct mariadb_column *column = &statement->columns[i];
        column->kind = kind_of_column(&fields[i]);
        column->type = fields[i].type == MYSQL_TYPE_NEWDATE ? MYSQL_TYPE_DATE : fields[i].type;
        column->decimals = fields[i].decimals;
        column->name = fields[i].name;
        column->declared = declared_as(&fields[i]);
        column_bind(column, &statement->binds[i]);
    }
    if (mariadb.mysql_stmt_bind_result(statement->stmt, statement->binds) != 0)
        return error_set(error, FH_UNSUPPORTED, "A statement's rows can't be read: %.160s.",
                         mariadb.mysql_stmt_error(statement->stmt));
    return FH_OK;
}

void mariadb_columns_name(const struct mariadb_statement *statement, const char **names,
                          const char **types)
{
    for (int i = 0; i < statement->column_count; i++) {
        names[i] = statement->columns[i].name;
        types[i] = statement->columns[i].declared;
    }
}

/* The shortest text that reads back as the same float: 0.1, not 0.10000000149011612. */
static double widened_float(float value)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            return strtod(text, NULL);
    }
    return (double)value;
}

static struct sql_value written_text(struct mariadb_column *column)
{
    return (struct sql_value){
        .kind = SQL_TEXT, .text = column->written, .length = strlen(column->written)};
}

static struct sql_value time_value(struct mariadb_column *column)
{
    const MYSQL_TIME *time = &column->fixed.time;
    char fraction[8] = "";
    size_t size = sizeof column->written;
    unsigned hours = time->hour + time->day * 24;
    snprintf(fraction, sizeof fraction, "%06lu", time->second_part % 1000000);
    fraction[column->decimals > 3 ? 6 : 3] = '\0';
    if (column->type == MYSQL_TYPE_DATE)
        snprintf(column->written, size, "%04u-%02u-%02u", time->year % 10000, time->month % 100,
                 time->day % 100);
    else if (column->type == MYSQL_TYPE_TIME && !column->decimals)
        snprintf(column->written, size, "%s%02u:%02u:%02u", time->neg ? "-" : "", hours % 10000,
                 time->minute % 100, time->second % 100);
    else if (column->type == MYSQL_TYPE_TIME)
        snprintf(column->written, size, "%s%02u:%02u:%02u.%s", time->neg ? "-" : "", hours % 10000,
                 time->minute % 100, time->second % 100, fraction);
    else
        snprintf(column->written, size, "%04u-%02u-%02uT%02u:%02u:%02u.%sZ", time->year % 10000,
                 time->month % 100, time->day % 100, time->hour % 100, time->minute % 100,
                 time->second % 100, fraction);
    return written_text(column);
}

static struct sql_value bits_value(const struct mariadb_column *column)
{
    uint64_t bits = 0;
    for (unsigned long i = 0; i < column->length && i < 8; i++)
        bits = bits << 8 | (unsigned char)column->buffer[i];
    return (struct sql_value){.kind = SQL_INTEGER, .integer = (int64_t)bits};
}

static struct sql_value value_of_column(struct mariadb_column *column)
{
    switch (column->kind) {
    case COLUMN_KIND_UNSIGNED:
        if (column->fixed.integer < 0) { /* too large for an integer: its digits */
            snprintf(column->written, sizeof column->written, "%llu",
                     (unsigned long long)column->fixed.integer);
            return written_text(column);
        }
        return sql_integer(column->fixed.integer);
    case COLUMN_KIND_INTEGER:
        return sql_integer(column->fixed.integer);
    case COLUMN_KIND_REAL:
        return (struct sql_value){.kind = SQL_REAL, .real = column->fixed.real};
    case COLUMN_KIND_FLOAT:
        return (struct sql_value){.kind = SQL_REAL, .real = widened_float(column->fixed.real4)};
    case COLUMN_KIND_TIME:
        return time_value(column);
    case COLUMN_KIND_BITS:
        return bits_value(column);
    case COLUMN_KIND_TEXT:
    case COLUMN_KIND_BLOB:
        break;
    }
    column->buffer[column->length] = '\0';
    return (struct sql_value){.kind = column->kind == COLUMN_KIND_BLOB ? SQL_BLOB : SQL_TEXT,
                              .text = column->buffer,
                              .length = column->length};
}

/* Fetches a value again, whole, when its buffer was too small. */
static bool grow_buffer(struct mariadb_statement *statement, int i)
{
    struct mariadb_column *column = &statement->columns[i];
    if (column->length > MARIADB_PACKET_SIZE_MAX)
        return false;
    size_t size = column->size;
    while (size < column->length)
        size *= 2;
    char *buffer = realloc(column->buffer, size + 1);
    if (!buffer)
        return false;
    column->buffer = buffer;
    column->size = size;
    column_bind(column, &statement->binds[i]);
    return mariadb.mysql_stmt_fetch_column(statement->stmt, &statement->binds[i], (unsigned)i, 0) ==
           0;
}

bool mariadb_columns_read(struct mariadb_statement *statement, bool truncated,
                          struct sql_value *values)
{
    bool grown = false;
    for (int i = 0; i < statement->column_count; i++) {
        struct mariadb_column *column = &statement->columns[i];
        if (column->null) {
            values[i] = (struct sql_value){.kind = SQL_NULL};
            continue;
        }
        if (truncated && column->buffer && column->kind >= COLUMN_KIND_BITS &&
            column->length > column->size) {
            if (!grow_buffer(statement, i))
                return false;
            grown = true;
        }
        values[i] = value_of_column(column);
    }
    return !grown || mariadb.mysql_stmt_bind_result(statement->stmt, statement->binds) == 0;
}

void mariadb_columns_shrink(struct mariadb_statement *statement)
{
    for (int i = 0; i < statement->column_count; i++) {
        struct mariadb_column *column = &statement->columns[i];
        if (column->size > BUFFER_SIZE_KEPT) {
            free(column->buffer);
            column->buffer = NULL;
            column->size = 0;
        }
    }
}

void mariadb_columns_free(struct mariadb_statement *statement)
{
    for (int i = 0; i < statement->column_count; i++)
        free(statement->columns[i].buffer);
    free(statement->columns);
    free(statement->binds);
    statement->columns = NULL;
    statement->binds = NULL;
    statement->column_count = 0;
}
