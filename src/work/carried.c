/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a unit of work derives for a server. It is noted as text when it is given, since the value
 * is the handler's again afterwards; the last one of a key counts. The hook that runs after the
 * handler appends it to the outbox, with the handler's own changes: the commit decides over both. A
 * rerun notes afresh: the first run's notes were on its arena.
 *
 * An event that is applied again (event/subscribe/replay.h) derives again: that is a change of what
 * the service keeps, and does not reach out.
 */

#include "work/carried.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/json.h"
#include "store/derived/series.h"
#include "store/engine.h"
#include "store/relational/sql.h"

#define NOTED_PLACES_MIN 64
#define TAGS_DIGEST 20 /* bytes: whoever chooses tags finds no two that meet */

/* One op of a run, on its arena. */
struct noted_op {
    const struct fh_derived *declared;
    const char *key, *text;
    size_t length;
    uint64_t hash;
    struct noted_op *next;
};

struct noted_ops {
    struct noted_op *first, *last;
    struct noted_op **places; /* by their hashes, with open addressing: half are free, or more */
    size_t place_count, op_count;
    struct ledger_event *events, *events_last;
    int count;
};

/* Who publishes an event keeps others of its key off until the commit. Ops have the order of their
 * own keys, so with several writers their events need not have all the same one. */
void carried_event_key(char ret[static CARRIED_EVENT_KEY_SIZE], const struct engine *engine,
                       const char *op_key)
{
    if (engine_can(engine, ENGINE_MANY_INSTANCES))
        snprintf(ret, CARRIED_EVENT_KEY_SIZE, CARRIED_TYPE " %02x",
                 (unsigned)(XXH3_64bits(op_key, strlen(op_key)) % CARRIED_EVENT_KEYS));
    else
        snprintf(ret, CARRIED_EVENT_KEY_SIZE, CARRIED_TYPE);
}

bool work_carries(const struct work_context *context, const struct fh_derived *declared)
{
    if (!context->carried)
        return false;
    return context->carried->declared >> (declared - context->service->derives) & 1;
}

bool work_carries_alone(const struct work_context *context, const struct fh_derived *declared)
{
    return work_carries(context, declared) &&
           context->carried->kept >> (declared - context->service->derives) & 1;
}

void carried_write_op(struct text *text, const struct fh_derived *declared, const char *key,
                      const json_t *value)
{
    text_add(text, "{\"name\":");
    json_write_string(text, declared->name, strlen(declared->name));
    text_add(text, ",\"key\":");
    json_write_string(text, key, strlen(key));
    if (value) {
        text_add(text, ",\"value\":");
        for (const struct fh_derived_field *field = declared->fields; field->name; field++) {
            text_add(text, field == declared->fields ? "{" : ",");
            json_write_string(text, field->name, strlen(field->name));
            text_add(text, ":");
            json_write(text, json_object_get(value, field->name));
        }
        text_add(text, "}");
    }
    text_add(text, "}");
}

static void write_kept_value(struct text *text, const struct fh_derived_field *field,
                             const struct sql_value *value)
{
    if (value->kind == SQL_TEXT) {
        json_write_string(text, value->text, value->length);
    } else if (value->kind == SQL_NULL) {
        text_add(text, "null");
    } else if (field->type == FH_NUMBER) {
        json_write_real(text, value->kind == SQL_REAL ? value->real : (double)value->integer);
    } else if (field->type == FH_BOOL) {
        text_add(text, value->integer ? "true" : "false");
    } else {
        text_integer(text, value->integer);
    }
}

void carried_fact_key(char ret[static CARRIED_FACT_KEY_SIZE], const struct derived_fact *fact)
{
    snprintf(ret, CARRIED_FACT_KEY_SIZE, "%lld@%lld", (long long)fact->id, (long long)fact->at_ms);
}

bool carried_fact_of_key(const char *key, int64_t *ret_id, int64_t *ret_at_ms)
{
    char *end;
    *ret_id = strtoll(key, &end, 10);
    if (end == key || *end != '@')
        return false;
    const char *at = end + 1;
    *ret_at_ms = strtoll(at, &end, 10);
    return end != at && !*end;
}

void carried_write_fact(struct text *text, const struct fh_derived *declared, const char *key,
                        const struct derived_fact *fact)
{
    text_add(text, "{\"name\":");
    json_write_string(text, declared->name, strlen(declared->name));
    text_printf(text, ",\"key\":\"%s\",\"at_ms\":%lld,\"value\":", key, (long long)fact->at_ms);
    for (int i = 0; declared->fields[i].name; i++) {
        text_add(text, i ? "," : "{");
        json_write_string(text, declared->fields[i].name, strlen(declared->fields[i].name));
        text_add(text, ":");
        write_kept_value(text, &declared->fields[i], &fact->values[i]);
    }
    text_add(text, "}}");
}

