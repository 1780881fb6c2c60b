/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CARRIED_SERVER_H
#define TESTS_CARRIED_SERVER_H

/*
 * A server of derived stores in memory, strict about what carrier/server.h promises and faulty in
 * all ways that it allows: it is away, dies in the middle of a page, does not answer, does it
 * later; it is emptied, and restored from a backup. `between` is called before and after a request
 * is carried out, so that another carrier can do something meanwhile. What it is asked of points
 * and facts it answers as a service's own store does (tallied.h). Header only.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "carried_ops.h"
#include "carrier/server.h"
#include "store/derived/derived.h"
#include "tallied.h"

#define MEMORY_GENERATIONS 16
#define MEMORY_VALUES 3000
#define MEMORY_LINKS 4096
#define MEMORY_LATE 8
#define MEMORY_TEXTS ((size_t)16 << 20) /* of all that was ever sent */

enum memory_fault {
    MEMORY_WELL,
    MEMORY_AWAY,       /* nothing is done */
    MEMORY_BEGINNING,  /* one op of a page is done, and no link */
    MEMORY_UNANSWERED, /* it is done */
    MEMORY_LATER       /* it is done when memory_deliver is called */
};

struct memory_value {
    char key[CARRIED_KEY_SIZE];
    int64_t version;
    char life[ID_SIZE]; /* before the version; of points that it alone has */
    int64_t at_ms;      /* of a point or fact, whose text is JSON */
    uint32_t text;      /* of the value: its place in the server's `texts`; 0: a tombstone */
};

struct memory_generation {
    bool there;
    struct carried_name name;
    char digest[DERIVED_DIGEST_SIZE];
    struct memory_value values[MEMORY_VALUES];
    int value_count;
    struct carried_link links[MEMORY_LINKS]; /* in order of (to, from) */
    int link_count;
};

struct memory_request {
    enum { MEMORY_NOTHING, MEMORY_MAKE, MEMORY_SEND, MEMORY_DROP } what;
    struct carried_name name;
    const struct fh_derived *declared;
    struct carried_link link;
    struct memory_value *ops;
    int count;
};

struct memory_server {
    struct carried_server base;
    struct memory_generation generations[MEMORY_GENERATIONS], backup[MEMORY_GENERATIONS];
    enum memory_fault fault; /* of the next request that changes something, and then no more */
    bool away;               /* all requests fail, and nothing is done */
    struct memory_request late[MEMORY_LATE];
    void (*between)(struct memory_server *server, bool done);
    int searches, sends, trims;
    int64_t settle_s, running_s; /* of facts that it alone has */
    int64_t trimmed_ms;          /* by the last trim */
    uint32_t texts_used; /* without pointers: it may be a file, of one process after another */
    char texts[MEMORY_TEXTS];
    /* Wrong on purpose, for tests that find it. */
    bool overwrites, forgets_tombstones, links_first, repeats_links, appends;
    int count_takes_us; /* and then it has not counted; 0: it does at once */
    bool picky;         /* what begins with "odd" is bad, too */
};

static inline struct memory_generation *memory_find(struct memory_server *server,
                                                    const struct carried_name *name, bool make)
{
    struct memory_generation *room = NULL;
    for (int i = 0; i < MEMORY_GENERATIONS; i++) {
        struct memory_generation *generation = &server->generations[i];
        if (generation->there && carried_name_compare(&generation->name, name) == 0)
            return generation;
        if (!generation->there && !room)
            room = generation;
    }
    if (!make)
        return NULL;
    FH_ASSERT(room != NULL);
    memset(room, 0, sizeof *room);
    room->there = true;
    room->name = *name;
    return room;
}

/* ---- Carrying out ---- */

static inline int memory_link_order(const struct carried_link *one,
                                    const struct carried_link *other)
{
    if (one->to != other->to || one->from != other->from)
        return one->to < other->to || (one->to == other->to && one->from < other->from) ? -1 : 1;
    int order = strcmp(one->from_id, other->from_id);
    return order ? order : strcmp(one->to_id, other->to_id);
}

