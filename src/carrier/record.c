/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing carried_record, and what follows from it. A record that can't be read is
 * nothing to guess about: the carrier stops, and the outbox stays.
 */

#include "carrier/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/ledger.h"

#define RECORD_NAME_SIZE (DERIVED_NAME_LENGTH_MAX + 16)
#define RECORD_SIZE_MAX ((size_t)256 << 10)

static bool is_plain_id(const char *id)
{
    return strspn(id, "0123456789abcdef-") == strlen(id);
}

enum fh_code carried_page_is_plain(const struct carried_page *page, struct fh_error *error)
{
    const struct carried_link *link = &page->link;
    if (is_plain_id(link->from_id) && is_plain_id(link->to_id) && is_plain_id(page->life))
        return FH_OK;
    return error_set(
        error, FH_UNSUPPORTED,
        "An event at position %lld or %lld has an id of a form that events don't have.",
        (long long)link->from, (long long)link->to);
}

bool carried_page_is_refused(const struct carried_page *page)
{
    for (int i = 0; i < page->count; i++) {
        if (page->ops[i].refused[0])
            return true;
    }
    return false;
}

int carried_name_compare(const struct carried_name *one, const struct carried_name *other)
{
    int order = strcmp(one->incarnation, other->incarnation);
    return order ? order : (one->number > other->number) - (one->number < other->number);
}

static void carried_meta_name(const char *name, char ret[static RECORD_NAME_SIZE])
{
    snprintf(ret, RECORD_NAME_SIZE, "carried %s", name);
}

/* ---- Reading ---- */

static bool take_carried_text(const json_t *from, const char *member, char *ret, size_t size)
{
    const char *text = json_string_value(json_object_get(from, member));
    return text && (size_t)snprintf(ret, size, "%s", text) < size;
}

static bool take_carried_place(const json_t *from, const char *member, int64_t *ret)
{
    const json_t *value = json_object_get(from, member);
    *ret = json_integer_value(value);
    return json_is_integer(value) && *ret >= 0 && *ret <= CARRIED_NUMBER_MAX;
}

static bool take_carried_parked(const json_t *from, struct carried_generation *generation)
{
    size_t i;
    const json_t *item;
    if (!json_is_array(from) || json_array_size(from) > CARRIED_PARKED_MAX)
        return false;
    json_array_foreach (from, i, item) {
        struct carried_parked *parked = &generation->parked[i];
        if (!take_carried_text(item, "key", parked->key, sizeof parked->key) ||
            !take_carried_text(item, "reason", parked->reason, sizeof parked->reason) ||
            !take_carried_place(item, "position", &parked->position))
            return false;
    }
    generation->parked_count = (int)json_array_size(from);
    return true;
}

static bool take_losses(const json_t *from, struct carried_kept *kept)
{
    size_t i;
    const json_t *item;
    if (!json_is_array(from) || json_array_size(from) > CARRIED_LOSSES_MAX)
        return false;
    json_array_foreach (from, i, item) {
        struct carried_loss *loss = &kept->losses[i];
        if (!take_carried_place(item, "after", &loss->after) ||
            !take_carried_place(item, "to", &loss->to) ||
            !take_carried_place(item, "at_ms", &loss->at_ms))
            return false;
    }
    kept->loss_count = (int)json_array_size(from);
    return true;
}

static bool take_former_facts(const json_t *from, int64_t *ret)
{
    json_int_t facts;
    bool uncounted = json_integer_at(from, "facts", &facts) && facts == CARRIED_UNCOUNTED;
    *ret = CARRIED_UNCOUNTED;
    return uncounted || take_carried_place(from, "facts", ret);
}

static bool take_formers(const json_t *from, struct carried_kept *kept)
{
    size_t i;
    const json_t *item;
    if (!json_is_array(from) || json_array_size(from) > CARRIED_LOSSES_MAX)
        return false;
    json_array_foreach (from, i, item) {
        struct carried_former *former = &kept->formers[i];
        if (!take_carried_text(item, "incarnation", former->incarnation, ID_SIZE) ||
            !take_carried_place(item, "position", &former->position) ||
            !take_former_facts(item, &former->facts))
            return false;
    }
    kept->former_count = (int)json_array_size(from);
    return true;
}

