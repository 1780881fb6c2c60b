/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_H
#define FREEHOLD_H

/*
 * Freehold: systems in which every service owns its own database.
 *
 * A service is one table, FH_SERVICE(...), and handlers written as straight-line code. Everything a
 * handler does to its store is one unit of work: changed rows, published events, the answer
 * recorded under the request's Idempotency-Key and the sagas it starts are committed together or
 * leave no trace. No answer is sent before its unit of work is durable.
 *
 * The runtime enforces three laws:
 *   1. One store, one owner.
 *   2. One handler, one unit of work, one store.
 *   3. Ask other services with GET, and only before first using your own store; command them with
 *      a saga or an event.
 *
 * Every call below that takes a `fh_work` succeeds or does not return: a failure ends the handler,
 * rolls back its unit of work and answers with a problem document (RFC 9457). The `fh_try_` forms
 * return instead. JSON values live in the unit of work's arena: they need no json_decref, and must
 * not be kept after the handler ends. A handler may be rerun from its start (after a conflict or a
 * broken commit group), so it must keep no state outside its unit of work.
 *
 * Calls that take JSON objects as `...` look up each name in these objects, in order.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FH_API __attribute__((visibility("default")))
#define FH_PRINTF(at, first) __attribute__((format(printf, at, first)))
#define FH_OBJECTS __attribute__((sentinel)) /* `...` is json_t objects, then NULL */
#define FH_NORETURN __attribute__((noreturn))

typedef struct fh_work fh_work;
typedef void fh_handler(fh_work *w);

/* ---- Shapes: what a body, a query or an event's data must look like ---- */

#include "freehold/shapes.h"

/* ---- The declaration ---- */

enum fh_model {
    FH_RELATIONAL = 1,
    FH_DOCUMENT,
    FH_KEY_VALUE,
    FH_SEARCH, /* of derived stores alone (freehold/derived.h), as those below */
    FH_SERIES,
    FH_COLUMNS
};

/* Who may use a route. The gateway serves only public routes and answers 404 for all others. */
enum fh_audience { FH_PUBLIC, FH_SERVICES, FH_OPERATORS };

/* What a route answers on success: {201, user_shape}, {200, .each = user_shape} for an array, or
 * {204}. It is published in /openapi.json and binds fh_reply: another status, or a body that does
 * not fit, ends the handler with 500. */
struct fh_answer {
    int status;            /* 0: nothing is declared */
    const fh_field *shape; /* of an object; if neither is set: any JSON, or none */
    const fh_field *each;  /* of each element of an array */
};

#include "freehold/page.h" /* struct fh_page, fh_page_rows, fh_page_docs */

struct fh_route {
    const char *method;
    const char *path; /* "/api/orders/{id}"; "{id:int}" takes integers only */
    fh_handler *handler;
    const fh_field *body;  /* NULL: takes no body */
    const fh_field *query; /* NULL: takes no query parameters */
    enum fh_audience audience;
    /* Set on a route that undoes another (one that a saga names as `.undo`): runs if the step was
     * done, and can use fh_undone_request and fh_undone_answer. */
    fh_handler *undo;
    int deadline_ms; /* 0: 10,000 */
    struct fh_answer answer;
    /* Who of the people outside may use a public route: FH_ANYONE, FH_USER (somebody who is logged
     * in), or scopes and roles, of which a user needs all that are written:
     * FH_SCOPE("stock:write") FH_ROLE("staff"). `freehold check` refuses a public route that does
     * not say. It concerns requests that come from outside, by the gateway: services and operators
     * need a grant for the route instead. */
    const char *auth;
    struct fh_page page; /* of a GET */
    /* For documents and generated clients: "place_order", the operation's id, which is a function
     * there, of lower-case letters, digits and '_' (NULL: made of method and path), and one line
     * that says what the route does. */
    const char *name, *summary;
    /* Of an answer of 201 or 202: where its resource is, "/api/orders/{id}", with names filled in
     * from the answer's body; this service's own GET route answers there. It becomes the header
     * Location, unless the handler sets one. With it a client that sends `Prefer: wait=5` may wait
     * for the end of the saga that the request begins, and gets what the GET route answers. */
    const char *location;
    /* Instead of JSON: the media type of the body, "text/csv", which the handler gets by
     * fh_body_bytes; and that of the answer, which it gives by fh_reply_bytes. In lower case,
     * without parameters; "text/..." is UTF-8. Another Content-Type is answered with 415, and a
     * client that does not accept the answer's with 406. Such a route has no undo, and no shape
     * there. */
    const char *body_type, *answer_type;
    bool of_view; /* of a GET that shows what is made of others' events: docs/guide/views.md */
};
#define FH_ANYONE "anyone"
#define FH_USER " user "
#define FH_SCOPE(name) " scope:" name " "
#define FH_ROLE(name) " role:" name " "

