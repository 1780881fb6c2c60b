/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_CLICKHOUSE_INTERNAL_H
#define CARRIER_CLICKHOUSE_INTERNAL_H

/* Within the driver: what its files share. README.md says how it works. */

#include "base/text.h"
#include "carrier/clickhouse/clickhouse.h"
#include "carrier/driver.h"
#include "http/client.h"
#include "store/derived/columns.h"
#include "store/tls.h"

#define CLICKHOUSE_REQUEST_MS 30000
#define CLICKHOUSE_ANSWER_MAX ((size_t)128 << 20) /* to a question: groups, as bytes */
#define CLICKHOUSE_PAGE_MAX ((size_t)256 << 20)   /* the body of one */
#define CLICKHOUSE_SMALL ((size_t)1 << 20)        /* all other bodies and answers */
#define CLICKHOUSE_PAGE_OPS 50000
#define CLICKHOUSE_PAGE_SIZE ((size_t)12 << 20)
#define CLICKHOUSE_INTERVAL_MS 200 /* from one page of a service to the next: each is a part */
#define CLICKHOUSE_INTERVAL_MS_MAX 5000
/* A part that was merged stays so long, since the server does not sync the one that it became
 * (old_parts_lifetime): by then the kernel has. */
#define CLICKHOUSE_SETTLE_S 480
#define CLICKHOUSE_SETTLE_S_MAX 86400
#define CLICKHOUSE_LINK_SIZE (2 * ID_SIZE + 32)
#define CLICKHOUSE_TABLE_SIZE (DERIVED_NAME_LENGTH_MAX + ID_SIZE + 32)
#define CLICKHOUSE_FORM 1 /* of tables: raised with each change of them */
#define CLICKHOUSE_DIGEST_SIZE (DERIVED_DIGEST_SIZE + 16)
/* An integer's sum is asked for in so many parts of so many bits each, the first one with all that
 * are left: exact for 2^41 facts. */
#define CLICKHOUSE_SUM_PARTS 3
#define CLICKHOUSE_SUM_BITS 22
/* Into how many ranges of time a question is divided, each of which is read by a thread. */
#define CLICKHOUSE_RANGES 4
#define CLICKHOUSE_DIVIDED_FACTS 100000           /* one about fewer is not */
#define CLICKHOUSE_DIVIDED_MAX ((size_t)16 << 10) /* nor is one of more bytes */

/* Whatever the user's profile says: no answer is of a part of the rows, no error comes behind the
 * beginning of an answer, no row is left out before FINAL, and nothing is written. */
#define CLICKHOUSE_ASKING                                                                          \
    "/?wait_end_of_query=1&readonly=2&optimize_move_to_prewhere=0&max_query_size=1048576"          \
    "&timeout_overflow_mode=throw&read_overflow_mode=throw&group_by_overflow_mode=throw"           \
    "&result_overflow_mode=throw&set_overflow_mode=throw"

struct clickhouse_options {
    char host[256], user[128], password[256];
    int port, interval_ms, settle_s;
    struct store_tls tls;
};

struct clickhouse {
    struct carried_server base;
    struct world *world;
    struct clickhouse_options options;
    char owner[CARRIED_OWNER_SIZE]; /* its database */
    struct http_client *client;     /* NULL: the world sends */
    bool silent;
    int64_t next_page_ns;  /* not before */
    int64_t divided_facts; /* questions about as many are divided */
    char link_table[CLICKHOUSE_TABLE_SIZE];
    int64_t link; /* of that table, the newest that a question has seen */
    struct http_tls trust;
    char base_url[300];  /* "https://columns:8443" */
    char *authorization; /* a header's value; NULL: there is no user */
};

static inline struct clickhouse *clickhouse_of(struct carried_server *server)
{
    return (struct clickhouse *)server;
}

/* options.c */
enum fh_code clickhouse_options_read(const json_t *options, struct clickhouse_options *ret,
                                     struct fh_error *error);

