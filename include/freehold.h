/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_H
#define FREEHOLD_H

/*
 * Freehold: systems in which every service owns its own database.
 *
 * A service is one table, FH_SERVICE(...), and handlers written as straight-line code.
 * Whatever a handler does to its store is one unit of work: changed rows, published events, the
 * answer remembered under its Idempotency-Key and the saga it starts are committed together or
 * leave no trace. No answer leaves before the work behind it is durable.
 *
 * Three laws hold, and the runtime enforces them:
 *   1. One store, one owner.
 *   2. One handler, one work, one store.
 *   3. Ask with GET, before the own store is first used; command with a saga or an event.
 *
 * Every call below that takes a `fh_work` succeeds or does not return: a failure ends the handler,
 * rolls its work back and answers with a problem document (RFC 9457). The `fh_try_` forms return
 * instead. JSON values live in the work's arena: no json_decref is needed, and nothing may be kept
 * beyond the handler. A handler can be run again from its start (after a conflict or a broken
 * commit group), so it keeps no state outside its work.
 *
 * Objects given to calls as `...` are json_t objects in which names are looked up, in order.
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
#define FH_OBJECTS __attribute__((sentinel)) /* further arguments are json_t objects, then NULL */
#define FH_NORETURN __attribute__((noreturn))

typedef struct fh_work fh_work;
typedef void fh_handler(fh_work *w);

/* ---- Shapes: what a body, a query or an event's data must look like ---------------------- */

enum fh_type {
    FH_STRING = 1, /* min, max: length in bytes (0: no limit) */
    FH_INT,        /* min, max bound its value when either is set; max below min: none above */
    FH_BOOL,
    FH_OBJECT, /* of: the shape of the object */
    FH_ARRAY,  /* of: the shape of each element when they are objects; min, max: elements */
    FH_LIST,   /* query only: "1,2,3" becomes an array of strings; min, max: elements */
    FH_ANY
};

typedef struct fh_field fh_field;
struct fh_field {
    const char *name; /* "*" as the last field: any further fields are welcome */
    enum fh_type type;
    int64_t min, max;
    const fh_field *of;        /* ends with {0} */
    const char *const *one_of; /* FH_STRING: the allowed values, ends with NULL */
    enum fh_type elements;     /* FH_ARRAY of plain values: their type */
    bool optional, nullable;
};

/* ---- The declaration --------------------------------------------------------------------- */

enum fh_model { FH_RELATIONAL = 1, FH_DOCUMENT, FH_KEY_VALUE };

/* Who may use a route. The gateway knows public ones alone; others are 404 there. */
enum fh_audience { FH_PUBLIC, FH_SERVICES, FH_OPERATORS };

/* What a route answers when all is well: {201, user_shape}, or {200, .each = user_shape} for an
 * array of them, or {204}. /openapi.json tells it, and fh_reply keeps to it: another status, or a
 * body that does not fit, ends the handler with 500. */
struct fh_answer {
    int status;            /* 0: nothing is declared */
    const fh_field *shape; /* of an object; neither: any JSON, or none */
    const fh_field *each;  /* of every element of an array */
};

struct fh_route {
    const char *method;
    const char *path; /* "/api/orders/{id}"; "{id:int}" takes integers only */
    fh_handler *handler;
    const fh_field *body;  /* NULL: no body is taken */
    const fh_field *query; /* NULL: no query parameters are taken */
    enum fh_audience audience;
    /* Set on a route that undoes another (a saga names it as `.undo`): runs when that step had
     * been done, with fh_undone_request and fh_undone_answer at hand. */
    fh_handler *undo;
    int deadline_ms; /* 0: 10,000 */
    struct fh_answer answer;
};

struct fh_published {
    const char *type; /* past tense: "OrderCreated" */
    int version;
    const fh_field *shape;
    const char *key; /* the field of the data by which events are kept in order */
    /* What there is now, for subscribers that begin anew (docs/guide/events.md, "Snapshots"):
     * answers, as a handler of GET, an array of data such as the event's, in the order of their
     * keys, behind the key `after`, at most `limit` (both in fh_query). NULL: none is given. */
    fh_handler *state;
};

