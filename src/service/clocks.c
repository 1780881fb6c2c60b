/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two clocks alone can't tell which is wrong. The store's server is believed; if its clock is not
 * known, so are callers if more than half of them differ: then our clock is off. Otherwise the
 * caller's is.
 *
 * The log reports a difference once, and once more if the server confirms what callers say.
 *
 * The server answers at some moment between question and answer: a difference within that time is
 * none. Callers not heard from for CLOCKS_KEPT_NS are forgotten; they may have been mended, or may
 * no longer exist.
 */

#include "service/clocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/apart.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/text.h"
#include "service/audience.h"
#include "service/runtime.h"

#define CLOCKS_LOOK_NS (30 * INT64_C(1000000000))
#define CLOCKS_KEPT_NS (15 * 60 * INT64_C(1000000000))
#define WHY_SIZE_MAX 512

struct clocks {
    struct runtime *runtime;
    struct apart server;
    bool server_known;
    struct map callers; /* struct apart by name: only of callers that hold a key */
    int64_t look_ns;    /* when to ask the server next */
    /* The difference that the log has reported: 1 if by callers, 2 if as measured. */
    int told;
};

static int64_t clocks_now_ns(const struct clocks *clocks)
{
    return world_monotonic_ns(clocks->runtime->world);
}

static void count_clocks(const struct clocks *clocks, int *ret_apart, int *ret_known)
{
    struct map_entry *entry = NULL;
    void *value;
    *ret_apart = *ret_known = 0;
    while (map_next(&clocks->callers, &entry, NULL, &value)) {
        const struct apart *apart = value;
        bool fresh = clocks_now_ns(clocks) - apart->heard_ns < CLOCKS_KEPT_NS;
        *ret_known += fresh;
        *ret_apart += fresh && apart->is;
    }
}

static void add_name(struct text *names, const char *name)
{
    if (names->length)
        text_add(names, ", ");
    text_add(names, name);
}

/* "The clock of orders is 2 days 3 h ahead of its store's server's, users'." NULL: all agree. */
static char *clocks_why(const struct clocks *clocks)
{
    const char *self = clocks->runtime->service->name, *name, *first = NULL;
    char span[APART_TEXT_SIZE];
    int apart_count, known;
    int64_t ahead_ms = clocks->server.ahead_ms;
    struct text others, why;
    struct map_entry *entry = NULL;
    void *value;
    count_clocks(clocks, &apart_count, &known);
    if (!clocks->server.is && apart_count == 0)
        return NULL;
    text_init(&others, WHY_SIZE_MAX / 2);
    text_init(&why, WHY_SIZE_MAX);
    if (clocks->server.is)
        add_name(&others, "its store's server's");
    while (map_next(&clocks->callers, &entry, &name, &value)) {
        const struct apart *apart = value;
        if (!apart->is || clocks_now_ns(clocks) - apart->heard_ns >= CLOCKS_KEPT_NS)
            continue;
        if (!clocks->server.is && !first)
            ahead_ms = apart->ahead_ms;
        first = first ? first : name;
        add_name(&others, name);
        text_add(&others, "'s");
    }
    bool ours = clocks->server.is || (!clocks->server_known && apart_count * 2 > known);
    apart_text(span, ours ? ahead_ms : -ahead_ms);
    if (ours)
        text_printf(&why, "The clock of %s is %s %s.", self, span, others.data);
    else
        text_printf(&why, "The clock of %s is %s that of %s.", first, span, self);
    text_release(&others);
    return why.data;
}

static void report_clocks(struct clocks *clocks)
{
    char *why = clocks_why(clocks);
    int sure = why ? 1 + clocks->server.is : 0;
    if (why && sure > clocks->told)
        log_warning("clock-diverged", "%s Tokens are refused between them.", why);
    else if (!why && clocks->told)
        log_info("clock-corrected", "The clock of %s agrees with the others' again.",
                 clocks->runtime->service->name);
    clocks->told = sure && clocks->told > sure ? clocks->told : sure;
    free(why);
}

static void on_heard(void *context, const char *caller, int64_t ahead_ms)
{
    struct clocks *clocks = context;
    struct apart *apart = map_get(&clocks->callers, caller);
    if (strcmp(caller, "operator") == 0)
        return; /* an operator's machine, wherever it is */
    if (!apart) {
        apart = calloc(1, sizeof *apart);
        FH_ASSERT(apart != NULL);
        map_put(&clocks->callers, caller, apart);
    }
    if (apart_note(apart, ahead_ms, false, clocks_now_ns(clocks)))
        report_clocks(clocks);
}

struct clocks *clocks_new(struct runtime *runtime)
{
    struct clocks *clocks = calloc(1, sizeof *clocks);
    FH_ASSERT(clocks != NULL);
    clocks->runtime = runtime;
    map_init(&clocks->callers);
    audience_hear(runtime->audience, on_heard, clocks);
    return clocks;
}

void clocks_free(struct clocks *clocks)
{
    struct map_entry *entry = NULL;
    void *value;
    if (!clocks)
        return;
    audience_hear(clocks->runtime->audience, NULL, NULL);
    while (map_next(&clocks->callers, &entry, NULL, &value))
        free(value);
    map_release(&clocks->callers);
    free(clocks);
}

void clocks_look(struct clocks *clocks)
{
    struct world *world = clocks->runtime->world;
    struct store *store = clocks->runtime->context.store;
    struct fh_error unheeded;
    int64_t server_ms, ahead_ms = 0;
    if (clocks_now_ns(clocks) < clocks->look_ns)
        return;
    int64_t before_ms = world_wall_ms(world);
    if (!store->ops->clock || store->ops->clock(store, &server_ms, &unheeded) != FH_OK) {
        clocks->server_known = false;
        clocks->server = (struct apart){0};
    } else {
        int64_t after_ms = world_wall_ms(world);
        if (server_ms < before_ms)
            ahead_ms = before_ms - server_ms;
        else if (server_ms > after_ms)
            ahead_ms = after_ms - server_ms;
        clocks->server_known = true;
        apart_note(&clocks->server, ahead_ms, true, clocks_now_ns(clocks));
    }
    clocks->look_ns = clocks_now_ns(clocks) + CLOCKS_LOOK_NS;
    report_clocks(clocks); /* some callers may have been forgotten, too */
}

json_t *clocks_show(struct clocks *clocks)
{
    const char *name;
    struct map_entry *entry = NULL;
    void *value;
    json_t *list = json_array();
    if (clocks->server.is)
        json_array_append_new(list, json_pack("{s:s, s:I}", "of", "the store's server", "ahead_ms",
                                              (json_int_t)clocks->server.ahead_ms));
    while (map_next(&clocks->callers, &entry, &name, &value)) {
        const struct apart *apart = value;
        if (apart->is && clocks_now_ns(clocks) - apart->heard_ns < CLOCKS_KEPT_NS)
            json_array_append_new(
                list, json_pack("{s:s, s:I}", "of", name, "ahead_ms", (json_int_t)apart->ahead_ms));
    }
    json_t *object = json_pack("{s:I, s:o}", "wall_ms",
                               (json_int_t)world_wall_ms(clocks->runtime->world), "apart", list);
    char *why = clocks_why(clocks);
    if (why)
        json_object_set_new(object, "why", json_string(why));
    free(why);
    return object;
}
