/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_ALIKE_H
#define CARRIER_ALIKE_H

/*
 * Where several processes of a service write to its store, all of them must derive alike for what
 * is carried: one of another program, in an upgrade, changes rows without an op, or with another
 * one. What is derived by whom is
 *
 *     told    by each live instance, in the row that says that it lives (work/lease.h)
 *     noted   in fh_meta, as {"products": "DIGEST ..."}: all that live derive this; or null: they
 * do not, or nobody knows
 *
 * An instance joins the others, settles, and only then writes. So whoever finds in a unit of work
 * that what it derives is noted knows that nobody writes who derives otherwise, but for those that
 * were taken for dead. Nothing is carried while it is not noted. A generation is begun only where
 * all live instances have told the same besides, since others may have written before it was noted.
 * What is noted again, after it was not, has lost what happened meanwhile: its generations are
 * forgotten, and made anew.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"

struct store_work;
struct work_context;

/* What an instance tells the others; new reference. */
json_t *carried_alike_told(const json_t *own);

/* Whether `own` is noted. In an open unit of work. */
enum fh_code carried_alike_noted(struct store_work *work, const json_t *own, bool *ret,
                                 struct fh_error *error);
/* Whether all other live instances have told the same. In an open unit of work. */
enum fh_code carried_alike_all(struct store_work *work, const json_t *own, bool *ret,
                               struct fh_error *error);

/* Notes what can be noted now, as the live instances have told. `begins`: this one has joined, and
 * has not written yet. Afterwards nothing is noted that others than this one derive. *ret_noted: it
 * is noted what this one derives; *ret_settled: and all have told the same. Until then, and
 * whenever an instance comes or goes, the same is to be done again. On a fiber. */
enum fh_code carried_alike_settle(struct work_context *context, const json_t *own, bool begins,
                                  bool *ret_noted, bool *ret_settled, struct fh_error *error);

/* In a unit of work: nothing is known of what is carried, since the store's contents are others. */
enum fh_code carried_alike_forget(struct store_work *work, struct fh_error *error);

#endif
