/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DOCUMENTS_H
#define GATEWAY_DOCUMENTS_H

/*
 * The gateway's description of the system: /openapi.json and /asyncapi.json, merged from the
 * descriptions of all services, and /docs, a page that shows them. They are made when first
 * requested.
 */

#include <jansson.h>
#include <stdbool.h>

#include "http/server.h"
#include "service/exposure.h"

struct documents {
    json_t *config; /* until both are made; NULL from the start: there are no documents */
    char *openapi, *asyncapi;
};

/* Keeps a reference to `config`; NULL: there are no documents. */
void documents_init(struct documents *documents, json_t *config);
void documents_release(struct documents *documents);

/* Which of them a path is. False: none. */
bool documents_find(const char *path, enum exposed *ret);
/* The answer to a GET of this path; its text lives until documents_release. False: not a path of
 * the documents. */
bool documents_answer(struct documents *documents, const char *path, struct http_answer *ret);

/* The page's files, see tools/embed. */
extern const char documents_page_html[], documents_page_css[], documents_page_js[];
extern const size_t documents_page_html_length, documents_page_css_length, documents_page_js_length;

#endif
