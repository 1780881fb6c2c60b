/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DERIVED_INTERNAL_H
#define STORE_DERIVED_INTERNAL_H

/*
 * What the files of derived_sql share. The tables, of which the number N is in the catalogue:
 *
 *     fh_derived         name, number, digest, filling, after   the catalogue: a row for each
 *     fh_derived_N       id, key, body, s0, s1, ...             s2: of the field 2, if FH_SORTED
 *     fh_derived_N_text  t0, t1, ...                            FTS5; t1: of the field 1, if
 *                                                               FH_TEXT
 *     fh_derived_N_tag   field, value, id                       for each FH_FACET or FH_TAG
 *
 * Those of a series are in series.h. A text is kept once: an FH_STRING that is FH_TEXT only in
 * fh_derived_N_text, all other fields in `body`, as JSON. Only numbers get into the text of SQL,
 * everything else is bound.
 */

#include "base/text.h"
#include "store/derived/derived.h"
#include "store/relational/sql.h"

#define DERIVED_SQL_SIZE 8192

enum derived_state {
    DERIVED_FILLS = 0, /* from `state` */
    DERIVED_OWN = 1,   /* began empty: it has what was derived since */
    DERIVED_FILLED = 2 /* from `state`, before what was derived since */
};

static inline bool derived_is_kept_text(const struct fh_derived_field *field)
{
    return field->type == FH_STRING && field->use & FH_TEXT;
}

/* prepare.c: FTS5's, of the declared language; `ret` has room for 64 bytes. */
void derived_tokenizer(const struct fh_derived *declared, char *ret, size_t size);
/* The statement that makes a table of FTS5 with what is declared as FH_TEXT. */
void derived_words_sql(struct text *sql, const struct fh_derived *declared, const char *table);

/* Between these stands what an excerpt has found. */
#define DERIVED_MARK_BEGINS '\2'
#define DERIVED_MARK_ENDS '\3'
/* hits.c. The columns of a statement that reads ids and excerpts of an FTS5 table, of one of its
 * columns, where ?1 is found. */
void derived_excerpt_sql(struct text *sql, const char *table, int column);
/* As HTML; NULL: there is no memory. */
json_t *derived_highlight_html(const char *text, size_t length);

/* unfit.c, pure. FH_INVALID with that field: what may be a client's is unfit. */
enum fh_code derived_unfit(struct fh_error *error, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* FH_INVALID with the field: a text, if it is one, that can't be kept in it. */
enum fh_code derived_word_check(const struct fh_derived_field *field, const json_t *value,
                                struct fh_error *error);
/* check.c: derived_digest of one that has declared roll-ups, or none, and all else. */
void derived_digest_rolled(const struct fh_derived *declared, bool rolled,
                           char ret[static DERIVED_DIGEST_SIZE]);
/* FH_UNSUPPORTED: there is none, as it was not prepared. */
enum fh_code derived_number(struct store_work *work, const char *name, int64_t *ret,
                            struct fh_error *error);
/* words_trim.c. A value's words were taken out of the index: called with each, in its unit of work.
 */
enum fh_code derived_words_removed(struct store_work *work, const struct fh_derived *declared,
                                   int64_t number, struct fh_error *error);
/* derived_ops.trim of an FH_SEARCH that erases its words. */
enum fh_code derived_words_trim(struct store_work *work, int64_t number, struct series_trimming *at,
                                struct fh_error *error);
/* The operations of derived_sql: prepare.c, change.c, search.c. */
enum fh_code derived_sql_any(struct store_work *work, bool *ret, struct fh_error *error);
enum fh_code derived_sql_prepare(struct store_work *work, const struct fh_derived *declared,
                                 int count, struct fh_error *error);
enum fh_code derived_sql_filling(struct store_work *work, const char *name,
                                 struct derived_filling *ret, struct fh_error *error);
enum fh_code derived_sql_set_filling(struct store_work *work, const char *name,
                                     const struct derived_filling *filling, struct fh_error *error);
enum fh_code derived_sql_put(struct store_work *work, const struct fh_derived *declared,
                             const char *key, const json_t *value, struct fh_error *error);
enum fh_code derived_sql_remove(struct store_work *work, const struct fh_derived *declared,
                                const char *key, struct fh_error *error);
enum fh_code derived_sql_search(struct store_work *work, const struct fh_derived *declared,
                                const struct fh_search *search, json_t **ret,
                                struct fh_error *error);
/* Those of series and columns: series_put.c, series_read.c, series_trim.c, columns_put.c,
 * columns_read.c. */
enum fh_code derived_sql_measure(struct store_work *work, const struct fh_derived *declared,
                                 int64_t *number, int64_t at_ms, const json_t *fact,
                                 int64_t *ret_id, struct fh_error *error);
enum fh_code derived_sql_series(struct store_work *work, const struct fh_derived *declared,
                                const struct fh_series *series, int64_t oldest_ms, json_t **ret,
                                struct fh_error *error);
enum fh_code derived_sql_past(struct store_work *work, const struct fh_derived *declared,
                              const struct fh_series *series, int64_t oldest_ms,
                              struct series_past **ret, struct fh_error *error);
enum fh_code derived_sql_add(struct store_work *work, const struct fh_derived *declared,
                             int64_t *number, int64_t at_ms, const json_t *fact, int64_t *ret_id,
                             struct fh_error *error);
enum fh_code derived_sql_columns(struct store_work *work, const struct fh_derived *declared,
                                 const struct fh_columns *columns, int64_t oldest_ms, json_t **ret,
                                 struct fh_error *error);
/* facts_list.c */
enum fh_code derived_sql_list(struct store_work *work, const struct fh_derived *declared,
                              const struct derived_fact *after, int64_t oldest_ms,
                              derived_visit *visit, void *context, struct fh_error *error);
enum fh_code derived_sql_trim(struct store_work *work, const struct fh_derived *declared,
                              int64_t oldest_ms, struct series_trimming *at,
                              struct fh_error *error);

#endif
