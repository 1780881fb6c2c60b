/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_INFLUXDB_INTERNAL_H
#define CARRIER_INFLUXDB_INTERNAL_H

/* Within the driver: what its files share. README.md says how it works. */

#include "base/json_scan.h"
#include "base/text.h"
#include "carrier/driver.h"
#include "carrier/influxdb/influxdb.h"
#include "http/client.h"
#include "store/derived/series.h"
#include "store/tls.h"

#define INFLUXDB_REQUEST_MS 30000
#define INFLUXDB_POINTS_MAX ((size_t)192 << 20) /* the answer to a question, or of itself */
#define INFLUXDB_LINKS_MAX ((size_t)64 << 20)   /* and to one about links */
#define INFLUXDB_PAGE_MAX ((size_t)64 << 20)    /* the body of one */
#define INFLUXDB_SMALL ((size_t)1 << 20)        /* all other bodies and answers */
#define INFLUXDB_PAGE_OPS 20000                 /* lines that a server likes in a request */
#define INFLUXDB_NAME_SIZE (DERIVED_NAME_LENGTH_MAX + ID_SIZE + 32)
#define INFLUXDB_FIELD_SIZE (DERIVED_FIELD_LENGTH_MAX + 8)
/* Of what is kept: raised with each change of it. A generation of another one is as good as lost,
 * and made anew; what nobody else has is not: before this is raised again, `kept` needs a form of
 * its own. */
#define INFLUXDB_FORM 2
#define INFLUXDB_DIGEST_SIZE (DERIVED_DIGEST_SIZE + 16)
#define INFLUXDB_WORD_SIZE (DERIVED_WORD_LENGTH_MAX * 3 + 2) /* of a tag's value, written */

#define INFLUXDB_MS                                                                                \
    INT64_C(1000000) /* nanoseconds of a millisecond: so many versions an era has                  \
                      */
#define INFLUXDB_DAY_MS INT64_C(86400000)
/* From 1679 on and before 2261: where a shard of a year begins and ends within the server's times
 * too, which are nanoseconds in 64 bits. */
#define INFLUXDB_AT_MS_MIN INT64_C(-9183024000000)
#define INFLUXDB_AT_MS_MAX INT64_C(9183110400000)
#define INFLUXDB_SHARD_HOURS_MAX (364 * 24)
#define INFLUXDB_LINK_ERA INT64_C(65536) /* positions at which the links of an era end */
#define INFLUXDB_SETTLE_S 60             /* see kept.c */

struct influxdb_options {
    char host[256], user[128], password[256];
    int port;
    struct store_tls tls;
};

struct influxdb {
    struct carried_server base;
    struct world *world;
    struct influxdb_options options;
    char owner[CARRIED_OWNER_SIZE];
    struct http_client *client; /* NULL: the world sends */
    bool silent;
    size_t links_max;  /* INFLUXDB_LINKS_MAX, but in tests */
    int64_t link_ends; /* for so many ends of links there was room in an answer; 0: for all */
    struct http_tls trust;
    char base_url[300];  /* "https://measured:8086" */
    char *authorization; /* a header's value; NULL: there is no user */
};

static inline struct influxdb *influxdb_of(struct carried_server *server)
{
    return (struct influxdb *)server;
}

/* options.c */
enum fh_code influxdb_options_read(const json_t *options, struct influxdb_options *ret,
                                   struct fh_error *error);

/* ---- request.c: one request and its answer ---- */

struct influxdb_call {
    const char *body; /* of a write: lines. Of a question: statements, between which there is ';' */
    size_t body_length;
    int64_t deadline_ns; /* 0: in INFLUXDB_REQUEST_MS */
    size_t answer_max;   /* 0: INFLUXDB_SMALL, as it is read on the loop */
    /* Filled in: */
    bool partial;                 /* of a write: not all of its lines were taken */
    struct world_request request; /* its answer's text, until the call is released */
};
/* Both park. FH_NOT_FOUND: there is no such database. */
enum fh_code influxdb_write(struct influxdb *server, struct influxdb_call *call,
                            struct fh_error *error);
