/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite as a library, without a file: FTS5 hands out its tokenizers, as it would to an extension,
 * and a page's hits are written into a table in memory, of which excerpts are made. They depend on
 * the row alone, so they are what they would be in the service's own store.
 */

#include "store/derived/words.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "store/derived/fts5.h"

#define WORDS_SQL_SIZE 8192

struct word_splitter {
    sqlite3 *memory;
    fts5_tokenizer tokenizer;
    Fts5Tokenizer *made;
};

static enum fh_code words_no_memory(struct fh_error *error)
{
    return error_set(error, FH_NO_MEMORY, "There is no memory to find the words of a text.");
}

static sqlite3 *open_words(void)
{
    sqlite3 *memory = NULL;
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(":memory:", &memory, flags, NULL) == SQLITE_OK &&
        derived_fts5_register(memory) == SQLITE_OK)
        return memory;
    sqlite3_close(memory);
    return NULL;
}

/* ---- Splitting ---- */

/* The words of derived_tokenizer, one argument each. */
static bool make_tokenizer(struct word_splitter *splitter, const struct fh_derived *declared)
{
    char spelled[64], *rest = spelled;
    const char *words[8] = {NULL};
    int count = 0;
    int result;
    fts5_api *api = derived_fts5_api(splitter->memory, &result);
    void *context;
    derived_tokenizer(declared, spelled, sizeof spelled);
    for (char *word; (word = strtok_r(rest, " ", &rest)) && count < 8;)
        words[count++] = word;
    return api && api->xFindTokenizer(api, words[0], &context, &splitter->tokenizer) == SQLITE_OK &&
           splitter->tokenizer.xCreate(context, &words[1], count - 1, &splitter->made) == SQLITE_OK;
}

enum fh_code word_splitter_new(const struct fh_derived *declared, struct word_splitter **ret,
                               struct fh_error *error)
{
    struct word_splitter *splitter = calloc(1, sizeof *splitter);
    *ret = NULL;
    if (splitter)
        splitter->memory = open_words();
    if (splitter && splitter->memory && make_tokenizer(splitter, declared)) {
        *ret = splitter;
        return FH_OK;
    }
    word_splitter_free(splitter);
    return words_no_memory(error);
}

void word_splitter_free(struct word_splitter *splitter)
{
    if (!splitter)
        return;
    if (splitter->made)
        splitter->tokenizer.xDelete(splitter->made);
    sqlite3_close(splitter->memory);
    free(splitter);
}

struct splitting {
    word_visit *visit;
    void *context;
};

static int on_split_word(void *context, int flags, const char *word, int length, int begin, int end)
{
    const struct splitting *splitting = context;
    (void)flags;
    (void)begin;
    (void)end;
    splitting->visit(splitting->context, word, (size_t)length);
    return SQLITE_OK;
}

enum fh_code word_splitter_split(struct word_splitter *splitter, const char *text, size_t length,
                                 word_visit *visit, void *context, struct fh_error *error)
{
    struct splitting splitting = {visit, context};
    FH_ASSERT(length <= DERIVED_VALUE_SIZE_MAX + DERIVED_LIST_MAX);
    if (splitter->tokenizer.xTokenize(splitter->made, &splitting, FTS5_TOKENIZE_DOCUMENT, text,
                                      (int)length, on_split_word) == SQLITE_OK)
        return FH_OK;
    return words_no_memory(error);
}

const char *derived_field_text(const json_t *value, struct text *lines, size_t *ret_length)
{
    size_t i;
    json_t *one;
    if (!json_is_array(value)) {
        *ret_length = json_string_length(value);
        return json_string_value(value);
    }
    text_init(lines, DERIVED_VALUE_SIZE_MAX + DERIVED_LIST_MAX);
    json_array_foreach (value, i, one) {
        text_add(lines, i ? "\n" : "");
        text_append(lines, json_string_value(one), json_string_length(one));
    }
    *ret_length = lines->length;
    return lines->data ? lines->data : "";
}

/* ---- Highlighting ---- */

struct word_highlighting {
    const struct question *question;
    sqlite3 *memory;
    sqlite3_stmt *insert, *select;
    json_t *hits;
};