static inline void memory_link(struct memory_generation *generation,
                               const struct carried_link *link)
{
    int at = 0;
    while (at < generation->link_count && memory_link_order(&generation->links[at], link) < 0)
        at++;
    if (at < generation->link_count && memory_link_order(&generation->links[at], link) == 0)
        return;
    FH_ASSERT(generation->link_count < MEMORY_LINKS);
    memmove(&generation->links[at + 1], &generation->links[at],
            (size_t)(generation->link_count - at) * sizeof *link);
    generation->links[at] = *link;
    generation->link_count++;
}

static inline void memory_put(struct memory_server *server, struct memory_generation *generation,
                              const struct memory_value *op)
{
    int at = 0;
    while (at < generation->value_count &&
           (server->appends || strcmp(generation->values[at].key, op->key) != 0))
        at++;
    FH_ASSERT(at < MEMORY_VALUES);
    if (at == generation->value_count)
        generation->values[generation->value_count++] = (struct memory_value){.version = -1};
    struct memory_value *value = &generation->values[at];
    int order = strcmp(op->life, value->life);
    if (order > 0 || (order == 0 && op->version > value->version) || server->overwrites)
        *value = *op;
    if (!value->text && server->forgets_tombstones)
        *value = generation->values[--generation->value_count];
}

/* Up to `limit` ops of a page; all of them, and its link, if that is -1. */
static inline enum fh_code memory_carry_out(struct memory_server *server,
                                            const struct memory_request *request, int limit)
{
    struct memory_generation *generation =
        memory_find(server, &request->name, request->what == MEMORY_MAKE);
    if (request->what == MEMORY_DROP && generation)
        generation->there = false;
    if (request->what == MEMORY_DROP)
        return FH_OK;
    if (!generation)
        return FH_NOT_FOUND;
    if (request->what == MEMORY_MAKE) {
        char digest[DERIVED_DIGEST_SIZE];
        derived_digest(request->declared, digest);
        if (generation->digest[0] && strcmp(generation->digest, digest) != 0)
            return FH_INVALID;
        memcpy(generation->digest, digest, sizeof digest);
        return FH_OK;
    }
    if (server->links_first)
        memory_link(generation, &request->link);
    for (int i = 0; i < request->count && (limit < 0 || i < limit); i++)
        memory_put(server, generation, &request->ops[i]);
    if (limit < 0)
        memory_link(generation, &request->link);
    return FH_OK;
}

static inline void memory_keep(struct memory_server *server, const struct memory_request *request)
{
    for (int i = 0; i < MEMORY_LATE; i++) {
        if (server->late[i].what != MEMORY_NOTHING)
            continue;
        server->late[i] = *request;
        size_t size = (size_t)request->count * sizeof *request->ops;
        server->late[i].ops = malloc(size + 1);
        FH_ASSERT(server->late[i].ops != NULL);
        if (size)
            memcpy(server->late[i].ops, request->ops, size);
        return;
    }
}

/* One that is late arrives. False: none is. */
static inline bool memory_deliver(struct memory_server *server)
{
    for (int i = 0; i < MEMORY_LATE; i++) {
        if (server->late[i].what == MEMORY_NOTHING)
            continue;
        memory_carry_out(server, &server->late[i], -1);
        free(server->late[i].ops);
        server->late[i] = (struct memory_request){0};
        return true;
    }
    return false;
}

static inline enum fh_code memory_request(struct memory_server *server,
                                          const struct memory_request *request,
                                          struct fh_error *error)
{
    enum memory_fault fault = server->fault;
    enum fh_code code = FH_OK;
    server->fault = MEMORY_WELL;
    if (server->between)
        server->between(server, false);
    if (fault == MEMORY_AWAY || server->away)
        return error_set(error, FH_UNAVAILABLE, "It is away.");
    if (fault == MEMORY_LATER)
        memory_keep(server, request);
    else
        code = memory_carry_out(server, request, fault == MEMORY_BEGINNING ? 1 : -1);
    if (server->between)
        server->between(server, true);
    if (fault != MEMORY_WELL)
        return error_set(error, FH_OUTCOME_UNKNOWN, "It did not answer.");
    return code == FH_OK ? FH_OK : error_set(error, code, "There is no such generation.");
}

/* ---- The slots ---- */