/* The answer is there, and has to be read: influxdb_read. */
enum fh_code influxdb_query(struct influxdb *server, struct influxdb_call *call,
                            struct fh_error *error);
/* What the server tells of itself, which may be many megabytes. */
enum fh_code influxdb_ask_itself(struct influxdb *server, struct influxdb_call *call,
                                 struct fh_error *error);
void influxdb_call_release(struct influxdb_call *call);
/* What the server's own words about one of the statements mean. They are not shown. */
enum fh_code influxdb_judge(const struct influxdb *server, const char *words, size_t length,
                            struct fh_error *error);
enum fh_code influxdb_strange(const struct influxdb *server, struct fh_error *error);

/* ---- answer.c, pure: what was answered to statements, row by row ---- */

#define INFLUXDB_COLUMNS_MAX (DERIVED_FIELDS_MAX + 5)

enum influxdb_kind { INFLUXDB_NULL, INFLUXDB_FALSE, INFLUXDB_TRUE, INFLUXDB_NUMBER, INFLUXDB_TEXT };

/* A value as it stands in the answer. `foreign`: a text with an escape in it, which nothing that is
 * written here has. */
struct influxdb_cell {
    enum influxdb_kind kind;
    const char *text;
    size_t length;
    bool foreign;
};

struct influxdb_rows {
    int statement;
    struct influxdb_cell name; /* of the measurement */
    struct influxdb_cell tag_names[INFLUXDB_COLUMNS_MAX], tags[INFLUXDB_COLUMNS_MAX];
    int tag_count;
    struct influxdb_cell columns[INFLUXDB_COLUMNS_MAX], cells[INFLUXDB_COLUMNS_MAX];
    int column_count;
};

struct influxdb_reader {
    void *context;
    /* Rows of these tags follow, perhaps once more. NULL: that does not matter. Both return false
     * if what they are shown is nothing that they asked for, or they have failed. */
    bool (*series)(void *context, const struct influxdb_rows *rows);
    bool (*row)(void *context, const struct influxdb_rows *rows);
    /* Filled in: what the server says of a statement that it has not done. */
    const char *words;
    size_t words_length;
};

/* All of it was read, in order. False: it was not, and unless there are `words`, or a function has
 * returned false, it is no answer to statements. */
bool influxdb_scan(struct influxdb_reader *reader, const char *answer, size_t length);
/* The same, of a call; the reader's functions have not failed. On any thread. */
enum fh_code influxdb_read(const struct influxdb *server, const struct influxdb_call *call,
                           struct influxdb_reader *reader, struct fh_error *error);
bool influxdb_cell_is(const struct influxdb_cell *cell, const char *text);
/* A text of fewer bytes, without escapes. */
bool influxdb_cell_copy(const struct influxdb_cell *cell, char *ret, size_t size);
bool influxdb_cell_integer(const struct influxdb_cell *cell, int64_t *ret);
bool influxdb_cell_real(const struct influxdb_cell *cell, double *ret);

/* ---- statement.c, pure: what of ours stands in a statement, and what in a line ---- */

/* "..." and '...', of any text. */
void influxdb_add_identifier(struct text *statement, const char *name);
void influxdb_add_string(struct text *statement, const char *text, size_t length);
/* A measurement, a tag or a field, or a tag's value of any text: before what ends it in a line. */
void influxdb_add_key(struct text *line, const char *name, size_t length);
/* What a declared field is called there: its name, unless the server has a meaning for that. */
void influxdb_field_name(const struct fh_derived_field *field,
                         char ret[static INFLUXDB_FIELD_SIZE]);
/* A tag's value as it is kept, in letters, digits and "%_.:-" alone, and back. False: it is none.
 * Of INFLUXDB_WORD_SIZE. */
void influxdb_write_word(const struct sql_value *value, enum fh_type type,
                         char ret[static INFLUXDB_WORD_SIZE]);
bool influxdb_read_word(const char *word, size_t length, enum fh_type type,
                        struct sql_value *ret, /* a text lies in: */
                        char text[static DERIVED_WORD_LENGTH_MAX + 1]);

