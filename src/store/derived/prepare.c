/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a store's derived stores match what the service declares, in the one unit of work that the
 * layer above has opened for it: a crash leaves them as they were. The catalogue says of which
 * declaration each is, by its digest, and whether it is filled:
 *
 *     in the catalogue   declared             what is done
 *     no                 with `state`         made, and FILLS
 *     no                 without              made, and OWN
 *     yes                not any more         dropped: the service may change its store without it
 *     a series, columns  not any more         the same if it is empty; else it stays, and goes on
 *                                             once it is declared again
 *     the same           with `state`, OWN    made anew, and FILLS
 *     the same           without, but FILLS   as another: nobody could fill it
 *     the same           otherwise            nothing
 *     another            with `state`         made anew, and FILLS
 *     another            without, but empty   made anew, and OWN
 *     another            without              refused
 *     a series           the same, but for    it goes on with those (series_rollup.c)
 *                        its roll-ups
 *     a series, columns  another              made anew if it is empty, else refused
 *
 * Made anew, it has a number, and so tables, of its own. While it FILLS nobody else uses the store:
 * that is done before the service serves, and a process that dies leaves the last key that is in.
 */

#include <stdio.h>

#include "store/derived/columns.h"
#include "store/derived/series_rollup.h"
#include "store/relational/catalog.h"

#define CATALOGUE "fh_derived"
/* So many parts of FTS5's index on one level are merged into one; it would do so at 4. Then a value
 * is written less often, and a word looked for in more parts. */
#define WORDS_MERGED_AT 8

struct catalogued {
    bool there;
    int64_t number, state;
    char digest[DERIVED_DIGEST_SIZE], after[DERIVED_KEY_LENGTH_MAX + 1];
};

static bool take_catalogued(void *context, const struct sql_row *row)
{
    struct catalogued *found = context;
    found->there = true;
    found->number = row->values[0].integer;
    snprintf(found->digest, sizeof found->digest, "%s", row->values[1].text);
    found->state = row->values[2].integer;
    snprintf(found->after, sizeof found->after, "%s", row->values[3].text);
    return false;
}

static enum fh_code catalogue_find(struct store_work *work, const char *name,
                                   struct catalogued *ret, struct fh_error *error)
{
    struct sql_value value = sql_text(name);
    *ret = (struct catalogued){0};
    return sql_run(work, "SELECT number, digest, filling, after FROM " CATALOGUE " WHERE name = ?1",
                   &value, 1, take_catalogued, ret, NULL, error);
}

static enum fh_code not_prepared(const char *name, struct fh_error *error)
{
    return error_set(error, FH_UNSUPPORTED, "The derived store %s was not prepared.", name);
}

enum fh_code derived_number(struct store_work *work, const char *name, int64_t *ret,
                            struct fh_error *error)
{
    struct catalogued found;
    enum fh_code code = catalogue_find(work, name, &found, error);
    *ret = found.number;
    return code == FH_OK && !found.there ? not_prepared(name, error) : code;
}

/* ---- Tables ---- */

static enum fh_code run_plain(struct store_work *work, struct text *sql, struct fh_error *error)
{
    FH_ASSERT(!sql->overflow);
    enum fh_code code = sql_run(work, sql->data, NULL, 0, NULL, NULL, NULL, error);
    text_clear(sql);
    return code;
}

/* Values are as they come, whatever their type: a column without a type changes none. */
static enum fh_code create_rows(struct store_work *work, const struct fh_derived *declared,
                                int64_t number, struct text *sql, struct fh_error *error)
{
    text_printf(sql,
                "CREATE TABLE fh_derived_%lld (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, "
                "body TEXT NOT NULL",
                (long long)number);
    for (int i = 0; declared->fields[i].name; i++) {
        if (declared->fields[i].use & FH_SORTED)
            text_printf(sql, ", s%d NOT NULL", i);
    }
    text_add(sql, ")");
    enum fh_code code = run_plain(work, sql, error);
    for (int i = 0; declared->fields[i].name && code == FH_OK; i++) {
        if (!(declared->fields[i].use & FH_SORTED))
            continue;
        text_printf(sql, "CREATE INDEX fh_derived_%lld_s%d ON fh_derived_%lld (s%d)",
                    (long long)number, i, (long long)number, i);
        code = run_plain(work, sql, error);
    }
    return code;
}

