/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements in the form the server takes. Freehold numbers parameters (?1, ?2, each used once or
 * more); the server knows only "?", so each becomes one, and a table of positions says which value
 * goes where. "IN (?3...)", how the relational model writes a list here, becomes as many places as
 * the list has elements, rounded up to a power of two (the last element is repeated): so the
 * server's planner sees a plain IN, compares in the column's own type and uses its index, and a
 * text has few variants. (A list in a single JSON parameter was tried: it uses no index.)
 *
 * Text in quotes and comments is left alone. Sessions set ANSI_QUOTES and NO_BACKSLASH_ESCAPES, so
 * that quotes mean the same as on other engines.
 *
 * A text is found by its address, then by its content. There are MARIADB_TEXTS_MAX slots, and a
 * clock hand frees one not used since it last passed.
 */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "engine/mariadb/internal.h"

#define EMPTY_LIST "(SELECT NULL FROM DUAL WHERE FALSE)"

size_t mariadb_quoted(const char *at)
{
    const char *end;
    if (*at == '\'' || *at == '"' || *at == '`') {
        end = strchr(at + 1, *at);
        return end ? (size_t)(end + 1 - at) : strlen(at);
    }
    if (*at == '#' || (at[0] == '-' && at[1] == '-' && (!at[2] || isspace((unsigned char)at[2]))))
        return strcspn(at, "\n");
    if (at[0] == '/' && at[1] == '*') {
        end = strstr(at + 2, "*/");
        return end ? (size_t)(end + 2 - at) : strlen(at);
    }
    return 0;
}

static bool begins_with(const char *sql, const char *const *words)
{
    for (; *words; words++) {
        size_t length = strlen(*words);
        if (strncasecmp(sql, *words, length) == 0 && !isalnum((unsigned char)sql[length]) &&
            sql[length] != '_')
            return true;
    }
    return false;
}

/* As of a version or not: it begins with ! or M!. */
size_t mariadb_run_comment_opening(const char *at)
{
    if (at[0] != '/' || at[1] != '*')
        return 0;
    size_t length = at[2] == 'M' ? 3 : 2;
    return at[length] == '!' ? length + 1 + strspn(at + length + 1, "0123456789") : 0;
}

bool mariadb_may_begin_with(const char *sql, const char *const *words)
{
    for (size_t length;;) {
        if ((length = strspn(sql, " \t\r\n(")) == 0 && *sql && strchr("-/#", *sql))
            length = mariadb_quoted(sql);
        if (length == 0)
            return begins_with(sql, words);
        size_t opening = mariadb_run_comment_opening(sql);
        if (opening && mariadb_may_begin_with(sql + opening, words))
            return true;
        sql += length;
    }
}

bool mariadb_hides_statements(const char *sql)
{
    while (*sql) {
        size_t length = mariadb_quoted(sql), opening = mariadb_run_comment_opening(sql);
        if (opening && memchr(sql, ';', length))
            return true;
        sql += length ? length : 1;
    }
    return false;
}

static void judge_text(struct mariadb_text *text, const char *sql)
{
    static const char *const control[] = {"BEGIN",    "COMMIT",    "LOCK", "RELEASE",
                                          "ROLLBACK", "SAVEPOINT", "SET",  "START",
                                          "UNLOCK",   "USE",       "XA",   NULL};
    static const char *const schema[] = {"ALTER", "ANALYZE",  "CREATE", "DROP",
                                         "GRANT", "RENAME",   "REVOKE", "TRUNCATE",
                                         "FLUSH", "OPTIMIZE", NULL};
    text->control = mariadb_may_begin_with(sql, control);
    text->schema = mariadb_may_begin_with(sql, schema);
}

static void add_text_position(struct mariadb_text *text, int parameter, int element)
{
    if (text->position_count % 16 == 0) {
        size_t size = ((size_t)text->position_count + 16) * sizeof *text->positions;
        text->positions = realloc(text->positions, size);
        FH_ASSERT(text->positions != NULL);
    }
    text->positions[text->position_count++] = (struct mariadb_position){parameter, element, false};
}

static void add_list_places(struct mariadb_text *text, struct text *sql, int parameter, int size)
{
    for (int i = 0; i < size; i++) {
        text_add(sql, i ? ",?" : "(?");
        add_text_position(text, parameter, i);
    }
    text_add(sql, size ? ")" : EMPTY_LIST);
}

/* "?12" -> 11, and 3 characters; -1: no number, or one too large. */
static int number_at(const char *at, size_t *ret_length)
{
    size_t i = 1;
    int number = 0;
    while (isdigit((unsigned char)at[i]) && number <= MARIADB_PARAMETERS_MAX)
        number = number * 10 + (at[i++] - '0');
    *ret_length = i;
    return number > MARIADB_PARAMETERS_MAX ? -1 : number - 1;
}

