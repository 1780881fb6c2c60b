/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_DERIVED_H
#define WORK_DERIVED_H

/* What derived stores of all models have in common as handlers see them (derived.c), and the sweep
 * of series (series.c). */

#include "store/derived/derived.h"
#include "work/work.h"

/* A fault of the handler if the service declares none of this name and model. */
const struct fh_derived *derived_declared(fh_work *w, const char *called, const char *name,
                                          enum fh_model model);
/* An error that names no field is the handler's fault, not the client's. */
_Noreturn void derived_fail(fh_work *w, struct fh_error *error);

/* derived_marks.c. A fault of the handler where a field that is not `.personal` has a personal
 * value that the unit of work was given, or any field a secret or a card's. */
void derived_marks_check(fh_work *w, const char *called, const struct fh_derived *declared,
                         const json_t *value);
/* ... or the key either. */
void derived_marks_check_key(fh_work *w, const char *called, const struct fh_derived *declared,
                             const char *key);

/* Notes what is personal in what a search was answered with, as given to the handler. */
void derived_marks_found(fh_work *w, const struct fh_derived *declared, const json_t *answer);

typedef enum fh_code derived_question(fh_work *w, struct store_work *work,
                                      const struct fh_derived *declared, const void *what,
                                      json_t **ret, struct fh_error *error);
/* Answers a question: in a GET handler of its snapshot, in any other, which must be asking, of what
 * is committed. */
json_t *derived_ask(fh_work *w, const char *called, const struct fh_derived *declared,
                    derived_question *question, const void *what);

typedef enum fh_code derived_asked_check(fh_work *w, const struct fh_derived *declared,
                                         const void *what, struct fh_error *error);
/* The same of one that lies on a server (work/carried.h). `check`, of the question, comes first;
 * NULL: the server's driver does it. */
json_t *derived_ask_server(fh_work *w, const char *called, const struct fh_derived *declared,
                           derived_asked_check *check, const void *what);

/* Before it a series has no points: for what is put, asked and removed. Neither a wall clock that
 * is set forward nor one that was behind removes anything early: the lesser of it and the clock by
 * which commands age counts. */
int64_t work_series_oldest_ms(struct work_context *context, const struct fh_derived *declared);
/* Before that no point need be on a server. */
int64_t work_series_carried_ms(struct work_context *context, const struct fh_derived *declared);
/* How far a sweep of all series is. Zero-initialised. */
struct series_sweep {
    int derived;               /* which of the service's */
    struct series_trimming at; /* in that one */
    bool done;
};
/* Removes what is older, one slice of one series (derived_ops.trim). Where that fails the next call
 * goes on with the next series. On a fiber. */
enum fh_code work_series_sweep(struct work_context *context, struct series_sweep *sweep,
                               struct fh_error *error);

#endif