void derived_tokenizer(const struct fh_derived *declared, char *ret, size_t size)
{
    int length =
        snprintf(ret, size, "%sunicode61 remove_diacritics 2", declared->language ? "porter " : "");
    FH_ASSERT((size_t)length < size);
}

void derived_words_sql(struct text *sql, const struct fh_derived *declared, const char *table)
{
    char tokenizer[64];
    text_printf(sql, "CREATE VIRTUAL TABLE %s USING fts5(", table);
    for (int i = 0; declared->fields[i].name; i++) {
        if (declared->fields[i].use & FH_TEXT)
            text_printf(sql, "t%d, ", i);
    }
    derived_tokenizer(declared, tokenizer, sizeof tokenizer);
    text_printf(sql, "tokenize = '%s')", tokenizer);
}

static enum fh_code create_words(struct store_work *work, const struct fh_derived *declared,
                                 int64_t number, struct text *sql, struct fh_error *error)
{
    char table[48];
    snprintf(table, sizeof table, "fh_derived_%lld_text", (long long)number);
    derived_words_sql(sql, declared, table);
    enum fh_code code = run_plain(work, sql, error);
    text_printf(sql,
                "INSERT INTO fh_derived_%lld_text (fh_derived_%lld_text, rank)"
                " VALUES ('automerge', %d)",
                (long long)number, (long long)number, WORDS_MERGED_AT);
    return code == FH_OK ? run_plain(work, sql, error) : code;
}

static enum fh_code create_tags(struct store_work *work, int64_t number, struct text *sql,
                                struct fh_error *error)
{
    text_printf(sql,
                "CREATE TABLE fh_derived_%lld_tag (field INTEGER NOT NULL, value NOT NULL, "
                "id INTEGER NOT NULL, PRIMARY KEY (field, value, id)) WITHOUT ROWID",
                (long long)number);
    enum fh_code code = run_plain(work, sql, error);
    text_printf(sql, "CREATE INDEX fh_derived_%lld_tag_id ON fh_derived_%lld_tag (id, field)",
                (long long)number, (long long)number);
    return code == FH_OK ? run_plain(work, sql, error) : code;
}

static enum fh_code derived_drop(struct store_work *work, int64_t number, struct fh_error *error)
{
    static const char *const tails[] = {"",       "_text",   "_tag", /* of whichever model */
                                        "_curve", "_rollup", "_rollup_until"};
    char sql[64];
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < sizeof tails / sizeof *tails && code == FH_OK; i++) {
        snprintf(sql, sizeof sql, "DROP TABLE IF EXISTS fh_derived_%lld%s", (long long)number,
                 tails[i]);
        code = sql_run(work, sql, NULL, 0, NULL, NULL, NULL, error);
    }
    return code;
}

/* A Freehold that knew fewer tables of one may have left some of a number behind. */
static enum fh_code derived_create(struct store_work *work, const struct fh_derived *declared,
                                   int64_t number, struct fh_error *error)
{
    struct text sql;
    enum fh_code code = derived_drop(work, number, error);
    if (code == FH_OK && declared->model == FH_SERIES)
        code = series_create(work, declared, number, error);
    if (code == FH_OK && declared->model == FH_SERIES)
        return series_rollups_prepare(work, declared, number, error);
    if (code == FH_OK && declared->model == FH_COLUMNS)
        return columns_create(work, declared, number, error);
    if (code != FH_OK)
        return code;
    text_init(&sql, DERIVED_SQL_SIZE);
    code = create_rows(work, declared, number, &sql, error);
    if (code == FH_OK)
        code = create_words(work, declared, number, &sql, error);
    if (code == FH_OK)
        code = create_tags(work, number, &sql, error);
    text_release(&sql);
    return code;
}

/* ---- What is declared, and what is there ---- */

static bool take_derived_integer(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return false;
}

static enum fh_code forget_derived(struct store_work *work, const char *name, int64_t number,
                                   struct fh_error *error)
{
    struct sql_value value = sql_text(name);
    enum fh_code code = derived_drop(work, number, error);
    if (code != FH_OK)
        return code;
    return sql_run(work, "DELETE FROM " CATALOGUE " WHERE name = ?1", &value, 1, NULL, NULL, NULL,
                   error);
}