/* request.c: one statement and its answer. */
struct clickhouse_call {
    /* The rest of the URL, as it is written there: "/?query=INSERT%20..."; NULL: "/". */
    const char *path;
    const char *body; /* the statement, or what it takes */
    size_t body_length;
    int64_t deadline_ns; /* 0: in CLICKHOUSE_REQUEST_MS */
    size_t answer_max;   /* 0: CLICKHOUSE_SMALL */
    /* Filled in: */
    struct world_request request; /* its answer's text, until the call is released */
    int number;                   /* of the server's own error; 0: there is none */
};
/* Parks. FH_NOT_FOUND: there is no such table or database, as this server says. */
enum fh_code clickhouse_ask(struct clickhouse *server, struct clickhouse_call *call,
                            struct fh_error *error);
/* The same of a statement "... FORMAT JSONCompact": *ret_rows is its "data", a new reference. The
 * server ends by the deadline, too, if there is one. */
enum fh_code clickhouse_ask_rows(struct clickhouse *server, const struct text *statement,
                                 int64_t deadline_ns, json_t **ret_rows, struct fh_error *error);
void clickhouse_call_release(struct clickhouse_call *call);
/* Where questions go that end by a deadline, at the server, too. */
#define CLICKHOUSE_ASKING_SIZE 512
void clickhouse_asking_path(const struct clickhouse *server, int64_t deadline_ns,
                            char ret[static CLICKHOUSE_ASKING_SIZE]);
enum fh_code clickhouse_strange(const struct clickhouse *server, struct fh_error *error);

/* sql.c, pure: how names and values are written. */
/* A value of any bytes as a literal, 'it\'s'. Nothing else brings a value into a statement. */
void clickhouse_write_literal(struct text *sql, const char *value, size_t length);
void clickhouse_write_name(struct text *sql, const char *name); /* `name` */
/* The column of a declared field. */
void clickhouse_write_field(struct text *sql, const struct fh_derived_field *field);
/* Its type, as rows have it (row.c). */
const char *clickhouse_type(const struct fh_derived_field *field);
void clickhouse_digest(const struct fh_derived *declared, char ret[static CLICKHOUSE_DIGEST_SIZE]);
/* "STORE-INCARNATION-NUMBER", and "-kept" where the server alone has its facts */
void clickhouse_table(const struct fh_derived *declared, const struct carried_name *generation,
                      char ret[static CLICKHOUSE_TABLE_SIZE]);
/* False: it is another one's name. */
bool clickhouse_table_read(const struct fh_derived *declared, const char *table,
                           struct carried_name *ret);
void clickhouse_write_table(struct text *sql, const struct clickhouse *server, const char *table);
void clickhouse_write_create(struct text *sql, const struct clickhouse *server, const char *table,
                             const struct fh_derived *declared, bool kept);
void clickhouse_write_insert(struct text *sql, const struct clickhouse *server, const char *table,
                             const struct fh_derived *declared, bool kept);
/* The key of a link that names events: in the order of (from, from_id, to_id). */
void clickhouse_link_key(const struct carried_link *link, char ret[static CLICKHOUSE_LINK_SIZE]);
/* False: it is none. */
bool clickhouse_link_key_read(const char *key, struct carried_link *ret);
/* As it stands in a URL. */
void clickhouse_write_encoded(struct text *url, const char *plain);

/* row.c, pure: rows, as an INSERT takes them. `life`: as the page has it. */
void clickhouse_write_fact(struct text *body, const struct fh_derived *declared,
                           const struct carried_op *op, const char *life);
void clickhouse_write_link(struct text *body, const struct fh_derived *declared,
                           const struct carried_link *link, const char *life);

/* table.c */
/* Where a server has said that there is no such generation: FH_NOT_FOUND if that is so. The
 * deadline as a call's. Parks. */
enum fh_code clickhouse_confirm_gone(struct clickhouse *server, const char *table,
                                     int64_t deadline_ns, struct fh_error *error);
enum fh_code clickhouse_make(struct carried_server *server, const struct fh_derived *declared,
                             const struct carried_name *generation, struct fh_error *error);
