/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_POSTGRESQL_INTERNAL_H
#define CARRIER_POSTGRESQL_INTERNAL_H

/* Within the driver: what its files share. README.md says how it works. */

#include "base/text.h"
#include "carrier/driver.h"
#include "carrier/postgresql/postgresql.h"
#include "engine/postgresql/link.h"
#include "store/derived/series.h"
#include "world/fiber.h"

#define CURVES_FORM 1 /* of the tables: raised with each change of them */
#define CURVES_PAGE_OPS 10000
#define CURVES_PAGE_SIZE ((size_t)16 << 20)
#define CURVES_SQL_SIZE ((size_t)64 << 10)
#define CURVES_REQUEST_MS 30000 /* and each of its statements */
#define CURVES_LOCK_MS 3000     /* for what questions hold */
#define CURVES_CARRYING 2       /* links for pages, and whatever else carriers do */
#define CURVES_ASKING 4         /* for questions */
#define CURVES_SCHEMA_SIZE 64
#define CURVES_NAME_SIZE (CARRIED_OWNER_SIZE + DERIVED_NAME_LENGTH_MAX + ID_SIZE + 32)
#define CURVES_DIGEST_SIZE (DERIVED_DIGEST_SIZE + 16)
#define CURVES_TAGS_DIGEST 32
#define CURVES_PORTION 5000 /* rows of an answer at once */

/* Links for one purpose, each made when it is needed, and lent to one request at a time. */
struct curves_pool {
    struct postgresql_link *links[CURVES_ASKING];
    bool taken[CURVES_ASKING];
    int count;
    struct fiber_queue line;
};

struct curves_server {
    struct carried_server base;
    struct world *world;
    struct postgresql_links *links;
    struct curves_pool carrying, asking;
    char owner[CARRIED_OWNER_SIZE];
    char at[300]; /* "db.example.org:5432", for messages */
};

static inline struct curves_server *curves_of(struct carried_server *server)
{
    return (struct curves_server *)server;
}

/* ---- session.c: a request, which is a transaction ---- */

struct curves_session {
    struct curves_server *server;
    struct curves_pool *pool;
    struct postgresql_link *link; /* NULL: it has none */
    int place;                    /* of the link, in its pool */
    int64_t deadline_ns;
    char schema[CURVES_SCHEMA_SIZE]; /* of the generation, in quotation marks where it is used */
    PGresult *result;                /* of the last text, until the next one */
    char state[6];                   /* why the server has refused the last text; "": it has not */
    struct fh_error *error;
};

/* Takes a link, and begins. `deadline_ns` of 0 and less: in CURVES_REQUEST_MS. Parks, as the
 * following do. curves_end in any case. */
enum fh_code curves_begin(struct curves_session *session, struct curves_server *server,
                          struct curves_pool *pool, int64_t deadline_ns, struct fh_error *error);
/* The pool of the server says which transaction it is. The generation's schema is named, too. */
enum fh_code curves_begin_of(struct curves_session *session, struct carried_server *server,
                             const struct fh_derived *declared,
                             const struct carried_name *generation, struct fh_error *error);
/* The same, and locks the generation's row: whoever sends or trims does it one after the other. */
enum fh_code curves_begin_locked(struct curves_session *session, struct carried_server *server,
                                 const struct fh_derived *declared,
                                 const struct carried_name *generation, struct fh_error *error);
/* FH_NOT_FOUND: there is no such generation. A failure leaves nothing but curves_end to be done, or
 * a rollback to a savepoint. */
enum fh_code curves_run(struct curves_session *session, const char *sql);
/* With parameters, as texts. */
enum fh_code curves_run_with(struct curves_session *session, const char *sql,
                             const char *const *values, int count);
/* Runs these, and COMMIT behind them: FH_OUTCOME_UNKNOWN: nobody knows whether it was done. */
enum fh_code curves_commit(struct curves_session *session, const char *sql);
void curves_end(struct curves_session *session); /* what is not committed is undone */
/* Of the last result. "" where there is no such row or column. */
const char *curves_text(const struct curves_session *session, int row, int column);
int64_t curves_integer(const struct curves_session *session, int row, int column);
int curves_rows(const struct curves_session *session);
/* FH_UNAVAILABLE at once for all who wait. */
void curves_pool_end(struct curves_pool *pool);
void curves_pool_release(struct curves_pool *pool);
enum fh_code curves_strange(const struct curves_server *server, struct fh_error *error);

/* ---- options.c ---- */

/* What links are made of. *ret: a new reference. */
enum fh_code curves_options_read(const json_t *options, json_t **ret, struct fh_error *error);

/* ---- name.c, pure ---- */

/* What the names of a derived store's generations begin with. */
void curves_prefix(const struct curves_server *server, const struct fh_derived *declared,
                   char ret[static CURVES_NAME_SIZE]);
void curves_name(const struct curves_server *server, const struct fh_derived *declared,
                 const struct carried_name *generation, char ret[static CURVES_NAME_SIZE]);
