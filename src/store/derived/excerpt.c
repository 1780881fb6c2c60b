/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fh_excerpt(table, column), a function of FTS5's that is called with each match: the part of a
 * text that is shown, of EXCERPT_WORDS words, with what was found between two control characters.
 * FTS5 has snippet() for that, which compares each occurrence with each: a text of 32 KB of one
 * word, and a question for it, take it seconds, and nothing ends them. This takes one walk over the
 * words for each phrase.
 *
 * Of all parts that begin with something that was found the first one is shown in which most of the
 * phrases are; what is found lies in its middle, as far as the text goes. Without anything it is
 * the text's beginning. Of no text it is NULL.
 */

#include "store/derived/fts5.h"

#include <limits.h>
#include <stdlib.h>

#include "base/text.h"
#include "store/derived/internal.h"

#define EXCERPT_WORDS 32
#define EXCERPT_PHRASES_MAX 64
#define ELLIPSIS "\u2026"

/* Of a word of the text: the phrases that begin with it, and where the longest of them ends. */
struct excerpt_word {
    uint64_t phrases;
    int end;
};

struct excerpt {
    struct excerpt_word *words;
    int count;
    int from, to; /* the words that are shown: [from, to) */
    /* While it is written. */
    int at, marked_to; /* the next word; up to where it is within a mark, 0: it is not */
    const char *text;
    int length, written; /* of the text, up to where */
    struct text shown;
};

/* ---- What was found ---- */

static int find_in_column(const Fts5ExtensionApi *api, Fts5Context *fts, int column,
                          struct excerpt *excerpt)
{
    int phrases = api->xPhraseCount(fts), result = SQLITE_OK;
    for (int i = 0; i < phrases && i < EXCERPT_PHRASES_MAX && result == SQLITE_OK; i++) {
        Fts5PhraseIter iterator;
        int in, at, length = api->xPhraseSize(fts, i);
        result = api->xPhraseFirst(fts, i, &iterator, &in, &at);
        for (; result == SQLITE_OK && in >= 0; api->xPhraseNext(fts, &iterator, &in, &at)) {
            if (in != column || at < 0 || at >= excerpt->count)
                continue;
            struct excerpt_word *word = &excerpt->words[at];
            word->phrases |= UINT64_C(1) << i;
            word->end = at + length > word->end ? at + length : word->end;
        }
    }
    return result;
}

/* ---- Which part is shown ---- */

struct excerpt_window {
    int counts[EXCERPT_PHRASES_MAX]; /* of each phrase */
    int phrases, found;
};

static void window_add(struct excerpt_window *window, uint64_t phrases, int step)
{
    for (; phrases; phrases &= phrases - 1) {
        int *count = &window->counts[__builtin_ctzll(phrases)];
        window->phrases -= *count > 0;
        *count += step;
        window->phrases += *count > 0;
        window->found += step;
    }
}

/* Whether the second one shows more. */
static bool window_is_better(const struct excerpt_window *one, const struct excerpt_window *other)
{
    return other->phrases != one->phrases ? other->phrases > one->phrases
                                          : other->found > one->found;
}

static void choose_part(struct excerpt *excerpt)
{
    struct excerpt_window window = {.phrases = 0}, best = {.phrases = 0};
    int added = 0, from = 0;
    for (int at = 0; at < excerpt->count; at++) {
        for (; added < excerpt->count && added < at + EXCERPT_WORDS; added++)
            window_add(&window, excerpt->words[added].phrases, 1);
        if (excerpt->words[at].phrases && window_is_better(&best, &window)) {
            best = window;
            from = at;
        }
        window_add(&window, excerpt->words[at].phrases, -1);
    }
    int last = from;
    for (int at = from; at < from + EXCERPT_WORDS && at < excerpt->count; at++)
        last = excerpt->words[at].end - 1 > last ? excerpt->words[at].end - 1 : last;
    if (last - from < EXCERPT_WORDS)
        from -= (EXCERPT_WORDS - (last - from + 1)) / 2;
    if (from > excerpt->count - EXCERPT_WORDS)
        from = excerpt->count - EXCERPT_WORDS;
    excerpt->from = from > 0 ? from : 0;
    excerpt->to = excerpt->from + EXCERPT_WORDS;
}