struct fh_subscription {
    const char *service;
    const char *type;
    fh_handler *handler;
    const char *fields; /* "id,name": all that is needed of the data; NULL: everything */
    /* Where the publisher gives its state, so that this service can begin anew with it. Each runs
     * as `handler` does:
     *   upsert   fh_event_data is what there is now under a key, whatever was known of it before
     *   gone     fh_event_data is {"key"}: the publisher has nothing under it any more
     *   held     answers, as a handler of GET, an array of the keys that this service has
     *            something of, in their order, behind `after`, at most `limit` (in fh_query)
     * `gone` and `held` come together, or not at all where nothing has to be given up. */
    fh_handler *upsert, *gone, *held;
    const char *covered_by; /* another type of the same service, whose state has in it all that this
                               one's events tell of */
};

/* What the service asks of others, with GET: "users", "/api/users/{user_id}". */
struct fh_asked {
    const char *service;
    const char *path;
};

/*
 * A boundary that moved: what another service kept until now, this one keeps from now on
 * (docs/guide/boundaries.md). Before it serves for the first time, it takes all of it over: each
 * thing in the other's list, and what is recorded there of the commands on them, so that a step
 * done there is undone here, by its key.
 */
struct fh_taken_over {
    const char *service;
    const char *path;    /* its GET that lists them by id, with ?limit= and ?after=ID */
    fh_handler *handler; /* for each, as fh_event_data; must do nothing where it was done */
    const char *step;    /* whose commands: the name of that step in others' sagas */
};

struct fh_collection {
    const char *name;
    const char *indexes[8]; /* fields, "category" or "owner.id" */
};

/*
 * A saga's steps, in order. `call` and `undo` are "SERVICE METHOD /path/{name}?x={name}": names
 * come from the element (with `each`), then from the saga's input. `body` maps fields of the
 * request's body: "order_id=id,amount=total,token" (name=source, or one name for both). Without
 * it the body is empty; an undo sends the same body. A step before the pivot needs an undo; steps
 * after it are retried until they succeed. Answers named in `no` (default 402, 409, 422) refuse.
 */
typedef struct fh_step fh_step;
struct fh_step {
    const char *name;
    const char *each; /* a field of the input that is an array: one call for each element */
    const char *call;
    const char *undo;
    const char *body;
    fh_handler *run; /* instead of a call: runs in this service's own work */
    /* Instead of a call: a name in the element or the input that holds an http or https URL, to
     * which the body is posted, with an Idempotency-Key. Nobody outside keeps Freehold's protocol:
     * any 2xx is done, a status in `no` (default 410) refuses, everything else is asked again, and
     * there is no undo, so it is the pivot or comes after it. See docs/guide/sagas.md. */
    const char *outside;
    int no[8];
    bool pivot;
    int timeout_ms; /* one attempt; 0: 5,000 */
};

/*
 * A saga ends on the definition that it began with. So whoever changes a definition gives the new
 * one a higher version and keeps the earlier one in the list, under the same name, until no saga of
 * it is under way any more:
 *
 *     .sagas = {{"place_order", place_order_steps, .version = 2},
 *               {"place_order", place_order_steps_1}}
 *
 * New sagas begin with the highest. Which service a step goes to, its timeout and the deadline may
 * change without a new version: they count for all.
 */
struct fh_saga_definition {
    const char *name;
    const fh_step *steps;
    int deadline_s;     /* before the pivot: after it the saga compensates; 0: 600 */
    fh_handler *undone; /* runs in the work that ends a compensated saga; see fh_saga_reason */
    int version;        /* 0: 1 */
};

/*
 * What an object file was compiled with, for the library that it meets: FH_SERVICE writes it down.
 * A field that is new at the end of a struct needs no new number: the library reads a declaration
 * by the sizes that its own object file knew.
 */
#define FH_ABI 1
struct fh_rows { /* a member of fh_service: where it is, and the size of each of its rows */
    uint32_t at, size, count;
};
struct fh_layout {
    uint32_t field_size, step_size; /* of fh_field, fh_step */
    uint32_t cplusplus;             /* 1: handlers may hold objects with destructors */
    uint32_t count;                 /* of members */
    struct fh_rows members[16];
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
};

#define FH_MEMBER(member)                                                                          \
    {                                                                                              \
        offsetof(struct fh_service, member), sizeof(((struct fh_service *)NULL)->member), 1        \
    }
#define FH_MEMBERS(member)                                                                         \
    {                                                                                              \
        offsetof(struct fh_service, member), sizeof(((struct fh_service *)NULL)->member[0]),       \
            sizeof(((struct fh_service *)NULL)->member) /                                          \
                sizeof(((struct fh_service *)NULL)->member[0])                                     \
    }