struct fh_published {
    const char *type; /* past tense: "OrderCreated" */
    int version;      /* of the shape: raised with each change that subscribers would notice */
    const fh_field *shape;
    const char *key; /* a field of the data: events with the same value stay in order */
    /* A GET handler that lists the current state for subscribers that resync (docs/guide/events.md,
     * "Snapshots"): an array of data in the event's shape, in key order, starting after the key
     * `after`, at most `limit` of them (both are in fh_query). NULL: no state is offered. */
    fh_handler *state;
    /* Names who did it: the envelope has the subject of the user on whose behalf the handler ran,
     * as `actor` (fh_event). Absent if there was none, in a snapshot, and in events from before. */
    bool actor;
};

struct fh_subscription {
    const char *service;
    const char *type;
    fh_handler *handler;
    const char *fields; /* "id,name": the fields of the data that are needed; NULL: all */
    /* For publishers that offer their state: how this service resyncs with it.
     *   upsert   applies fh_event_data, the present state of one key, whatever was known before
     *   gone     fh_event_data is {"key"}: the publisher no longer has anything under this key
     *   held     a GET handler that lists the keys for which this service holds something:
     *            an array in key order, after `after`, at most `limit` (both are in fh_query)
     *
     * `upsert` and `gone` run as `handler` does. `gone` and `held` are declared together, or not at
     * all if nothing ever has to be removed. */
    fh_handler *upsert, *gone, *held;
    const char *covered_by; /* another type of the same service, whose state includes everything
                               that events of this type report */
    /* "name,address": the fields of the data that are personal. To name one is to say that this
     * service may see and keep it; `freehold check` refuses one that is not named. */
    const char *personal;
    /* The version of the data that the handlers read; `fields` names fields of it. Events of an
     * earlier one go through `upcasts`; one that can't be read is parked. 0: whatever is published,
     * as it is. */
    int version;
    /* Every so many seconds, by the clock, what `held` lists is compared with the publisher's
     * state, and what differs is mended with `upsert` and `gone`, and told: docs/guide/events.md,
     * "Sync". `held` lists rows then: their first member is the key, and the others are members of
     * the data, under the same names, that this service keeps. At most 366 days; 0: never. */
    int sync_s;
};

/* What the service asks of others with GET: "users", "/api/users/{user_id}". */
struct fh_asked {
    const char *service;
    const char *path;
    const char *personal; /* of the answer, or of each of its elements; as in fh_subscription */
};

/*
 * A boundary that moved: this service takes over what another service has kept so far
 * (docs/guide/boundaries.md). Before it serves for the first time, it copies everything: each item
 * in the other service's list, and the records of the commands on these items, so that a step done
 * there can be undone here, by its key.
 */
struct fh_taken_over {
    const char *service;
    const char *path;    /* its GET route that lists the items by id, with ?limit= and ?after=ID */
    fh_handler *handler; /* for each item, in fh_event_data; does nothing if it is already here */
    const char *step;    /* whose command records to copy: its name in others' sagas */
};

struct fh_collection {
    const char *name;
    const char *indexes[8]; /* fields: "category" or "owner.id" */
};

/*
 * A saga's steps, in order. `call` and `undo` are "SERVICE METHOD /path/{name}?x={name}": names are
 * looked up in the element (with `each`), then in the saga's input. `body` maps fields of the
 * request's body: "order_id=id,amount=total,token" (name=source, or one name for both). Without it
 * the body is empty; an undo sends the same body. Every step before the pivot needs an undo; steps
 * after it are retried until they succeed. Answers whose status is in `no` (default 402, 409, 422)
 * are refusals.
 */
