/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question's text may be anybody's, and FTS5 has a language: quotes, stars, carets, colons,
 * brackets, AND, OR, NOT, NEAR. None of it gets there: each word is written in double quotes, which
 * no word has, since they end it here, and inside those FTS5 knows nothing but the words that its
 * tokenizer finds. What it finds none in ("-") is no condition, unless there is nothing else: then
 * nothing is found.
 *
 *     red "running shoe" x^2 sho  with `prefix`  becomes  "red" "running shoe" "x^2" "sho"*
 *
 * A cursor is base64url of 8 bytes of BLAKE2b and the JSON array that they are of. The hash also
 * covers the question, so that the cursor of another one is refused. It is no proof of where the
 * cursor comes from, and none is needed: its values are bound.
 */

#include "store/derived/question.h"

#include <ctype.h>
#include <sodium.h>

#include "base/json.h"

#define SPACE " \t\r\n\f\v"
#define MATCH_SIZE_MAX ((size_t)4 * SEARCH_TEXT_LENGTH_MAX + 64)
#define CURSOR_HASH_SIZE 8u
#define CURSOR_SIZE_MAX 4096u /* a key and a text of 255 bytes each, escaped, are less */
#define CURSOR_VARIANT sodium_base64_VARIANT_URLSAFE_NO_PADDING

/* ---- Its fields ---- */

int question_field(const struct fh_derived *declared, const char *name, unsigned uses)
{
    for (int i = 0; declared->fields[i].name; i++) {
        if (strcmp(declared->fields[i].name, name) == 0)
            return declared->fields[i].use & uses ? i : -1;
    }
    return -1;
}

int question_text_column(const struct fh_derived *declared, int field)
{
    int column = 0;
    for (int i = 0; i < field; i++)
        column += (declared->fields[i].use & FH_TEXT) != 0;
    return column;
}

static enum fh_code take_field(const struct question *question, const char *name, unsigned use,
                               const char *called, int *ret, struct fh_error *error)
{
    *ret = name ? question_field(question->declared, name, use) : -1;
    if (!name || *ret >= 0)
        return FH_OK;
    return error_set(error, FH_INVALID, "The derived store %s has no field \"%.64s\" that is %s.",
                     question->declared->name, name, called);
}

/* ---- Its text ---- */

/* At least as many as FTS5 finds, where what separates them is ASCII. */
static int count_search_words(const char *text)
{
    int count = 0;
    bool within = false;
    for (; *text; text++) {
        bool is_part = isalnum((unsigned char)*text) || (unsigned char)*text >= 0x80;
        count += is_part && !within;
        within = is_part;
    }
    return count;
}

/* Each word costs a walk over all values that have it, and nobody else is answered meanwhile. */
static enum fh_code check_search_text(const char *text, struct fh_error *error)
{
    if (!text || (strnlen(text, SEARCH_TEXT_LENGTH_MAX + 1) <= SEARCH_TEXT_LENGTH_MAX &&
                  count_search_words(text) <= SEARCH_WORDS_MAX))
        return FH_OK;
    return derived_unfit(error, "text", "A question's text has at most %d bytes and %d words.",
                         SEARCH_TEXT_LENGTH_MAX, SEARCH_WORDS_MAX);
}

static void add_match_word(struct question *question, const char *word, size_t length)
{
    struct text *match = &question->match;
    question->phrases++;
    text_add(match, match->length ? " \"" : "\"");
    text_append(match, word, length);
    text_add(match, "\"");
}

static enum fh_code take_search_text(struct question *question, struct fh_error *error)
{
    const char *at = question->search->text;
    bool quoted = false;
    enum fh_code code = check_search_text(at, error);
    if (code != FH_OK)
        return code;
    while (at && *at) {
        size_t length = strcspn(at, quoted ? "\"" : "\"" SPACE);
        if (at[strspn(at, SPACE)] == '\0')
            break;
        if (length > 0 && strspn(at, SPACE) < length)
            add_match_word(question, at, length);
        at += length;
        quoted ^= *at == '"';
        if (*at == '"')
            at++;
        else
            at += strspn(at, SPACE);
    }
    const char *text = question->search->text;
    bool goes_on = text && *text && !strchr("\"" SPACE, text[strlen(text) - 1]);
    if (question->search->prefix && goes_on && question->match.length)
        text_add(&question->match, "*");
    FH_ASSERT(!question->match.overflow);
    if (question->match.length)
        question->values[question->value_count++] = sql_text(question->match.data);
    return FH_OK;
}