#ifdef __cplusplus
#define FH_CPLUSPLUS 1
#else
#define FH_CPLUSPLUS 0
#endif
static const struct fh_layout fh_layout __attribute__((unused)) = {
    sizeof(fh_field),
    sizeof(fh_step),
    FH_CPLUSPLUS,
    10,
    {FH_MEMBER(name), FH_MEMBER(model), FH_MEMBERS(routes), FH_MEMBERS(publishes),
     FH_MEMBERS(subscribes), FH_MEMBERS(asks), FH_MEMBERS(takes_over), FH_MEMBERS(collections),
     FH_MEMBERS(sagas), FH_MEMBER(settings)}};

/* Declares a service. The object files that hold it can be linked as one program a service, or
 * several together. `main` comes with the library. */
#define FH_SERVICE(service_name, ...)                                                              \
    extern const fh_service fh_service_##service_name;                                             \
    const fh_service fh_service_##service_name = {                                                 \
        .abi = FH_ABI, .layout = &fh_layout, .name = #service_name, __VA_ARGS__};                  \
    static const fh_service *const fh_registered_##service_name                                    \
        __attribute__((used, retain, section("fh_services"))) = &fh_service_##service_name

/* ---- The request --------------------------------------------------------------------------- */

FH_API json_t *fh_body(fh_work *w); /* checked against the route's shape */
FH_API json_t *fh_path(fh_work *w); /* {"id": "7"}, or 7 for "{id:int}" */
/* Typed by the route's query shape; what was not given is absent. */
FH_API json_t *fh_query(fh_work *w);
/* When the work began, by the wall clock; as text "2026-03-01T12:00:00.123Z". */
FH_API int64_t fh_now_ms(fh_work *w);
FH_API const char *fh_now(fh_work *w);
/* A new time-ordered id (RFC 9562, version 7). As the time, the same in a rerun. */
FH_API const char *fh_id_new(fh_work *w);
FH_API const char *fh_service_name(fh_work *w);
/* What the system file has under the service's `settings`: it fits the declared shape, which is
 * looked at when the service starts. {} where the file says nothing. */
FH_API json_t *fh_settings(fh_work *w);
/* printf into the work's arena: for pointers, headers and messages. */
FH_API const char *fh_format(fh_work *w, const char *format, ...) FH_PRINTF(2, 3);
/* The JSON Pointer (RFC 6901) to a member of the body: "/a~1b" for "a/b". */
FH_API const char *fh_pointer(fh_work *w, const char *name);
/* Waits, before the store is used and whether or not the caller still does: for services that
 * stand in for a slow world outside (a bank, a printer). At most 60,000. Not waited again in a
 * rerun. */
FH_API void fh_delay_ms(fh_work *w, int ms);

/* ---- The answer ---------------------------------------------------------------------------- */

/* At most once a handler; a handler that does not reply answers 204. `body` may be NULL. */
FH_API void fh_reply(fh_work *w, int status, json_t *body);
/* At most 8, each with a value of one line. Those of the server itself (Content-Type, Date, ...)
 * and Freehold-... can't be set. */
FH_API void fh_reply_header(fh_work *w, const char *name, const char *value);
/* Ends the handler with a problem: status 400..599. Below 500 it is a refusal, recorded under the
 * request's key; from 500 on, nothing is recorded and the request may be made again. */
FH_API FH_NORETURN void fh_fail(fh_work *w, int status, const char *format, ...) FH_PRINTF(3, 4);
FH_API FH_NORETURN void fh_fail_at(fh_work *w, int status, const char *pointer, const char *format,
                                   ...) FH_PRINTF(4, 5);
/* Run in reverse order when the handler has ended, however it ended. */
FH_API void fh_defer(fh_work *w, void (*release)(void *), void *argument);

/* ---- The relational model ------------------------------------------------------------------ */

/* SQL with :names. A JSON array stands for a list: "WHERE id IN (:ids)". The first use of the
 * store opens the work; a GET handler reads a snapshot and may not write. A broken constraint ends
 * the handler with 409 (422 for a missing value). Columns declared JSON and BOOLEAN come back as
 * such; integers beyond 2^53 as strings. */

/* One row; where there is none: 404, and NULL from the try form. */
FH_API json_t *fh_row(fh_work *w, const char *sql, ...) FH_OBJECTS;
FH_API json_t *fh_try_row(fh_work *w, const char *sql, ...) FH_OBJECTS;
FH_API json_t *fh_rows(fh_work *w, const char *sql, ...) FH_OBJECTS; /* at most 10,000 */
/* Nobody waits for it: it is done before whatever follows it in the work, but what it breaks may
 * end the handler at a later call, or when it has returned. */
