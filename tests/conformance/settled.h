/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SETTLED_H
#define TESTS_SETTLED_H

/* Settling a COMMIT, the same cases on every server with marks: see settled.c. */

#include "conformance.h"
#include "link.h"

struct marks;

/* What differs; each engine's suite has one. */
struct settled_on {
    const char *name;        /* the engine's */
    const char *table;       /* creates the table `written`, which has a column `n` */
    const char *messages[4]; /* of each message of a settling over a new link; then NULL */
    const char *ask;         /* the last of them */
    const char *day_later;   /* nobody was seen for a day */
    const char *unseen;      /* of an opening that was not seen for a day */
    const char *left;        /* marks, once a process has found itself forgotten: [{'n':0}] */
    const char *format;      /* of the ledger, the present and the former program's */
    json_t *(*server)(struct conformance *c); /* the case's store's options: a new reference */
    int (*port)(struct conformance *c);
    json_t *(*over)(int port); /* options for another port, and so that COMMIT is soon given up */
    void (*hurry)(struct store *store); /* ... where that is no option; or NULL */
    struct marks *(*marks)(struct store *store);
    void (*overdue)(struct store *store);              /* periodic tasks are due */
    enum fh_code (*drop_marks)(struct conformance *c); /* the tables that the former one lacks */
};
extern const struct settled_on settled;

enum fh_code settled_write(struct store *store, int n, struct fh_error *error); /* a row */
/* With the engine's own cases. */
int settled_main(const struct conformance_row *own, size_t count);

#endif
