/* SPDX-License-Identifier: Apache-2.0 */
/* Parked events in the ledger, on every engine: they leave in order, and only as they were read. */

#include "conformance.h"

#include "store/ledger.h"

#define NASTY "\\u0000 \\\" \\\\ \u00e9 \U0001f600 \\n\\u0001 %s ?1 ' `"

struct shown {
    char text[256];
};

static struct ledger_parked parked_of(const char *key, int64_t position, int64_t attempts)
{
    return (struct ledger_parked){.source = "users",
                                  .partition = "0/1",
                                  .key = key,
                                  .position = position,
                                  .event_id = "id",
                                  .type = "UserUpdated",
                                  .time_ms = 1000 + position,
                                  .attempts = attempts,
                                  .error = attempts ? "too much" : "",
                                  .parked_ms = 5000,
                                  .event = "{}"};
}

static bool read_parked(void *context, const struct ledger_parked *parked)
{
    struct shown *shown = context;
    size_t used = strlen(shown->text);
    snprintf(shown->text + used, sizeof shown->text - used, "%s %d %d/%d %s;", parked->key,
             (int)parked->position, (int)parked->attempts, (int)parked->waiting, parked->error);
    return true;
}

static bool counts_are(struct conformance *c, struct store_work *work, int keys, int events,
                       int oldest_ms)
{
    struct ledger_parked_counts counts;
    return ledger_parked_count(work, "users", "0/1", &counts, &c->error) == FH_OK &&
           counts.keys == keys && counts.events == events && counts.oldest_ms == oldest_ms;
}

static void parked_events_leave_in_order_and_the_last_takes_the_key(struct conformance *c)
{
    static const struct {
        const char *key;
        int position, attempts;
    } all[] = {{"b", 3, 5}, {"a", 4, 5}, {"b", 5, 0}};
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    bool any = true, unparked = true;
    EXPECT(ledger_parked_any(work, "users", "0/1", &any, &c->error) == FH_OK && !any);
    for (int i = 0; i < 3; i++) {
        struct ledger_parked parked = parked_of(all[i].key, all[i].position, all[i].attempts);
        EXPECT(ledger_parked_put(work, &parked, &c->error) == FH_OK);
    }
    EXPECT(counts_are(c, work, 2, 3, 1003));
    EXPECT(ledger_parked_any(work, "users", "0/1", &any, &c->error) == FH_OK && any);
    EXPECT(ledger_parked_has(work, "users", "0/1", "c", &any, &c->error) == FH_OK && !any);
    struct shown keys = {0}, events = {0};
    EXPECT(ledger_parked_keys(work, NULL, INT32_MAX, read_parked, &keys, &c->error) == FH_OK);
    EXPECT(strcmp(keys.text, "b 3 5/2 too much;a 4 5/1 too much;") == 0);
    struct ledger_parked first = parked_of("b", 3, 5), second = parked_of("b", 5, 0);
    EXPECT(ledger_parked_take(work, &second, &unparked, ERROR_UNHEEDED) == FH_CONFLICT);
    EXPECT(ledger_parked_take(work, &first, &unparked, &c->error) == FH_OK && !unparked);
    EXPECT(ledger_parked_take(work, &first, &unparked, ERROR_UNHEEDED) == FH_CONFLICT);
    second.error = "now this one";
    EXPECT(ledger_parked_failed(work, &second, &c->error) == FH_OK);
    EXPECT(ledger_parked_events(work, "users", "b", 10, read_parked, &events, &c->error) == FH_OK);
    EXPECT(strcmp(events.text, "b 5 1/1 now this one;") == 0);
    EXPECT(counts_are(c, work, 2, 2, 1004));
    second.attempts = 1;
    EXPECT(ledger_parked_take(work, &second, &unparked, &c->error) == FH_OK && unparked);
    EXPECT(ledger_parked_has(work, "users", "0/1", "b", &any, &c->error) == FH_OK && !any);
    EXPECT(counts_are(c, work, 1, 1, 1004));
}

static bool read_edited(void *context, const struct ledger_parked *parked)
{
    struct shown *shown = context;
    snprintf(shown->text, sizeof shown->text, "%d %s %s", (int)parked->attempts, parked->error,
             parked->event);
    return true;
}

/* A retry and an edit that read the same event: whoever is second finds it changed. */
static void a_parked_event_is_edited_and_taken_only_as_it_was_read(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    bool unparked = true;
    struct ledger_parked read = parked_of("a", 3, 5), behind = parked_of("a", 4, 0);
    EXPECT(ledger_parked_put(work, &read, &c->error) == FH_OK);
    EXPECT(ledger_parked_put(work, &behind, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    struct ledger_parked edited = read;
    edited.event = "{\"text\":\"" NASTY "\"}";
    EXPECT(ledger_parked_edit(work, &edited, &c->error) == FH_OK);
    EXPECT(ledger_parked_edit(work, &edited, ERROR_UNHEEDED) ==
           FH_CONFLICT); /* it reads it no more */
    EXPECT(conformance_commit(c, work) == FH_OK);
    work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_parked_take(work, &read, &unparked, ERROR_UNHEEDED) == FH_CONFLICT);
    struct shown first = {0};
    EXPECT(ledger_parked_events(work, "users", "a", 1, read_edited, &first, &c->error) == FH_OK);
    EXPECT(strcmp(first.text, "6 too much {\"text\":\"" NASTY "\"}") == 0);
    edited.attempts = 6;
    EXPECT(ledger_parked_take(work, &edited, &unparked, &c->error) == FH_OK && !unparked);
    EXPECT(ledger_parked_edit(work, &edited, ERROR_UNHEEDED) ==
           FH_CONFLICT); /* it is there no more */
    EXPECT(counts_are(c, work, 1, 1, 1004));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(parked_events_leave_in_order_and_the_last_takes_the_key),
        CASE(a_parked_event_is_edited_and_taken_only_as_it_was_read),
    };
    return conformance_main_all(rows, sizeof rows / sizeof *rows);
}