static inline enum fh_code memory_make(struct carried_server *base,
                                       const struct fh_derived *declared,
                                       const struct carried_name *name, struct fh_error *error)
{
    struct memory_request request = {.what = MEMORY_MAKE, .name = *name, .declared = declared};
    return memory_request((struct memory_server *)base, &request, error);
}

static inline enum fh_code memory_drop(struct carried_server *base,
                                       const struct fh_derived *declared,
                                       const struct carried_name *name, struct fh_error *error)
{
    struct memory_request request = {.what = MEMORY_DROP, .name = *name, .declared = declared};
    return memory_request((struct memory_server *)base, &request, error);
}

static inline uint32_t memory_text(struct memory_server *server, const char *text)
{
    size_t size = strlen(text) + 1;
    uint32_t at = server->texts_used ? server->texts_used : 1;
    if (size == 1)
        return 0;
    FH_ASSERT(at + size <= MEMORY_TEXTS);
    memcpy(&server->texts[at], text, size);
    server->texts_used = at + (uint32_t)size;
    return at;
}

/* The name of a value; all of a point or fact, in which "bad" is looked for as in a name. */
static inline uint32_t memory_text_of(struct memory_server *server,
                                      const struct fh_derived *declared,
                                      const struct carried_op *op, bool *ret_bad)
{
    const char *name;
    if (declared->model == FH_SEARCH) {
        name = json_string_at(op->value, "name");
        *ret_bad = name && strncmp(name, "bad", 3) == 0;
        return memory_text(server, name ? name : "");
    }
    FH_ASSERT(op->values != NULL);
    json_t *fact = carried_ops_fact(declared, op->values);
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    json_write(&text, fact);
    name = json_string_at(fact, declared->fields[0].name);
    *ret_bad =
        name && (strncmp(name, "bad", 3) == 0 || (server->picky && strncmp(name, "odd", 3) == 0));
    uint32_t kept = memory_text(server, text.data);
    text_release(&text);
    json_decref(fact);
    return kept;
}

/* Refuses values whose name, or first field of a point or fact, begins with "bad"; of what it alone
 * has, the whole page. */
static inline enum fh_code memory_send(struct carried_server *base,
                                       const struct fh_derived *declared,
                                       const struct carried_name *name, struct carried_page *page,
                                       struct fh_error *error)
{
    struct memory_server *server = (struct memory_server *)base;
    struct memory_request request = {
        .what = MEMORY_SEND, .name = *name, .declared = declared, .link = page->link};
    bool refuses = false;
    request.ops = calloc((size_t)page->count + 1, sizeof *request.ops);
    FH_ASSERT(request.ops != NULL);
    FH_ASSERT(page->link.to > page->link.from &&
              page->link.to - page->link.from <= CARRIED_SPAN_MAX);
    for (int i = 0; i < page->count; i++) {
        struct carried_op *op = &page->ops[i];
        struct memory_value *value = &request.ops[request.count];
        FH_ASSERT(op->position >= 0 && op->position <= page->link.to);
        bool bad;
        uint32_t text = memory_text_of(server, declared, op, &bad);
        if (bad) {
            snprintf(op->refused, sizeof op->refused, "It is of a kind that is not taken.");
            refuses = true;
            continue;
        }
        snprintf(value->key, sizeof value->key, "%s", op->key);
        snprintf(value->life, sizeof value->life, "%s", op->life ? op->life : "");
        value->text = text;
        value->at_ms = op->at_ms;
        value->version = op->position;
        request.count++;
    }
    server->sends++;
    enum fh_code code = name->kept && refuses ? FH_OK : memory_request(server, &request, error);
    free(request.ops);
    return code;
}

static inline enum fh_code
memory_links(struct carried_server *base, const struct fh_derived *declared,
             const struct carried_name *name, const struct carried_link *after, int limit,
             void (*visit)(void *context, const struct carried_link *link), void *context,
             int *ret_count, struct fh_error *error)
{
    const struct memory_generation *generation =
        memory_find((struct memory_server *)base, name, false);
    (void)declared;
    *ret_count = 0;
    if (!generation)
        return error_set(error, FH_NOT_FOUND, "There is no such generation.");
    bool repeats = ((struct memory_server *)base)->repeats_links;
    for (int i = 0; i < generation->link_count && *ret_count < limit; i++) {
        const struct carried_link *link = &generation->links[i];
        if (!repeats && memory_link_order(link, after) <= 0)
            continue;
        visit(context, link);
        ++*ret_count;
    }
    if (repeats)
        *ret_count = limit;
    return FH_OK;
}