static bool compile_places(struct mariadb_text *text, const char *sql, const int *sizes)
{
    struct text out;
    text_init(&out, MARIADB_PACKET_SIZE_MAX);
    bool fine = true;
    while (*sql && fine) {
        size_t length = mariadb_quoted(sql);
        if (length || *sql != '?') {
            length = length ? length : 1;
            /* The list's own "(" and ")" are written with its elements. */
            bool opens = *sql == '(' && sql[1] == '?';
            size_t digits = opens ? strspn(sql + 2, "0123456789") : 0;
            if (!opens || strncmp(sql + 2 + digits, "...)", 4) != 0)
                text_append(&out, sql, length);
            sql += length;
            continue;
        }
        int parameter = number_at(sql, &length);
        fine = parameter >= 0;
        sql += length;
        if (parameter + 1 > text->parameter_count)
            text->parameter_count = parameter + 1;
        if (strncmp(sql, "...)", 4) == 0) {
            text->list = true;
            if (fine)
                add_list_places(text, &out, parameter, sizes ? sizes[parameter] : 1);
            sql += 4;
        } else if (fine) {
            text_add(&out, "?");
            add_text_position(text, parameter, -1);
        }
    }
    fine = fine && !out.overflow;
    text->sql = text_take(&out);
    return fine;
}

static void text_free(struct mariadb_text *text)
{
    if (!text)
        return;
    free(text->key);
    free(text->sql);
    free(text->positions);
    free(text);
}

static void forget_text(struct mariadb_texts *texts, struct mariadb_text *text)
{
    for (int i = 0; i < MARIADB_RECENT; i++) {
        if (texts->recent[i].text == text)
            texts->recent[i].place = NULL, texts->recent[i].text = NULL;
    }
    map_remove(&texts->map, text->key);
    texts->slots[text->slot] = NULL;
    text_free(text);
}

/* Finds or frees a slot; -1: every slot's statement is running. */
static int free_slot(struct mariadb_texts *texts)
{
    for (int i = 0; i < 3 * MARIADB_TEXTS_MAX; i++) {
        int slot = texts->hand++ % MARIADB_TEXTS_MAX;
        struct mariadb_text *text = texts->slots[slot];
        if (!text)
            return slot;
        if (text->users)
            continue;
        if (!text->recently) {
            forget_text(texts, text);
            return slot;
        }
        text->recently = false;
    }
    return -1;
}

static enum fh_code text_new(struct mariadb_texts *texts, const char *key, const char *sql,
                             const int *sizes, struct mariadb_text **ret, struct fh_error *error)
{
    int slot = free_slot(texts);
    if (slot < 0)
        return error_set(error, FH_UNAVAILABLE, "Too many different statements run at once.");
    struct mariadb_text *text = calloc(1, sizeof *text);
    FH_ASSERT(text != NULL);
    *text = (struct mariadb_text){.serial = ++texts->serial, .slot = slot, .key = strdup(key)};
    FH_ASSERT(text->key != NULL);
    judge_text(text, sql);
    if (!compile_places(text, sql, sizes)) {
        text_free(text);
        return error_set(error, FH_UNSUPPORTED,
                         "A statement has parameters that are not ?1 to ?%d, or is too long.",
                         MARIADB_PARAMETERS_MAX);
    }
    texts->slots[slot] = text;
    map_put(&texts->map, key, text);
    *ret = text;
    return FH_OK;
}

/* The lengths of its lists are part of the key. */
static char *variant_key(const char *sql, const int *sizes)
{
    struct text key;
    text_init(&key, MARIADB_PACKET_SIZE_MAX);
    for (int i = 0; i < MARIADB_PARAMETERS_MAX; i++) {
        if (sizes[i])
            text_printf(&key, "%d=%d ", i, sizes[i]);
    }
    text_add(&key, "\x01");
    text_add(&key, sql);
    FH_ASSERT(!key.overflow); /* others' keys begin likewise */
    return text_take(&key);
}

enum fh_code mariadb_text_get(struct mariadb_texts *texts, const char *sql, const int *sizes,
                              struct mariadb_text **ret, struct fh_error *error)
{
    uintptr_t place = (uintptr_t)sql;
    __typeof__(&texts->recent[0]) recent =
        &texts->recent[(place >> 4 ^ place >> 12) % MARIADB_RECENT];
    enum fh_code code = FH_OK;
    if (!sizes && recent->place == sql && strcmp(recent->text->key, sql) == 0) {
        *ret = recent->text;
    } else {
        char *key = sizes ? variant_key(sql, sizes) : NULL;
        *ret = map_get(&texts->map, key ? key : sql);
        if (!*ret)
            code = text_new(texts, key ? key : sql, sql, sizes, ret, error);
        free(key);
        if (code != FH_OK)
            return code;
        if (!sizes)
            recent->place = sql, recent->text = *ret;
    }
    (*ret)->users++;
    (*ret)->recently = true;
    return FH_OK;
}

void mariadb_text_put(struct mariadb_text *text)
{
    text->users--;
}

void mariadb_texts_release(struct mariadb_texts *texts)
{
    for (int i = 0; i < MARIADB_TEXTS_MAX; i++)
        text_free(texts->slots[i]);
    map_release(&texts->map);
    memset(texts, 0, sizeof *texts);
}