static bool take_milestone(const json_t *from, struct carried_milestone *milestone)
{
    return !from || (take_carried_text(from, "name", milestone->name, ID_SIZE) &&
                     take_carried_text(from, "id", milestone->place.id, ID_SIZE) &&
                     take_carried_place(from, "position", &milestone->place.position));
}

static bool take_kept(const json_t *from, struct carried_kept *kept)
{
    kept->made = json_is_true(json_object_get(from, "made"));
    kept->lacks = json_is_true(json_object_get(from, "lacks"));
    return take_carried_text(from, "began_id", kept->began_id, ID_SIZE) &&
           take_carried_text(from, "cursor_id", kept->cursor_id, ID_SIZE) &&
           take_carried_text(from, "life", kept->life, ID_SIZE) &&
           take_carried_place(from, "settled", &kept->settled) &&
           take_carried_place(from, "whole", &kept->whole) &&
           (!json_object_get(from, "gaps") || take_carried_place(from, "gaps", &kept->gaps)) &&
           take_milestone(json_object_get(from, "milestone"), &kept->milestone) &&
           take_losses(json_object_get(from, "losses"), kept) &&
           take_formers(json_object_get(from, "formers"), kept);
}

static bool take_generation(const json_t *from, struct carried_generation *ret)
{
    if (!from)
        return true;
    const json_t *kept = json_object_get(from, "kept");
    ret->name.kept = kept != NULL;
    ret->listed = json_is_true(json_object_get(from, "listed"));
    ret->filled = json_is_true(json_object_get(from, "filled"));
    ret->lost = json_is_true(json_object_get(from, "lost"));
    return take_carried_place(from, "number", &ret->name.number) && ret->name.number > 0 &&
           take_carried_text(from, "incarnation", ret->name.incarnation,
                             sizeof ret->name.incarnation) &&
           take_carried_text(from, "digest", ret->digest, sizeof ret->digest) &&
           take_carried_text(from, "after", ret->after, sizeof ret->after) &&
           take_carried_place(from, "began", &ret->began) &&
           take_carried_place(from, "cursor", &ret->cursor) &&
           (kept ? take_kept(kept, &ret->kept)
                 : take_carried_parked(json_object_get(from, "parked"), ret));
}

static enum fh_code record_parse(const char *text, const char *name, struct carried_record *ret,
                                 struct fh_error *error)
{
    json_t *from = NULL;
    struct arena *arena = json_arena_set(NULL);
    bool read = json_parse(text, strlen(text), &from, error) == FH_OK &&
                take_carried_place(from, "last", &ret->last) &&
                take_generation(json_object_get(from, "serving"), &ret->serving) &&
                take_generation(json_object_get(from, "filling"), &ret->filling);
    json_decref(from);
    json_arena_set(arena);
    if (read)
        return FH_OK;
    return error_set(error, FH_UNSUPPORTED,
                     "What the store knows of the derived store %s can't be read: another version "
                     "of the library wrote it, or it is damaged.",
                     name);
}

enum fh_code carried_record_read(struct store_work *work, const char *name,
                                 struct carried_record *ret, struct fh_error *error)
{
    char meta[RECORD_NAME_SIZE], *text = malloc(RECORD_SIZE_MAX);
    memset(ret, 0, sizeof *ret);
    if (!text)
        return error_set(error, FH_NO_MEMORY, "There is no memory to read how far %s is.", name);
    carried_meta_name(name, meta);
    enum fh_code code = ledger_meta_get(work, meta, text, RECORD_SIZE_MAX, error);
    if (code == FH_OK && text[0])
        code = record_parse(text, name, ret, error);
    free(text);
    return code;
}

