/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_ASYNCAPI_H
#define SERVICE_ASYNCAPI_H

/*
 * AsyncAPI 3.0.0 (https://www.asyncapi.com/docs/reference/specification/v3.0.0) from descriptions:
 * a channel for each type of event, with the envelope and the shape of its data; who publishes it,
 * and who subscribes to it. Pure, like openapi.h.
 */

#include <jansson.h>

/* A document without channels. New reference. */
json_t *asyncapi_new(const char *title);
/* What one service publishes, and what it subscribes to. If no service added so far publishes an
 * event that it subscribes to, the channel gets the fields it asks for: so add publishers first. */
void asyncapi_add_published(json_t *document, const json_t *description);
void asyncapi_add_subscriptions(json_t *document, const json_t *description);
/* When all are added: named shapes become components. */
void asyncapi_name_schemas(json_t *document);

#endif
