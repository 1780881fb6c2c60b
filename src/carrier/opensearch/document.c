/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept in an index, a document each:
 *
 *     _id "v" and the key   {"kind": "value", "key", "value": {...}, "t0": "red shoe", "f2": [...],
 *                            "s3": 7}, its version the op's position
 *     the same              {"kind": "gone"}: a tombstone
 *     "l5-9"                {"kind": "link", "from": 5, "to": 9}, its version `to`
 *
 * `value` is kept as it is, and not looked into; t0 are the words of field 0, as FTS5 has them,
 * which the index takes apart at the spaces and keeps nothing else of; f2 is what field 2 is found
 * by and counted, s3 what field 3 is sorted by. So all that decides what is found is decided here,
 * as for an embedded search, and the server compares words. No value can bring a field of its own:
 * the mapping is strict.
 */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "carrier/opensearch/internal.h"

#define WORDS_SIZE_MAX ((size_t)16 << 20)

void opensearch_digest(const struct fh_derived *declared, char ret[static OPENSEARCH_DIGEST_SIZE])
{
    char digest[DERIVED_DIGEST_SIZE];
    derived_digest(declared, digest);
    snprintf(ret, OPENSEARCH_DIGEST_SIZE, "%d %s", OPENSEARCH_FORM, digest);
}

/* ---- The index ---- */

static const char *index_type(const struct fh_derived_field *field)
{
    switch (field->type) {
    case FH_INT:
        return "long";
    case FH_BOOL:
        return "boolean";
    case FH_NUMBER:
        return "double";
    case FH_STRING:
    case FH_LIST:
    case FH_OBJECT:
    case FH_ARRAY:
    case FH_ANY:
    case FH_DECIMAL:
        break;
    }
    return "keyword";
}

static void write_properties(struct text *body, const struct fh_derived *declared)
{
    text_add(body, "\"kind\":{\"type\":\"keyword\"},\"key\":{\"type\":\"keyword\"},"
                   "\"from\":{\"type\":\"long\"},\"to\":{\"type\":\"long\"},"
                   "\"value\":{\"type\":\"object\",\"enabled\":false}");
    for (int i = 0; declared->fields[i].name; i++) {
        const struct fh_derived_field *field = &declared->fields[i];
        if (field->use & FH_TEXT)
            text_printf(body,
                        ",\"t%d\":{\"type\":\"text\",\"analyzer\":\"words\",\"index_prefixes\":"
                        "{\"min_chars\":1,\"max_chars\":%d}}",
                        i, OPENSEARCH_PREFIX_MAX);
        if (field->use & (FH_FACET | FH_TAG))
            text_printf(body, ",\"f%d\":{\"type\":\"%s\"}", i, index_type(field));
        if (field->use & FH_SORTED)
            text_printf(body, ",\"s%d\":{\"type\":\"%s\"}", i, index_type(field));
    }
}

void opensearch_write_index(struct text *body, const struct opensearch *server, const char *index,
                            const struct fh_derived *declared)
{
    char digest[OPENSEARCH_DIGEST_SIZE];
    opensearch_digest(declared, digest);
    text_printf(body,
                "{\"settings\":{\"index\":{\"number_of_shards\":1,\"number_of_replicas\":%d,"
                "\"refresh_interval\":\"250ms\",\"translog\":{\"durability\":\"request\"},"
                "\"merge\":{\"policy\":{\"expunge_deletes_allowed\":\"0\"}}},"
                "\"analysis\":{\"tokenizer\":{\"words\":{\"type\":\"whitespace\","
                "\"max_token_length\":1024}},\"analyzer\":{\"words\":{\"type\":\"custom\","
                "\"tokenizer\":\"words\"}}}},\"aliases\":{\"%s" OPENSEARCH_ALIAS
                "\":{\"is_hidden\":true}},\"mappings\":{\"dynamic\":\"strict\",\"_meta\":"
                "{\"freehold\":\"%s\"},\"_source\":{\"includes\":[\"kind\",\"key\",\"value\","
                "\"value.*\",\"from\",\"to\"]},\"properties\":{",
                server->options.replicas, index, digest);
    write_properties(body, declared);
    text_add(body, "}}}");
}