/* ---- The end of the unit of work ---- */

/* Of two of one point that one counts whose life is later (docs/internals/carriers.md, 36). */
static bool needs_life(fh_work *w, const struct noted_op *first, const struct noted_op *end)
{
    for (const struct noted_op *op = first; op != end; op = op->next) {
        if (op->declared->model == FH_SERIES && work_carries_alone(w->context, op->declared))
            return true;
    }
    return false;
}

/* Of ops from `first` on, as many as fit. */
static const struct noted_op *add_event(fh_work *w, struct noted_ops *ops,
                                        const struct noted_op *first)
{
    static const char begins[] = "{\"ops\":[";
    char ends[ID_SIZE + 16] = "]}";
    size_t length = first->length;
    const struct noted_op *end = first->next;
    for (; end && length + 1 + end->length <= CARRIED_DATA_SIZE_MAX; end = end->next)
        length += 1 + end->length;
    if (needs_life(w, first, end))
        snprintf(ends, sizeof ends, "],\"life\":\"%s\"}", w->context->store->incarnation);
    char *data = work_alloc(w, sizeof begins + length + sizeof ends), *at = data;
    memcpy(at, begins, sizeof begins - 1);
    at += sizeof begins - 1;
    for (const struct noted_op *op = first; op != end; op = op->next) {
        if (op != first)
            *at++ = ',';
        memcpy(at, op->text, op->length);
        at += op->length;
    }
    memcpy(at, ends, strlen(ends) + 1);
    struct ledger_event *event = work_alloc(w, sizeof *event + CARRIED_EVENT_KEY_SIZE);
    char *key = (char *)(event + 1);
    carried_event_key(key, w->context->store->engine, first->key);
    *event = (struct ledger_event){.time_ms = w->now_ms,
                                   .version = CARRIED_VERSION,
                                   .id = fh_id_new(w),
                                   .type = CARRIED_TYPE,
                                   .key = key,
                                   .data = data};
    if (ops->events_last)
        ops->events_last->next = event;
    else
        ops->events = event;
    ops->events_last = event;
    ops->count++;
    return end;
}

/* What a server alone has may have any place among others: a fact is never another one, and of a
 * point that one counts which is committed last. */
static enum fh_code touch_keys(fh_work *w, const struct noted_ops *ops, struct fh_error *error)
{
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    for (const struct noted_op *op = ops->first; op; op = op->next) {
        if (work_carries_alone(w->context, op->declared))
            continue;
        text_add(&text, text.length ? ",[" : "[[");
        json_write_string(&text, op->declared->name, strlen(op->declared->name));
        text_add(&text, ",");
        json_write_string(&text, op->key, strlen(op->key));
        text_add(&text, "]");
    }
    text_add(&text, "]");
    enum fh_code code = FH_OK;
    if (text.overflow)
        code = error_set(error, FH_NO_MEMORY, "There is no memory for what is derived.");
    else if (text.length > 1)
        code = ledger_derived_touch(w->store_work, text.data, error);
    text_release(&text);
    return code;
}

static enum fh_code write_carried(fh_work *w, void *argument, struct fh_error *error)
{
    struct noted_ops *ops = argument;
    for (const struct noted_op *op = ops->first; op;)
        op = add_event(w, ops, op);
    enum fh_code code = FH_OK;
    if (engine_can(w->context->store->engine, ENGINE_MANY_INSTANCES))
        code = touch_keys(w, ops, error);
    if (code == FH_OK)
        code = ledger_outbox_append(w->store_work, ops->events, error);
    work_appended(w, ops->events);
    return code;
}

static void carried_committed(fh_work *w, void *argument)
{
    const struct noted_ops *ops = argument;
    if (w->context->carried->committed)
        w->context->carried->committed(w->context, ops->events_last->position, ops->count);
}

/* ---- What is derived ---- */

static struct noted_ops *noted_ops_of(fh_work *w)
{
    for (struct work_hook *hook = w->hooks_first; hook; hook = hook->next) {
        if (hook->finish == write_carried)
            return hook->argument;
    }
    struct noted_ops *ops = work_alloc(w, sizeof *ops);
    *ops = (struct noted_ops){0};
    work_on_end_always(w, write_carried, carried_committed, ops);
    return ops;
}

/* Where the op of this key is, or will be. */
static struct noted_op **noted_place(const struct noted_ops *ops, const struct fh_derived *declared,
                                     const char *key, uint64_t hash)
{
    size_t at = hash & (ops->place_count - 1);
    for (; ops->places[at]; at = (at + 1) & (ops->place_count - 1)) {
        const struct noted_op *op = ops->places[at];
        if (op->hash == hash && op->declared == declared && strcmp(op->key, key) == 0)
            break;
    }
    return &ops->places[at];
}