typedef struct fh_step fh_step;
struct fh_step {
    const char *name;
    const char *each; /* a field of the input that is an array: one call for each element */
    const char *call;
    const char *undo;
    const char *body;
    fh_handler *run; /* instead of a call: runs in a unit of work of this service */
    /* Instead of a call: where the element or the input has the URL that the body is posted to.
     * Nobody follows Freehold's protocol there: 2xx means done, a status in `no` (default 410) is
     * a refusal, all else is retried. It must be the pivot or come after: docs/guide/sagas.md */
    const char *outside;
    int no[8];
    bool pivot;
    int timeout_ms;       /* for one attempt; 0: 5,000 */
    const char *personal; /* of the answer, which the saga keeps; as in fh_subscription */
};

/*
 * A saga ends on the definition that it began with. So give a changed definition a higher version,
 * and keep the earlier one in the list, under the same name, until none of its sagas is open:
 *
 *     .sagas = {{"place_order", place_order_steps, .version = 2},
 *               {"place_order", place_order_steps_1}}
 *
 * New sagas begin with the highest version. The service that a step goes to, timeouts and the
 * deadline may change without a new version: open sagas adopt such changes.
 */
struct fh_saga_definition {
    const char *name;
    const fh_step *steps;
    int deadline_s;     /* from then on it compensates, unless past the pivot; 0: 600 */
    fh_handler *undone; /* in the transaction that ends a compensated saga; see fh_saga_reason */
    int version;        /* 0: 1 */
    /* What fh_saga_start takes; NULL: any object. Its marks say which of the input is personal, and
     * what is dropped once no step needs it any more: secrets are kept apart, are in no undo, and
     * fh_saga_input never has them. */
    const fh_field *input;
};

#include "freehold/tell.h"
#include "freehold/time.h"
#include "freehold/versions.h" /* struct fh_upcast, fh_downcast */
#include "freehold/derived.h" /* struct fh_derived, fh_derive, fh_search, fh_fact, fh_series, ... */

/*
 * The layout that an object file was compiled with, for the library it will run with; FH_SERVICE
 * records it. A field added at the end of a struct needs no new FH_ABI: the library reads a
 * declaration by the sizes that its object file knew.
 */
#define FH_ABI 1
struct fh_rows { /* a member of fh_service: its offset, and the size and number of its rows */
    uint32_t at, size, count;
};
struct fh_layout {
    uint32_t service_size, field_size, step_size; /* of fh_service, fh_field, fh_step */
    uint32_t cplusplus; /* 1: handlers may hold objects with destructors */
    uint32_t count;     /* of `members` */
    struct fh_rows members[20];
};

struct fh_named_shape {
    const char *name; /* letters and digits, beginning with a capital */
    const fh_field *shape;
};

/* What a host outside is told with each request, such as a key: a header whose value is a
 * setting's. It goes to that host alone, and only by https; a setting that is absent or empty is
 * not sent. */
struct fh_fetch_header {
    const char *host;    /* one of `fetches` */
    const char *name;    /* "Authorization" */
    const char *setting; /* a text, which had better be .secret: "rates_key" */
};

typedef struct fh_service fh_service;
struct fh_service {
    uint32_t abi; /* FH_ABI */
    const struct fh_layout *layout;
    const char *name;
    enum fh_model model;
    struct fh_route routes[64];
    struct fh_published publishes[32];
    struct fh_subscription subscribes[32];
    struct fh_asked asks[32];
    struct fh_taken_over takes_over[4];
    struct fh_collection collections[16];
    struct fh_saga_definition sagas[16];
    const fh_field *settings; /* what the system file may set; NULL: nothing */
    struct fh_timer timers[16];
    struct fh_every every[16];
    /* Names for shapes, {"Order", order_shape}: in OpenAPI each is a schema of its own, and what
     * generators make of it is a type of this name. Capitals at the beginnings of words. */
    struct fh_named_shape shapes[64];
    struct fh_metric metrics[32];
    /* The hosts outside the system that handlers fetch from: "api.example.org", in lower case,
     * without scheme and port. */
    const char *fetches[16];
    struct fh_fetch_header fetch_headers[8];
    struct fh_upcast upcasts[32];
    struct fh_downcast downcasts[32];
    struct fh_derived derives[8];
};

