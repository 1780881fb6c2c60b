/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_RESTORED_H
#define WORK_RESTORED_H

/*
 * What a store knows about restores: its own, and those of the services it deals with. The story is
 * in docs/operate/restored.md.
 *
 * The lives of a store are the incarnations it has had, each up to a position (fh_meta's
 * ancestors). If one ended because a backup of it was restored, everything it did after that
 * position is lost.
 *
 * The report lists, one sentence each, everything that needs an operator. It is kept in fh_meta,
 * written in the transaction that discovers the problem, and each entry is removed when an operator
 * says it has been seen.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "store/ledger.h"

/* ---- Lives ---- */

#define LIVES_MAX 128 /* more than fh_meta has room for */

struct lives {
    char present[ID_SIZE];
    int count;
    struct life {
        char incarnation[ID_SIZE];
        int64_t position; /* the last one that the present store shares */
        bool restored;    /* everything after that position is lost */
    } before[LIVES_MAX];  /* oldest first */
};

/* Parses fh_meta's ancestors, or those that another service reports; NULL: none. Malformed entries
 * are skipped. */
void lives_of(const char *present, const json_t *ancestors, struct lives *ret);
/* The store's own lives. */
enum fh_code lives_read(struct store_work *work, const char *present, struct lives *ret,
                        struct fh_error *error);
/* Was a backup restored in that incarnation or a later one? False for an unknown one. */
bool lives_restored_since(const struct lives *lives, const char *incarnation);

enum lives_lost { LIVES_KEPT, LIVES_MAYBE_LOST, LIVES_LOST };

/* Does the present store still know what it answered in that incarnation, at that position? A
 * transaction that publishes nothing takes no position, so at the cut itself nobody can tell. About
 * an incarnation newer than the present one these lives say nothing: kept. */
enum lives_lost lives_lost(const struct lives *lives, const char *incarnation, int64_t position);

/* ---- The report ---- */

#define RESTORED_PAGE_MAX 100   /* entries on one page */
#define RESTORED_PAGES_MAX 100  /* entries beyond these are only counted */
#define RESTORED_NEWS_MAX 5000  /* from one transaction; entries beyond these are only counted */
#define RESTORED_SIZE_MAX 60000 /* of a page, as JSON: the limit of MariaDB's TEXT */
#define RESTORED_ID_SIZE 17
#define RESTORED_TEXT_SIZE 400 /* of one sentence */

/* Text is copied. */
struct restored_entry {
    const char *peer; /* the service the entry is about */
    const char *saga; /* "BIRTH.NUMBER", or "" */
    const char *what; /* a sentence: what is wrong, with which data, where and why */
    const char *todo; /* a sentence: what an operator can do */
};

/* Entries collect here, on the heap, until they are stored all at once. */
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
/* How many entries wait for an operator, including those left out. */
enum fh_code restored_count(struct store_work *work, int64_t *ret, struct fh_error *error);
/* What an operator has dealt with: the first so many entries, those with these ids, or both. */
struct restored_seen {
    int64_t first;
    const json_t *ids; /* array of strings, or NULL */
    int64_t left_out;  /* how many of those left out have been dealt with as well */
};
enum fh_code restored_seen(struct store_work *work, const struct restored_seen *seen,
                           struct fh_error *error);

/* ---- A restored caller ---- */

/* What a restored caller sends along with its closing. */
struct restored_caller {
    const char *caller, *birth; /* the incarnation that ended with the backup */
    int64_t cut;                /* no saga with a higher number is known to the caller */
    /* All incarnations the caller knows of, including its present one. */
    const json_t *lives;
};

/* Runs in the closing's transaction, before anything is closed. Reports what this service did or
 * closed for sagas that the caller no longer knows, and closes incarnations that the caller has
 * never heard of. */
enum fh_code restored_caller_heard(struct store_work *work, const char *service,
                                   const struct restored_caller *caller, int64_t now_ms,
                                   struct fh_error *error);

/* The highest number a saga can have: once closed through it, a birth is closed for ever. */
#define RESTORED_NUMBER_MAX ((INT64_C(1) << 53) - 1)

#endif