static inline enum fh_code
memory_generations(struct carried_server *base, const struct fh_derived *declared,
                   void (*visit)(void *context, const struct carried_name *name), void *context,
                   struct fh_error *error)
{
    struct memory_server *server = (struct memory_server *)base;
    (void)declared;
    (void)error;
    for (int i = 0; i < MEMORY_GENERATIONS; i++) {
        if (server->generations[i].there)
            visit(context, &server->generations[i].name);
    }
    return FH_OK;
}

static inline int memory_value_order(const void *one, const void *other)
{
    return strcmp(((const struct memory_value *)one)->key,
                  ((const struct memory_value *)other)->key);
}

/* NULL, and the error: it can't be asked. */
static inline struct memory_generation *
memory_asked(struct memory_server *server, const struct carried_name *name, struct fh_error *error)
{
    struct memory_generation *generation = memory_find(server, name, false);
    server->searches++;
    if (server->between)
        server->between(server, false);
    if (!server->away && generation && generation->there)
        return generation;
    error_set(error, server->away ? FH_UNAVAILABLE : FH_NOT_FOUND,
              server->away ? "It is away." : "There is no such generation.");
    return NULL;
}

/* All there is: "key=name key=name". */
static inline enum fh_code memory_search(struct carried_server *base,
                                         const struct fh_derived *declared,
                                         const struct carried_name *name,
                                         const struct fh_search *search, int64_t deadline_ns,
                                         json_t **ret, struct fh_error *error)
{
    struct memory_server *server = (struct memory_server *)base;
    struct memory_generation *generation = memory_asked(server, name, error);
    (void)declared;
    (void)search;
    (void)deadline_ns;
    if (!generation)
        return error->code;
    struct memory_value *values = generation->values; /* in whatever order */
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    qsort(values, (size_t)generation->value_count, sizeof *values, memory_value_order);
    for (int i = 0; i < generation->value_count; i++) {
        if (values[i].text)
            text_printf(&text, "%s=%s ", values[i].key, &server->texts[values[i].text]);
    }
    *ret = json_string(text.data ? text.data : "");
    text_release(&text);
    return FH_OK;
}

static inline enum fh_code memory_tally(struct carried_server *base,
                                        const struct fh_derived *declared,
                                        const struct carried_name *name, const void *question,
                                        int64_t oldest_ms, const struct series_past *past,
                                        json_t **ret, struct fh_error *error)
{
    struct memory_server *server = (struct memory_server *)base;
    const struct memory_generation *generation = memory_asked(server, name, error);
    if (!generation)
        return error->code;
    struct tallied_fact *facts = calloc((size_t)generation->value_count + 1, sizeof *facts);
    json_t *values = json_array();
    FH_ASSERT(facts != NULL);
    for (int i = 0; i < generation->value_count; i++) {
        json_t *value = json_loads(&server->texts[generation->values[i].text], 0, NULL);
        FH_ASSERT(value != NULL);
        json_array_append_new(values, value);
        facts[i] = (struct tallied_fact){.at_ms = generation->values[i].at_ms, .value = value};
    }
    enum fh_code code =
        declared->model == FH_SERIES
            ? tallied_series(declared, facts, generation->value_count, question, oldest_ms, past,
                             ret, error)
            : tallied(declared, facts, generation->value_count, question, oldest_ms, ret, error);
    json_decref(values);
    free(facts);
    return code;
}

static inline enum fh_code memory_series(struct carried_server *base,
                                         const struct fh_derived *declared,
                                         const struct carried_name *name,
                                         const struct fh_series *series, int64_t oldest_ms,
                                         const struct series_past *past, int64_t deadline_ns,
                                         json_t **ret, struct fh_error *error)
{
    (void)deadline_ns;
    return memory_tally(base, declared, name, series, oldest_ms, past, ret, error);
}

