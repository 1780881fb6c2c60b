/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One look at the rows of fh_lease: which instances are alive, and which should have what. It only
 * reads. Decisions made from it may be outdated by the time they are carried out, so the statements
 * that do so compare epochs.
 *
 * A group's leases go only to instances that are present and know the group: each lists in its note
 * the groups it knows.
 */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "work/balance.h"
#include "work/lease_manager.h"
#include "world/world.h"

#define NS_A_MS INT64_C(1000000)

int lease_group_length(const char *name)
{
    const char *blank = strrchr(name, ' ');
    return blank ? (int)(blank - name) : (int)strlen(name);
}

/* ---- members ---- */

struct lease_member *lease_member_named(struct lease_manager *manager, const char *name)
{
    for (int i = 0; i < manager->member_count; i++) {
        if (strcmp(manager->members[i].name, name) == 0)
            return &manager->members[i];
    }
    return NULL;
}

static void forget_note(struct lease_member *member)
{
    json_decref(member->note);
    free(member->note_text);
    member->note = NULL;
    member->note_text = NULL;
}

void lease_member_forget(struct lease_manager *manager, int index)
{
    forget_note(&manager->members[index]);
    manager->member_count--;
    memmove(&manager->members[index], &manager->members[index + 1],
            (size_t)(manager->member_count - index) * sizeof manager->members[0]);
    manager->changed = true;
}

static int member_owning(const struct lease_manager *manager, const char *owner)
{
    for (int i = 0; i < manager->member_count; i++) {
        if (strcmp(manager->members[i].owner, owner) == 0)
            return i;
    }
    return -1;
}

bool lease_member_dead(const struct lease_manager *manager, const struct lease_member *member)
{
    int64_t still_ns = world_monotonic_ns(manager->context->world) - member->since_ns;
    int64_t dead_ns = member->tick_ms * (LEASE_DEAD_TICKS * 100 + 15) / 100 * NS_A_MS;
    return strcmp(member->owner, manager->life) != 0 && member->looks >= LEASE_LOOKS_MIN &&
           still_ns >= dead_ns;
}

static void take_note(struct lease_member *member, const char *text)
{
    if (member->note_text && strcmp(member->note_text, text) == 0)
        return;
    forget_note(member);
    member->note_text = strdup(text);
    FH_ASSERT(member->note_text != NULL);
    if (json_parse(text, strlen(text), &member->note, ERROR_UNHEEDED) == FH_NO_MEMORY)
        forget_note(member); /* the next look reads it again */
    json_int_t tick_ms = 0;
    bool told = json_integer_at(member->note, "tick_ms", &tick_ms);
    member->tick_ms = told && tick_ms >= LEASE_TICK_MS && tick_ms <= LEASE_TICK_ALONE_MS
                          ? tick_ms
                          : LEASE_TICK_ALONE_MS;
}

/* Keeps what former looks learnt about the member. `seen`: how many members are already in the
 * order of this look. False: it is new, and as many as can be known come before it. All instances
 * pass over the same ones, the last in the order of the rows: two that counted on different others
 * would take each other's leases. */
static bool see_member(struct lease_manager *manager, const struct ledger_lease *row, int seen)
{
    int64_t now_ns = world_monotonic_ns(manager->context->world);
    struct lease_member *known = lease_member_named(manager, row->name), moved = {0};
    if (seen == LEASE_MEMBERS_MAX)
        return false;
    if (!known && manager->member_count == LEASE_MEMBERS_MAX)
        lease_member_forget(manager, LEASE_MEMBERS_MAX - 1);
    if (known) {
        moved = *known;
        memmove(&manager->members[seen + 1], &manager->members[seen],
                (size_t)(known - &manager->members[seen]) * sizeof moved);
    } else {
        memmove(&manager->members[seen + 1], &manager->members[seen],
                (size_t)(manager->member_count - seen) * sizeof moved);
        manager->member_count++;
    }
    bool same_life = strcmp(moved.owner, row->owner) == 0;
    manager->changed |= !same_life;
    if (!same_life || moved.beat != row->beat) {
        moved.since_ns = now_ns;
        moved.looks = 0;
    }
    moved.looks++;
    moved.beat = row->beat;
    snprintf(moved.name, sizeof moved.name, "%s", row->name);
    snprintf(moved.owner, sizeof moved.owner, "%s", row->owner);
    take_note(&moved, row->note);
    manager->members[seen] = moved;
    return true;
}

/* ---- looking ---- */

struct look {
    struct lease_manager *manager;
    int seen; /* members so far */
};

static struct lease *lease_named(const struct lease_manager *manager, const char *name)
{
    struct lease *lease = manager->leases;
    while (lease && strcmp(lease->name, name) != 0)
        lease = lease->next;
    return lease;
}