bool question_phrase(const char **at, struct question_phrase *ret)
{
    if (!*at || !**at)
        return false;
    const char *begin = *at + strspn(*at, " ") + 1, *end = strchr(begin, '"');
    *ret = (struct question_phrase){begin, (size_t)(end - begin), end[1] == '*'};
    *at = end + 1 + ret->prefix;
    return true;
}

/* ---- Its filter ---- */

static bool take_filter_value(const struct fh_derived_field *field, const json_t *value,
                              struct sql_value *ret)
{
    switch (field->type) {
    case FH_STRING:
    case FH_LIST:
        /* Of a text with a NUL only what is before it would be looked for. */
        if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
            return false;
        *ret = sql_text(json_string_value(value));
        return true;
    case FH_INT:
        *ret = sql_integer(json_integer_value(value));
        return json_is_integer(value);
    case FH_BOOL:
        *ret = sql_integer(json_is_true(value));
        return json_is_boolean(value);
    case FH_OBJECT:
    case FH_ARRAY:
    case FH_ANY:
    case FH_NUMBER:
    case FH_DECIMAL:
        break;
    }
    return false;
}

static enum fh_code take_filters(struct question *question, struct fh_error *error)
{
    json_t *filter = question->search->filter, *value;
    const char *name;
    enum fh_code code = FH_OK;
    if (filter && !json_is_object(filter))
        return error_set(error, FH_INVALID, "The filter of a question is not an object.");
    if (json_object_size(filter) > QUESTION_FILTERS_MAX)
        return error_set(error, FH_INVALID, "The filter of a question has more than %d fields.",
                         QUESTION_FILTERS_MAX);
    json_object_foreach (filter, name, value) {
        int *field = &question->filters[question->filter_count++];
        code = take_field(question, name, FH_FACET | FH_TAG, "FH_FACET or FH_TAG", field, error);
        if (code != FH_OK)
            return code;
        struct sql_value *taken = &question->values[question->value_count++];
        if (!take_filter_value(&question->declared->fields[*field], value, taken))
            return derived_unfit(error, name, "A filter's value must be of the field's type.");
    }
    return FH_OK;
}

/* ---- Its cursor ---- */

static void hash_question_text(crypto_generichash_state *state, const char *text)
{
    uint64_t size = text ? strlen(text) : UINT64_MAX; /* so that no two lists are one text */
    crypto_generichash_update(state, (const unsigned char *)&size, sizeof size);
    if (text)
        crypto_generichash_update(state, (const unsigned char *)text, (size_t)size);
}

