/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_OPERATORS_H
#define SERVICE_OPERATORS_H

/*
 * Routes for operators: what is parked, what sagas do, and commands for both. Answers are the JSON
 * of event/subscribe/parked.h, its replay.h and saga/show.h.
 *
 *   GET  /_freehold/parked?source=&key=    all, a source's, or one key with its events
 *   GET  /_freehold/parked/matching?source=&type=&error=&before_ms=&after_ms=   keys by their first
 *                                          event; &after_source=&after_share=&after_position= the
 *                                          next page
 *   POST /_freehold/parked/retry           {"source", "key"}, both or neither; or {"keys": [...]}
 *                                          out of the answer of `matching`
 *   POST /_freehold/parked/drop            {"source", "key", "all": false}; or {"keys": [...]}
 *   POST /_freehold/parked/edit            {"source", "key", "data", "by", "position"}; then retry
 *   GET  /_freehold/events?after=&limit=&type=&key=&counts=   the outbox: event/outbox/list.h
 *   POST /_freehold/replay                 {"source", "incarnation", "position", "id", "effects",
 *                                          "shares"}: apply again what follows (replay.h)
 *   POST /_freehold/replay/abandon         {"source"}
 *   POST /_freehold/derived/accept         {"name"}: what its server has lost of facts that nobody
 *                                          else has is given up (carriers_accept_loss)
 *   POST /_freehold/derived/anew           {"name"}: it is made anew (carriers_make_anew)
 *   GET  /_freehold/spans?trace= or ?key=  what this process did lately: work/spans.h
 *   GET  /_freehold/restored               what was restored, and the report: saga/restored.h
 *   POST /_freehold/restored/seen          {"entries": 3, "ids": [...], "left_out": 0}: the first
 *                                          three were seen, and these, and that none was left out
 *   GET  /_freehold/sagas?status=parked    those that are not over, or of one status
 *   GET  /_freehold/sagas?ended=true       the newest that are over; with=NAME=VALUE, here and
 *                                          above: only those whose input has that
 *   GET  /_freehold/reports, /_freehold/report   its reports: reports.h
 *   GET  /_freehold/definitions            the definitions that those began with (saga_needed)
 *                                          and the timers that are set (timers_needed)
 *   GET  /_freehold/timers?state=          timers and schedules (timers_list)
 *   POST /_freehold/timers/retry           body {"id"}: a parked timer is due again
 *   POST /_freehold/timers/drop            body {"id"}: and is removed
 *   GET  /_freehold/saga?id=BIRTH.NUMBER   one, with its steps
 *   POST /_freehold/saga/retry             {"id"}; and /skip, /compensate
 *   POST /_freehold/saga/abandon           {"id", "why", "by"}
 *
 * 400: wrong parameters; 404: not found; 409: it is not parked; 503: the store can't be used now.
 */

#include "service/runtime.h"

void operators_parked(struct runtime *runtime, struct exchange *exchange);
void operators_matching(struct runtime *runtime, struct exchange *exchange);
void operators_parked_retry(struct runtime *runtime, struct exchange *exchange);
void operators_parked_drop(struct runtime *runtime, struct exchange *exchange);
void operators_parked_edit(struct runtime *runtime, struct exchange *exchange);
void operators_events(struct runtime *runtime, struct exchange *exchange);
void operators_replay(struct runtime *runtime, struct exchange *exchange);
void operators_replay_end(struct runtime *runtime, struct exchange *exchange);
void operators_accept(struct runtime *runtime, struct exchange *exchange);
void operators_anew(struct runtime *runtime, struct exchange *exchange);
void operators_spans(struct runtime *runtime, struct exchange *exchange);
void operators_restored(struct runtime *runtime, struct exchange *exchange);
void operators_seen(struct runtime *runtime, struct exchange *exchange);
void operators_sagas(struct runtime *runtime, struct exchange *exchange);
void operators_definitions(struct runtime *runtime, struct exchange *exchange);
void operators_saga(struct runtime *runtime, struct exchange *exchange);
void operators_timers(struct runtime *runtime, struct exchange *exchange);
void operators_timer_retry(struct runtime *runtime, struct exchange *exchange);
void operators_timer_drop(struct runtime *runtime, struct exchange *exchange);
void operators_saga_retry(struct runtime *runtime, struct exchange *exchange);
void operators_saga_skip(struct runtime *runtime, struct exchange *exchange);
void operators_saga_abandon(struct runtime *runtime, struct exchange *exchange);
void operators_saga_undo(struct runtime *runtime, struct exchange *exchange);

#endif
