/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FTS5 leaves the words of a value that is removed where they are, with a note that they are not to
 * be found, until it merges that part of its index with all that is older. Where they may be
 * personal that is not left to chance: the store notes that there are such words, and a sweep
 * merges all parts of the index into one, in slices of which each is a unit of work. What was
 * merged is deleted, and SQLite overwrites what is deleted (secure_delete).
 *
 *     fh_meta, "derived_words_N"   what it says; MS: when they were last merged, 0: never
 *     -                            nothing is known: as "removed 0"
 *     "removed MS"                 words of values that were removed since may be there
 *     "merging MS"                 a sweep has begun since the last removal
 *     "whole MS"                   there are none
 *
 *     killed before a slice is durable    it is as if it had not begun
 *     killed between two                  "merging" is there: the next sweep begins again
 *
 * All of the index is written again, so this is done once in WORDS_MERGE_MS at most.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/derived/words.h"
#include "store/ledger.h"

#define WORDS_SLICE_PAGES 64 /* of 4 KB, that a slice writes */
#define WORDS_MERGE_MS (INT64_C(3600) * 1000)
#define WORDS_NOTE_SIZE 64
#define WORDS_STRUCTURE_ID 10 /* the row of FTS5's own table that says of which parts it is */

struct words_note {
    char state; /* the first letter of what it says */
    int64_t merged_ms;
};

static enum fh_code words_note_get(struct store_work *work, int64_t number, struct words_note *ret,
                                   struct fh_error *error)
{
    char name[48], note[WORDS_NOTE_SIZE] = "";
    snprintf(name, sizeof name, "derived_words_%" PRId64, number);
    enum fh_code code = ledger_meta_get(work, name, note, sizeof note, error);
    const char *space = strchr(note, ' ');
    *ret = (struct words_note){space ? note[0] : 'r', space ? strtoll(space, NULL, 10) : 0};
    return code;
}

static enum fh_code words_note_put(struct store_work *work, int64_t number, const char *word,
                                   int64_t merged_ms, struct fh_error *error)
{
    char name[48], note[WORDS_NOTE_SIZE];
    snprintf(name, sizeof name, "derived_words_%" PRId64, number);
    snprintf(note, sizeof note, "%s %" PRId64, word, merged_ms);
    return ledger_meta_put(work, name, note, error);
}

enum fh_code derived_words_removed(struct store_work *work, const struct fh_derived *declared,
                                   int64_t number, struct fh_error *error)
{
    struct words_note note;
    if (!derived_erases_words(declared))
        return FH_OK;
    enum fh_code code = words_note_get(work, number, &note, error);
    return code == FH_OK && note.state != 'r'
               ? words_note_put(work, number, "removed", note.merged_ms, error)
               : code;
}

/* ---- The sweep ---- */

static bool take_structure(void *context, const struct sql_row *row)
{
    text_append(context, row->values[0].text, row->values[0].length);
    return false;
}

static enum fh_code read_structure(struct store_work *work, int64_t number, struct text *ret,
                                   struct fh_error *error)
{
    char sql[96];
    snprintf(sql, sizeof sql,
             "SELECT hex(block) FROM fh_derived_%" PRId64 "_text_data WHERE id = %d", number,
             WORDS_STRUCTURE_ID);
    return sql_run(work, sql, NULL, 0, take_structure, ret, NULL, error);
}

/* The first slice has a negative number of pages: all parts are to become one, whatever each says
 * of itself. Those that follow go on with it. */
static enum fh_code merge_slice(struct store_work *work, int64_t number, bool first,
                                bool *ret_merged, struct fh_error *error)
{
    char sql[160];
    struct text before, after;
    text_init(&before, TEXT_LENGTH_MAX);
    text_init(&after, TEXT_LENGTH_MAX);
    snprintf(sql, sizeof sql,
             "INSERT INTO fh_derived_%" PRId64 "_text (fh_derived_%" PRId64
             "_text, rank) VALUES ('merge', %d)",
             number, number, first ? -WORDS_SLICE_PAGES : WORDS_SLICE_PAGES);
    enum fh_code code = read_structure(work, number, &before, error);
    if (code == FH_OK)
        code = sql_run(work, sql, NULL, 0, NULL, NULL, NULL, error);
    if (code == FH_OK)
        code = read_structure(work, number, &after, error);
    if (code == FH_OK && (before.overflow || after.overflow))
        code = error_set(error, FH_NO_MEMORY, "There is no memory to look at an index.");
    *ret_merged =
        code == FH_OK && (before.length != after.length ||
                          (before.length && memcmp(before.data, after.data, before.length) != 0));
    text_release(&before);
    text_release(&after);
    return code;
}

static bool words_are_due(struct store_work *work, const struct words_note *note)
{
    int64_t since_ms = world_wall_ms(work->store->world) - note->merged_ms;
    return note->state != 'w' && (since_ms < 0 || since_ms >= WORDS_MERGE_MS);
}

enum fh_code derived_words_trim(struct store_work *work, int64_t number, struct series_trimming *at,
                                struct fh_error *error)
{
    struct words_note note;
    bool merged = false, first = at->curve == 0;
    enum fh_code code = words_note_get(work, number, &note, error);
    at->done = code == FH_OK && first && !words_are_due(work, &note);
    if (code != FH_OK || at->done)
        return code;
    if (first)
        code = words_note_put(work, number, "merging", note.merged_ms, error);
    if (code == FH_OK)
        code = merge_slice(work, number, first, &merged, error);
    at->curve++;
    at->done = !merged;
    if (code == FH_OK && !merged) /* where there was nothing it has cost nothing */
        code = words_note_put(work, number, first || note.state == 'm' ? "whole" : "removed",
                              first ? note.merged_ms : world_wall_ms(work->store->world), error);
    return code;
}