#include "freehold/layout.h"
#include "freehold/json.h" /* fh_object, fh_array, fh_nest */

/* Declares a service. Its object files can be linked as a program of their own, or with other
 * services into one program. The library provides `main`. */
#define FH_SERVICE(service_name, ...)                                                              \
    extern const fh_service fh_service_##service_name;                                             \
    const fh_service fh_service_##service_name = {                                                 \
        .abi = FH_ABI, .layout = &fh_layout, .name = #service_name, __VA_ARGS__};                  \
    static const fh_service *const fh_registered_##service_name                                    \
        __attribute__((used, retain, section("fh_services"))) = &fh_service_##service_name

/* ---- The request ---- */

FH_API json_t *fh_body(fh_work *w); /* fits the route's shape */
/* The body of a route with `.body_type`, at least one byte of any value; not to be changed. */
FH_API const void *fh_body_bytes(fh_work *w, size_t *ret_length);
FH_API json_t *fh_path(fh_work *w); /* {"id": "7"}, or 7 for "{id:int}" */
/* Typed by the route's query shape; parameters that were not sent are absent. */
FH_API json_t *fh_query(fh_work *w);
/* The wall clock's time when the unit of work began; as text: "2026-03-01T12:00:00.123Z". */
FH_API int64_t fh_now_ms(fh_work *w);
FH_API const char *fh_now(fh_work *w);
/* A new time-ordered id (RFC 9562, version 7). Like the time, it is the same in a rerun. */
FH_API const char *fh_id_new(fh_work *w);
FH_API const char *fh_service_name(fh_work *w);
/* The service's `settings` in the system file; {} if there are none. They fit the declared shape,
 * which is checked when the service starts. */
FH_API json_t *fh_settings(fh_work *w);
/* printf into the unit of work's arena: for pointers, headers and messages. */
FH_API const char *fh_format(fh_work *w, const char *format, ...) FH_PRINTF(2, 3);
/* The JSON Pointer (RFC 6901) to a member of the body: "/a~1b" for "a/b". */
FH_API const char *fh_pointer(fh_work *w, const char *name);
/* Waits 0 to 60,000 ms, even if the caller stops waiting; only before the store is used. For
 * services that stand in for something slow outside (a bank, a printer). A rerun does not wait
 * again. */
FH_API void fh_delay_ms(fh_work *w, int ms);

/* ---- Who is asking: docs/guide/identity.md ---- */

/* The person outside (or the program) on whose behalf this is done, as the gateway authenticated
 * them. It comes along with requests between services and with a saga's steps, however late. */
struct fh_user {
    const char *subject; /* never empty; unique for its issuer */
    const char *issuer;  /* who vouches for the subject; NULL: this system's own file of keys */
    const char *via;     /* "jwt", "introspection", "key" or "certificate" */
    int64_t stated_s;    /* when the gateway saw their credentials: seconds since 1970 */
};
/* NULL: nobody is logged in, or it was no person who began this. With FH_USER, too, if an operator
 * or another service asks for nobody. */
FH_API const struct fh_user *fh_user(fh_work *w);
/* False also where there is no user. */
FH_API bool fh_user_has_scope(fh_work *w, const char *scope);
FH_API bool fh_user_has_role(fh_work *w, const char *role);
/* One of the claims that the system file passes on ("email"); NULL: there is none. */
FH_API json_t *fh_user_claim(fh_work *w, const char *name);
/* Which process asks: the name of a service, "gateway" or "operator". In a handler of an event, its
 * publisher; in a handler of a saga, this service itself. */
FH_API const char *fh_caller(fh_work *w);
/* A header of the request, by its name in any case; NULL: it was not sent, or this is no request.
 * Those that begin with "Freehold-" are the system's own and not shown. */
FH_API const char *fh_header(fh_work *w, const char *name);
/* Ends the handler unless row[field] (a text or an integer) is the user's subject: with 401 if
 * there is no user, else with the 404 of fh_row, so that nobody learns what others have. So does a
 * `row` that is NULL. */
FH_API void fh_must_own(fh_work *w, const json_t *row, const char *field);

/* ---- The answer ---- */

