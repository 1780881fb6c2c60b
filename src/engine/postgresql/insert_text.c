/* SPDX-License-Identifier: Apache-2.0 */
/* Reads from a statement's text whether its rows can be joined (inserts.c), and writes it for many.
 */

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "engine/postgresql/internal.h"

static const char *behind_spaces(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

static bool insert_word(const char **at, const char *word)
{
    size_t length = strlen(word);
    *at = behind_spaces(*at);
    if (strncasecmp(*at, word, length) != 0 || isalnum((unsigned char)(*at)[length]) ||
        (*at)[length] == '_')
        return false;
    *at = behind_spaces(*at + length);
    return true;
}

static bool insert_sign(const char **at, char sign)
{
    *at = behind_spaces(*at);
    if (**at != sign)
        return false;
    *at = behind_spaces(*at + 1);
    return true;
}

/* In quotes, without one in it, or a name of plain letters; 0: it is neither. */
static size_t insert_name_length(const char *at)
{
    size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
    if (*at != '"')
        return isdigit((unsigned char)*at) ? 0 : length;
    length = strcspn(at + 1, "\"");
    return length && at[length + 1] == '"' && at[length + 2] != '"' ? length + 2 : 0;
}

static bool insert_columns(const char **at)
{
    if (!insert_sign(at, '('))
        return false;
    do {
        size_t length = insert_name_length(*at);
        if (!length)
            return false;
        *at += length;
    } while (insert_sign(at, ','));
    return insert_sign(at, ')');
}

static bool insert_digits(const char **at)
{
    size_t length = strspn(*at, "0123456789");
    *at += length;
    return length > 0;
}

/* A parameter, a text without quotes in it, or NULL. They are read as the column's own type; any
 * other constant may be cast to it, by a function of somebody's own. */
static bool insert_cell(const char **at, int *parameters)
{
    if (**at == '?') {
        ++*at;
        ++*parameters;
        return insert_digits(at);
    }
    if (**at == '\'') {
        size_t length = strcspn(*at + 1, "'?");
        *at += length + 1;
        return insert_sign(at, '\'') && **at != '\'';
    }
    return insert_word(at, "NULL");
}

static bool insert_row(const char **at, int *parameters)
{
    if (!insert_sign(at, '('))
        return false;
    do {
        if (!insert_cell(at, parameters))
            return false;
    } while (insert_sign(at, ','));
    *at = behind_spaces(*at);
    return *(*at)++ == ')';
}

void postgresql_insert_read(const char *text, struct postgresql_insert *ret)
{
    struct postgresql_insert found = {0};
    const char *at = text;
    int parameters = 0;
    *ret = found;
    if (!insert_word(&at, "INSERT") || !insert_word(&at, "INTO"))
        return;
    found.table = (size_t)(at - text);
    found.table_length = insert_name_length(at);
    at += found.table_length;
    if (!insert_columns(&at) || !insert_word(&at, "VALUES"))
        return;
    found.row = (size_t)(at - text);
    if (!insert_row(&at, &parameters) || !parameters || *behind_spaces(at))
        return;
    found.row_length = (size_t)(at - text) - found.row;
    if (found.table_length < STORE_TABLE_SIZE)
        *ret = found;
}

void postgresql_insert_add(struct text *sql, const char *text,
                           const struct postgresql_insert *insert, int before)
{
    const char *at = text + insert->row, *end = at + insert->row_length;
    while (at < end) {
        char *after = (char *)(uintptr_t)at + 1;
        if (*at == '?')
            text_printf(sql, "?%ld", before + strtol(at + 1, &after, 10));
        else
            text_append(sql, at, 1);
        at = after;
    }
}