/* ---- Writing it ---- */

static void write_up_to(struct excerpt *excerpt, int end)
{
    if (end > excerpt->written)
        text_append(&excerpt->shown, excerpt->text + excerpt->written,
                    (size_t)(end - excerpt->written));
    excerpt->written = end > excerpt->written ? end : excerpt->written;
}

static void write_mark(struct excerpt *excerpt, char mark)
{
    text_append(&excerpt->shown, &mark, 1);
}

static int on_excerpt_word(void *context, int flags, const char *word, int length, int begin,
                           int end)
{
    struct excerpt *excerpt = context;
    int at = excerpt->at;
    (void)word;
    (void)length;
    if (flags & FTS5_TOKEN_COLOCATED)
        return SQLITE_OK;
    excerpt->at++;
    if (at < excerpt->from)
        return SQLITE_OK;
    if (at == excerpt->to)
        return SQLITE_DONE;
    if (at == excerpt->from && at > 0) {
        text_add(&excerpt->shown, ELLIPSIS);
        excerpt->written = begin;
    }
    int marked_to = at < excerpt->count ? excerpt->words[at].end : 0;
    if (!excerpt->marked_to && marked_to > at) {
        write_up_to(excerpt, begin);
        write_mark(excerpt, DERIVED_MARK_BEGINS);
    }
    excerpt->marked_to = marked_to > excerpt->marked_to ? marked_to : excerpt->marked_to;
    if (excerpt->marked_to == at + 1 || (excerpt->marked_to && at + 1 == excerpt->to)) {
        write_up_to(excerpt, end);
        write_mark(excerpt, DERIVED_MARK_ENDS);
        excerpt->marked_to = 0;
    } else if (at + 1 == excerpt->to) {
        write_up_to(excerpt, end);
    }
    return SQLITE_OK;
}

static int write_excerpt(const Fts5ExtensionApi *api, Fts5Context *fts, struct excerpt *excerpt)
{
    int result = api->xTokenize(fts, excerpt->text, excerpt->length, excerpt, on_excerpt_word);
    if (result != SQLITE_OK && result != SQLITE_DONE)
        return result;
    if (excerpt->at > excerpt->to)
        text_add(&excerpt->shown, ELLIPSIS);
    else
        write_up_to(excerpt, excerpt->length);
    return excerpt->shown.overflow ? SQLITE_NOMEM : SQLITE_OK;
}

/* ---- The function ---- */

static int make_excerpt(const Fts5ExtensionApi *api, Fts5Context *fts, int column,
                        struct excerpt *excerpt)
{
    int result = column < 0 ? SQLITE_RANGE : api->xColumnSize(fts, column, &excerpt->count);
    if (result == SQLITE_OK)
        result = api->xColumnText(fts, column, &excerpt->text, &excerpt->length);
    if (result != SQLITE_OK || !excerpt->text)
        return result;
    if (excerpt->count < 0 || excerpt->count > excerpt->length) /* its table is damaged */
        return SQLITE_CORRUPT_VTAB;
    excerpt->words = calloc((size_t)excerpt->count + 1, sizeof *excerpt->words);
    if (!excerpt->words)
        return SQLITE_NOMEM;
    result = find_in_column(api, fts, column, excerpt);
    if (result != SQLITE_OK)
        return result;
    choose_part(excerpt);
    return write_excerpt(api, fts, excerpt);
}

void derived_excerpt_match(const Fts5ExtensionApi *api, Fts5Context *fts, sqlite3_context *context,
                           int count, sqlite3_value **values)
{
    struct excerpt excerpt = {.words = NULL};
    int column = count > 0 ? sqlite3_value_int(values[0]) : 0;
    text_init(&excerpt.shown, INT_MAX / 2);
    int result = make_excerpt(api, fts, column, &excerpt);
    if (result == SQLITE_OK && !excerpt.text)
        sqlite3_result_null(context);
    else if (result == SQLITE_OK)
        sqlite3_result_text(context, excerpt.shown.data ? excerpt.shown.data : "",
                            (int)excerpt.shown.length, SQLITE_TRANSIENT);
    else
        sqlite3_result_error_code(context, result);
    free(excerpt.words);
    text_release(&excerpt.shown);
}