FH_API void fh_exec(fh_work *w, const char *sql, ...) FH_OBJECTS;
FH_API int64_t fh_exec_count(fh_work *w, const char *sql, ...) FH_OBJECTS; /* rows changed */
/* Committed rows, without opening the work: to look before one asks. */
FH_API json_t *fh_peek(fh_work *w, const char *sql, ...) FH_OBJECTS;

#define fh_row(...) fh_row(__VA_ARGS__, (json_t *)NULL)
#define fh_try_row(...) fh_try_row(__VA_ARGS__, (json_t *)NULL)
#define fh_rows(...) fh_rows(__VA_ARGS__, (json_t *)NULL)
#define fh_exec(...) fh_exec(__VA_ARGS__, (json_t *)NULL)
#define fh_exec_count(...) fh_exec_count(__VA_ARGS__, (json_t *)NULL)
#define fh_peek(...) fh_peek(__VA_ARGS__, (json_t *)NULL)

/* ---- The document model -------------------------------------------------------------------- */

/*
 * Documents are JSON objects with a string `id`. Filters and updates are written in MongoDB's
 * operators (the subset is in docs/guide/documents.md). One work changes one document; a second is
 * refused. A document inserted without an id gets one, derived from the request's key where
 * there is one.
 */
FH_API json_t *fh_doc(fh_work *w, const char *collection, const char *id);     /* none: 404 */
FH_API json_t *fh_try_doc(fh_work *w, const char *collection, const char *id); /* none: NULL */
/* sort: {"name": 1} or NULL for the order of ids; after: the id to go on behind, or NULL. */
FH_API json_t *fh_docs(fh_work *w, const char *collection, json_t *filter, json_t *sort,
                       const char *after, int limit);
FH_API json_t *fh_doc_insert(fh_work *w, const char *collection, json_t *document); /* as stored */
/* Both return the document as it is afterwards. A document that does not match `filter` (NULL:
 * any): 409; none of that id: 404. The try form returns NULL for either. */
FH_API json_t *fh_doc_update(fh_work *w, const char *collection, const char *id, json_t *filter,
                             json_t *update);
FH_API json_t *fh_try_doc_update(fh_work *w, const char *collection, const char *id, json_t *filter,
                                 json_t *update);
/* False: there was none. */
FH_API bool fh_doc_delete(fh_work *w, const char *collection, const char *id);
FH_API json_t *fh_peek_doc(fh_work *w, const char *collection, const char *id); /* none: NULL */

/* ---- The key-value model ------------------------------------------------------------------ */

/*
 * A key holds a value, a hash or a sorted set (docs/guide/keyvalue.md). Keys, fields and members
 * are strings of 1 to 512 bytes; values are any JSON of at most 1 MiB. A key comes with its first
 * value, field or member and goes with its last. A call on a key of another kind ends the handler
 * with 409. As many keys as need be are changed in one work.
 */
FH_API json_t *fh_kv(fh_work *w, const char *key);     /* none: 404 */
FH_API json_t *fh_try_kv(fh_work *w, const char *key); /* none: NULL */
/* In place of whatever the key holds; it does not expire any more. */
FH_API void fh_kv_set(fh_work *w, const char *key, json_t *value);
FH_API bool fh_kv_delete(fh_work *w, const char *key); /* of any kind; false: there was none */
/* Counters: integers up to 2^53 - 1 either way, from 0 on. Their key's expiry stays. */
FH_API int64_t fh_kv_add(fh_work *w, const char *key, int64_t delta); /* as it is then */
/* The same for counters that many works share: nobody looks, so none has to wait or run again. What
 * it breaks may end the handler at a later call, or when it has returned. */
FH_API void fh_kv_count(fh_work *w, const char *key, int64_t delta);

/* Hashes: fields with values. */
FH_API json_t *fh_kv_fields(fh_work *w, const char *key); /* an object; at most 10,000 fields */
FH_API json_t *fh_kv_field(fh_work *w, const char *key, const char *field); /* none: NULL */
FH_API void fh_kv_field_set(fh_work *w, const char *key, const char *field, json_t *value);
FH_API bool fh_kv_field_delete(fh_work *w, const char *key, const char *field);
FH_API int64_t fh_kv_field_add(fh_work *w, const char *key, const char *field, int64_t delta);

/* Sorted sets: members with scores, whole numbers up to 2^53 - 1 either way. Equal scores are
 * ordered by the members' bytes. */