/* At most once per handler; a handler that does not reply answers 204. `body` may be NULL. */
FH_API void fh_reply(fh_work *w, int status, json_t *body);
/* The same for a route with `.answer_type`: at most 8 MiB, which are copied. A repeated request
 * gets the same bytes. */
FH_API void fh_reply_bytes(fh_work *w, int status, const void *data, size_t length);
/* At most 8, each with a one-line value. The server's own headers (Content-Type, Date, ...) and
 * those that begin with Freehold- can't be set. */
FH_API void fh_reply_header(fh_work *w, const char *name, const char *value);
/* Ends the handler with a problem; status is 400..599. Below 500 it is a refusal, and is recorded
 * under the request's key; from 500 on nothing is recorded, and the request may be repeated. */
FH_API FH_NORETURN void fh_fail(fh_work *w, int status, const char *format, ...) FH_PRINTF(3, 4);
FH_API FH_NORETURN void fh_fail_at(fh_work *w, int status, const char *pointer, const char *format,
                                   ...) FH_PRINTF(4, 5);
/* Calls release(argument) when the handler ends, however it ends; the last deferred call runs
 * first. */
FH_API void fh_defer(fh_work *w, void (*release)(void *), void *argument);

/* ---- The relational model ---- */

/* SQL with :names, in the engine's own dialect (docs/operate/engines; MariaDB, for one, has no
 * UPDATE ... RETURNING). A JSON array stands for a list: "WHERE id IN (:ids)"; an object is a value
 * for a JSON column, a bool is true or false: "WHERE :all OR owner = :me". The first use of the
 * store opens the transaction; a GET handler reads a snapshot and can't write. A violated
 * constraint ends the handler with 409 (a missing value: 422). Columns declared JSON or BOOLEAN are
 * returned as such; integers beyond 2^53 as strings. */

/* One row. If there is none: fh_row answers 404, fh_try_row returns NULL. */
FH_API json_t *fh_row(fh_work *w, const char *sql, ...) FH_OBJECTS;
FH_API json_t *fh_try_row(fh_work *w, const char *sql, ...) FH_OBJECTS;
FH_API json_t *fh_rows(fh_work *w, const char *sql, ...) FH_OBJECTS; /* at most 10,000 */
/* Does not wait for the result: the statement is executed before whatever follows it in the unit of
 * work, but if it fails, the handler may end at a later call, or after it has returned. */
FH_API void fh_exec(fh_work *w, const char *sql, ...) FH_OBJECTS;
FH_API int64_t fh_exec_count(fh_work *w, const char *sql, ...) FH_OBJECTS; /* rows changed */
/* Reads committed rows without opening the transaction: to look something up before fh_get. */
FH_API json_t *fh_peek(fh_work *w, const char *sql, ...) FH_OBJECTS;

/* Macros of these names end the list of objects; `freehold check` knows SQL that is a literal. */
#include "freehold/statement.h"

/* ---- The document model ---- */

/*
 * Documents are JSON objects with a string `id`. Filters and updates use MongoDB's operators
 * (docs/guide/documents.md lists the subset). One unit of work changes one document; changing a
 * second is refused. A document inserted without an id gets one, derived from the request's key if
 * it has one.
 */
FH_API json_t *fh_doc(fh_work *w, const char *collection, const char *id);     /* none: 404 */
FH_API json_t *fh_try_doc(fh_work *w, const char *collection, const char *id); /* none: NULL */
/* sort: {"name": 1}, or NULL to sort by id; after: start after this id, or NULL. */
FH_API json_t *fh_docs(fh_work *w, const char *collection, json_t *filter, json_t *sort,
                       const char *after, int limit);
FH_API json_t *fh_doc_insert(fh_work *w, const char *collection, json_t *document); /* as stored */
/* Both return the changed document. No document of that id: 404; it does not match `filter` (NULL:
 * anything matches): 409. The try form returns NULL in either case. */
FH_API json_t *fh_doc_update(fh_work *w, const char *collection, const char *id, json_t *filter,
                             json_t *update);
FH_API json_t *fh_try_doc_update(fh_work *w, const char *collection, const char *id, json_t *filter,
                                 json_t *update);
