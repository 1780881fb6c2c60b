/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owners of derived stores on servers, on every engine whose units of work have an order for that:
 * what is carried is what their tables say, however many write at a time, in several processes,
 * also where a generation is made meanwhile; and nothing is carried while one of them derives
 * otherwise.
 */

#include "another_instance.h"
#include "conformance.h"
#include "owned_items.h"

#include "../support/carried_server.h"
#include "carrier/alike.h"
#include "carrier/carrier.h"
#include "carrier/parts.h"
#include "store/engine.h"
#include "store/ledger.h"
#include "work/batch.h"
#include "work/carried.h"
#include "work/command.h"

#define WRITERS 6
#define CHANGES 12
#define TEXT_SIZE 4096
#define TURNS_MAX 400

static const struct fh_derived_field fields[] = {{"name", FH_STRING, FH_TEXT}, {0}};

static const struct item_ways *ways;

/* An item's text is its own name and the one of the item before it. */
static json_t *text_of(fh_work *w, const char *id)
{
    char text[64];
    const json_t *item = ways->read(w, id);
    const json_t *before = ways->read(w, json_string_at(item, "before"));
    snprintf(text, sizeof text, "%s+%s", json_string_at(item, "name"),
             json_string_at(before, "name"));
    return fh_object(w, "id", id, "name", text);
}

static bool is_torn(fh_work *w, int number);

static void list_items(fh_work *w)
{
    const char *after = json_string_at(fh_query(w), "after");
    json_int_t limit = json_integer_value(json_object_get(fh_query(w), "limit"));
    json_t *list = json_array();
    for (int i = 0; i < ITEMS && limit > 0; i++) {
        char id[ITEM_ID_SIZE];
        item_id(id, i);
        if (after && strcmp(id, after) <= 0)
            continue;
        limit--;
        if (!is_torn(w, i))
            json_array_append_new(list, text_of(w, id));
    }
    fh_reply(w, 200, list);
}

static fh_service service = {
    .name = "shop",
    .collections = {{"item"}, {"note"}},
    .derives = {{.name = "items", .model = FH_SEARCH, .fields = fields, .state = list_items}}};
static const struct work_carried carried = {.declared = 1};

/* A process of the service. */
struct instance {
    struct work_context context;
    struct derived_carrier carrier;
};

struct owners {
    struct conformance *c;
    struct instance instances[2];
    struct store *other; /* the second one's; or NULL */
    struct memory_server *server;
    json_t *own;
    int left; /* writers */
};

static struct owners owners;
static char said[TEXT_SIZE]; /* what the items are, as the server answers it */

static bool has_many(const struct engine *engine)
{
    return engine_can(engine, ENGINE_MANY_INSTANCES);
}

static void begin_instance(struct conformance *c, int number, struct store *store)
{
    struct instance *instance = &owners.instances[number];
    bool many = engine_can(store->engine, ENGINE_MANY_INSTANCES);
    instance->context = (struct work_context){.world = c->harness.world,
                                              .service = &service,
                                              .store = store,
                                              .keys = work_keys_new(),
                                              .carried = &carried,
                                              .serves = true};
    instance->carrier = (struct derived_carrier){.context = &instance->context,
                                                 .declared = &service.derives[0],
                                                 .server = &owners.server->base,
                                                 .alike = many ? owners.own : NULL};
}

static struct instance *instance_of(int number)
{
    return &owners.instances[owners.other ? number % 2 : 0];
}

struct change {
    int number; /* of the writer */
    const char *id, *name;
};

static const struct change nothing = {0, "", ""};

static bool do_change(const struct change *change, fh_handler *handler)
{
    fh_work w;
    struct arena *arena = json_arena_set(NULL);
    json_t *body = json_pack("{s:s, s:s}", "id", change->id, "name", change->name);
    json_arena_set(arena);
    work_init(&w, &instance_of(change->number)->context, handler);
    w.deadline_ns = -1;
    w.body = body;
    enum fh_code code = work_run(&w);
    if (code != FH_OK)
        conformance_note(owners.c, __FILE__, __LINE__, w.failure.message);
    work_release(&w);
    arena = json_arena_set(NULL);
    json_decref(body);
    json_arena_set(arena);
    return code == FH_OK;
}

static void make_item(fh_work *w)
{
    char before[ITEM_ID_SIZE];
    const char *id = fh_text(w, fh_body(w), "id");
    item_id(before, id[1] - '0' + ITEMS - 1);
    ways->make(w, id, before);
}

/* The sources are never gone, so each item has a text. */
static bool make_items(void)
{
    bool made = true;
    for (int i = 0; i < ITEMS && made; i++) {
        char id[ITEM_ID_SIZE];
        item_id(id, i);
        const struct change change = {0, id, ""};
        made = do_change(&change, make_item);
    }
    return made;
}