enum fh_code carried_record_get(struct store_work *work, const char *name,
                                struct carried_record **ret, struct fh_error *error)
{
    *ret = malloc(sizeof **ret);
    FH_ASSERT(*ret != NULL);
    return carried_record_read(work, name, *ret, error);
}

/* ---- Writing ---- */

static json_t *kept_json(const struct carried_kept *kept)
{
    json_t *losses = json_array(), *formers = json_array();
    for (int i = 0; i < kept->loss_count; i++)
        json_array_append_new(losses, json_pack("{s:I, s:I, s:I}", "after",
                                                (json_int_t)kept->losses[i].after, "to",
                                                (json_int_t)kept->losses[i].to, "at_ms",
                                                (json_int_t)kept->losses[i].at_ms));
    for (int i = 0; i < kept->former_count; i++)
        json_array_append_new(formers, json_pack("{s:s, s:I, s:I}", "incarnation",
                                                 kept->formers[i].incarnation, "position",
                                                 (json_int_t)kept->formers[i].position, "facts",
                                                 (json_int_t)kept->formers[i].facts));
    json_t *milestone = NULL;
    if (kept->milestone.name[0])
        milestone = json_pack("{s:s, s:s, s:I}", "name", kept->milestone.name, "id",
                              kept->milestone.place.id, "position",
                              (json_int_t)kept->milestone.place.position);
    return json_pack("{s:s, s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:o, s:o, s:o*}", "began_id",
                     kept->began_id, "cursor_id", kept->cursor_id, "life", kept->life, "made",
                     kept->made, "lacks", kept->lacks, "gaps", (json_int_t)kept->gaps, "settled",
                     (json_int_t)kept->settled, "whole", (json_int_t)kept->whole, "losses", losses,
                     "formers", formers, "milestone", milestone);
}

static json_t *generation_json(const struct carried_generation *generation)
{
    json_t *parked = json_array();
    for (int i = 0; i < generation->parked_count; i++) {
        const struct carried_parked *one = &generation->parked[i];
        json_array_append_new(parked, json_pack("{s:s, s:I, s:o}", "key", one->key, "position",
                                                (json_int_t)one->position, "reason",
                                                json_string_lossy(one->reason)));
    }
    if (generation->name.kept) {
        json_decref(parked);
        parked = kept_json(&generation->kept);
    }
    return json_pack("{s:I, s:s, s:s, s:s, s:b, s:b, s:b, s:I, s:I, s:o}", "number",
                     (json_int_t)generation->name.number, "incarnation",
                     generation->name.incarnation, "digest", generation->digest, "after",
                     generation->after, "listed", generation->listed, "filled", generation->filled,
                     "lost", generation->lost, "began", (json_int_t)generation->began, "cursor",
                     (json_int_t)generation->cursor, generation->name.kept ? "kept" : "parked",
                     parked);
}

enum fh_code carried_record_write(struct store_work *work, const char *name,
                                  const struct carried_record *record, struct fh_error *error)
{
    char meta[RECORD_NAME_SIZE];
    struct arena *arena = json_arena_set(NULL);
    json_t *to = json_pack("{s:I}", "last", (json_int_t)record->last);
    if (record->serving.name.number)
        json_object_set_new(to, "serving", generation_json(&record->serving));
    if (record->filling.name.number)
        json_object_set_new(to, "filling", generation_json(&record->filling));
    char *text = json_text(to);
    json_decref(to);
    carried_meta_name(name, meta);
    enum fh_code code = ledger_meta_put(work, meta, text, error);
    json_text_free(text);
    json_arena_set(arena);
    return code;
}

/* ---- What follows from it ---- */

enum fh_code carried_record_forget(struct store_work *work, const char *name,
                                   struct fh_error *error)
{
    struct carried_record *record;
    enum fh_code code = carried_record_get(work, name, &record, error);
    bool some = record->serving.name.number || record->filling.name.number;
    if (code == FH_OK && some) {
        record->serving = record->filling = (struct carried_generation){0};
        code = carried_record_write(work, name, record, error);
    } else if (code == FH_UNSUPPORTED) {
        code = FH_OK;
    }
    free(record);
    return code;
}

