/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_KEYVALUE_H
#define WORK_KEYVALUE_H

/* The key-value model inside a work: what the files of its public functions share, and how what
 * has expired is taken away. */

#include "store/keyvalue/keyvalue.h"
#include "work/work.h"

#define KEYVALUE_LIMIT_MAX 1000 /* of what a handler asks for at once */

/* The engine, for a call that changes or reads; ends the handler of another model's service. */
const struct keyvalue_ops *keyvalue_of(fh_work *w);
struct keyvalue_view keyvalue_reading(fh_work *w);
struct keyvalue_view keyvalue_writing(fh_work *w);
/* Each ends the handler when it is not one. */
void keyvalue_must_be_name(fh_work *w, const char *what, const char *name);
void keyvalue_must_lie(fh_work *w, const char *what, int64_t number, int64_t min, int64_t max);
_Noreturn void keyvalue_refuse(fh_work *w, const char *field, const char *message);

/* Removes a slice of what is kept of keys that are not there any more, in a work of its own; does
 * nothing where the service has another model, or the engine does it by itself. */
enum fh_code keyvalue_sweep_slice(struct work_context *context, bool *ret_more,
                                  struct fh_error *error);

#endif
