/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_VERSIONS_H
#define FREEHOLD_VERSIONS_H

/* A part of freehold.h, which includes it: versions of events (docs/guide/events.md, "Versions").
 */

/*
 * Makes data of the next version of an event's data of one, or of the one before: returns an
 * object, which may be `data` itself, changed. A cast is a function of `data` alone. It has `w` for
 * making values and for fh_fail, which says why these data have no such version; a call that uses
 * the store, asks others, or draws time, ids or settings ends it with a fault. It runs whenever the
 * data are read, so often for one event, and must make the same of the same.
 */
typedef json_t *fh_cast(fh_work *w, json_t *data);

/* A subscriber's, from one version to the next. There is one from each version that may still come
 * up to the one before the subscription's `version`. What comes has to fit `shape`, and what is
 * returned `into`: else the event is parked. If the subscription has `fields`, it gets of an event
 * in this version the fields that `shape` names. */
struct fh_upcast {
    const char *service;
    const char *type;
    int from; /* to from + 1 */
    const fh_field *shape, *into;
    fh_cast *cast;
};

/* A publisher's, from one version to the one before, for subscribers that still read that: there
 * is one from the present version, perhaps one from the version before, and so on. The key stays
 * what it was when the event was published. */
struct fh_downcast {
    const char *type;
    int to; /* from to + 1 */
    const fh_field *into;
    fh_cast *cast;
};

#endif