static bool begin_owners(struct conformance *c)
{
    service.model = c->model;
    service.collections[0].name = c->model == FH_DOCUMENT ? "item" : NULL;
    ways = &ways_of_items[c->model];
    owners = (struct owners){.c = c, .server = memory_server_new()};
    struct arena *arena = json_arena_set(NULL);
    owners.own = json_pack("{s:s}", "items", "as it is");
    json_arena_set(arena);
    if (!prepare_items(c, &service) ||
        (has_many(c->store->engine) && !another_opens(c, &owners.other)))
        return false;
    begin_instance(c, 0, c->store);
    if (owners.other)
        begin_instance(c, 1, owners.other);
    return make_items();
}

static void end_owners(void)
{
    conformance_join(owners.c);
    for (int i = 0; i < 2; i++) {
        if (owners.instances[i].context.keys)
            work_keys_free(owners.instances[i].context.keys);
    }
    if (owners.other)
        owners.c->engine->close(owners.other);
    memory_server_free(owners.server);
    json_decref(owners.own);
}

static void run_with_owners(struct conformance *c, conformance_case *run)
{
    if (begin_owners(c))
        run(c);
    else
        conformance_note(c, __FILE__, __LINE__, "owners begin");
    end_owners();
}

#define OWNERS_CASE(name)                                                                          \
    static void name##_run(struct conformance *c);                                                 \
    static void name(struct conformance *c)                                                        \
    {                                                                                              \
        run_with_owners(c, name##_run);                                                            \
    }                                                                                              \
    static void name##_run(struct conformance *c)

/* ---- What is derived, and what is found ---- */

static bool settle(int number, bool begins)
{
    struct conformance *c = owners.c;
    bool noted = false, settled = false;
    return carried_alike_settle(&instance_of(number)->context, owners.own, begins, &noted, &settled,
                                &c->error) == FH_OK &&
           settled && noted;
}

static bool take_turns(int number)
{
    struct conformance *c = owners.c;
    bool more = true;
    for (int i = 0; i < TURNS_MAX && more; i++) {
        if (carrier_turn(&instance_of(number)->carrier, &more, &c->error) != FH_OK) {
            conformance_note(c, __FILE__, __LINE__, "a turn passes");
            return false;
        }
    }
    return !more;
}

static void say_items(fh_work *w)
{
    size_t length = 0;
    for (int i = 0; i < ITEMS; i++) {
        char id[ITEM_ID_SIZE];
        item_id(id, i);
        length += (size_t)snprintf(said + length, sizeof said - length, "%s=%s ", id,
                                   json_string_at(text_of(w, id), "name"));
    }
}

static bool finds_what_tables_say(void)
{
    static const struct fh_search search = {.limit = 100};
    struct conformance *c = owners.c;
    json_t *found = NULL;
    bool same = do_change(&nothing, say_items);
    struct arena *arena = json_arena_set(NULL);
    same = same && carrier_ask(&instance_of(0)->carrier, &search, 0, &found, &c->error) == FH_OK &&
           strcmp(json_string_value(found), said) == 0;
    if (!same && found) {
        char what[TEXT_SIZE * 2 + 64];
        snprintf(what, sizeof what, "found %s, not %s", json_string_value(found), said);
        conformance_note(c, __FILE__, __LINE__, what);
    }
    json_decref(found);
    json_arena_set(arena);
    return same;
}

/* ---- Many that write ---- */

/* Changes an item, and derives it and the one behind it. */
static void change_item(fh_work *w)
{
    const char *id = fh_text(w, fh_body(w), "id");
    char behind[ITEM_ID_SIZE];
    item_id(behind, id[1] - '0' + 1);
    ways->rename(w, id, fh_text(w, fh_body(w), "name"));
    fh_derive(w, "items", id, text_of(w, id));
    fh_derive(w, "items", behind, text_of(w, behind));
}

static void write_items(void *argument)
{
    const int number = *(const int *)argument;
    struct world *world = owners.c->harness.world;
    for (int i = 0; i < CHANGES; i++) {
        char id[8], name[24];
        snprintf(id, sizeof id, "k%d", (int)world_random_below(world, ITEMS));
        snprintf(name, sizeof name, "w%d.%d", number, i);
        const struct change change = {number, id, name};
        if (!do_change(&change, change_item))
            break;
    }
    owners.left--;
}

OWNERS_CASE(what_many_derive_at_a_time_is_what_their_tables_say)
{
    static const int numbers[WRITERS] = {0, 1, 2, 3, 4, 5};
    EXPECT(!has_many(c->store->engine) || settle(0, true));
    owners.left = WRITERS;
    for (int i = 0; i < WRITERS; i++)
        conformance_start(c, write_items, (void *)(uintptr_t)&numbers[i]);
    for (int i = 0; owners.left > 0 && !c->failure[0]; i++) {
        if (i % 3 == 2) /* with rows that are read while others write */
            carrier_make_anew(&instance_of(i)->carrier, &c->error);
        EXPECT(take_turns(i));
        fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 1));
    }
    conformance_join(c);
    EXPECT(take_turns(0) && take_turns(1));
    EXPECT(finds_what_tables_say());
}

