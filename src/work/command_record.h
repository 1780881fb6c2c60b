/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_COMMAND_RECORD_H
#define WORK_COMMAND_RECORD_H

/* What a command's record holds of request and answer, and answering with it. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "work/command.h"

void command_reply(fh_work *w, int status, json_t *body);
void command_reply_header(fh_work *w, const char *name, const char *value);
/* Answers with a recorded answer; NULL: 204. */
enum fh_code command_reply_recorded(fh_work *w, const char *answer, struct fh_error *error);

/* {"status", "headers", "body"} of w->reply_*, to be recorded. On w->kept. The reply itself loses
 * its secrets, too, if a service asked. */
const char *command_answer_text(fh_work *w, bool service_asks);
/* The request's body as it may be recorded and digested, borrowed or on w->kept; NULL: none. */
void command_recordable_body(fh_work *w, const struct command_request *request, const char **ret,
                             size_t *ret_length);

#endif
