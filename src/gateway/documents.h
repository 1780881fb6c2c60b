/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DOCUMENTS_H
#define GATEWAY_DOCUMENTS_H

/*
 * What the gateway tells of itself: /openapi.json and /asyncapi.json of the whole system, merged
 * from the descriptions it was given, and /docs, a page that shows them. They are made when they
 * are first asked for.
 */

#include <jansson.h>
#include <stdbool.h>

#include "http/server.h"

struct documents {
    json_t *config; /* until both are made; NULL from the start: there shall be none */
    char *openapi, *asyncapi;
};

/* Keeps a reference to `config`. With "documents": false in it, there are none. */
void documents_init(struct documents *documents, json_t *config);
void documents_release(struct documents *documents);

/* The answer to a GET of this path, whose texts live until documents_release; false: it is none of
 * ours. */
bool documents_answer(struct documents *documents, const char *path, struct http_answer *ret);

/* Of the page, see tools/embed. */
extern const char documents_page_html[], documents_page_css[], documents_page_js[];
extern const size_t documents_page_html_length, documents_page_css_length, documents_page_js_length;

#endif