static void make_noted_places(fh_work *w, struct noted_ops *ops)
{
    if ((ops->op_count + 1) * 2 <= ops->place_count)
        return;
    ops->place_count = ops->place_count ? ops->place_count * 2 : NOTED_PLACES_MIN;
    ops->places = work_alloc(w, ops->place_count * sizeof *ops->places);
    memset(ops->places, 0, ops->place_count * sizeof *ops->places);
    for (struct noted_op *op = ops->first; op; op = op->next)
        *noted_place(ops, op->declared, op->key, op->hash) = op;
}

static struct noted_op *noted_op_of(fh_work *w, const struct fh_derived *declared, const char *key)
{
    struct noted_ops *ops = noted_ops_of(w);
    size_t length = strlen(key) + 1;
    make_noted_places(w, ops);
    uint64_t hash = XXH3_64bits_withSeed(key, length, (uint64_t)(uintptr_t)declared);
    struct noted_op **place = noted_place(ops, declared, key, hash);
    if (*place)
        return *place;
    struct noted_op *op = work_alloc(w, sizeof *op + length);
    *op = (struct noted_op){.declared = declared, .key = memcpy(op + 1, key, length), .hash = hash};
    if (ops->last)
        ops->last->next = op;
    else
        ops->first = op;
    ops->last = *place = op;
    ops->op_count++;
    return op;
}

static void note_carried_text(fh_work *w, const struct fh_derived *declared, const char *key,
                              struct text *text)
{
    struct noted_op *op = noted_op_of(w, declared, key);
    char *kept = text->overflow ? NULL : arena_try_alloc(&w->arena, text->length + 1);
    if (kept)
        memcpy(kept, text->data, text->length + 1);
    op->length = text->length;
    op->text = kept;
    text_release(text);
    if (!kept)
        work_fault(w, WORK_MEMORY_FAULT);
}

void carried_note(fh_work *w, const struct fh_derived *declared, const char *key,
                  const json_t *value)
{
    struct arena *before = json_arena_set(NULL);
    json_t *valid = json_string(key);
    json_decref(valid);
    json_arena_set(before);
    if (!valid)
        work_fault(w, "A key of the derived store %s is no UTF-8.", declared->name);
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    carried_write_op(&text, declared, key, value);
    note_carried_text(w, declared, key, &text);
}

static void note_fact_op(fh_work *w, const struct fh_derived *declared, const char *key,
                         const struct derived_fact *fact)
{
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    carried_write_fact(&text, declared, key, fact);
    note_carried_text(w, declared, key, &text);
}

void carried_note_fact(fh_work *w, const struct fh_derived *declared,
                       const struct derived_fact *fact)
{
    char key[CARRIED_FACT_KEY_SIZE];
    carried_fact_key(key, fact);
    note_fact_op(w, declared, key, fact);
}

/* Nobody has numbered its curve. */
static void write_point_key(char ret[static CARRIED_FACT_KEY_SIZE],
                            const struct fh_derived *declared, const struct derived_fact *fact)
{
    crypto_generichash_state state;
    unsigned char digest[TAGS_DIGEST];
    crypto_generichash_init(&state, NULL, 0, sizeof digest);
    for (int i = 0; declared->fields[i].name; i++) {
        const struct sql_value *tag = &fact->values[i];
        if (!series_is_tag(&declared->fields[i]))
            continue;
        int64_t number = tag->kind == SQL_TEXT ? (int64_t)tag->length : tag->integer;
        crypto_generichash_update(&state, (const unsigned char *)&number, sizeof number);
        if (tag->kind == SQL_TEXT)
            crypto_generichash_update(&state, (const unsigned char *)tag->text, tag->length);
    }
    crypto_generichash_final(&state, digest, sizeof digest);
    sodium_bin2hex(ret, 2 * sizeof digest + 1, digest, sizeof digest);
    snprintf(ret + 2 * sizeof digest, CARRIED_FACT_KEY_SIZE - 2 * sizeof digest, "@%lld",
             (long long)fact->at_ms);
}

void carried_note_kept(fh_work *w, const struct fh_derived *declared,
                       const struct derived_fact *fact)
{
    char key[CARRIED_FACT_KEY_SIZE];
    if (declared->model == FH_SERIES) {
        write_point_key(key, declared, fact);
        note_fact_op(w, declared, key, fact);
    } else {
        note_fact_op(w, declared, text_of_integer(fact->id, key), fact);
    }
}
