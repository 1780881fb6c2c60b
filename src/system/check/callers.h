/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_CALLERS_H
#define SYSTEM_CHECK_CALLERS_H

/*
 * Who may call whom. What programs declare that they need is granted (asks, the steps of sagas with
 * their undoing and closing, the feeds they subscribe to), and nothing else; services.NAME.callers
 * in the system file can only take away.
 */

#include <stdbool.h>

#include "system/file/file.h"

/* {"RECEIVER": {"CALLER": ["GET /api/users/{id:int}", "undo POST /api/payments/refund", "GET
 * /_freehold/feed", "events UserUpdated:id,name", "state UserUpdated:id,name", "POST
 * /_freehold/closed"], "SENT-TO-BY-ITS-SAGAS": ["POST
 * /_freehold/restored/announce"], "gateway": ["public"], "operator": ["*"]}}: the receiver's own
 * routes by method and pattern. All services must have been described. New reference. */
json_t *callers_matrix(struct system_file *file);

/* Adds another matrix's grants to this one's receivers. */
void callers_add(json_t *matrix, json_t *more);

/* Reports names in services.NAME.callers that nobody has, and needs that it leaves unmet. */
void callers_check(struct system_file *file, struct findings *findings);

/* Whether its `callers` lets this caller through at all. */
bool callers_take(const struct system_service *service, const char *caller);

/* The described route that serves METHOD and a path with its query, chosen as the receiver does;
 * NULL: none. *ret_other_method: a route fits, but with another method. */
const json_t *callers_route(const json_t *description, const char *method, const char *path,
                            bool *ret_other_method);

/* "SERVICE METHOD /path?query", parsed. */
struct callers_target {
    char service[SYSTEM_NAME_LENGTH_MAX + 1];
    char method[17];
    const char *path; /* including the query */
};
bool callers_target_parse(const char *text, struct callers_target *ret);

#endif
