/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DERIVED_WORDS_H
#define STORE_DERIVED_WORDS_H

/*
 * What an embedded search takes for words, for whoever searches elsewhere and shall find the same:
 * FTS5's own tokenizer, and the highlights that a store makes, of texts in memory. So letters,
 * cases, accents and stems are the same everywhere, and nothing of them is written twice.
 *
 * All of it computes and may be called on any thread, by one at a time for each splitter.
 */

#include "store/derived/question.h"

struct word_splitter;

typedef void word_visit(void *context, const char *word, size_t length);

/* FH_NO_MEMORY. */
enum fh_code word_splitter_new(const struct fh_derived *declared, struct word_splitter **ret,
                               struct fh_error *error);
void word_splitter_free(struct word_splitter *splitter); /* NULL: nothing */
/* Shows `visit` the words of a text in their order. */
enum fh_code word_splitter_split(struct word_splitter *splitter, const char *text, size_t length,
                                 word_visit *visit, void *context, struct fh_error *error);

/* What the FH_TEXT field of a value is split as: an FH_LIST is one text, its elements a line each,
 * in `lines`, which the caller releases. *ret is not terminated; NULL: there is none. */
const char *derived_field_text(const json_t *value, struct text *lines, size_t *ret_length);

/* change.c: how many bytes of a text it is sorted by. */
size_t derived_sorted_length(const char *text, size_t length);

/* Sets "highlight" of each hit, {"key", "value"}, of which the field that the question wants
 * highlighted has a text. The hits are the question's. FH_NO_MEMORY. */
enum fh_code word_highlight(const struct question *question, json_t *hits, struct fh_error *error);

#endif