/* ---- line.c, pure: a point of an op, and of a part of a link ---- */

/* Of a position and a time: the nanoseconds, and the era that is a tag. */
int64_t influxdb_version_ns(int64_t at_ms, int64_t position, int64_t *ret_era);
/* Of a link in the day that begins at `day_ms`. */
int64_t influxdb_link_ns(const struct carried_link *link, int64_t day_ms, int64_t *ret_era);
/* What is the same in each line of an op. */
struct influxdb_form {
    const struct fh_derived *declared;
    struct json_piece measurement, names[DERIVED_FIELDS_MAX]; /* ",TAG=" and "FIELD=" */
    struct text text;                                         /* of these */
    size_t used;
};
void influxdb_form_init(struct influxdb_form *form, const char *measurement,
                        const struct fh_derived *declared);
void influxdb_form_release(struct influxdb_form *form);
void influxdb_write_op(struct text *body, const struct influxdb_form *form,
                       const struct carried_op *op);
/* `parts`: how many days the page has; 0: the link is void. `life`: who sends it, where the server
 * alone has the points; else "". */
void influxdb_write_part(struct text *body, const char *measurement,
                         const struct carried_link *link, const char *life, int64_t day_ms,
                         int parts);

/* ---- page.c: the lines of a page, off the loop ---- */

struct influxdb_page {
    const struct fh_derived *declared;
    const struct carried_page *page;
    char measurement[INFLUXDB_NAME_SIZE], links[INFLUXDB_NAME_SIZE];
    int first, count;   /* the ops of it that are written */
    bool linked, voids; /* with the link; with a void one and no ops */
    struct influxdb_form form;
    struct text body;
    bool whole; /* the body is that of all ops and the link, but for what is refused */
};
/* Notes what is refused, of all ops. */
void influxdb_page_refuse(struct carried_page *page);
/* Does so, and writes the whole page: server.h's `write`. */
void *influxdb_write_page(const struct fh_derived *declared, const struct carried_name *generation,
                          struct carried_page *page, void *spare);
void influxdb_unwrite_page(void *written);
/* Clears the body before. */
void influxdb_page_write(void *page);

/* ---- generation.c ---- */

#define INFLUXDB_MADE "-made"   /* behind a generation's name: that it was made, and by what */
#define INFLUXDB_LINKS "-links" /* and what its links are called */
#define INFLUXDB_KEPT "kept-"   /* before the number of one that the server alone has */

/* What a generation is there as. */
struct influxdb_state {
    char own[INFLUXDB_DIGEST_SIZE]; /* how it is made by the declaration */
    bool made, made_otherwise;
    bool keeps, divides; /* the database keeps all for ever; its shards are of whole days */
};
void influxdb_measurement(const struct fh_derived *declared, const struct carried_name *generation,
                          const char *behind, char ret[static INFLUXDB_NAME_SIZE]);
void influxdb_digest(const struct fh_derived *declared, char ret[static INFLUXDB_DIGEST_SIZE]);
/* The statements of which influxdb_state_row takes the rows, the first two. */
void influxdb_add_state(struct text *statements, const struct influxdb *server,
                        const char *measurement);
void influxdb_state_init(struct influxdb_state *state, const struct fh_derived *declared);
bool influxdb_state_row(struct influxdb_state *state, const struct influxdb_rows *rows);
/* FH_NOT_FOUND: there is no such generation. */
enum fh_code influxdb_state_check(const struct influxdb *server, const struct influxdb_state *state,
                                  struct fh_error *error);
/* Asks for it, and checks it. Parks. */
enum fh_code influxdb_look(struct influxdb *server, const struct fh_derived *declared,
                           const char *measurement, struct fh_error *error);
/* Statements that answer nothing. Parks. */
enum fh_code influxdb_run(struct influxdb *server, const struct text *statements,
                          struct fh_error *error);
enum fh_code influxdb_make(struct carried_server *server, const struct fh_derived *declared,
                           const struct carried_name *generation, struct fh_error *error);
enum fh_code influxdb_drop(struct carried_server *server, const struct fh_derived *declared,
                           const struct carried_name *generation, struct fh_error *error);