#define FH_SCORE_MAX INT64_C(9007199254740991)
#define FH_SCORE_MIN (-FH_SCORE_MAX)
FH_API bool fh_kv_score(fh_work *w, const char *key, const char *member, int64_t *ret);
FH_API void fh_kv_score_set(fh_work *w, const char *key, const char *member, int64_t score);
FH_API int64_t fh_kv_score_add(fh_work *w, const char *key, const char *member, int64_t delta);
FH_API bool fh_kv_member_delete(fh_work *w, const char *key, const char *member);
/* [{"member", "score"}] with scores in min..max, both included; the first `skip` (at most 10,000)
 * are passed over, at most `limit` (1..1,000) returned. */
FH_API json_t *fh_kv_lowest(fh_work *w, const char *key, int64_t min, int64_t max, int skip,
                            int limit);
FH_API json_t *fh_kv_highest(fh_work *w, const char *key, int64_t min, int64_t max, int skip,
                             int limit);

/* Places on the earth, in degrees, kept within 0.6 m: members of a sorted set. */
FH_API void fh_kv_place_set(fh_work *w, const char *key, const char *member, double longitude,
                            double latitude);
/* {"longitude", "latitude"}; none: NULL. */
FH_API json_t *fh_kv_place(fh_work *w, const char *key, const char *member);
/* [{"member", "longitude", "latitude", "distance_m"}], the nearest first. */
FH_API json_t *fh_kv_near(fh_work *w, const char *key, double longitude, double latitude,
                          double radius_m, int limit);

/* When a key of any kind ends, by the wall clock: 0: never. False: there is no such key. A key
 * whose time has come at fh_now_ms is not there. */
FH_API bool fh_kv_expire_at(fh_work *w, const char *key, int64_t at_ms);
FH_API bool fh_kv_expires_at(fh_work *w, const char *key, int64_t *ret_ms);

FH_API json_t *fh_peek_kv(fh_work *w, const char *key); /* none: NULL */
FH_API json_t *fh_peek_kv_fields(fh_work *w, const char *key);

/* ---- Events ---------------------------------------------------------------------------------- */

/* Published with the work, after all it changed; `data` must fit the declared shape. */
FH_API void fh_publish(fh_work *w, const char *type, json_t *data);
FH_API json_t *fh_event(fh_work *w);      /* the event being heard: a CloudEvents 1.0 envelope */
FH_API json_t *fh_event_data(fh_work *w); /* its data */

/* ---- Calls ----------------------------------------------------------------------------------- */

/* GET another service's resource, before the own store is used. The path is one of the service's
 * declared `asks`; its names are filled in from the objects. A 404 there ends the handler with
 * 422, an unreachable service with 503 and Retry-After. */
FH_API json_t *fh_get(fh_work *w, const char *service, const char *path, ...) FH_OBJECTS;
/* Returns NULL instead, and in *problem (may be NULL) why: a problem with its "status". */
FH_API json_t *fh_try_get(fh_work *w, json_t **problem, const char *service, const char *path,
                          ...) FH_OBJECTS;
/* One call for many: `path` has one name, {ids}, filled with the ids of `ids` (at most 100 a
 * call, calls side by side). The answer, an array of objects, comes back as an object by `id`. */
FH_API json_t *fh_get_each(fh_work *w, const char *service, const char *path, json_t *ids);

#define fh_get(...) fh_get(__VA_ARGS__, (json_t *)NULL)
#define fh_try_get(...) fh_try_get(__VA_ARGS__, (json_t *)NULL)

/* ---- Sagas ----------------------------------------------------------------------------------- */

FH_API void fh_saga_start(fh_work *w, const char *name, json_t *input);
/* Is it what a step's `outside` takes: an http or https URL, percent-encoded, of at most 2,048
 * bytes, with neither a user nor a fragment? */
FH_API bool fh_is_url(const char *text);
/* In `run` and `undone` handlers: the saga's input, and the body that a step was answered with (an
 * array with `each`; NULL: none). */
FH_API json_t *fh_saga_input(fh_work *w);
FH_API json_t *fh_saga_answer(fh_work *w, const char *step);
/* In `undone`: {"step", "status", "detail"}. */
FH_API json_t *fh_saga_reason(fh_work *w);
/* In a route's undo: the step's recorded body, and its recorded answer's body. */
FH_API json_t *fh_undone_request(fh_work *w);
FH_API json_t *fh_undone_answer(fh_work *w);

#ifdef __cplusplus
}
#endif
#endif