static bool prepare_words_sql(sqlite3 *memory, struct text *sql, sqlite3_stmt **ret)
{
    FH_ASSERT(!sql->overflow);
    bool prepared = sqlite3_prepare_v2(memory, sql->data, -1, ret, NULL) == SQLITE_OK;
    text_clear(sql);
    return prepared;
}

/* In a transaction that never ends: else FTS5 writes its index with each row. */
static bool create_words_table(struct word_highlighting *highlighting, struct text *sql)
{
    derived_words_sql(sql, highlighting->question->declared, "words");
    FH_ASSERT(!sql->overflow);
    bool created = sqlite3_exec(highlighting->memory, "BEGIN", NULL, NULL, NULL) == SQLITE_OK &&
                   sqlite3_exec(highlighting->memory, sql->data, NULL, NULL, NULL) == SQLITE_OK;
    text_clear(sql);
    return created;
}

static bool prepare_highlighting(struct word_highlighting *highlighting, struct text *sql)
{
    const struct question *question = highlighting->question;
    int columns = 0;
    for (const struct fh_derived_field *field = question->declared->fields; field->name; field++)
        columns += (field->use & FH_TEXT) != 0;
    text_add(sql, "INSERT INTO words VALUES (?1");
    for (int i = 1; i < columns; i++)
        text_printf(sql, ", ?%d", i + 1);
    text_add(sql, ")");
    if (!prepare_words_sql(highlighting->memory, sql, &highlighting->insert))
        return false;
    derived_excerpt_sql(sql, "words",
                        question_text_column(question->declared, question->highlight));
    return prepare_words_sql(highlighting->memory, sql, &highlighting->select) &&
           sqlite3_bind_text(highlighting->select, 1, question->match.data, -1, SQLITE_STATIC) ==
               SQLITE_OK;
}

static bool insert_hit_words(struct word_highlighting *highlighting, const json_t *hit)
{
    const struct fh_derived *declared = highlighting->question->declared;
    struct text lines[DERIVED_FIELDS_MAX] = {{0}};
    int column = 0;
    bool well = true;
    for (int i = 0; declared->fields[i].name && well; i++) {
        if (!(declared->fields[i].use & FH_TEXT))
            continue;
        size_t length;
        const json_t *value =
            json_object_get(json_object_get(hit, "value"), declared->fields[i].name);
        const char *text = derived_field_text(value, &lines[i], &length);
        well = sqlite3_bind_text64(highlighting->insert, ++column, text, length, SQLITE_STATIC,
                                   SQLITE_UTF8) == SQLITE_OK;
    }
    well = well && sqlite3_step(highlighting->insert) == SQLITE_DONE;
    sqlite3_reset(highlighting->insert);
    for (int i = 0; i < DERIVED_FIELDS_MAX; i++)
        text_release(&lines[i]);
    return well;
}

/* A row's number is its hit's place, from 1. */
static bool show_highlights(struct word_highlighting *highlighting)
{
    int step;
    while ((step = sqlite3_step(highlighting->select)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(highlighting->select, 1);
        size_t length = (size_t)sqlite3_column_bytes(highlighting->select, 1);
        sqlite3_int64 row = sqlite3_column_int64(highlighting->select, 0);
        json_t *hit = json_array_get(highlighting->hits, (size_t)row - 1), *html;
        if (!text)
            continue;
        html = derived_highlight_html(text, length);
        if (!html || json_object_set_new(hit, "highlight", html) != 0)
            return false;
    }
    return step == SQLITE_DONE;
}

enum fh_code word_highlight(const struct question *question, json_t *hits, struct fh_error *error)
{
    struct word_highlighting highlighting = {.question = question, .hits = hits};
    struct text sql;
    size_t i;
    json_t *hit;
    if (question->highlight < 0 || !question_has_text(question) || json_array_size(hits) == 0)
        return FH_OK;
    text_init(&sql, WORDS_SQL_SIZE);
    highlighting.memory = open_words();
    bool well = highlighting.memory && create_words_table(&highlighting, &sql) &&
                prepare_highlighting(&highlighting, &sql);
    json_array_foreach (hits, i, hit)
        well = well && insert_hit_words(&highlighting, hit);
    well = well && show_highlights(&highlighting);
    sqlite3_finalize(highlighting.insert);
    sqlite3_finalize(highlighting.select);
    sqlite3_close(highlighting.memory);
    text_release(&sql);
    return well ? FH_OK : words_no_memory(error);
}
