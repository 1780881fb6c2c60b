/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_ASYNCAPI_H
#define SERVICE_ASYNCAPI_H

/*
 * AsyncAPI 3.0.0 (https://www.asyncapi.com/docs/reference/specification/v3.0.0) from descriptions:
 * a channel for each type of event, with the envelope and the shape of its data; who sends it, and
 * who hears it. Pure, as openapi.h.
 */

#include <jansson.h>

/* A document without any channel. New reference. */
json_t *asyncapi_new(const char *title);
/* What one service publishes and hears. Where it hears what no service added so far publishes, the
 * channel has the fields that it asks for; add publishers first. */
void asyncapi_add_published(json_t *document, const json_t *description);
void asyncapi_add_subscriptions(json_t *document, const json_t *description);

#endif