enum fh_code influxdb_generations(struct carried_server *server, const struct fh_derived *declared,
                                  void (*visit)(void *context, const struct carried_name *name),
                                  void *context, struct fh_error *error);

/* ---- send.c, links.c, trim.c ---- */

enum fh_code influxdb_send(struct carried_server *server, const struct fh_derived *declared,
                           const struct carried_name *generation, struct carried_page *page,
                           struct fh_error *error);
enum fh_code influxdb_links(struct carried_server *server, const struct fh_derived *declared,
                            const struct carried_name *generation, const struct carried_link *after,
                            int limit,
                            void (*visit)(void *context, const struct carried_link *link),
                            void *context, int *ret_count, struct fh_error *error);
/* kept.c */
enum fh_code influxdb_settles(struct carried_server *server, int64_t *ret_settle_s,
                              int64_t *ret_running_s, struct fh_error *error);
enum fh_code influxdb_count(struct carried_server *server, const struct fh_derived *declared,
                            const struct carried_name *generation, int64_t position,
                            int64_t *ret_count, struct fh_error *error);
enum fh_code influxdb_trim(struct carried_server *server, const struct fh_derived *declared,
                           const struct carried_name *generation, int64_t oldest_ms,
                           struct fh_error *error);

/* ---- curves.c: the curves of a question, by their tags ---- */

struct influxdb_curve {
    size_t words, length; /* the place of its words, and how long they are */
    const char *text;     /* these, once all curves are there */
    int64_t id;
};

struct influxdb_curves {
    const struct series_question *question;
    struct text words, wanted; /* of all curves, each as "d1,7,"; of one that is looked for */
    struct influxdb_curve *curves;
    size_t count, room;
    int64_t points;                                              /* of all versions */
    char texts[DERIVED_FIELDS_MAX][DERIVED_WORD_LENGTH_MAX + 1]; /* of the tags of one */
};
void influxdb_curves_init(struct influxdb_curves *curves, const struct series_question *question);
void influxdb_curves_release(struct influxdb_curves *curves);
/* The curve of these tags, with `id` as the next number, and its row for the tally. False: the tags
 * are none that were written here, or *ret_code says what is wrong. */
bool influxdb_curves_add(struct influxdb_curves *curves, const struct influxdb_rows *rows,
                         struct series_tally *tally, enum fh_code *ret_code,
                         struct fh_error *error);
void influxdb_curves_sort(struct influxdb_curves *curves);
/* NULL: there is none of these tags. */
struct influxdb_curve *influxdb_curves_find(struct influxdb_curves *curves,
                                            const struct influxdb_rows *rows);

/* ---- read.c: the points of a question, of each the version that stands ---- */

struct influxdb_points {
    const struct series_question *question;
    struct influxdb_curves *curves;
    struct series_tally *tally; /* NULL: they are counted only */
    bool kept;                  /* rows end with a life */
    int64_t rows_max;           /* of a curve, in this answer; 0: all that there are */
    /* Its own; zero at first: */
    struct influxdb_curve *curve;
    int64_t rows;    /* of the curve, so far */
    int64_t emitted; /* of these, points */
    int64_t at_ms, position;
    char life[ID_SIZE];
    bool holds; /* a point, of which others may follow */
    struct sql_value values[DERIVED_FIELDS_MAX + 2];
    bool lacking; /* a curve may have more points than its rows say */
    enum fh_code code;
    struct fh_error *error;
};
/* The functions of a reader, and after the last row. */
bool influxdb_points_series(void *points, const struct influxdb_rows *rows);
bool influxdb_points_row(void *points, const struct influxdb_rows *rows);
bool influxdb_points_end(struct influxdb_points *points);

/* ---- series.c ---- */

enum fh_code influxdb_series(struct carried_server *server, const struct fh_derived *declared,
                             const struct carried_name *generation, const struct fh_series *series,
                             int64_t oldest_ms, const struct series_past *past, int64_t deadline_ns,
                             json_t **ret, struct fh_error *error);

extern const struct server_kind influxdb_server; /* how a private one is run */

#endif
