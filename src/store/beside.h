/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_BESIDE_H
#define STORE_BESIDE_H

/*
 * Another store of a service beside the one that serves, on the same server: made empty, filled
 * (service/rebuild.h), and then taken in its place. It is opened with store_options.beside; the one
 * that serves is opened as ever. Of embedded engines both are files, which `up` renames.
 */

#include "base/error.h"
#include "store/store.h"

/* Of its name, after that of the one that serves: no service has such a name. */
#define STORE_BESIDE "~rebuild"

struct store_beside {
    const char *id; /* of the rebuild: letters, digits and hyphens */
    /* Opening makes it, in place of one of another rebuild, unless it is there; and nothing that is
     * run in it may name the store that serves. Otherwise, where it is not there: FH_CONFLICT: it
     * was taken; FH_NOT_FOUND: it is gone. FH_UNSUPPORTED: there can be none, and why. */
    bool makes;
    bool *taken; /* set where it was taken, since opening may fail with FH_CONFLICT otherwise; or
                    NULL */
};

struct beside_ops {
    /* Whether it has applied events that the one that serves has not applied yet. */
    enum fh_code (*leads)(struct store *beside, bool *ret, struct fh_error *error);
    /* In a STORE_MIGRATE unit of work of the one beside, first of all: what was under way in the
     * one that serves has ended then, and nobody writes into it until this one ends. */
    enum fh_code (*hold)(struct store_work *beside, struct fh_error *error);
    /* In the same one: what copy_published (copy/ledger.h) copies. */
    enum fh_code (*copy_published)(struct store_work *beside, struct fh_error *error);
    /* From now on it is the store that serves, and that one is removed: in one transaction, while
     * no process has that open. It is only to be closed then. FH_UNAVAILABLE: perhaps; whoever
     * opens it next knows. FH_INVALID: it can't be, and why; nothing was done. */
    enum fh_code (*take)(struct store *beside, struct fh_error *error);
    /* It is left where it is, to be looked at, until the next one is made. */
    enum fh_code (*keep)(struct store *beside, struct fh_error *error);
    /* From the one that serves: removes one that nobody uses, or was to keep. */
    enum fh_code (*sweep)(struct store *serving, struct fh_error *error);
};

#endif
