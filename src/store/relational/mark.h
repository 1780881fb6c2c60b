/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_RELATIONAL_MARK_H
#define STORE_RELATIONAL_MARK_H

/*
 * Marks: what a unit of work leaves on a server so that the outcome of its COMMIT can be settled.
 * See mark.c.
 */

#include "base/error.h"
#include "world/world.h"

#define MARK_SEEN_NS (3600 * (int64_t)1000000000) /* how often an opening is recorded as alive */

/* For a unit of work whose COMMIT is not answered yet. */
struct mark {
    int64_t opening, number; /* 0: it has none */
    struct mark *next, *before;
};

struct marks {
    int64_t opening; /* this process's, in fh_opening; 0: none yet */
    int64_t last;    /* the last number given */
    struct mark *first, *end;
    int64_t seen_ns; /* when the opening was last seen in the store */
};

int64_t mark_opening_id(struct world *world); /* a new one, above 0 */
/* mark_take gives the next number, or none while there is no opening; mark_leave is called when the
 * outcome is decided. */
void mark_take(struct marks *marks, struct mark *mark);
void mark_leave(struct marks *marks, struct mark *mark);
/* The outcomes of all lower numbers are decided: nobody will ask for their marks. */
int64_t marks_decided(const struct marks *marks);
bool marks_are_due(const struct marks *marks, struct world *world);

/* What a server has answered about a mark. */
enum mark_said {
    MARK_UNKNOWN, /* it could not be asked, or the unit of work is still open: ask again */
    MARK_STANDS,  /* the unit of work wrote it, and has committed */
    MARK_NEVER,   /* settling wrote it: the unit of work has not committed, and can't any more */
    MARK_GONE,    /* there is neither, and the opening's marks were removed: nobody knows */
};

/* The server's answer: "stands", "never" or NULL. */
enum mark_said mark_said(const char *text);

struct settling {
    struct world *world;
    int64_t begun_ns;
    int pause_ms;
    bool told;
};
/* Waits between two attempts; `why`: the last one's error. */
void settling_wait(struct settling *settling, const struct fh_error *why);
/* For a unit of work without a mark, when the store was only being opened: FH_UNAVAILABLE,
 * retryable. The next opening first needs the lock of migrations, which the dead link's session
 * holds until it has ended. */
enum fh_code settling_none(struct fh_error *error);
/* FH_OK, or retryable FH_CONFLICT; for MARK_GONE it does not return. */
enum fh_code settling_end(const struct settling *settling, enum mark_said said,
                          struct fh_error *error);

#endif