enum fh_code carried_record_forget_copy(struct store_work *work, const char *name,
                                        struct fh_error *error)
{
    struct carried_record *record;
    enum fh_code code = carried_record_get(work, name, &record, error);
    bool kept = code == FH_OK && record->serving.name.kept;
    free(record);
    if (code != FH_OK && code != FH_UNSUPPORTED)
        return code;
    return kept ? FH_OK : carried_record_forget(work, name, error);
}

struct carried_generation *carried_record_find(struct carried_record *record,
                                               const struct carried_name *name)
{
    if (!name->number)
        return NULL;
    if (carried_name_compare(&record->serving.name, name) == 0)
        return &record->serving;
    return carried_name_compare(&record->filling.name, name) == 0 ? &record->filling : NULL;
}

/* From the incarnation's own entry on, no backup was restored. */
static bool never_restored_since(const json_t *ancestors, const char *incarnation)
{
    size_t i;
    const json_t *entry;
    bool found = false;
    json_array_foreach (ancestors, i, entry) {
        const char *former = json_string_at(entry, "incarnation");
        found = found || (former && strcmp(former, incarnation) == 0);
        if (found && json_is_true(json_object_get(entry, "restored")))
            return false;
    }
    return found;
}

enum fh_code carried_same_life(struct store_work *work, const char *incarnation, bool *ret,
                               struct fh_error *error)
{
    char present[ID_SIZE], text[LEDGER_ANCESTORS_SIZE];
    json_t *ancestors = NULL;
    enum fh_code code = ledger_meta_get(work, LEDGER_INCARNATION, present, sizeof present, error);
    if (code != FH_OK)
        return code;
    *ret = strcmp(present, incarnation) == 0;
    if (*ret)
        return FH_OK;
    code = ledger_meta_get(work, LEDGER_ANCESTORS, text, sizeof text, error);
    if (code != FH_OK || !text[0])
        return code;
    struct arena *arena = json_arena_set(NULL);
    code = json_parse(text, strlen(text), &ancestors, error);
    *ret = code == FH_OK && never_restored_since(ancestors, incarnation);
    json_decref(ancestors);
    json_arena_set(arena);
    return code;
}

/* One that is behind what is trimmed is not carried any more, and must not hide what another one
 * needs. */
static enum fh_code needed_for(struct store_work *work, const struct carried_generation *generation,
                               int64_t trimmed, int64_t *needed, struct fh_error *error)
{
    bool same = false;
    if (generation->name.kept && generation->kept.settled < *needed)
        *needed = generation->kept.settled;
    if (!generation->name.number || generation->name.kept || generation->lost ||
        generation->cursor < trimmed)
        return FH_OK;
    enum fh_code code = carried_same_life(work, generation->name.incarnation, &same, error);
    if (code == FH_OK && same && generation->cursor < *needed)
        *needed = generation->cursor;
    return code;
}

enum fh_code carried_needed(struct store_work *work, const char *name, int64_t *ret,
                            struct fh_error *error)
{
    struct carried_record *record;
    char id[ID_SIZE];
    int64_t trimmed = 0;
    *ret = INT64_MAX;
    enum fh_code code = carried_record_get(work, name, &record, error);
    if (code == FH_OK)
        code = ledger_outbox_trimmed(work, &trimmed, id, error);
    if (code == FH_OK)
        code = needed_for(work, &record->serving, trimmed, ret, error);
    if (code == FH_OK)
        code = needed_for(work, &record->filling, trimmed, ret, error);
    free(record);
    return code;
}

enum fh_code carried_kept_settled(struct store_work *work, const char *name, int64_t *ret,
                                  struct fh_error *error)
{
    struct carried_record *record;
    enum fh_code code = carried_record_get(work, name, &record, error);
    *ret = record->serving.name.kept ? record->serving.kept.settled : 0;
    free(record);
    return code;
}

