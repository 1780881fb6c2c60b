/* SPDX-License-Identifier: Apache-2.0 */
/* What a store knows of what it was before: on every engine that can own a service's truth. */

#include "conformance.h"

#include "store/ledger.h"

static bool publish(struct conformance *c, const char *id)
{
    struct ledger_event event = {
        .id = id, .type = "OrderCreated", .key = "a", .version = 1, .time_ms = 1000, .data = "{}"};
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return false;
    if (ledger_outbox_append(work, &event, &c->error) != FH_OK) {
        conformance_rollback(c, work);
        return false;
    }
    return conformance_commit(c, work) == FH_OK &&
           store_sequence(c->store, NULL, 0, &c->error) == FH_OK;
}

static bool renew(struct conformance *c, bool restored, char ret[ID_SIZE])
{
    struct store_work *work = conformance_begin(c, STORE_WRITE_EXCLUSIVE);
    if (!work || ledger_incarnation_renew(work, restored, &c->error) != FH_OK ||
        conformance_commit(c, work) != FH_OK)
        return false;
    conformance_reopen(c);
    snprintf(ret, ID_SIZE, "%s", c->store->incarnation);
    return true;
}

static void a_new_incarnation_is_newer_and_remembers_where_the_former_ended(struct conformance *c)
{
    char first[ID_SIZE], second[ID_SIZE], third[ID_SIZE], expected[256];
    char ancestors[LEDGER_ANCESTORS_SIZE];
    int64_t cut = 0;
    snprintf(first, sizeof first, "%s", c->store->incarnation);
    EXPECT(publish(c, "e1"));
    EXPECT(renew(c, false, second));
    EXPECT(publish(c, "e2"));
    EXPECT(renew(c, true, third));
    EXPECT(strcmp(second, first) > 0 && strcmp(third, second) > 0);
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    EXPECT(ledger_ancestor_cut(work, first, &cut, &c->error) == FH_OK && cut == 1);
    EXPECT(ledger_ancestor_cut(work, second, &cut, &c->error) == FH_OK && cut == 2);
    EXPECT(ledger_ancestor_cut(work, third, &cut, &c->error) == FH_NOT_FOUND);
    EXPECT(ledger_meta_get(work, LEDGER_ANCESTORS, ancestors, sizeof ancestors, &c->error) ==
           FH_OK);
    snprintf(expected, sizeof expected,
             "[{'incarnation': '%s', 'position': 1},"
             "{'incarnation': '%s', 'position': 2, 'restored': true}]",
             first, second);
    json_t *known = conformance_json(ancestors);
    bool same = conformance_is(c, known, expected);
    json_decref(known);
    EXPECT(same);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_new_incarnation_is_newer_and_remembers_where_the_former_ended),
    };
    return conformance_main_all(rows, sizeof rows / sizeof *rows);
}