/* ---- Words ---- */

size_t opensearch_word_length(const char *word, size_t length)
{
    if (length <= OPENSEARCH_WORD_MAX)
        return length;
    length = OPENSEARCH_WORD_MAX;
    while (((unsigned char)word[length] & 0xc0) == 0x80)
        length--;
    return length;
}

static void add_kept_word(void *context, const char *word, size_t length)
{
    struct text *words = context;
    if (words->length)
        text_append(words, " ", 1);
    text_append(words, word, opensearch_word_length(word, length));
}

static enum fh_code write_words(struct text *body, struct word_splitter *splitter, int field,
                                const json_t *value, struct fh_error *error)
{
    struct text lines = {0}, words;
    size_t length;
    const char *text = derived_field_text(value, &lines, &length);
    text_init(&words, WORDS_SIZE_MAX);
    enum fh_code code =
        text ? word_splitter_split(splitter, text, length, add_kept_word, &words, error) : FH_OK;
    if (code == FH_OK && words.length) {
        text_printf(body, ",\"t%d\":", field);
        json_write_string(body, words.data, words.length);
    }
    if (words.overflow)
        code = error_set(error, FH_NO_MEMORY, "There is no memory for the words of a value.");
    text_release(&words);
    text_release(&lines);
    return code;
}

/* ---- Documents ---- */

static void write_line_head(struct text *body, const char *kind, const char *id, int64_t version)
{
    struct text whole;
    text_init(&whole, DERIVED_KEY_LENGTH_MAX + 64);
    text_add(&whole, kind);
    text_add(&whole, id);
    text_add(body, "{\"index\":{\"_id\":");
    json_write_string(body, whole.data, whole.length);
    text_printf(body, ",\"version\":%lld,\"version_type\":\"external\"}}\n", (long long)version);
    text_release(&whole);
}

static void write_sorted(struct text *body, int field, const json_t *value)
{
    text_printf(body, ",\"s%d\":", field);
    if (json_is_string(value))
        json_write_string(
            body, json_string_value(value),
            derived_sorted_length(json_string_value(value), json_string_length(value)));
    else
        json_write(body, value);
}

static enum fh_code write_document_fields(struct text *body, struct word_splitter *splitter,
                                          const struct fh_derived *declared, const json_t *value,
                                          struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (int i = 0; declared->fields[i].name && code == FH_OK; i++) {
        const struct fh_derived_field *field = &declared->fields[i];
        const json_t *member = json_object_get(value, field->name);
        if (!member || json_is_null(member))
            continue;
        if (field->use & FH_TEXT)
            code = write_words(body, splitter, i, member, error);
        if (field->use & (FH_FACET | FH_TAG)) {
            text_printf(body, ",\"f%d\":", i);
            json_write(body, member);
        }
        if (field->use & FH_SORTED)
            write_sorted(body, i, member);
    }
    return code;
}

enum fh_code opensearch_write_op(struct text *body, struct word_splitter *splitter,
                                 const struct fh_derived *declared, const struct carried_op *op,
                                 struct fh_error *error)
{
    enum fh_code code = FH_OK;
    write_line_head(body, "v", op->key, op->position);
    if (!op->value) {
        text_add(body, "{\"kind\":\"gone\"}\n");
        return FH_OK;
    }
    text_add(body, "{\"kind\":\"value\",\"key\":");
    json_write_string(body, op->key, strlen(op->key));
    text_add(body, ",\"value\":");
    json_write(body, op->value);
    code = write_document_fields(body, splitter, declared, op->value, error);
    text_add(body, "}\n");
    return code;
}

void opensearch_write_link(struct text *body, const struct carried_link *link)
{
    char id[64];
    snprintf(id, sizeof id, "%lld-%lld", (long long)link->from, (long long)link->to);
    write_line_head(body, "l", id, link->to);
    text_printf(body, "{\"kind\":\"link\",\"from\":%lld,\"to\":%lld}\n", (long long)link->from,
                (long long)link->to);
}
