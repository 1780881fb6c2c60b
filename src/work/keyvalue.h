/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_KEYVALUE_H
#define WORK_KEYVALUE_H

/* The key-value model inside a unit of work: helpers shared by the files of its public functions,
 * and the removal of expired keys. */

#include "store/keyvalue/keyvalue.h"
#include "work/work.h"

#define KEYVALUE_LIMIT_MAX 1000 /* the most that a handler may request at once */

/* The engine, and views for calls that read or write. If the service has another model, the handler
 * ends. */
const struct keyvalue_ops *keyvalue_of(fh_work *w);
struct keyvalue_view keyvalue_reading(fh_work *w);
struct keyvalue_view keyvalue_writing(fh_work *w);
/* Each ends the handler if the check fails. */
void keyvalue_must_be_name(fh_work *w, const char *what, const char *name);
void keyvalue_must_lie(fh_work *w, const char *what, int64_t number, int64_t min, int64_t max);
_Noreturn void keyvalue_refuse(fh_work *w, const char *field, const char *message);

/* Removes one slice of the data left over from keys that no longer exist, in its own transaction.
 * Does nothing where the service has another model or the engine removes such data itself. */
enum fh_code keyvalue_sweep_slice(struct work_context *context, bool *ret_more,
                                  struct fh_error *error);

#endif
