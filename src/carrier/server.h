/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_SERVER_H
#define CARRIER_SERVER_H

/*
 * What a server must give that derived stores lie on (docs/internals/carriers.md: "What a server
 * must give"), as a table of functions for each kind of server. It owns nothing: all that is in it
 * was carried there, and is made anew where it is lost. It has no transactions. It may answer and
 * die, be emptied, restored from a backup, exchanged; a request comes late, twice, in part, or
 * never.
 *
 * It holds *generations*, each of one derived store, and in each
 *
 *     values   under keys, with versions. What is gone is a tombstone, a value that says so, which
 *              questions leave out and which stays as long as its generation
 *     links    (from, to): the page that ends at `to` began at `from`. Named by both. Of what the
 *              server alone has one may be a milestone, which begins at a name (38)
 *
 * Functions run on fibers and may park. Failures of all of them:
 *
 *     FH_UNAVAILABLE      not now; nothing was done, or nobody knows. The same again does no harm
 *     FH_OUTCOME_UNKNOWN  the same
 *     anything else       what a slot says; otherwise it is wrong in a way that time does not mend
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/id.h"
#include "freehold.h"

#define CARRIED_OPS_MAX 1000               /* in a page, unless one event has more */
#define CARRIED_SIZE_MAX ((size_t)4 << 20) /* of their text, unless one event has more */
#define CARRIED_SPAN_MAX 4096              /* positions from one end of a link to the other */
#define CARRIED_WALKED_MAX 10000           /* links, at a time */
#define CARRIED_REASON_SIZE 128
#define CARRIED_KEY_SIZE 64
#define CARRIED_NUMBER_MAX (INT64_C(1) << 53) /* of generations and positions */

/* A generation's name. It is used once: of two numbers the owner gives out the same one after a
 * restore, but under another incarnation. */
struct carried_name {
    char incarnation[ID_SIZE]; /* the owner's, when it was made: a later one is greater */
    int64_t number;            /* from 1, rising */
    bool kept; /* the server alone has its facts. Names of these are others than all that are not */
};

/* An event's: a store that was restored, or lost its last commits, gives positions out again. */
struct carried_place {
    int64_t position;
    char id[ID_SIZE]; /* "" at 0 */
};

struct carried_link {
    int64_t from, to; /* positions; 0 <= from < to */
    /* Of facts that the server alone has: the ids of the events there, "" before the first one. A
     * restored owner gives positions out again (24). Of a milestone `from_id` is its name, and so
     * is the page's `life`. Else "". */
    char from_id[ID_SIZE], to_id[ID_SIZE];
};

/* A value of a point or fact, as its JSON has it: a text, which is valid UTF-8 and has no NUL, or
 * the digits of a number, or its word. It does not end with a NUL. */
enum carried_kind { CARRIED_NULL, CARRIED_FALSE, CARRIED_TRUE, CARRIED_NUMBER, CARRIED_TEXT };
struct carried_value {
    const char *text;
    uint32_t length;
    enum carried_kind kind;
};

struct carried_op {
    /* Its version: of two of one key the higher one stands, in whatever order they arrive, and
     * however often. Of a row of a generation that is filled it is the one that its snapshot knew:
     * not above its own. */
    int64_t position;
    /* Of a point or fact shorter than CARRIED_KEY_SIZE: "ID@AT_MS", the same whenever it is sent,
     * and of no other that the owner keeps. Of a point its tags and time say the same. Of a fact
     * that the server alone has "EVENT.INDEX", which is never another's (23). */
    const char *key;
    /* Of a point that the server alone has: the owner's incarnation when it was written, which
     * comes before the position in its version: of two of one point that one stands whose life is
     * greater, of one life that of the higher position (36). Else NULL. */
    const char *life;
    int64_t at_ms; /* of a point or fact; else 0 */
    /* Of an FH_SEARCH: all that is declared; NULL: gone. */
    const json_t *value;
    /* Of a point or fact, which is never gone: one for each field that is declared, in that order
     * and of its type (values.h). NULL: it is not as declared, and is refused. */
    const struct carried_value *values;
    /* Set by `send`: it will never be taken, and why, in words that hold nothing of the value: it
     * may be personal. Else "". */
    char refused[CARRIED_REASON_SIZE];
};

struct carried_page {
    struct carried_link link;
    /* In the order in which they were published, of the outbox up to link.to. Of one key there may
     * be several, and a row among them of the same position as another, which says the same. */
    struct carried_op *ops;
    int count;     /* may be 0: there is a link all the same */
    void *written; /* what `write` has made of it; NULL: it has not */
    /* Of facts that the server alone has: the owner's incarnation, or a milestone's name; else ""
     */
    char life[ID_SIZE];
    bool again; /* of these: its end was noted before. So where its link is, nobody looks for
                   what it lacks: it must not be there before all ops are known to be taken */
};

struct carried_server; /* a connection to one, of the kind's own form */

struct series_past;

/* Every slot is there, but for the questions of models that it has not, and where it says so. */
struct carried_server_ops {
    const char *name; /* "opensearch" */
    unsigned models;  /* 1u << enum fh_model: those it can hold */
    int page_ops;     /* what it likes in a page; 0: CARRIED_OPS_MAX */
    size_t page_size; /* and of their text; 0: CARRIED_SIZE_MAX */
    /* How many links are walked in a turn, or, where there are milestones, shown to a look before
     * another one is sent. 0, but in tests: CARRIED_WALKED_MAX */
    int look_links;

