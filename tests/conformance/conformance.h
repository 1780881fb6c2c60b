/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

/*
 * What every engine of a model must do, whichever it is. A suite is a table of cases; each case
 * is run for each engine of the table below, on a store of its own. A server engine joins by a row
 * that opens a fresh database and one that opens it again.
 *
 * Cases run on a fiber, where cmocka must not fail: EXPECT notes the first thing that is not as it
 * should be and returns; units of work left open are rolled back; the failure is reported on the
 * main stack.
 */

#include "../support/harness.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/relational/relational.h"
#include "store/store.h"

struct conformance;
struct conformance_engine {
    const char *name;
    const struct engine *brings; /* an engine that is not built in: it is registered; else NULL */
    unsigned models;             /* 1u << enum fh_model */
    /* `folder` is the case's own. A second open finds what the first one left. */
    enum fh_code (*open)(struct harness *harness, enum fh_model model, struct store **ret,
                         struct fh_error *error);
    void (*close)(struct store *store);
    /* The case's store, open for several processes of this machine; NULL: `open` does. */
    enum fh_code (*share)(struct conformance *c, struct store **ret);
    /* Server engines: why they can't be tested here, or NULL; and removing what `open` has created
     * on the server for this harness. NULL: always there, nothing to remove. */
    const char *(*missing)(void);
    void (*drop)(struct harness *harness);
    /* "INSERT OR ROLLBACK INTO": a statement that ends the whole transaction when it fails, or
     * NULL where the engine has none. */
    const char *insert_or_rollback;
    const char *boolean, *json, *text, *bytes; /* column types; text: of any length */
    const char *counted;  /* the type of a primary key that the store numbers itself */
    const char *decimals; /* columns d, with two digits after the point, and w, with thirty of 65 */
    unsigned signless_zero; /* models in which a zero loses its sign, 1u << enum fh_model */
    const char *analyze;    /* updates the server's statistics of the table `boxes` */
    /* Abilities that engines have or lack: units of work that share a commit, so that none is
     * answered before the loop has turned; constraints that are checked when the unit of work
     * ends. */
    bool groups, deferrable;
    bool failure_ends_work; /* after a statement that failed only a rollback is possible */
    bool slow;              /* its server takes milliseconds for a find: a sample is tried */
    const struct sequencer_words *sequencer; /* NULL: no SQL server assigns the positions */
};

/* How sequence_conformance.c gets between the statements of a server's sequencer. */
struct sequencer_words {
    const char *source;  /* of the sequencer: one row, one column */
    const char *drop;    /* of the sequencer */
    bool drops;          /* before it is created again */
    const char *begins;  /* the statement before the first one that could be paused */
    const char *gate;    /* a statement of the sequencer's */
    const char *close;   /* by the test */
    const char *open;    /* NULL: with the end of the unit of work that closed it */
    const char *at_gate; /* how many wait there */
    const char *at_lock; /* how many sequencers or units of work wait for rows of this store */
    int look_ms;         /* whoever queries these more often gets the same answer again */
    /* The connection of the store's sequencer breaks; the server does not notice while it is busy.
     */
    void (*cut)(struct store *store);
    /* A database of that name, apart from the cases'; and where it is. The name may be changed. */
    enum fh_code (*make_elsewhere)(struct harness *harness, char *name, json_t **ret_server,
                                   struct fh_error *error);
    enum fh_code (*administer)(struct harness *harness, const char *sql, struct fh_error *error);
};

/* How the suites try this engine: of its opener, which may have several servers of it. */
const struct conformance_engine *conformance_engine(const struct engine *engine);

#define CONFORMANCE_WORKS_MAX 32

struct conformance {
    const struct conformance_engine *engine;
    enum fh_model model;
    struct harness harness;
    struct store *store;
    struct store_work *works[CONFORMANCE_WORKS_MAX]; /* open */
    struct fh_error error; /* of the last call that failed; fibers that share it overwrite it */
    char failure[1280];

    int running; /* fibers started with conformance_start */
    struct fiber_queue ended;
};

typedef void conformance_case(struct conformance *c);

struct conformance_row {
    const char *name;
    conformance_case *run;
    bool (*fits)(const struct engine *engine); /* else it is not tried there; NULL: any */
};

#define CASE(function)                                                                             \
    {                                                                                              \
#function, function                                                                        \
    }

#define CASE_OF(function, fits)                                                                    \
    {                                                                                              \
#function, function, fits                                                                  \
    }

/* Runs all cases for all engines of the model. */
int conformance_main(enum fh_model model, const struct conformance_row *rows, size_t count);
/* For all engines, in the first model that each has. */
int conformance_main_all(const struct conformance_row *rows, size_t count);
/* For all engines, in every model that each has. */
int conformance_main_every(const struct conformance_row *rows, size_t count);
/* In one model, for engines whose names begin so; "": for servers. */
int conformance_main_of(const char *engine, enum fh_model model, const struct conformance_row *rows,
                        size_t count);

void conformance_note(struct conformance *c, const char *file, int line, const char *what);
/* A new store on SQLite in a folder of that name, not prepared yet; NULL, and noted: it can't be
 * opened. */
struct store *conformance_embedded(struct conformance *c, const char *name, enum fh_model model);

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (c->failure[0])                                                                         \
            return;                                                                                \
        if (!(condition)) {                                                                        \
            conformance_note(c, __FILE__, __LINE__, #condition);                                   \
            return;                                                                                \
        }                                                                                          \
    } while (0)

/* NULL, and noted, if it can't begin. */
struct store_work *conformance_begin(struct conformance *c, enum store_mode mode);
enum fh_code conformance_commit(struct conformance *c, struct store_work *work);
/* NULL: none was begun. */
void conformance_rollback(struct conformance *c, struct store_work *work);
/* Close the store and open it again. */
void conformance_reopen(struct conformance *c);

/* Concurrently with the case, on a fiber of its own. The case joins before it ends. */
void conformance_start(struct conformance *c, void (*entry)(void *), void *argument);
void conformance_join(struct conformance *c);

/* JSON written with ' for ". New reference; a mistake in it ends the program. */
json_t *conformance_json(const char *text);
/* Whether `value` is written exactly as `text`, fields in order; notes what it is when not. */
bool conformance_is(struct conformance *c, const json_t *value, const char *text);

/* SQL with :names, found in `names` (JSON as above, or NULL). Rows are a new reference, or NULL
 * with the code in c->error. */
json_t *conformance_rows(struct conformance *c, struct store_work *work, const char *sql,
                         const char *names);
enum fh_code conformance_exec(struct conformance *c, struct store_work *work, const char *sql,
                              const char *names);
/* The rows, in a snapshot or unit of work of their own, are exactly `text`. */
bool conformance_reads(struct conformance *c, const char *sql, const char *text);
/* One statement in a unit of work of its own, committed. */
enum fh_code conformance_does(struct conformance *c, const char *sql, const char *names);

#endif
