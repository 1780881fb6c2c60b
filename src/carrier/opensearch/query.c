/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question in OpenSearch's language. Each phrase must be in one field or another, as FTS5 has it:
 *
 *     red              {"term": {"t0": "red"}}
 *     sho, goes on     {"prefix": {"t0": "sho"}}: a term of an index of beginnings, so it ranks
 *     "running shoe"   {"match_phrase": {"t0": "running shoe"}}
 *     ... and goes on  {"span_near": [{"span_term": ...}, {"span_multi": {"prefix": ...}}]}
 *
 * and adds to the rank by the weight of each field that has it. Words are in the form in which they
 * are kept (document.c), so the server changes none; and all that was ever a client's is a JSON
 * string that stands where a value stands. What is ordered by the same is ordered by its key.
 */

#include <string.h>

#include "base/json.h"
#include "carrier/opensearch/internal.h"

struct phrase_words {
    struct text words; /* with spaces between them */
    int count;
    size_t last; /* where the last one begins */
};

static void add_phrase_word(void *context, const char *word, size_t length)
{
    struct phrase_words *phrase = context;
    if (phrase->count++)
        text_append(&phrase->words, " ", 1);
    phrase->last = phrase->words.length;
    text_append(&phrase->words, word, opensearch_word_length(word, length));
}

/* ---- A phrase in a field ---- */

/* As Java counts them: those of four bytes are two. */
static int count_characters(const char *text)
{
    int count = 0;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        count += ((c & 0xc0) != 0x80) + (c >= 0xf0);
    }
    return count;
}

/* A beginning without a place of its own is found as well, but has no rank. */
static const char *rewrite_of(const char *beginning)
{
    return count_characters(beginning) <= OPENSEARCH_PREFIX_MAX ? "scoring_boolean"
                                                                : "constant_score";
}

static void write_span(struct text *body, int field, const struct phrase_words *phrase, int weight)
{
    const char *at = phrase->words.data, *last = at + phrase->last;
    text_add(body, "{\"span_near\":{\"in_order\":true,\"slop\":0,\"clauses\":[");
    while (at < last) {
        size_t length = strcspn(at, " ");
        text_printf(body, "{\"span_term\":{\"t%d\":", field);
        json_write_string(body, at, length);
        text_add(body, "}},");
        at += length + 1;
    }
    text_printf(body, "{\"span_multi\":{\"match\":{\"prefix\":{\"t%d\":{\"value\":", field);
    json_write_string(body, last, strlen(last));
    text_printf(body, "}}}}}],\"boost\":%d}}", weight);
}

static void write_clause(struct text *body, int field, const struct phrase_words *phrase,
                         bool prefix, int weight)
{
    const char *words = phrase->words.data;
    if (prefix && phrase->count > 1) {
        write_span(body, field, phrase, weight);
        return;
    }
    text_printf(body, "{\"%s\":{\"t%d\":{\"%s\":",
                phrase->count > 1 ? "match_phrase"
                : prefix          ? "prefix"
                                  : "term",
                field, phrase->count > 1 ? "query" : "value");
    json_write_string(body, words, strlen(words));
    if (prefix)
        text_printf(body, ",\"rewrite\":\"%s\"", rewrite_of(words));
    text_printf(body, ",\"boost\":%d}}}", weight);
}

static void write_phrase(struct text *body, const struct fh_derived *declared,
                         const struct phrase_words *phrase, bool prefix)
{
    int fields = 0;
    text_add(body, "{\"bool\":{\"should\":[");
    for (int i = 0; declared->fields[i].name; i++) {
        const struct fh_derived_field *field = &declared->fields[i];
        if (!(field->use & FH_TEXT))
            continue;
        text_add(body, fields++ ? "," : "");
        write_clause(body, i, phrase, prefix, field->weight ? field->weight : 1);
    }
    text_add(body, "],\"minimum_should_match\":1}}");
}

static int count_text_fields(const struct fh_derived *declared)
{
    int count = 0;
    for (const struct fh_derived_field *field = declared->fields; field->name; field++)
        count += (field->use & FH_TEXT) != 0;
    return count;
}

