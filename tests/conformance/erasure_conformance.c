/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is removed of a derived store with personal fields: that nothing of its words is left in the
 * tables of the index once the sweep has been there, whenever that was killed, and that the sweep
 * leaves alone what it need not touch.
 */

#include "derived_bed.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/ledger.h"
#include "store/relational/sql.h"

#define PEOPLE 300
#define NOTE "derived_words_1"

static const struct fh_derived_field fields[] = {
    {"id", FH_INT, FH_TAG},
    {"name", FH_STRING, FH_TEXT | FH_SORTED, .personal = true},
    {"marks", FH_LIST, FH_TEXT | FH_FACET, .personal = true},
    {0}};
static const struct fh_derived people = {"people", FH_SEARCH, fields};
static const struct fh_derived_field plain_fields[] = {{"id", FH_INT, FH_TAG},
                                                       {"name", FH_STRING, FH_TEXT | FH_SORTED},
                                                       {"marks", FH_LIST, FH_TEXT | FH_FACET},
                                                       {0}};
static const struct fh_derived plain = {"people", FH_SEARCH, plain_fields};

static bool put_all(struct conformance *c, const struct fh_derived *declared, int from, int count,
                    const char *name)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    enum fh_code code = work ? FH_OK : FH_UNAVAILABLE;
    for (int i = from; i < from + count && code == FH_OK; i++) {
        char key[16], mark[64];
        snprintf(key, sizeof key, "p%d", i);
        snprintf(mark, sizeof mark, "a%lld b%lld c%lld d%d", i * 7919LL, i * 104729LL,
                 i * 1299709LL, i);
        json_t *value = json_pack("{s:i, s:s, s:[s]}", "id", i, "name", name, "marks", mark);
        code = derived(c)->put(work, declared, key, value, &c->error);
        json_decref(value);
    }
    return code == FH_OK && conformance_commit(c, work) == FH_OK;
}

static bool take_out(struct conformance *c, const char *key)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    return work && derived(c)->remove(work, &people, key, &c->error) == FH_OK &&
           conformance_commit(c, work) == FH_OK;
}

static bool take_count(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return false;
}

/* How many pages of the index have a word; -1: it could not be read. */
static int64_t pages_with(struct conformance *c, const char *word)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    struct sql_value value = sql_text(word);
    int64_t count = -1;
    enum fh_code code =
        sql_run(work,
                "SELECT (SELECT count(*) FROM fh_derived_1_text_data WHERE instr(block, CAST(?1 AS "
                "BLOB))) + (SELECT count(*) FROM fh_derived_1_text_content WHERE c0 LIKE '%' || ?1 "
                "|| '%') + (SELECT count(*) FROM fh_derived_1 WHERE body LIKE '%' || ?1 || '%')",
                &value, 1, take_count, &count, NULL, &c->error);
    conformance_rollback(c, work);
    return code == FH_OK ? count : -1;
}

static bool finds(struct conformance *c, const char *text, int64_t total)
{
    json_t *answer = NULL;
    struct store_work *work = conformance_begin(c, STORE_READ);
    derived(c)->search(work, &people, &(struct fh_search){.text = text}, &answer, &c->error);
    conformance_rollback(c, work);
    bool same = answer && json_integer_value(json_object_get(answer, "total")) == total;
    json_decref(answer);
    return same;
}

/* Slices of a sweep, at most so many; how many it took until it was done, 0: it is not. */
static int sweep(struct conformance *c, struct series_trimming *at, int slices)
{
    for (int i = 1; i <= slices; i++) {
        struct store_work *work = conformance_begin(c, STORE_WRITE);
        if (!work || derived(c)->trim(work, &people, 0, at, &c->error) != FH_OK ||
            conformance_commit(c, work) != FH_OK)
            return -1;
        if (at->done)
            return i;
    }
    return 0;
}

static bool sweeps(struct conformance *c)
{
    return sweep(c, &(struct series_trimming){0}, 1000) > 0;
}

static bool note_begins(struct conformance *c, const char *word)
{
    char note[64] = "";
    struct store_work *work = conformance_begin(c, STORE_READ);
    enum fh_code code = ledger_meta_get(work, NOTE, note, sizeof note, &c->error);
    conformance_rollback(c, work);
    bool same = code == FH_OK && strncmp(note, word, strlen(word)) == 0 && (*word || !*note);
    if (!same)
        conformance_note(c, __FILE__, __LINE__, note);
    return same;
}

