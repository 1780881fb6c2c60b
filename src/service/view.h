/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_VIEW_H
#define SERVICE_VIEW_H

/*
 * Routes `.of_view` (docs/guide/views.md): what they show is made of others' events.
 *
 *     asked     Freehold-Wait: products@INCARNATION,POSITION; ...   as in base/as_of.h
 *               Freehold-Max-Age: seconds
 *     answered  Freehold-As-Of: products@INCARNATION,POSITION; ...  what the answer has at least
 *               Age: seconds                                        of the oldest publisher
 *
 * And where waiting begins: what a command has published, Freehold-At: INCARNATION, POSITION.
 */

#include "service/exchange.h"

#define VIEW_WAIT_HEADER "Freehold-Wait"
#define VIEW_MAX_AGE_HEADER "Freehold-Max-Age"
#define VIEW_AS_OF_HEADER "Freehold-As-Of"
#define VIEW_AT_HEADER "Freehold-At"
#define VIEW_HEADERS_MAX 3 /* of one answer */
#define VIEW_MAX_AGE_DIGITS_MAX 9
#define VIEW_ANSWER_MS 100 /* of its deadline, a request that waits has left for its handler */

#define VIEW_RUNS_MAX 5 /* of one request's handler, while partitions are set back */

/* On the request's fiber: waits for what is asked for, notes how far the view is, and runs the
 * handler. False: it is answered. */
bool view_run(struct exchange *exchange);
/* The headers of a handler's answer that are due to all this; `ret` has room for
 * VIEW_HEADERS_MAX. */
size_t view_headers(struct exchange *exchange, int status, struct http_header *ret);

#endif
