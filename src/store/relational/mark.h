/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_MARK_H
#define STORE_RELATIONAL_MARK_H

/*
 * Marks: what a work leaves on a server so that its COMMIT can be settled, and what settling goes
 * by. See mark.c.
 */

#include "base/error.h"
#include "world/world.h"

#define MARK_SEEN_NS (3600 * (int64_t)1000000000) /* so often an opening says that it lives */

/* Of a work whose COMMIT is not answered yet. */
struct mark {
    int64_t opening, number; /* 0: it has none */
    struct mark *next, *before;
};

struct marks {
    int64_t opening; /* this process's, in fh_opening; 0: none yet */
    int64_t last;    /* the number given last */
    struct mark *first, *end;
    int64_t seen_ns; /* when the opening was last seen in the store */
};

int64_t mark_opening_id(struct world *world); /* a new one, above 0 */
/* The next number; nothing, while there is no opening. Left when the outcome is decided. */
void mark_take(struct marks *marks, struct mark *mark);
void mark_leave(struct marks *marks, struct mark *mark);
/* All numbers below are decided: nobody will ask for their marks. */
int64_t marks_decided(const struct marks *marks);
bool marks_are_due(const struct marks *marks, struct world *world);

/* What a server has said of a mark. */
enum mark_said {
    MARK_UNKNOWN, /* it could not be asked, or the work is still open: ask again */
    MARK_STANDS,  /* the work wrote it, and has committed */
    MARK_NEVER,   /* settling wrote it: the work has not committed, and can't any more */
    MARK_GONE,    /* neither is there, and the opening's marks were removed: nobody knows */
};

/* As a server says it: "stands", "never" or NULL. */
enum mark_said mark_said(const char *text);

struct settling {
    struct world *world;
    int64_t begun_ns;
    int pause_ms;
    bool told;
};
/* Between two attempts. `why` the last one failed. */
void settling_wait(struct settling *settling, const struct fh_error *why);
/* Of a work that has no mark, since the store was only being opened: FH_UNAVAILABLE, retryable.
 * Whoever opens it again has the lock of migrations first, which the dead link's session has until
 * it has ended. */
enum fh_code settling_none(struct fh_error *error);
/* FH_OK, or FH_CONFLICT, retryable; of one that is gone it does not return. */
enum fh_code settling_end(const struct settling *settling, enum mark_said said,
                          struct fh_error *error);

#endif
