/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

/* What every answer is held to, over a socket or in memory. */

#include "base/text.h"
#include "http/server.h"
#include "shape/problem.h"

#define ANSWER_DETAIL_SIZE 160

/* Whether each header of the answer can be sent: none ends the head early, or says something else
 * about where the body ends. False: `ret_detail` names one that can't. */
bool answer_is_sound(const struct http_answer *answer, char ret_detail[static ANSWER_DETAIL_SIZE]);
/* The head of a sound answer, as it is sent. *close: the connection ends with it. */
void answer_head(struct text *text, const struct http_answer *answer, const char *date, bool old,
                 bool *close);
/* Calls `send` with a problem in an answer's form. */
void answer_problem(enum problem_type type, const char *detail,
                    void (*send)(void *context, const struct http_answer *answer), void *context);

#endif