/* ---- One that has read what another overwrites ---- */

static bool overwritten, reads_first, has_read;

/* Where whoever reads a row keeps others from changing it, the other one has to wait for this one:
 * there it comes later, in whatever order they run. */
static void read_and_wait(void)
{
    struct world *world = owners.c->harness.world;
    bool locks = strcmp(owners.c->store->engine->name, "mariadb") == 0;
    has_read = true;
    while (!overwritten && !locks)
        fiber_sleep_until(world, world_in_ms(world, 1));
}

/* Derives an item from what it reads, and changes nothing that the other one has read. */
static void derive_again(fh_work *w)
{
    json_t *text = text_of(w, "k0");
    if (reads_first)
        read_and_wait();
    reads_first = false;
    ways->note(w, "k0");
    fh_derive(w, "items", "k0", text);
}

static void run_deriving_again(void *argument)
{
    static const struct change change = {0, "k0", "n"};
    (void)argument;
    do_change(&change, derive_again);
}

OWNERS_CASE(who_read_what_is_overwritten_derives_nothing_later)
{
    /* Where one process has the turn to write, the other is one of its own units of work. */
    const struct change change = {c->engine->share ? 0 : 1, "k0", "new"};
    EXPECT(settle(0, true) && take_turns(0));
    overwritten = has_read = false;
    reads_first = true;
    conformance_start(c, run_deriving_again, NULL);
    while (!has_read && !c->failure[0])
        fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 1));
    bool changed = do_change(&change, change_item);
    overwritten = true;
    EXPECT(changed);
    conformance_join(c);
    EXPECT(take_turns(0));
    EXPECT(finds_what_tables_say());
}

/* ---- One that is told later than who overwrites what it has read ---- */

#define LONG_NOTE 400000 /* bytes: its commit takes longer than the other's */
#define RACES 12

/* As derive_again, and its own change takes long. */
static void derive_slowly(fh_work *w)
{
    json_t *text = text_of(w, "k0");
    ways->note(w, fh_format(w, "%0*d", LONG_NOTE, 0));
    fh_derive(w, "items", "k0", text);
}

static void run_deriving_slowly(void *argument)
{
    static const struct change change = {0, "k0", "n"};
    (void)argument;
    do_change(&change, derive_slowly);
}

/* The item before it is changed, too, so that it is not the first that is derived. */
OWNERS_CASE(who_commits_beside_who_overwrites_what_it_read_derives_nothing_later)
{
    EXPECT(settle(0, true) && take_turns(0));
    for (int i = 0; i < RACES; i++) {
        char name[24];
        snprintf(name, sizeof name, "r%d", i);
        const struct change change = {c->engine->share ? 0 : 1, i % 2 ? "k4" : "k0", name};
        conformance_start(c, run_deriving_slowly, NULL);
        fiber_yield();
        EXPECT(do_change(&change, change_item));
        conformance_join(c);
        EXPECT(take_turns(0));
        EXPECT(finds_what_tables_say());
    }
}

/* ---- Rows that change while they are listed ---- */

static bool tears;

/* Once, before the last item of a page is read: two are renamed of which one was read before that,
 * and whoever lists finds the other one wanting, and leaves it out. */
static bool is_torn(fh_work *w, int number)
{
    const int other = owners.c->engine->share ? 0 : 1;
    const struct change between[] = {{other, "k1", "torn"}, {other, "k2", "torn"}};
    if (!tears || number != 2)
        return false;
    tears = false;
    bool before = strcmp(json_string_at(ways->read(w, "k1"), "name"), "torn") == 0;
    bool changed = do_change(&between[0], change_item) && do_change(&between[1], change_item);
    bool after = strcmp(json_string_at(ways->read(w, "k2"), "name"), "torn") == 0;
    return changed && !before && after;
}

OWNERS_CASE(a_row_that_is_missing_at_no_moment_ends_no_page)
{
    EXPECT(settle(0, true) && take_turns(0));
    portion_failed(&instance_of(0)->carrier.rows, 3);
    EXPECT(carrier_make_anew(&instance_of(0)->carrier, &c->error) == FH_OK);
    tears = true;
    EXPECT(take_turns(0));
    EXPECT(!tears && finds_what_tables_say());
}

