/* SPDX-License-Identifier: Apache-2.0 */
/* Lists a bounded part of the outbox, from one snapshot, without what is marked in the data. */

#include "event/outbox/list.h"

#include <string.h>

#include "base/json.h"
#include "event/envelope.h"
#include "event/marks.h"
#include "event/outbox/place.h"
#include "work/work.h"

struct listing {
    const struct event_question *question;
    const struct event_manager *manager;
    json_t *events, *types;
    int64_t next;
    size_t size;
};

/* Freehold's own events, such as sagas' starts, are not listed. */
static bool is_listed_event(const struct event_question *question, const struct ledger_event *event)
{
    return strncmp(event->type, "freehold.", 9) != 0 &&
           (!question->type || strcmp(question->type, event->type) == 0) &&
           (!question->key || strcmp(question->key, event->key) == 0);
}

static void count_listed_type(struct listing *listing, const char *type)
{
    json_int_t before = json_integer_value(json_object_get(listing->types, type));
    json_object_set_new(listing->types, type, json_integer(before + 1));
}

static void list_outbox_event(struct listing *listing, const struct ledger_event *event)
{
    struct text text;
    json_t *envelope;
    text_init(&text, TEXT_LENGTH_MAX);
    const char *service = listing->manager->context->service->name;
    envelope_write(&text, service, event, NULL);
    if (json_parse(text.data ? text.data : "", text.length, &envelope, ERROR_UNHEEDED) == FH_OK) {
        event_marks_redact(listing->manager, service, envelope);
        json_array_append_new(listing->events, envelope);
    }
    listing->size += text.length;
    text_release(&text);
}

static bool visit_listed_event(void *context, const struct ledger_event *event)
{
    struct listing *listing = context;
    const struct event_question *question = listing->question;
    listing->next = event->position;
    if (!is_listed_event(question, event))
        return true;
    if (question->counts)
        count_listed_type(listing, event->type);
    else
        list_outbox_event(listing, event);
    return listing->size < EVENT_LIST_SIZE_MAX &&
           (int)json_array_size(listing->events) < question->limit;
}

enum fh_code event_list(struct event_manager *manager, const struct event_question *question,
                        json_t **ret, struct fh_error *error)
{
    struct store_work *work;
    struct listing listing = {.question = question, .manager = manager};
    int64_t last = 0, trimmed = 0;
    char id[ID_SIZE], after_id[ID_SIZE] = "";
    enum fh_code code = store_begin(manager->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    listing.events = json_array();
    listing.types = json_object();
    code = ledger_position(work, &last, error);
    if (code == FH_OK)
        code = ledger_outbox_trimmed(work, &trimmed, id, error);
    if (code == FH_OK && question->after >= trimmed && question->after <= last)
        code = place_id(work, question->after, after_id, error);
    listing.next = question->after > trimmed ? question->after : trimmed;
    if (code == FH_OK && listing.next < last)
        code = ledger_outbox_read(work, listing.next, EVENT_LIST_SCAN_MAX, visit_listed_event,
                                  &listing, error);
    store_rollback(work);
    if (code == FH_OK)
        *ret = json_pack("{s:O, s:I, s:I, s:I, s:s, s:s}", question->counts ? "types" : "events",
                         question->counts ? listing.types : listing.events, "next",
                         (json_int_t)listing.next, "last", (json_int_t)last, "trimmed",
                         (json_int_t)trimmed, "incarnation", manager->context->store->incarnation,
                         "after_id", after_id);
    json_decref(listing.events);
    json_decref(listing.types);
    return code;
}