static enum fh_code make_derived(struct store_work *work, const struct fh_derived *declared,
                                 const char *digest, struct fh_error *error)
{
    int64_t number = 0;
    enum fh_code code = sql_run(work, "SELECT coalesce(max(number), 0) + 1 FROM " CATALOGUE, NULL,
                                0, take_derived_integer, &number, NULL, error);
    const struct sql_value values[] = {sql_text(declared->name), sql_integer(number),
                                       sql_text(digest),
                                       sql_integer(declared->state ? DERIVED_FILLS : DERIVED_OWN)};
    if (code == FH_OK)
        code = sql_run(work,
                       "INSERT INTO " CATALOGUE " (name, number, digest, filling, after)"
                       " VALUES (?1, ?2, ?3, ?4, '')",
                       values, 4, NULL, NULL, NULL, error);
    return code == FH_OK ? derived_create(work, declared, number, error) : code;
}

static enum fh_code is_derived_empty(struct store_work *work, int64_t number, bool *ret,
                                     struct fh_error *error)
{
    char sql[80];
    int64_t any = 0;
    snprintf(sql, sizeof sql, "SELECT EXISTS (SELECT 1 FROM fh_derived_%lld)", (long long)number);
    enum fh_code code = sql_run(work, sql, NULL, 0, take_derived_integer, &any, NULL, error);
    bool rolled = false;
    if (code == FH_OK && !any)
        code = series_rollups_any(work, number, &rolled, error);
    *ret = !any && !rolled;
    return code;
}

/* Whether the one that is there is a series, or columns, of which nobody else has what is in them.
 */
static enum fh_code is_only_copy(struct store_work *work, int64_t number, bool *ret,
                                 struct fh_error *error)
{
    char table[48];
    snprintf(table, sizeof table, "fh_derived_%lld_curve", (long long)number);
    enum fh_code code = catalog_has_table(work, table, ret, error);
    return code == FH_OK && !*ret ? columns_is_one(work, number, ret, error) : code;
}

/* Of another declaration, and nothing to make it anew of. */
static enum fh_code must_be_empty(struct store_work *work, const struct fh_derived *declared,
                                  int64_t number, bool series, struct fh_error *error)
{
    bool empty = true;
    enum fh_code code = is_derived_empty(work, number, &empty, error);
    if (code != FH_OK || empty)
        return code;
    return error_set(
        error, FH_UNSUPPORTED,
        series
            ? "The derived store %s holds points or facts of another declaration, and nobody else "
              "has them: declare it as it was, but for `keep_days`, or under a new "
              "name, which begins empty."
            : "The derived store %s holds what was derived under another "
              "declaration: give it a `state` to be filled from, or declare it "
              "under a new name, which begins empty.",
        declared->name);
}

/* A series that differs, if at all, in its roll-ups. */
static enum fh_code prepare_rollups(struct store_work *work, const struct fh_derived *declared,
                                    int64_t number, const char *digest, struct fh_error *error)
{
    const struct sql_value values[] = {sql_text(declared->name), sql_text(digest)};
    enum fh_code code = series_rollups_prepare(work, declared, number, error);
    if (code != FH_OK)
        return code;
    return sql_run(work, "UPDATE " CATALOGUE " SET digest = ?2 WHERE name = ?1 AND digest <> ?2",
                   values, 2, NULL, NULL, NULL, error);
}

static bool is_same_series(const struct fh_derived *declared, const char *digest)
{
    char with[DERIVED_DIGEST_SIZE], without[DERIVED_DIGEST_SIZE];
    derived_digest_rolled(declared, true, with);
    derived_digest_rolled(declared, false, without);
    return declared->model == FH_SERIES &&
           (strcmp(digest, with) == 0 || strcmp(digest, without) == 0);
}

static enum fh_code prepare_derived(struct store_work *work, const struct fh_derived *declared,
                                    struct fh_error *error)
{
    char digest[DERIVED_DIGEST_SIZE];
    struct catalogued found;
    derived_digest(declared, digest);
    enum fh_code code = catalogue_find(work, declared->name, &found, error);
    if (code != FH_OK)
        return code;
    if (found.there && is_same_series(declared, found.digest))
        return prepare_rollups(work, declared, found.number, digest, error);
    bool series = false, same = found.there && strcmp(found.digest, digest) == 0;
    if (same && found.state != (declared->state ? DERIVED_OWN : DERIVED_FILLS))
        return FH_OK;
    if (found.there)
        code = is_only_copy(work, found.number, &series, error);
    if (code == FH_OK && found.there && (series || !declared->state))
        code = must_be_empty(work, declared, found.number, series, error);
    if (code == FH_OK && found.there)
        code = forget_derived(work, declared->name, found.number, error);
    return code == FH_OK ? make_derived(work, declared, digest, error) : code;
}

