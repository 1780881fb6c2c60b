/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fh_rank, a function of FTS5's that is called with each match. It is the bm25 that FTS5 has as
 * well, but for what would take longer than to find what matches:
 *
 *     fh_rank(table, sizes, unfinished, weight, ...)    less for what fits better
 *
 *     sizes        the row's in the table's _docsize, which whoever asks joins; FTS5's own reads it
 *                  by a statement for each match, as is done here without them
 *     unfinished   how many phrases there are, if the last one may go on; else 0. FTS5 leaves out
 *                  those without a word, and so perhaps that one: then all others are finished
 *     weight       of each column
 *
 * How rare a word is, among all rows, is counted by a walk over those that have it. Of a question
 * for one word, or one phrase, it is a factor that all matches have: there it is 1. A word that may
 * go on is a merge of many; it counts as much as the rarest of the others, which are finished, but
 * not less than one that every fourth row has.
 */

#include "store/derived/fts5.h"
#include "store/derived/internal.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#define RANK_WEIGHTS_MAX DERIVED_FIELDS_MAX
#define SATURATION 1.2 /* k1 and b, as FTS5 has them */
#define NORMALIZATION 0.75
#define RARITY_MIN 1e-6         /* of a word that more than half of the rows have */
#define RARITY_UNFINISHED_MIN 1 /* some 27 % */
#define RANK_ARGUMENTS 2        /* before the weights */

struct ranking {
    double size_mean;
    double weights[RANK_WEIGHTS_MAX];
    int phrases;
    double rarities[]; /* of each */
};

static int count_phrase_row(const Fts5ExtensionApi *api, Fts5Context *fts, void *context)
{
    (void)api;
    (void)fts;
    ++*(sqlite3_int64 *)context;
    return SQLITE_OK;
}

static int rarity_of(const Fts5ExtensionApi *api, Fts5Context *fts, int phrase, double *ret)
{
    sqlite3_int64 rows = 0, found = 0;
    int result = api->xRowCount(fts, &rows);
    if (result == SQLITE_OK)
        result = api->xQueryPhrase(fts, phrase, &found, count_phrase_row);
    *ret = log(((double)rows - (double)found + 0.5) / ((double)found + 0.5));
    if (!(*ret > 0))
        *ret = RARITY_MIN;
    return result;
}

static int weigh_phrases(const Fts5ExtensionApi *api, Fts5Context *fts, struct ranking *ranking,
                         bool unfinished)
{
    int counted = ranking->phrases - unfinished, result = SQLITE_OK;
    double most = RARITY_UNFINISHED_MIN;
    if (ranking->phrases == 1)
        counted = 0;
    for (int i = 0; i < counted && result == SQLITE_OK; i++) {
        result = rarity_of(api, fts, i, &ranking->rarities[i]);
        most = ranking->rarities[i] > most ? ranking->rarities[i] : most;
    }
    for (int i = counted; i < ranking->phrases; i++)
        ranking->rarities[i] = most;
    return result;
}

/* Of the question, when its first match is ranked. */
static int ranking_begin(const Fts5ExtensionApi *api, Fts5Context *fts, int count,
                         sqlite3_value **values, struct ranking **ret)
{
    sqlite3_int64 rows = 0, size = 0;
    int phrases = api->xPhraseCount(fts);
    struct ranking *ranking =
        sqlite3_malloc64(sizeof *ranking + (sqlite3_uint64)phrases * sizeof ranking->rarities[0]);
    if (!ranking)
        return SQLITE_NOMEM;
    int result = api->xRowCount(fts, &rows);
    if (result == SQLITE_OK)
        result = api->xColumnTotalSize(fts, -1, &size);
    ranking->size_mean = rows > 0 && size > 0 ? (double)size / (double)rows : 1;
    ranking->phrases = phrases;
    for (int i = 0; i < RANK_WEIGHTS_MAX; i++)
        ranking->weights[i] =
            i + RANK_ARGUMENTS < count ? sqlite3_value_double(values[i + RANK_ARGUMENTS]) : 1;
    if (result == SQLITE_OK)
        result = weigh_phrases(api, fts, ranking,
                               phrases > 0 && count > 1 && sqlite3_value_int(values[1]) == phrases);
    if (result == SQLITE_OK)
        result = api->xSetAuxdata(fts, ranking, sqlite3_free); /* frees it if it fails */
    else
        sqlite3_free(ranking);
    *ret = ranking;
    return result;
}

/* The words of a row: how many each column has, as numbers of 7 bits to the byte. */
static int size_of_row(const Fts5ExtensionApi *api, Fts5Context *fts, sqlite3_value *sizes,
                       int *ret)
{
    bool given = sizes && sqlite3_value_type(sizes) == SQLITE_BLOB;
    const unsigned char *bytes = given ? sqlite3_value_blob(sizes) : NULL;
    int count = given ? sqlite3_value_bytes(sizes) : 0, columns = 0;
    unsigned all = 0, one = 0;
    for (int i = 0; i < count; i++) {
        one = one << 7 | (bytes[i] & 0x7f);
        if (!(bytes[i] & 0x80)) {
            all += one;
            one = 0;
            columns++;
        }
    }
    *ret = (int)(all & 0x7fffffff);
    if (columns == api->xColumnCount(fts) && !(bytes[count - 1] & 0x80))
        return SQLITE_OK;
    return api->xColumnSize(fts, -1, ret); /* which says what is wrong with them */
}

static int rank_row(const Fts5ExtensionApi *api, Fts5Context *fts, const struct ranking *ranking,
                    int size, double *ret)
{
    double length = SATURATION * (1 - NORMALIZATION + NORMALIZATION * size / ranking->size_mean);
    int result = SQLITE_OK, columns = api->xColumnCount(fts);
    *ret = 0;
    for (int i = 0; i < ranking->phrases && result == SQLITE_OK; i++) {
        Fts5PhraseIter at;
        int column, offset;
        double times = 0;
        result = api->xPhraseFirst(fts, i, &at, &column, &offset);
        for (; result == SQLITE_OK && column >= 0; api->xPhraseNext(fts, &at, &column, &offset)) {
            if (column >= columns || column >= RANK_WEIGHTS_MAX)
                return SQLITE_CORRUPT_VTAB;
            times += ranking->weights[column];
        }
        *ret -= ranking->rarities[i] * times * (SATURATION + 1) / (times + length);
    }
    return result;
}

void derived_rank_match(const Fts5ExtensionApi *api, Fts5Context *fts, sqlite3_context *context,
                        int count, sqlite3_value **values)
{
    struct ranking *ranking = api->xGetAuxdata(fts, 0);
    int size = 0, result = SQLITE_OK;
    double rank = 0;
    if (!ranking)
        result = ranking_begin(api, fts, count, values, &ranking);
    if (result == SQLITE_OK)
        result = size_of_row(api, fts, count > 0 ? values[0] : NULL, &size);
    if (result == SQLITE_OK)
        result = rank_row(api, fts, ranking, size, &rank);
    if (result == SQLITE_OK)
        sqlite3_result_double(context, rank);
    else
        sqlite3_result_error_code(context, result);
}