/* What has no word is no condition, unless there is nothing else: then nothing is found. */
static enum fh_code write_phrases(struct text *body, const struct question *question,
                                  struct word_splitter *splitter, struct fh_error *error)
{
    const char *at = question->match.data;
    struct question_phrase next;
    int words = 0, phrases = 0, fields = count_text_fields(question->declared);
    enum fh_code code = FH_OK;
    text_add(body, ",\"must\":[");
    while (code == FH_OK && question_phrase(&at, &next)) {
        struct phrase_words phrase = {0};
        text_init(&phrase.words, OPENSEARCH_SMALL);
        code =
            word_splitter_split(splitter, next.text, next.length, add_phrase_word, &phrase, error);
        if (code == FH_OK && phrase.count) {
            text_add(body, phrases++ ? "," : "");
            words += phrase.count;
            write_phrase(body, question->declared, &phrase, next.prefix);
        }
        text_release(&phrase.words);
    }
    if (question_has_text(question) && !phrases)
        text_add(body, "{\"match_none\":{}}");
    text_add(body, "]");
    if (code == FH_OK && words * fields > OPENSEARCH_CLAUSES_MAX)
        code = derived_unfit(error, "text",
                             "A question's text has at most %d words where each is looked for in "
                             "%d fields.",
                             OPENSEARCH_CLAUSES_MAX / fields, fields);
    return code;
}

/* ---- The rest ---- */

static void write_filters(struct text *body, const struct question *question)
{
    const char *name;
    json_t *value;
    int at = 0;
    text_add(body, "\"filter\":[{\"term\":{\"kind\":\"value\"}}");
    json_object_foreach (question->search->filter, name, value) {
        text_printf(body, ",{\"term\":{\"f%d\":", question->filters[at++]);
        json_write(body, value);
        text_add(body, "}}");
    }
    text_add(body, "]");
}

static void write_question_order(struct text *body, const struct question *question)
{
    bool descending = question->search->descending && question->sort >= 0;
    const char *direction = descending ? "desc" : "asc";
    text_add(body, ",\"sort\":[");
    if (question_is_ranked(question))
        text_add(body, "{\"_score\":\"desc\"},");
    else if (question->sort >= 0)
        text_printf(body, "{\"s%d\":\"%s\"},", question->sort, direction);
    text_printf(body, "{\"key\":\"%s\"}]", direction);
}

static bool is_place_in_order(const struct question *question, const json_t *value)
{
    if (question_is_ranked(question))
        return json_is_number(value);
    if (question->sort < 0)
        return json_is_string(value);
    switch (question->declared->fields[question->sort].type) {
    case FH_INT:
        return json_is_integer(value);
    case FH_NUMBER:
        return json_is_number(value);
    case FH_STRING:
    case FH_BOOL:
    case FH_LIST:
    case FH_OBJECT:
    case FH_ARRAY:
    case FH_ANY:
    case FH_DECIMAL:
        break;
    }
    return json_is_string(value);
}

static enum fh_code write_after(struct text *body, const struct question *question,
                                struct fh_error *error)
{
    const json_t *value = json_array_get(question->after, 0);
    if (!question->after)
        return FH_OK;
    if (!is_place_in_order(question, value))
        return derived_unfit(error, "after", "It is not the `next` of an answer to this question.");
    text_add(body, ",\"search_after\":[");
    if (question_is_ranked(question) || question->sort >= 0) {
        json_write(body, value);
        text_add(body, ",");
    }
    json_write(body, json_array_get(question->after, 1));
    text_add(body, "]");
    return FH_OK;
}

static void write_facets(struct text *body, const struct question *question)
{
    const char *const *names = question->search->facets;
    if (!names || !names[0])
        return;
    text_add(body, ",\"aggs\":{");
    for (int i = 0; names[i]; i++)
        text_printf(body,
                    "%s\"%d\":{\"terms\":{\"field\":\"f%d\",\"size\":%d,\"order\":[{\"_count\":"
                    "\"desc\"},{\"_key\":\"asc\"}]}}",
                    i ? "," : "", i, question_field(question->declared, names[i], FH_FACET),
                    SEARCH_COUNTS_MAX);
    text_add(body, "}");
}

enum fh_code opensearch_write_query(struct text *body, const struct question *question,
                                    int64_t timeout_ms, struct fh_error *error)
{
    struct word_splitter *splitter;
    enum fh_code code = word_splitter_new(question->declared, &splitter, error);
    if (code != FH_OK)
        return code;
    text_printf(body,
                "{\"size\":%d,\"timeout\":\"%lldms\",\"track_total_hits\":true,"
                "\"_source\":[\"key\",\"value\"],\"query\":{\"bool\":{",
                question->limit + 1, (long long)timeout_ms);
    write_filters(body, question);
    code = write_phrases(body, question, splitter, error);
    text_add(body, "}}");
    write_question_order(body, question);
    if (code == FH_OK)
        code = write_after(body, question, error);
    write_facets(body, question);
    text_add(body, "}");
    word_splitter_free(splitter);
    if (code == FH_OK && body->overflow)
        code = error_set(error, FH_NO_MEMORY, "There is no memory for a question.");
    return code;
}