enum fh_code clickhouse_drop(struct carried_server *server, const struct fh_derived *declared,
                             const struct carried_name *generation, struct fh_error *error);
enum fh_code clickhouse_generations(struct carried_server *server,
                                    const struct fh_derived *declared,
                                    void (*visit)(void *context, const struct carried_name *name),
                                    void *context, struct fh_error *error);

/* query.c, pure: the statement of a question. Of each group it has, in this order,
 *
 *     where its interval begins, if there are any; the tags of `by`; how many facts;
 *     of each field that is read and measured: how many values, and what clickhouse_needs says;
 *     of each COLUMNS_UNIQ how many values are told apart
 */
struct clickhouse_needs {
    bool sum, min, max;
};
struct clickhouse_needs clickhouse_needs_of(const struct columns_question *question, int read);
void clickhouse_write_question(struct text *sql, const struct clickhouse *server, const char *table,
                               const struct columns_question *question);
/* Parts of its time, which are read at the same time, and a link, behind which others show that
 * they were read of different pages. The same groups; or the server's error
 * CLICKHOUSE_RANGES_DIFFER. */
struct clickhouse_ranges {
    int count;
    int64_t bounds[CLICKHOUSE_RANGES + 1]; /* ms, rising; one ends where the next begins */
    int64_t link;
};
#define CLICKHOUSE_RANGES_DIFFER 395
void clickhouse_write_ranges(struct text *sql, const struct clickhouse *server, const char *table,
                             const struct columns_question *question,
                             const struct clickhouse_ranges *ranges);

/* ranges.c: into how many it is worth it; 1, too, where that can't be read. `kept`: the server
 * alone has the facts, and links of lives that their owner has lost, which may lie ahead: so all
 * links are compared. Fails as a question does. Parks. */
enum fh_code clickhouse_divide(struct clickhouse *server, const char *table,
                               const struct columns_question *question, bool kept,
                               int64_t deadline_ns, struct clickhouse_ranges *ret,
                               struct fh_error *error);

/* answer.c, pure: the groups of an answer. FH_INVALID with a field: they are too many.
 * FH_UNSUPPORTED: it is no answer to this question; the caller says whose. */
enum fh_code clickhouse_read_groups(struct columns_tally *tally, const char *bytes, size_t length,
                                    struct fh_error *error);

/* kept.c */
enum fh_code clickhouse_settles(struct carried_server *server, int64_t *ret_settle_s,
                                int64_t *ret_running_s, struct fh_error *error);
enum fh_code clickhouse_count(struct carried_server *server, const struct fh_derived *declared,
                              const struct carried_name *generation, int64_t position,
                              int64_t *ret_count, struct fh_error *error);

/* send.c, links.c, columns.c, trim.c */
void *clickhouse_write_page(const struct fh_derived *declared,
                            const struct carried_name *generation, struct carried_page *page,
                            void *spare);
void clickhouse_unwrite_page(void *written);
enum fh_code clickhouse_send(struct carried_server *server, const struct fh_derived *declared,
                             const struct carried_name *generation, struct carried_page *page,
                             struct fh_error *error);
enum fh_code clickhouse_links(struct carried_server *server, const struct fh_derived *declared,
                              const struct carried_name *generation,
                              const struct carried_link *after, int limit,
                              void (*visit)(void *context, const struct carried_link *link),
                              void *context, int *ret_count, struct fh_error *error);
enum fh_code clickhouse_columns(struct carried_server *server, const struct fh_derived *declared,
                                const struct carried_name *generation,
                                const struct fh_columns *columns, int64_t oldest_ms,
                                int64_t deadline_ns, json_t **ret, struct fh_error *error);
enum fh_code clickhouse_trim(struct carried_server *server, const struct fh_derived *declared,
                             const struct carried_name *generation, int64_t oldest_ms,
                             struct fh_error *error);

extern const struct server_kind clickhouse_server; /* how a private one is run */

#endif