/* ---- A change of what the ledger knows ---- */

static enum fh_code write_and_fail(struct carrier_change *change, struct store_work *work,
                                   struct carrier_look *look, struct fh_error *error)
{
    (void)change;
    (void)look;
    enum fh_code code = ledger_meta_put(work, "half", "written", error);
    return code == FH_OK ? error_set(error, FH_INVALID, "It fails behind that.") : code;
}

OWNERS_CASE(a_change_that_fails_leaves_nothing_behind)
{
    char half[16] = "";
    struct carrier_change change = {.carrier = &instance_of(0)->carrier, .change = write_and_fail};
    EXPECT(carrier_change_run(&change, &c->error) == FH_INVALID);
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    enum fh_code code = ledger_meta_get(work, "half", half, sizeof half, &c->error);
    conformance_rollback(c, work);
    EXPECT(code == FH_OK && !half[0]);
}

/* ---- Programs that derive otherwise ---- */

static const char alike_note[] = "{\"told\":[{\"carries\":{\"items\":\"as it is\"}}]}",
                  other_note[] = "{\"told\":[{\"carries\":{\"items\":\"otherwise\"}}]}",
                  old_note[] = "{\"told\":[{\"at\":1}]}";

static int64_t serving_number(void)
{
    return instance_of(0)->carrier.look.record.serving.name.number;
}

static bool writes(const char *name)
{
    const struct change change = {0, "k1", name};
    return do_change(&change, change_item);
}

/* Of a program that derives nothing. */
static void rename_alone(fh_work *w)
{
    ways->rename(w, fh_text(w, fh_body(w), "id"), fh_text(w, fh_body(w), "name"));
}

OWNERS_CASE(nothing_is_carried_while_one_derives_otherwise)
{
    static const struct change underived = {0, "k2", "b"};
    static const char *const others[] = {other_note, old_note};
    EXPECT(settle(0, true) && take_turns(0) && finds_what_tables_say());
    for (int i = 0; i < 2; i++) {
        int64_t number = serving_number();
        uint64_t sends = (uint64_t)owners.server->sends;
        EXPECT(another_joins(c, others[i]) && !settle(0, false));
        EXPECT(writes("a")); /* its own op is not carried either */
        EXPECT(take_turns(0) && (uint64_t)owners.server->sends == sends);
        /* The other one's change, of which there is no op. */
        EXPECT(do_change(&underived, rename_alone));
        EXPECT(another_leaves(c) && settle(0, false));
        EXPECT(take_turns(0) && finds_what_tables_say());
        EXPECT(serving_number() > number);
    }
}

OWNERS_CASE(one_that_has_told_nothing_keeps_none_from_carrying_and_any_from_beginning)
{
    EXPECT(settle(0, true) && take_turns(0));
    int64_t number = serving_number();
    EXPECT(another_joins(c, NULL) && !settle(0, false));
    EXPECT(writes("a") && take_turns(0) && finds_what_tables_say());
    EXPECT(carrier_make_anew(&instance_of(0)->carrier, &c->error) == FH_CONFLICT);
    EXPECT(another_tells(c, alike_note) && settle(0, false));
    EXPECT(writes("b") && take_turns(0) && finds_what_tables_say());
    EXPECT(serving_number() == number);
    EXPECT(carrier_make_anew(&instance_of(0)->carrier, &c->error) == FH_OK);
    EXPECT(take_turns(0) && finds_what_tables_say() && serving_number() > number);
}

OWNERS_CASE(one_that_begins_beside_others_notes_nothing_of_its_own)
{
    EXPECT(another_joins(c, other_note) && !settle(0, true));
    EXPECT(take_turns(0) && serving_number() == 0);
    EXPECT(another_leaves(c) && settle(0, false));
    EXPECT(take_turns(0) && serving_number() == 1 && finds_what_tables_say());
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(what_many_derive_at_a_time_is_what_their_tables_say),
        CASE_OF(who_read_what_is_overwritten_derives_nothing_later, has_many),
        CASE_OF(who_commits_beside_who_overwrites_what_it_read_derives_nothing_later, has_many),
        CASE_OF(a_row_that_is_missing_at_no_moment_ends_no_page, has_many),
        CASE(a_change_that_fails_leaves_nothing_behind),
        CASE_OF(nothing_is_carried_while_one_derives_otherwise, has_many),
        CASE_OF(one_that_has_told_nothing_keeps_none_from_carrying_and_any_from_beginning,
                has_many),
        CASE_OF(one_that_begins_beside_others_notes_nothing_of_its_own, has_many),
    };
    return conformance_main_every(rows, sizeof rows / sizeof *rows);
}