static inline enum fh_code memory_columns(struct carried_server *base,
                                          const struct fh_derived *declared,
                                          const struct carried_name *name,
                                          const struct fh_columns *columns, int64_t oldest_ms,
                                          int64_t deadline_ns, json_t **ret, struct fh_error *error)
{
    (void)deadline_ns;
    return memory_tally(base, declared, name, columns, oldest_ms, NULL, ret, error);
}

static inline enum fh_code memory_trim(struct carried_server *base,
                                       const struct fh_derived *declared,
                                       const struct carried_name *name, int64_t oldest_ms,
                                       struct fh_error *error)
{
    struct memory_server *server = (struct memory_server *)base;
    struct memory_generation *generation = memory_find(server, name, false);
    int kept = 0;
    (void)declared;
    if (server->away)
        return error_set(error, FH_UNAVAILABLE, "It is away.");
    if (!generation)
        return error_set(error, FH_NOT_FOUND, "There is no such generation.");
    for (int i = 0; i < generation->value_count; i++) {
        if (generation->values[i].at_ms >= oldest_ms)
            generation->values[kept++] = generation->values[i];
    }
    generation->value_count = kept;
    server->trimmed_ms = oldest_ms;
    server->trims++;
    return FH_OK;
}

static inline enum fh_code memory_settles(struct carried_server *base, int64_t *ret_settle_s,
                                          int64_t *ret_running_s, struct fh_error *error)
{
    struct memory_server *server = (struct memory_server *)base;
    if (server->between)
        server->between(server, false);
    *ret_settle_s = server->settle_s;
    *ret_running_s = server->running_s;
    return server->away ? error_set(error, FH_UNAVAILABLE, "It is away.") : FH_OK;
}

static inline enum fh_code memory_count_behind(struct carried_server *base,
                                               const struct fh_derived *declared,
                                               const struct carried_name *name, int64_t position,
                                               int64_t *ret_count, struct fh_error *error)
{
    struct memory_server *server = (struct memory_server *)base;
    const struct memory_generation *generation = memory_find(server, name, false);
    (void)declared;
    *ret_count = 0;
    if (server->away)
        return error_set(error, FH_UNAVAILABLE, "It is away.");
    if (!generation)
        return error_set(error, FH_NOT_FOUND, "There is no such generation.");
    if (server->count_takes_us) {
        usleep((useconds_t)server->count_takes_us);
        return error_set(error, FH_UNAVAILABLE, "It did not answer in time.");
    }
    for (int i = 0; i < generation->value_count; i++)
        *ret_count += generation->values[i].version > position;
    return FH_OK;
}

static const struct carried_server_ops memory_ops = {
    .name = "memory",
    .models = 1u << FH_SEARCH | 1u << FH_SERIES | 1u << FH_COLUMNS,
    .make = memory_make,
    .send = memory_send,
    .links = memory_links,
    .generations = memory_generations,
    .drop = memory_drop,
    .search = memory_search,
    .series = memory_series,
    .columns = memory_columns,
    .settles = memory_settles,
    .count = memory_count_behind,
    .trim = memory_trim,
};

/* ---- What happens to it ---- */

static inline void memory_back_up(struct memory_server *server)
{
    memcpy(server->backup, server->generations, sizeof server->backup);
}

static inline void memory_restore(struct memory_server *server)
{
    memcpy(server->generations, server->backup, sizeof server->backup);
}

static inline void memory_empty(struct memory_server *server)
{
    memset(server->generations, 0, sizeof server->generations);
}

static inline int memory_count(const struct memory_server *server)
{
    int count = 0;
    for (int i = 0; i < MEMORY_GENERATIONS; i++)
        count += server->generations[i].there;
    return count;
}

static inline struct memory_server *memory_server_new(void)
{
    struct memory_server *server = calloc(1, sizeof *server);
    FH_ASSERT(server != NULL);
    server->base.ops = &memory_ops;
    return server;
}

static inline void memory_server_free(struct memory_server *server)
{
    for (int i = 0; i < MEMORY_LATE; i++)
        free(server->late[i].ops);
    free(server);
}

#endif