static bool see_lease_row(void *context, const struct ledger_lease *row)
{
    struct look *look = context;
    struct lease_manager *manager = look->manager;
    if (strncmp(row->name, LEDGER_INSTANCE, sizeof LEDGER_INSTANCE - 1) == 0) {
        if (strcmp(row->name, manager->name) == 0) {
            manager->own_epoch = row->epoch;
            snprintf(manager->own_owner, sizeof manager->own_owner, "%s", row->owner);
        }
        look->seen += see_member(manager, row, look->seen);
        return true;
    }
    if (manager->entry_count == LEASES_MAX)
        return false;
    manager->entries[manager->entry_count++] =
        (struct lease_entry){.name = arena_text(&manager->arena, row->name),
                             .owner = arena_text(&manager->arena, row->owner),
                             .epoch = row->epoch,
                             .lease = lease_named(manager, row->name)};
    return true;
}

static bool is_listed(const struct lease_manager *manager, const struct lease *lease)
{
    for (int i = 0; i < manager->entry_count; i++) {
        if (manager->entries[i].lease == lease)
            return true;
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct lease_entry *)a)->name, ((const struct lease_entry *)b)->name);
}

enum fh_code lease_look(struct lease_manager *manager, struct fh_error *error)
{
    struct store_work *work;
    struct look look = {manager, 0};
    enum fh_code code = store_begin(manager->context->store, STORE_READ_COMMITTED, &work, error);
    if (code != FH_OK)
        return code;
    arena_release(&manager->arena);
    arena_init(&manager->arena, ARENA_SIZE_MAX);
    manager->entry_count = 0;
    manager->own_epoch = 0;
    manager->own_owner[0] = '\0';
    code = ledger_leases_get(work, see_lease_row, &look, error);
    store_rollback(work);
    if (code != FH_OK)
        return code;
    while (manager->member_count > look.seen)
        lease_member_forget(manager, manager->member_count - 1);
    for (struct lease *lease = manager->leases; lease && manager->entry_count < LEASES_MAX;
         lease = lease->next) {
        if (!is_listed(manager, lease))
            manager->entries[manager->entry_count++] =
                (struct lease_entry){.name = lease->name, .owner = "", .lease = lease};
    }
    qsort(manager->entries, (size_t)manager->entry_count, sizeof manager->entries[0], by_name);
    return FH_OK;
}

/* ---- deciding ---- */

struct planning {
    const struct lease_manager *manager;
    const char *groups[LEASES_MAX]; /* the name of one entry of each */
};

static bool same_group(const char *a, const char *b)
{
    int length = lease_group_length(a);
    return length == lease_group_length(b) && strncmp(a, b, (size_t)length) == 0;
}

static bool is_able(const void *context, int group, int member)
{
    const struct planning *planning = context;
    const char *name = planning->groups[group];
    size_t i, length = (size_t)lease_group_length(name);
    json_t *known;
    json_array_foreach (json_object_get(planning->manager->members[member].note, "knows"), i,
                        known) {
        const char *text = json_string_value(known);
        if (text && strlen(text) == length && strncmp(text, name, length) == 0)
            return true;
    }
    return false;
}

void lease_plan(struct lease_manager *manager)
{
    struct planning *planning = calloc(1, sizeof *planning);
    struct balance_item *items = calloc((size_t)manager->entry_count + 1, sizeof *items);
    FH_ASSERT(planning != NULL && items != NULL);
    int group = -1, self = member_owning(manager, manager->life);
    planning->manager = manager;
    for (int i = 0; i < manager->entry_count; i++) {
        const struct lease_entry *entry = &manager->entries[i];
        if (i == 0 || !same_group(entry->name, manager->entries[i - 1].name))
            planning->groups[++group] = entry->name;
        items[i] = (struct balance_item){group, member_owning(manager, entry->owner), -1};
    }
    balance(items, manager->entry_count, manager->member_count, is_able, planning);
    for (int i = 0; i < manager->entry_count; i++) {
        manager->entries[i].wanted = self >= 0 && items[i].wanted == self;
        manager->entries[i].free = items[i].owner < 0 || items[i].owner == self;
    }
    free(items);
    free(planning);
}

void lease_told(const struct lease_manager *manager,
                void (*visit)(void *context, const json_t *told), void *context)
{
    for (int i = 0; manager && i < manager->member_count; i++) {
        size_t n;
        json_t *told;
        if (strcmp(manager->members[i].owner, manager->life) == 0)
            continue;
        json_array_foreach (json_object_get(manager->members[i].note, "told"), n, told)
            visit(context, told);
    }
}

struct told_reading {
    const char *own; /* this instance's session */
    void (*visit)(void *context, const json_t *told);
    void *context;
};

static bool read_told_row(void *context, const struct ledger_lease *row)
{
    const struct told_reading *reading = context;
    json_t *note = NULL;
    if (strncmp(row->name, LEDGER_INSTANCE, sizeof LEDGER_INSTANCE - 1) != 0 ||
        strcmp(row->owner, reading->own) == 0 || !*row->owner)
        return true;
    if (json_parse(row->note, strlen(row->note), &note, ERROR_UNHEEDED) != FH_OK)
        note = NULL;
    reading->visit(reading->context, json_object_get(note, "told"));
    json_decref(note);
    return true;
}

enum fh_code lease_read_told(struct store_work *work,
                             void (*visit)(void *context, const json_t *told), void *context,
                             struct fh_error *error)
{
    struct told_reading reading = {work->store->instance, visit, context};
    return ledger_leases_get(work, read_told_row, &reading, error);
}
