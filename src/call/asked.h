/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CALL_ASKED_H
#define CALL_ASKED_H

/*
 * What ask.c and fetch.c share: the result of a question, from the answer to what the handler gets.
 * All of it runs on the handler's fiber.
 */

#include <stdarg.h>

#include "call/get.h"
#include "work/work.h"

struct asked {
    const char *service; /* or "https://api.example.org", outside the system */
    const char *path;
    const char *shown; /* in messages instead of the path; or NULL */
    const char *host;  /* outside the system; otherwise NULL */
    int status;        /* 200, or that of the problem */
    int retry_after_s;
    const char *detail;
    json_t *body;
};

/* The objects up to the NULL. */
int asked_objects(fh_work *w, va_list args, json_t *objects[CALL_OBJECTS_MAX]);
/* Fills in asked->path; `pattern` begins with '/'. False: with these values there is no such path,
 * which is the result. */
bool asked_fill(fh_work *w, struct asked *asked, const char *pattern, json_t *const *objects,
                int count);
/* True: an earlier run of the handler asked the same next, and this is its result. */
bool asked_before(fh_work *w, struct asked *asked, const char *question);
void asked_record(fh_work *w, const struct asked *asked, const char *question);
void asked_take(fh_work *w, const struct call_answer *answer, struct asked *asked);
void asked_failed(struct asked *asked, int status, const char *detail);
/* The value; otherwise ends the handler. `pattern` is the template of the path. */
json_t *asked_value(fh_work *w, const struct asked *asked, const char *pattern);
/* The value; otherwise NULL, and *problem (unless `problem` is NULL) says what happened. */
json_t *asked_try(const struct asked *asked, json_t **problem);

#endif