    /* Makes a generation, empty, if it is missing. FH_INVALID: it is there, and was made by another
     * declaration. */
    enum fh_code (*make)(struct carried_server *server, const struct fh_derived *declared,
                         const struct carried_name *generation, struct fh_error *error);
    /* Makes of a page what `send` needs of it that no server need be asked for: a request's body,
     * say. Beside the loop, while the page before may be under way; ops and link do not change
     * any more, but for `refused`, and the struct carried_page itself is elsewhere later. `spare`:
     * NULL, or what it has made of an earlier page, whose memory is its own from now on: it is made
     * anew, or unwritten. NULL: there is no memory, and `send` tries once more. `unwrite`: of what
     * is not NULL. Both slots may be NULL. */
    void *(*write)(const struct fh_derived *declared, const struct carried_name *generation,
                   struct carried_page *page, void *spare);
    void (*unwrite)(void *written);
    /*
     * Applies a page's ops, and after them leaves its link, in one request of which, if it is not
     * answered, no more than a beginning is ever done. FH_OK: all of it is durable, but for the ops
     * with `refused`; that a higher version is there is no refusal. Where the server alone has them
     * (`generation->kept`), and refuses one, it leaves no link: it would say that this one is
     * there. FH_NOT_FOUND: there is no such generation, and this makes none.
     */
    enum fh_code (*send)(struct carried_server *server, const struct fh_derived *declared,
                         const struct carried_name *generation, struct carried_page *page,
                         struct fh_error *error);
    /* Shows `visit` the links behind `after` in order of (to, from), at most `limit`; *ret_count:
     * how many. What `send` has acknowledged is among them. FH_NOT_FOUND: no such generation. */
    enum fh_code (*links)(struct carried_server *server, const struct fh_derived *declared,
                          const struct carried_name *generation, const struct carried_link *after,
                          int limit, void (*visit)(void *context, const struct carried_link *link),
                          void *context, int *ret_count, struct fh_error *error);
    /* Shows `visit` the names of all generations that are there, in no order. */
    enum fh_code (*generations)(struct carried_server *server, const struct fh_derived *declared,
                                void (*visit)(void *context, const struct carried_name *name),
                                void *context, struct fh_error *error);
    /* Removes a generation, with its tombstones and links; FH_OK also if there is none. */
    enum fh_code (*drop)(struct carried_server *server, const struct fh_derived *declared,
                         const struct carried_name *generation, struct fh_error *error);
    /* Answers as derived_ops.search; *ret: a new reference. What was acknowledged is found a moment
     * later. FH_NOT_FOUND: no such generation. FH_UNAVAILABLE, too: no answer before `deadline_ns`
     * (0 and less: whenever).
     */
    enum fh_code (*search)(struct carried_server *server, const struct fh_derived *declared,
                           const struct carried_name *generation, const struct fh_search *search,
                           int64_t deadline_ns, json_t **ret, struct fh_error *error);
    /* The same, as derived_ops.series and .columns answer: what is before `oldest_ms` is not there,
     * though the server may still have it. `past`: of a series with roll-ups, what the service's
     * own store says to it, which is added (series_past.h); NULL: it has none. */
    enum fh_code (*series)(struct carried_server *server, const struct fh_derived *declared,
                           const struct carried_name *generation, const struct fh_series *series,
                           int64_t oldest_ms, const struct series_past *past, int64_t deadline_ns,
                           json_t **ret, struct fh_error *error);
    enum fh_code (*columns)(struct carried_server *server, const struct fh_derived *declared,
                            const struct carried_name *generation, const struct fh_columns *columns,
                            int64_t oldest_ms, int64_t deadline_ns, json_t **ret,
                            struct fh_error *error);
    /* Of what the server alone has; NULL: it can't be the only one that has any. How long
     * after its answer a page is durable, 0: at once; and for how long the server has been running.
     * It fails as the others do. */
    enum fh_code (*settles)(struct carried_server *server, int64_t *ret_settle_s,
                            int64_t *ret_running_s, struct fh_error *error);
    /* The same. How many there are of events behind `position`, whichever life they are of.
     * FH_NOT_FOUND: no such generation. */
    enum fh_code (*count)(struct carried_server *server, const struct fh_derived *declared,
                          const struct carried_name *generation, int64_t position,
                          int64_t *ret_count, struct fh_error *error);
    /* Removes what is before `oldest_ms`, as far as that is cheap (whole partitions); questions
     * leave it out in any case. Of an FH_SEARCH with personal fields, what was replaced and removed
     * is no longer in its files. NULL: nothing is. FH_NOT_FOUND: no such generation. */
    enum fh_code (*trim)(struct carried_server *server, const struct fh_derived *declared,
                         const struct carried_name *generation, int64_t oldest_ms,
                         struct fh_error *error);
};

struct carried_server {
    const struct carried_server_ops *ops;
};

/* Whether ids in a page have the form that all have, and so no meaning in a statement.
 * FH_UNSUPPORTED. */
enum fh_code carried_page_is_plain(const struct carried_page *page, struct fh_error *error);

/* Whether the server has refused something in it. */
bool carried_page_is_refused(const struct carried_page *page);

/* < 0, 0, > 0: `one` was made before, is, or was made after `other`. */
int carried_name_compare(const struct carried_name *one, const struct carried_name *other);

#endif
