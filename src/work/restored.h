/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_RESTORED_H
#define WORK_RESTORED_H

/*
 * What a store knows of restores: its own, and those of services it deals with. The story is in
 * docs/operate/restored.md.
 *
 * The lives of a store are the incarnations it had, each up to a position (fh_meta's ancestors).
 * Where one ended since a backup of it was restored, what it did behind that position is lost.
 *
 * The report says what can't be mended without a person, one sentence each. It is kept in fh_meta,
 * written in the work that finds it out, and gone when a person has said that it was seen.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "store/ledger.h"

/* ---- Lives ------------------------------------------------------------------------------------
 */

#define LIVES_MAX 128 /* more than fh_meta has room for */

struct lives {
    char present[ID_SIZE];
    int count;
    struct life {
        char incarnation[ID_SIZE];
        int64_t position; /* the last one that is the present store's too */
        bool restored;    /* what came behind it is lost */
    } before[LIVES_MAX];  /* the oldest first */
};

/* From the JSON of fh_meta's ancestors, or what another service tells of its own; NULL: none. What
 * is no life is passed over. */
void lives_of(const char *present, const json_t *ancestors, struct lives *ret);
/* A store's own. */
enum fh_code lives_read(struct store_work *work, const char *present, struct lives *ret,
                        struct fh_error *error);
bool lives_have(const struct lives *lives, const char *incarnation);
/* Was a backup restored in that life or in one after it? Of a life that is not known: no. */
bool lives_restored_since(const struct lives *lives, const char *incarnation);

enum lives_lost { LIVES_KEPT, LIVES_MAYBE_LOST, LIVES_LOST };

/* Does the present store still know what it answered in that life, at that position? A work that
 * publishes nothing takes no position: at the cut itself nobody can tell. A life newer than the
 * present one is none that these lives can tell of: kept. */
enum lives_lost lives_lost(const struct lives *lives, const char *incarnation, int64_t position);

/* ---- The report -------------------------------------------------------------------------------
 */

#define RESTORED_PAGE_MAX 100   /* entries of one page */
#define RESTORED_PAGES_MAX 100  /* what comes beyond is only counted */
#define RESTORED_NEWS_MAX 5000  /* of one work; the same */
#define RESTORED_SIZE_MAX 60000 /* of a page, as JSON: a MariaDB TEXT is not longer */
#define RESTORED_ID_SIZE 17
#define RESTORED_TEXT_SIZE 400 /* of one sentence */

/* Text is copied. */
struct restored_entry {
    const char *peer; /* the service it is about */
    const char *saga; /* "BIRTH.NUMBER", or "" */
    const char *what; /* a sentence: what is wrong, of what, where, why */
    const char *todo; /* a sentence: what a person can do */
};

/* Entries gather here, on the heap, until they are put into the store in one go. */
struct restored_news {
    json_t *entries; /* NULL: none */
    int64_t left_out;
};
void restored_news_add(struct restored_news *news, const struct restored_entry *entry);
void restored_news_release(struct restored_news *news);
/* Adds them to the store's report. */
enum fh_code restored_put(struct store_work *work, const struct restored_news *news, int64_t now_ms,
                          struct fh_error *error);
/* {"entries": [{"id", "peer", "saga", "what", "todo", "at_ms"}], "left_out": 0}. New reference. */
enum fh_code restored_get(struct store_work *work, json_t **ret, struct fh_error *error);
/* How many wait, those included that were left out. */
enum fh_code restored_count(struct store_work *work, int64_t *ret, struct fh_error *error);
/* What a person has seen to: the first so many entries, those with these ids, or both. */
struct restored_seen {
    int64_t first;
    const json_t *ids; /* array of texts, or NULL */
    int64_t left_out;  /* and that so many were left out */
};
enum fh_code restored_seen(struct store_work *work, const struct restored_seen *seen,
                           struct fh_error *error);

/* ---- A caller that was restored ---------------------------------------------------------------
 */

/* What a restored caller says beside its closing. */
struct restored_caller {
    const char *caller, *birth; /* the life that ended with the backup */
    int64_t cut;                /* its last saga that the caller still knows is not above this */
    const json_t *lives;        /* all incarnations that it knows to have been, with the present */
};

/* In the closing's work, before anything is closed: tells what this service did or closed for sagas
 * that the caller knows nothing of any more, and closes those of lives that it never heard of. */
enum fh_code restored_caller_heard(struct store_work *work, const char *service,
                                   const struct restored_caller *caller, int64_t now_ms,
                                   struct fh_error *error);

/* The highest number that a saga can have: closed through it, a birth is closed for ever. */
#define RESTORED_NUMBER_MAX ((INT64_C(1) << 53) - 1)

#endif
