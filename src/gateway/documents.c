/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway routes by the descriptions it got from `up`, so these are enough to document its
 * routes: no service is asked, and one that is away is still documented. The documented routes are
 * the public ones and the compositions; the schema of a composition's answer is made of those that
 * its parts' routes declare.
 *
 * The page is three files of our own, and its policy lets it load nothing else.
 */

#include "gateway/documents.h"

#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "call/auth.h"
#include "gateway/compose.h"
#include "http/path.h"
#include "service/asyncapi.h"
#include "service/openapi.h"

#define COMPOSED_TAG "gateway"

static void put_document(json_t *object, const char *name, json_t *value)
{
    int result = json_object_set_new(object, name, value);
    FH_ASSERT(result == 0);
}

/* ---- Schemas of compositions ---- */

/* The public GET route that a part uses. */
static const json_t *part_route(const json_t *services, const struct compose_part *part)
{
    const json_t *best = NULL;
    size_t i;
    json_t *route;
    json_array_foreach (json_object_get(json_object_get(services, part->service), "routes"), i,
                        route) {
        const char *path = json_string_at(route, "path");
        if (strcmp(json_string_at(route, "method"), "GET") == 0 &&
            strcmp(json_string_at(route, "audience"), "public") == 0 &&
            compose_target_fits(part->target, path) &&
            (!best || path_literals(path) > path_literals(json_string_at(best, "path"))))
            best = route;
    }
    return best;
}

/* What it declares as its answer; {} if it declares nothing. */
static json_t *part_schema(const json_t *services, const struct compose_part *part)
{
    const json_t *schema = json_at(part_route(services, part), "answer.schema");
    return schema ? openapi_schema_of(schema, part->service) : json_object();
}

static json_t *composed_schema(const json_t *services, const struct compose *compose)
{
    json_t *properties = json_object(), *required = json_array();
    for (int i = 0; i < compose->part_count; i++) {
        const struct compose_part *part = &compose->parts[i];
        json_t *schema = part_schema(services, part);
        if (part->required)
            json_array_append_new(required, json_string(part->name));
        else
            schema = json_pack("{s:[o, {s:s}]}", "anyOf", schema, "type", "null");
        put_document(properties, part->name, schema);
    }
    put_document(properties, "missing",
                 json_pack("{s:s, s:{s:s}, s:s}", "type", "array", "items", "type", "string",
                           "description",
                           "The parts that could not be had now; there only when some could not."));
    json_t *schema = json_pack("{s:s, s:o}", "type", "object", "properties", properties);
    if (json_array_size(required))
        put_document(schema, "required", required);
    else
        json_decref(required);
    return schema;
}

/* All that its required parts demand, as the gateway does (routes.c). */
static void composed_auth(const json_t *services, const struct compose *compose, struct text *ret)
{
    for (int i = 0; i < compose->part_count; i++) {
        const struct compose_part *part = &compose->parts[i];
        const char *auth =
            part->required ? json_string_at(part_route(services, part), "auth") : NULL;
        if (!auth_is_open(auth))
            text_printf(ret, "%s%s", ret->length ? " " : "", auth);
    }
}

static void document_compositions(struct openapi *openapi, const json_t *config)
{
    size_t i;
    json_t *declared;
    json_array_foreach (json_object_get(config, "compose"), i, declared) {
        struct compose *compose;
        struct fh_error error;
        if (compose_parse(declared, &compose, &error) != FH_OK)
            continue; /* the gateway would not have started with it */
        const json_t *services = json_object_get(config, "services");
        struct text auth;
        text_init(&auth, TEXT_LENGTH_MAX);
        composed_auth(services, compose, &auth);
        openapi_add_get(openapi, compose->pattern, COMPOSED_TAG,
                        "Composed of several services' answers.", auth.data,
                        composed_schema(services, compose));
        text_release(&auth);
        compose_free(compose);
    }
}

/* ---- The documents ---- */

static json_t *make_openapi(const json_t *config)
{
    struct openapi openapi;
    const char *name;
    json_t *description;
    openapi_init(&openapi, json_string_at(config, "system"), false);
    json_object_foreach (json_object_get(config, "services"), name, description)
        openapi_add_service(&openapi, description);
    document_compositions(&openapi, config);
    return openapi_take(&openapi);
}

static json_t *make_asyncapi(const json_t *config)
{
    json_t *document = asyncapi_new(json_string_at(config, "system"));
    const json_t *services = json_object_get(config, "services");
    const char *name;
    json_t *description;
    json_object_foreach ((json_t *)(uintptr_t)services, name, description)
        asyncapi_add_published(document, description);
    json_object_foreach ((json_t *)(uintptr_t)services, name, description)
        asyncapi_add_subscriptions(document, description);
    asyncapi_name_schemas(document);
    return document;
}

void documents_init(struct documents *documents, json_t *config)
{
    *documents = (struct documents){.config = json_incref(config)};
}

void documents_release(struct documents *documents)
{
    json_decref(documents->config);
    json_text_free(documents->openapi);
    json_text_free(documents->asyncapi);
    *documents = (struct documents){0};
}

/* Makes `*text` when first needed; NULL: there are no documents. */
static const char *made_document(struct documents *documents, char **text,
                                 json_t *(*make)(const json_t *config))
{
    if (!*text && documents->config) {
        json_t *document = make(documents->config);
        *text = json_text(document);
        json_decref(document);
    }
    if (documents->openapi && documents->asyncapi) { /* it is no longer needed */
        json_decref(documents->config);
        documents->config = NULL;
    }
    return *text;
}

/* ---- Answers ---- */

static const struct http_header page_headers[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cache-Control", "no-cache"}};

static bool answer_document_page(const char *path, struct http_answer *ret)
{
    const struct {
        const char *path, *type, *body;
        size_t length;
    } files[] = {
        {"/docs", "text/html; charset=utf-8", documents_page_html, documents_page_html_length},
        {"/docs/docs.css", "text/css; charset=utf-8", documents_page_css,
         documents_page_css_length},
        {"/docs/docs.js", "text/javascript; charset=utf-8", documents_page_js,
         documents_page_js_length}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (strcmp(path, files[i].path) != 0)
            continue;
        *ret = (struct http_answer){.status = 200,
                                    .content_type = files[i].type,
                                    .body = files[i].body,
                                    .body_length = files[i].length,
                                    .headers = page_headers,
                                    .header_count = sizeof page_headers / sizeof *page_headers};
        return true;
    }
    return false;
}

bool documents_find(const char *path, enum exposed *ret)
{
    if (strcmp(path, "/openapi.json") == 0)
        *ret = EXPOSED_OPENAPI;
    else if (strcmp(path, "/asyncapi.json") == 0)
        *ret = EXPOSED_ASYNCAPI;
    else if (strcmp(path, "/docs") == 0 || strncmp(path, "/docs/", 6) == 0)
        *ret = EXPOSED_DOCS;
    else
        return false;
    return true;
}

bool documents_answer(struct documents *documents, const char *path, struct http_answer *ret)
{
    const char *text;
    if (!documents->config && !documents->openapi)
        return false;
    if (strcmp(path, "/openapi.json") == 0)
        text = made_document(documents, &documents->openapi, make_openapi);
    else if (strcmp(path, "/asyncapi.json") == 0)
        text = made_document(documents, &documents->asyncapi, make_asyncapi);
    else
        return answer_document_page(path, ret);
    *ret = (struct http_answer){.status = 200,
                                .body = text,
                                .body_length = strlen(text),
                                .headers = page_headers + 1,
                                .header_count = sizeof page_headers / sizeof *page_headers - 1};
    return true;
}
