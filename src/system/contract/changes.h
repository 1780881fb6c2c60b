/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CONTRACT_CHANGES_H
#define SYSTEM_CONTRACT_CHANGES_H

/*
 * What has changed in what a service offers, by two descriptions of it. Each change is
 *
 *     {"service": "users", "kind": "route", "name": "GET /api/users/{id:int}", "part": "answer",
 *      "pointer": "/name", "rule": "gone", "text": "is gone", "breaking": true}
 *
 * "kind" is "service", "route" or "event", "part" "body", "query", "answer" or "data", the part
 * that the pointer is in ("": none). "rule" is shape/accept.h's, or one of changes.c and events.c.
 * Of an event, "version" is the old one; of a route, "method" and "path" are as they were.
 */

#include <jansson.h>

/* Appends the changes of one service to `found`. `now` NULL: it is gone; `old` NULL: it is new. */
void changes_of_service(json_t *found, const char *service, const json_t *old, const json_t *now);
/* Of event types alone; `type` NULL: of all. */
void changes_of_events(json_t *found, const char *service, const json_t *old, const json_t *now,
                       const char *type);

#endif
