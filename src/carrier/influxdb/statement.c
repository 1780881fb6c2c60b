/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of ours stands in InfluxQL, and in the line protocol. Values of tags are the only texts of a
 * client's that are kept, and they are written so that neither has a meaning for any of their
 * bytes: all but letters, digits and "_.:-" as '%' and two digits, and a text without any byte,
 * which no tag can have, as '%' alone. So neither a newline nor a backslash at the end, of which
 * the line protocol makes something else, is ever sent, and answers hold no escape.
 */

#include <stdio.h>
#include <strings.h>

#include "carrier/influxdb/internal.h"

static void add_escaped(struct text *text, const char *data, size_t length, char quote)
{
    text_append(text, &quote, 1);
    for (size_t i = 0; i < length; i++) {
        if (data[i] == quote || data[i] == '\\')
            text_append(text, "\\", 1);
        if (data[i] == '\n')
            text_append(text, "\\n", 2);
        else
            text_append(text, &data[i], 1);
    }
    text_append(text, &quote, 1);
}

void influxdb_add_identifier(struct text *statement, const char *name)
{
    add_escaped(statement, name, strlen(name), '"');
}

void influxdb_add_string(struct text *statement, const char *text, size_t length)
{
    add_escaped(statement, text, length, '\'');
}

void influxdb_add_key(struct text *line, const char *name, size_t length)
{
    size_t plain = 0; /* from there on nothing is escaped, and nothing written yet */
    for (size_t i = 0; i < length; i++) {
        FH_ASSERT(name[i] != '\n' && name[i] != '\\');
        if (name[i] != ',' && name[i] != ' ' && name[i] != '=')
            continue;
        text_append(line, name + plain, i - plain);
        text_append(line, "\\", 1);
        plain = i;
    }
    text_append(line, name + plain, length - plain);
}

/* "time" is the time, what begins with '_' is the server's, and with "fh_" ours. */
void influxdb_field_name(const struct fh_derived_field *field, char ret[static INFLUXDB_FIELD_SIZE])
{
    bool taken = strcasecmp(field->name, "time") == 0 || field->name[0] == '_' ||
                 strncmp(field->name, "fh_", 3) == 0;
    snprintf(ret, INFLUXDB_FIELD_SIZE, "%s%s", taken ? "fh_f_" : "", field->name);
}

/* ---- Values of tags ---- */

static bool is_plain_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '.' || byte == ':' || byte == '-';
}

void influxdb_write_word(const struct sql_value *value, enum fh_type type,
                         char ret[static INFLUXDB_WORD_SIZE])
{
    static const char digits[] = "0123456789ABCDEF";
    char *at = ret;
    if (type == FH_BOOL) {
        snprintf(ret, INFLUXDB_WORD_SIZE, "%s", value->integer ? "true" : "false");
        return;
    }
    if (type == FH_INT) {
        snprintf(ret, INFLUXDB_WORD_SIZE, "%lld", (long long)value->integer);
        return;
    }
    FH_ASSERT(value->length <= DERIVED_WORD_LENGTH_MAX);
    if (!value->length)
        *at++ = '%';
    for (size_t i = 0; i < value->length; i++) {
        unsigned char byte = (unsigned char)value->text[i];
        if (is_plain_byte(value->text[i])) {
            *at++ = value->text[i];
            continue;
        }
        *at++ = '%';
        *at++ = digits[byte >> 4];
        *at++ = digits[byte & 15];
    }
    *at = '\0';
}

/* 16: it is no digit. */
static unsigned upper_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return (unsigned)(digit - '0');
    return digit >= 'A' && digit <= 'F' ? (unsigned)(digit - 'A') + 10 : 16;
}

static bool read_word_text(const char *word, size_t length, struct sql_value *ret,
                           char text[static DERIVED_WORD_LENGTH_MAX + 1])
{
    size_t count = 0;
    bool empty = length == 1 && word[0] == '%';
    for (size_t i = 0; i < length && !empty; i++) {
        unsigned high = 16, low = 16;
        if (count == DERIVED_WORD_LENGTH_MAX)
            return false;
        if (is_plain_byte(word[i])) {
            text[count++] = word[i];
            continue;
        }
        if (word[i] == '%' && length - i > 2) {
            high = upper_digit(word[i + 1]);
            low = upper_digit(word[i + 2]);
        }
        if (high > 15 || low > 15)
            return false;
        text[count++] = (char)(unsigned char)(high << 4 | low);
        i += 2;
    }
    text[count] = '\0';
    *ret = (struct sql_value){.kind = SQL_TEXT, .text = text, .length = count};
    return empty || count;
}

bool influxdb_read_word(const char *word, size_t length, enum fh_type type, struct sql_value *ret,
                        char text[static DERIVED_WORD_LENGTH_MAX + 1])
{
    struct influxdb_cell cell = {.kind = INFLUXDB_NUMBER, .text = word, .length = length};
    *ret = (struct sql_value){.kind = SQL_INTEGER};
    if (type == FH_INT)
        return influxdb_cell_integer(&cell, &ret->integer);
    if (type != FH_BOOL)
        return read_word_text(word, length, ret, text);
    ret->integer = length == 4 && memcmp(word, "true", 4) == 0;
    return ret->integer || (length == 5 && memcmp(word, "false", 5) == 0);
}