/* False: there was no such document. */
FH_API bool fh_doc_delete(fh_work *w, const char *collection, const char *id);
FH_API json_t *fh_peek_doc(fh_work *w, const char *collection, const char *id); /* none: NULL */

#include "freehold/keyvalue.h" /* the key-value model */

/* ---- Events ---- */

/* Published with the unit of work, after all its changes; `data` must fit the declared shape. */
FH_API void fh_publish(fh_work *w, const char *type, json_t *data);
FH_API json_t *fh_event(fh_work *w);      /* the event being applied: a CloudEvents 1.0 envelope */
FH_API json_t *fh_event_data(fh_work *w); /* its data */

/* ---- Calls ---- */

/* GETs another service's resource, before the store is first used. The path is one of the declared
 * `asks`; its names are filled in from the objects. A 404 from there ends the handler with 422, an
 * unreachable service with 503 and Retry-After. */
FH_API json_t *fh_get(fh_work *w, const char *service, const char *path, ...) FH_OBJECTS;
/* On failure, returns NULL and sets *problem (may be NULL) to a problem with its "status". */
FH_API json_t *fh_try_get(fh_work *w, json_t **problem, const char *service, const char *path,
                          ...) FH_OBJECTS;
/* GETs many objects at once: `path` has one name, {ids}, which is filled in with `ids` (at most 100
 * per request, requests in parallel). The answers, arrays of objects, are returned as one object
 * keyed by `id`. */
FH_API json_t *fh_get_each(fh_work *w, const char *service, const char *path, json_t *ids);

/* GETs "https://api.example.org/rates/{day}", which is outside the system, before the store is
 * first used. The host is one of the declared `fetches`, and allowed by the system file
 * (docs/guide/calls.md, "Outside"); names after the host are filled in from the objects. JSON is
 * returned as such, every other text as a string; at most 1 MiB. It fails as fh_get does; redirects
 * are not followed. A rerun gets the same answer, and nobody is asked again. */
FH_API json_t *fh_fetch(fh_work *w, const char *url, ...) FH_OBJECTS;
/* As fh_try_get. */
FH_API json_t *fh_try_fetch(fh_work *w, json_t **problem, const char *url, ...) FH_OBJECTS;

#define fh_get(...) fh_get(__VA_ARGS__, (json_t *)NULL)
#define fh_try_get(...) fh_try_get(__VA_ARGS__, (json_t *)NULL)
#define fh_fetch(...) fh_fetch(__VA_ARGS__, (json_t *)NULL)
#define fh_try_fetch(...) fh_try_fetch(__VA_ARGS__, (json_t *)NULL)

/* ---- Sagas ---- */

FH_API void fh_saga_start(fh_work *w, const char *name, json_t *input);
/* Whether a step's `outside` accepts it: an http or https URL, percent-encoded, of at most 2,048
 * bytes, without a user or a fragment. fh_url_refusal also knows the system file's rules of today
 * (hosts, https): NULL if it may be used, else what follows the URL in a sentence. */
FH_API bool fh_is_url(const char *text);
FH_API const char *fh_url_refusal(fh_work *w, const char *url);
/* In `run` and `undone` handlers: the saga's input, and the body of a step's answer (an array with
 * `each`; NULL: none). */
FH_API json_t *fh_saga_input(fh_work *w);
FH_API json_t *fh_saga_answer(fh_work *w, const char *step);
/* In `undone`: {"step", "status", "detail"}. */
FH_API json_t *fh_saga_reason(fh_work *w);
/* In a route's `undo`: the recorded body of the step's request, and of its answer. */
FH_API json_t *fh_undone_request(fh_work *w);
FH_API json_t *fh_undone_answer(fh_work *w);

/* ---- main ---- */

/* For the `main` that programs are linked with: runs these declarations; returns the exit code. */
struct fh_program {
    uint32_t size; /* of this struct, as `main` knows it */
    const fh_service *const *begin, *const *end;
    const struct fh_statement *const *statements_begin, *const *statements_end;
};
FH_API int fh_main_program(const struct fh_program *program, int count, char **words);
/* The same without statements. */
FH_API int fh_main(const fh_service *const *begin, const fh_service *const *end, int count,
                   char **words);

#ifdef __cplusplus
}
#endif
#endif