struct undeclared {
    const struct fh_derived *declared;
    int count;
    char after[DERIVED_NAME_LENGTH_MAX + 1]; /* those up to it were looked at */
    int64_t number;                          /* 0: there is none behind it */
};

static bool take_undeclared(void *context, const struct sql_row *row)
{
    struct undeclared *undeclared = context;
    for (int i = 0; i < undeclared->count; i++) {
        if (strcmp(undeclared->declared[i].name, row->values[0].text) == 0)
            return true;
    }
    snprintf(undeclared->after, sizeof undeclared->after, "%s", row->values[0].text);
    undeclared->number = row->values[1].integer;
    return false;
}

static enum fh_code drop_one(struct store_work *work, const struct undeclared *undeclared,
                             struct fh_error *error)
{
    bool series, empty = true;
    enum fh_code code = is_only_copy(work, undeclared->number, &series, error);
    if (code == FH_OK && series)
        code = is_derived_empty(work, undeclared->number, &empty, error);
    if (code == FH_OK && empty)
        code = forget_derived(work, undeclared->after, undeclared->number, error);
    return code;
}

static enum fh_code drop_undeclared(struct store_work *work, const struct fh_derived *declared,
                                    int count, struct fh_error *error)
{
    struct undeclared undeclared = {.declared = declared, .count = count};
    enum fh_code code;
    do {
        char after[sizeof undeclared.after];
        memcpy(after, undeclared.after, sizeof after);
        const struct sql_value value = sql_text(after);
        undeclared.number = 0;
        code = sql_run(work, "SELECT name, number FROM " CATALOGUE " WHERE name > ?1 ORDER BY name",
                       &value, 1, take_undeclared, &undeclared, NULL, error);
        if (code == FH_OK && undeclared.number)
            code = drop_one(work, &undeclared, error);
    } while (code == FH_OK && undeclared.number);
    return code;
}

enum fh_code derived_sql_any(struct store_work *work, bool *ret, struct fh_error *error)
{
    return catalog_has_table(work, CATALOGUE, ret, error);
}

enum fh_code derived_sql_prepare(struct store_work *work, const struct fh_derived *declared,
                                 int count, struct fh_error *error)
{
    bool there;
    enum fh_code code = derived_sql_any(work, &there, error);
    if (code == FH_OK && !there)
        code = sql_run(work,
                       "CREATE TABLE " CATALOGUE " (name TEXT PRIMARY KEY NOT NULL, number INTEGER "
                       "NOT NULL UNIQUE, digest TEXT NOT NULL, filling INTEGER NOT NULL, "
                       "after TEXT NOT NULL) WITHOUT ROWID",
                       NULL, 0, NULL, NULL, NULL, error);
    if (code == FH_OK)
        code = drop_undeclared(work, declared, count, error);
    for (int i = 0; i < count && code == FH_OK; i++)
        code = prepare_derived(work, &declared[i], error);
    return code;
}

/* ---- Filling ---- */

enum fh_code derived_sql_filling(struct store_work *work, const char *name,
                                 struct derived_filling *ret, struct fh_error *error)
{
    struct catalogued found;
    enum fh_code code = catalogue_find(work, name, &found, error);
    *ret = (struct derived_filling){.fills = found.there && found.state == DERIVED_FILLS};
    memcpy(ret->after, found.after, sizeof ret->after);
    return code == FH_OK && !found.there ? not_prepared(name, error) : code;
}

enum fh_code derived_sql_set_filling(struct store_work *work, const char *name,
                                     const struct derived_filling *filling, struct fh_error *error)
{
    const struct sql_value values[] = {sql_text(name),
                                       sql_integer(filling->fills ? DERIVED_FILLS : DERIVED_FILLED),
                                       sql_text(filling->after)};
    return sql_run(work, "UPDATE " CATALOGUE " SET filling = ?2, after = ?3 WHERE name = ?1",
                   values, 3, NULL, NULL, NULL, error);
}