/* False: it is another name. */
bool curves_name_read(const char *prefix, const char *name, struct carried_name *ret);
void curves_schema(const struct curves_server *server, const struct fh_derived *declared,
                   const struct carried_name *generation, char ret[static CURVES_SCHEMA_SIZE]);

/* ---- schema.c ---- */

enum fh_code curves_make(struct carried_server *server, const struct fh_derived *declared,
                         const struct carried_name *generation, struct fh_error *error);
enum fh_code curves_drop(struct carried_server *server, const struct fh_derived *declared,
                         const struct carried_name *generation, struct fh_error *error);
enum fh_code curves_generations(struct carried_server *server, const struct fh_derived *declared,
                                void (*visit)(void *context, const struct carried_name *name),
                                void *context, struct fh_error *error);

/* ---- partitions.c ---- */

struct curves_partition {
    int64_t from_ms, to_ms; /* points from the one on, and before the other */
};

struct curves_partitions {
    struct curves_partition *list; /* in the order of time; none overlaps another */
    int count, capacity, added;
};

/* Pure. The one with this time; NULL: there is none. */
const struct curves_partition *curves_partition_at(const struct curves_partitions *partitions,
                                                   int64_t at_ms);
/* Pure. Adds the one that a point of this time needs, which is missing. */
const struct curves_partition *curves_partition_add(struct curves_partitions *partitions,
                                                    int64_t at_ms);
void curves_partitions_release(struct curves_partitions *partitions);
/* Those that the generation has. */
enum fh_code curves_partitions_read(struct curves_session *session,
                                    struct curves_partitions *partitions);
/* Makes those that points at these times need. */
enum fh_code curves_partitions_need(struct curves_session *session, const int64_t *times,
                                    int count);
/* Drops up to `most` of those that end by this time, in the session's transaction. */
enum fh_code curves_partitions_drop(struct curves_session *session, int64_t to_ms, int most,
                                    int *ret_dropped);
enum fh_code curves_trim(struct carried_server *server, const struct fh_derived *declared,
                         const struct carried_name *generation, int64_t oldest_ms,
                         struct fh_error *error);

/* ---- page.c, pure: a page, sorted and looked at, and texts of PostgreSQL's arrays of it ---- */

struct curves_tags {
    unsigned char digest[CURVES_TAGS_DIGEST];
    const struct carried_value *values; /* of one of the points that have them */
    int64_t id;                         /* in the server; 0: not known */
};

struct curves_point {
    struct carried_op *op;
    int tags; /* the place of its own */
};

struct curves_page {
    const struct fh_derived *declared;
    struct curves_point *points; /* each once, the last op of it; in the order of tags and time */
    int count;
    struct curves_tags *tags; /* in the order of the points */
    int tags_count;
    int64_t *times;                       /* of the points */
    bool kept;                            /* they have lives (carrier/server.h) */
    char *arrays[DERIVED_FIELDS_MAX + 3]; /* of all points, as curves_page_points makes them */
    int arrays_count;
};

/* Fills in points, tags and times, for which there is room. False: there is no memory. */
bool curves_page_sort(struct curves_page *page, const struct carried_name *generation,
                      struct carried_op *const *ops, int count);
/* server.h's `write`: a curves_page. Ops that can't be taken get their `refused`. */
void *curves_write_page(const struct fh_derived *declared, const struct carried_name *generation,
                        struct carried_page *carried, void *spare);
void curves_unwrite_page(void *written);
/* Arrays of all values of tags from place `from` on and before `to`, if they have no id: the
 * digests, then each field that is FH_TAG. Returns how many arrays: texts, to be freed. */
int curves_page_tags(const struct curves_page *page, int from, int to,
                     char *ret[static DERIVED_FIELDS_MAX + 1]);
/* Of points: an array of their curves' ids, once these are known, */
char *curves_page_curves(const struct curves_page *page, int from, int to);
/* and those of times, positions, where it is kept of lives, then each field that is measured. */
int curves_page_points(const struct curves_page *page, int from, int to,
                       char *ret[static DERIVED_FIELDS_MAX + 3]);

/* ---- send.c, chain.c, ask.c ---- */

enum fh_code curves_send(struct carried_server *server, const struct fh_derived *declared,
                         const struct carried_name *generation, struct carried_page *page,
                         struct fh_error *error);
enum fh_code curves_chain(struct carried_server *server, const struct fh_derived *declared,
                          const struct carried_name *generation, const struct carried_link *after,
                          int limit, void (*visit)(void *context, const struct carried_link *link),
                          void *context, int *ret_count, struct fh_error *error);
/* kept.c */
enum fh_code curves_settles(struct carried_server *server, int64_t *ret_settle_s,
                            int64_t *ret_running_s, struct fh_error *error);
enum fh_code curves_count(struct carried_server *server, const struct fh_derived *declared,
                          const struct carried_name *generation, int64_t position,
                          int64_t *ret_count, struct fh_error *error);
enum fh_code curves_series(struct carried_server *server, const struct fh_derived *declared,
                           const struct carried_name *generation, const struct fh_series *series,
                           int64_t oldest_ms, const struct series_past *past, int64_t deadline_ns,
                           json_t **ret, struct fh_error *error);

#endif