static void hash_question(const struct question *question, const char *values,
                          unsigned char ret[CURSOR_HASH_SIZE])
{
    const struct fh_search *search = question->search;
    unsigned char hash[crypto_generichash_BYTES];
    crypto_generichash_state state;
    char *filter =
        search->filter ? json_dumps(search->filter, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    /* What a rank is counts as part of the question: one of before is of another (rank.c). */
    hash_question_text(&state, question_is_ranked(question) ? "search 2" : "search 1");
    hash_question_text(&state, question->declared->name);
    hash_question_text(&state, question->match.data);
    hash_question_text(&state, filter);
    hash_question_text(&state, search->sort);
    hash_question_text(&state, search->descending ? "-" : "+");
    hash_question_text(&state, values);
    crypto_generichash_final(&state, hash, sizeof hash);
    memcpy(ret, hash, CURSOR_HASH_SIZE);
    json_text_free(filter);
}

json_t *question_cursor(const struct question *question, const json_t *value, json_t *tie)
{
    unsigned char whole[CURSOR_SIZE_MAX];
    char cursor[sodium_base64_ENCODED_LEN(CURSOR_SIZE_MAX, CURSOR_VARIANT)];
    if (!value || !tie) {
        json_decref(tie);
        return NULL;
    }
    struct arena *before = json_arena_set(NULL); /* for a moment: a text can't be refused there */
    json_t *values = json_pack("[O, O]", value, tie);
    char *text = json_text(values);
    json_arena_set(before);
    json_decref(tie);
    size_t length = strlen(text);
    FH_ASSERT(CURSOR_HASH_SIZE + length < sizeof whole);
    hash_question(question, text, whole);
    memcpy(whole + CURSOR_HASH_SIZE, text, length + 1);
    sodium_bin2base64(cursor, sizeof cursor, whole, CURSOR_HASH_SIZE + length, CURSOR_VARIANT);
    json_text_free(text);
    json_decref(values);
    return json_string(cursor);
}

/* NULL: it is none of this question's. */
static json_t *read_search_cursor(const struct question *question, const char *cursor)
{
    unsigned char whole[CURSOR_SIZE_MAX + 1], hash[CURSOR_HASH_SIZE];
    struct fh_error error;
    size_t size;
    json_t *values;
    if (sodium_base642bin(whole, CURSOR_SIZE_MAX, cursor, strlen(cursor), NULL, &size, NULL,
                          CURSOR_VARIANT) != 0 ||
        size <= CURSOR_HASH_SIZE)
        return NULL;
    whole[size] = '\0';
    const char *text = (const char *)whole + CURSOR_HASH_SIZE;
    hash_question(question, text, hash);
    if (memcmp(hash, whole, sizeof hash) != 0 ||
        json_parse(text, size - CURSOR_HASH_SIZE, &values, &error) != FH_OK)
        return NULL;
    const json_t *tie = json_array_get(values, 1);
    if (json_is_array(values) && json_array_size(values) == 2 && json_typeof(tie) == question->tie)
        return values;
    json_decref(values);
    return NULL;
}

/* The parameters behind it: what the hits are ordered by, and the id of the last one. */
static enum fh_code take_after(struct question *question, struct fh_error *error)
{
    const char *after = question->search->after;
    if (!after)
        return FH_OK;
    question->after = read_search_cursor(question, after);
    if (!question->after)
        return derived_unfit(error, "after", "It is not the `next` of an answer to this question.");
    const json_t *value = json_array_get(question->after, 0);
    struct sql_value *taken = &question->values[question->value_count];
    if (json_is_string(value))
        taken[0] = sql_text(json_string_value(value));
    else if (json_is_real(value))
        taken[0] = (struct sql_value){.kind = SQL_REAL, .real = json_real_value(value)};
    else
        taken[0] = sql_integer(json_integer_value(value));
    const json_t *tie = json_array_get(question->after, 1);
    taken[1] = json_is_string(tie) ? sql_text(json_string_value(tie))
                                   : sql_integer(json_integer_value(tie));
    return FH_OK;
}

/* ---- All of it ---- */

static enum fh_code take_limit(struct question *question, struct fh_error *error)
{
    int limit = question->search->limit;
    question->limit = limit ? limit : SEARCH_LIMIT;
    if (question->limit >= 1 && question->limit <= SEARCH_LIMIT_MAX)
        return FH_OK;
    return derived_unfit(error, "limit", "`limit` must be from 1 to %d.", SEARCH_LIMIT_MAX);
}

enum fh_code question_init(struct question *question, const struct fh_derived *declared,
                           const struct fh_search *search, json_type tie, struct fh_error *error)
{
    int facet;
    *question = (struct question){.declared = declared, .search = search, .tie = tie};
    text_init(&question->match, MATCH_SIZE_MAX);
    enum fh_code code = take_limit(question, error);
    if (code == FH_OK)
        code = take_field(question, search->sort, FH_SORTED, "FH_SORTED", &question->sort, error);
    if (code == FH_OK)
        code = take_field(question, search->highlight, FH_TEXT, "FH_TEXT", &question->highlight,
                          error);
    for (int i = 0; search->facets && search->facets[i] && code == FH_OK; i++) {
        code = take_field(question, search->facets[i], FH_FACET, "FH_FACET", &facet, error);
        for (int j = 0; j < i && code == FH_OK; j++) {
            if (strcmp(search->facets[i], search->facets[j]) == 0)
                code = error_set(error, FH_INVALID, "The facet %.64s is named twice.",
                                 search->facets[i]);
        }
    }
    if (code == FH_OK)
        code = take_search_text(question, error);
    if (code == FH_OK)
        code = take_filters(question, error);
    if (code == FH_OK)
        code = take_after(question, error);
    return code;
}

void question_release(struct question *question)
{
    text_release(&question->match);
    json_decref(question->after);
}