/* As if an hour had gone by since the last sweep. */
static bool an_hour_later(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    return work && ledger_meta_put(work, NOTE, "removed 0", &c->error) == FH_OK &&
           conformance_commit(c, work) == FH_OK;
}

static void words_of_what_was_removed_leave_the_index(struct conformance *c)
{
    EXPECT(prepare(c, &people, 1) == FH_OK);
    EXPECT(put_all(c, &people, 0, PEOPLE, "Ann"));
    EXPECT(put_all(c, &people, 1000, 1, "Zebedee"));
    EXPECT(put_all(c, &people, 0, PEOPLE, "Ann"));
    EXPECT(finds(c, "zebedee", 1) && take_out(c, "p1000") && finds(c, "zebedee", 0));
    EXPECT(pages_with(c, "zebedee") > 0); /* FTS5 alone leaves them there */
    EXPECT(sweeps(c) && note_begins(c, "whole "));
    EXPECT(pages_with(c, "zebedee") == 0);
    EXPECT(finds(c, "ann", PEOPLE) && finds(c, "zebedee", 0));
}

static void so_do_those_of_what_was_replaced_once_in_an_hour(struct conformance *c)
{
    EXPECT(prepare(c, &people, 1) == FH_OK);
    EXPECT(put_all(c, &people, 0, 20, "Zebedee") && sweeps(c));
    EXPECT(pages_with(c, "zebedee") > 0 && note_begins(c, "whole "));
    EXPECT(put_all(c, &people, 0, 20, "Quartermain") && note_begins(c, "removed "));
    EXPECT(pages_with(c, "zebedee") > 0 && sweeps(c) && pages_with(c, "zebedee") == 0);
    EXPECT(put_all(c, &people, 0, 20, "Ann") && note_begins(c, "removed "));
    EXPECT(sweep(c, &(struct series_trimming){0}, 10) == 1 && note_begins(c, "removed "));
    EXPECT(pages_with(c, "quartermain") > 0); /* it was done just now */
    EXPECT(an_hour_later(c) && sweeps(c) && pages_with(c, "quartermain") == 0);
    EXPECT(finds(c, "ann", 20));
}

/* Large enough for several slices. */
static void a_sweep_that_was_killed_is_begun_again(struct conformance *c)
{
    struct series_trimming at = {0};
    EXPECT(prepare(c, &people, 1) == FH_OK);
    for (int i = 0; i < 60; i++)
        EXPECT(put_all(c, &people, i * 500, 500, "Ann"));
    EXPECT(put_all(c, &people, 5, 1, "Zebedee") && take_out(c, "p5"));
    EXPECT(sweep(c, &at, 1) == 0 && note_begins(c, "merging "));
    EXPECT(put_all(c, &people, 7, 1, "Quartermain") && put_all(c, &people, 7, 1, "Ann"));
    EXPECT(note_begins(c, "removed "));
    EXPECT(sweep(c, &at, 1000) > 1 && note_begins(c, "removed ")); /* what came meanwhile */
    EXPECT(an_hour_later(c) && sweep(c, &(struct series_trimming){0}, 1) == 0);
    EXPECT(note_begins(c, "merging "));
    EXPECT(sweeps(c) && note_begins(c, "whole ")); /* as if killed between two slices */
    EXPECT(pages_with(c, "zebedee") == 0 && pages_with(c, "quartermain") == 0);
    EXPECT(finds(c, "ann", 30000 - 1));
}

static void where_nothing_is_personal_nothing_is_noted(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(put_all(c, &plain, 0, 20, "Zebedee") && put_all(c, &plain, 0, 20, "Ann"));
    EXPECT(note_begins(c, ""));
    EXPECT(prepare(c, &people, 1) == FH_OK); /* marked later: what is in there stays */
    EXPECT(finds(c, "ann", 20) && pages_with(c, "zebedee") > 0);
    EXPECT(sweeps(c) && pages_with(c, "zebedee") == 0 && finds(c, "ann", 20));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE_OF(words_of_what_was_removed_leave_the_index, keeps_derived),
        CASE_OF(so_do_those_of_what_was_replaced_once_in_an_hour, keeps_derived),
        CASE_OF(a_sweep_that_was_killed_is_begun_again, keeps_derived),
        CASE_OF(where_nothing_is_personal_nothing_is_noted, keeps_derived),
    };
    return conformance_main_every(rows, sizeof rows / sizeof *rows);
}