enum fh_code carried_kept_find(struct store_work *work, const fh_service *service, const char **ret,
                               struct fh_error *error)
{
    enum fh_code code = FH_OK;
    *ret = NULL;
    for (int i = 0; i < derived_count(service) && code == FH_OK && !*ret; i++) {
        struct carried_record *record;
        code = carried_record_get(work, service->derives[i].name, &record, error);
        if (code == FH_OK && record->serving.name.kept)
            *ret = service->derives[i].name;
        free(record);
    }
    return code;
}

enum fh_code carried_place_id(struct store_work *work, int64_t position, char ret[static ID_SIZE],
                              struct fh_error *error)
{
    char trimmed_id[ID_SIZE];
    int64_t trimmed = 0;
    ret[0] = '\0';
    if (!position)
        return FH_OK;
    enum fh_code code = ledger_outbox_id_at(work, position, ret, error);
    if (code == FH_OK && !ret[0])
        code = ledger_outbox_trimmed(work, &trimmed, trimmed_id, error);
    if (code == FH_OK && !ret[0] && trimmed == position)
        memcpy(ret, trimmed_id, ID_SIZE);
    return code;
}

enum fh_code carried_place_lives(struct store_work *work, const struct carried_place *place,
                                 int64_t trimmed, bool *ret, struct fh_error *error)
{
    char id[ID_SIZE] = "", trimmed_id[ID_SIZE];
    *ret = place->position < trimmed;
    if (*ret)
        return FH_OK;
    enum fh_code code = carried_place_id(work, place->position, id, error);
    if (code == FH_OK && !id[0]) /* or it was trimmed since, and is before all there is now */
        code = ledger_outbox_trimmed(work, &trimmed, trimmed_id, error);
    *ret = code == FH_OK && (place->position < trimmed || strcmp(place->id, id) == 0);
    return code;
}

enum fh_code carried_kept_copy(const fh_service *service, struct store_work *from,
                               struct store_work *to, struct fh_error *error)
{
    struct carried_record *record = malloc(sizeof *record), *there = malloc(sizeof *there);
    enum fh_code code = FH_OK;
    FH_ASSERT(record && there);
    for (int i = 0; i < derived_count(service) && code == FH_OK; i++) {
        const char *name = service->derives[i].name;
        code = carried_record_read(from, name, record, error);
        if (code == FH_OK && record->serving.name.kept)
            code = carried_record_write(to, name, record, error);
        else if (code == FH_OK)
            code = carried_record_read(to, name, there, error);
        if (code == FH_OK && !record->serving.name.kept && there->serving.name.kept)
            code = carried_record_forget(to, name, error);
        if (code == FH_UNSUPPORTED) /* it stays as it is: nobody goes on from it */
            code = FH_OK;
    }
    free(record);
    free(there);
    return code;
}

/* ---- Refused ops ---- */

bool carried_park(struct carried_generation *generation, const struct carried_op *op)
{
    int i = 0;
    while (i < generation->parked_count && strcmp(generation->parked[i].key, op->key) != 0)
        i++;
    if (i == CARRIED_PARKED_MAX)
        return false;
    struct carried_parked *parked = &generation->parked[i];
    if (i == generation->parked_count)
        generation->parked_count++;
    else if (parked->position > op->position)
        return true;
    parked->position = op->position;
    snprintf(parked->key, sizeof parked->key, "%s", op->key);
    snprintf(parked->reason, sizeof parked->reason, "%s", op->refused);
    return true;
}

void carried_unpark(struct carried_generation *generation, const struct carried_op *op)
{
    for (int i = 0; i < generation->parked_count; i++) {
        const struct carried_parked *parked = &generation->parked[i];
        if (parked->position <= op->position && strcmp(parked->key, op->key) == 0)
            generation->parked[i--] = generation->parked[--generation->parked_count];
    }
}
