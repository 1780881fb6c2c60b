/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store reports of its commands when a boundary moves out of it, or a caller was restored.
 */

#include <stdio.h>

#include "base/text.h"
#include "commands.h"
#include "work/restored.h"

static bool close_callers(struct conformance *c, int64_t through, const char *still_open)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    struct ledger_caller closed = {through, still_open};
    return work && ledger_caller_close(work, "orders", "birth", &closed, &c->error) == FH_OK &&
           conformance_commit(c, work) == FH_OK;
}

struct told {
    struct text text;
    int left;
};

static bool tell_command(void *context, const struct ledger_command *command)
{
    struct told *told = context;
    text_printf(&told->text, "%s %s %lld %s %s;", command->caller, command->key,
                (long long)command->number, ledger_outcome_name(command->outcome),
                command->answer ? command->answer : "-");
    return --told->left > 0;
}

static bool tell_caller(void *context, const char *caller, const char *birth,
                        const struct ledger_caller *closed)
{
    struct told *told = context;
    text_printf(&told->text, "%s %s %lld %s;", caller, birth, (long long)closed->closed_through,
                closed->still_open);
    return true;
}

/* What is reported after (caller, key), at most `limit`, to a visitor that stops after `ends`. */
static bool commands_are(struct conformance *c, const char *caller, const char *key, int limit,
                         int ends, const char *expected)
{
    struct told told = {.left = ends};
    text_init(&told.text, TEXT_LENGTH_MAX);
    struct store_work *work = conformance_begin(c, STORE_READ);
    bool same =
        work &&
        ledger_commands_read(work, caller, key, limit, tell_command, &told, &c->error) == FH_OK &&
        strcmp(told.text.data ? told.text.data : "", expected) == 0;
    if (work)
        conformance_rollback(c, work);
    text_release(&told.text);
    return same;
}

static void commands_of_services_are_read_page_by_page(struct conformance *c)
{
    struct ledger_command silent = command_of("users", "k1", "birth", 3, LEDGER_NEVER);
    silent.answer = NULL;
    EXPECT(put(c, command_of("orders", "k2", "birth", 2, LEDGER_UNDONE)) == FH_OK);
    EXPECT(put(c, silent) == FH_OK);
    EXPECT(put(c, command_of("orders", "k1", "birth", 1, LEDGER_DONE)) == FH_OK);
    EXPECT(put(c, command_of("client POST /a", "c1", "", 0, LEDGER_DONE)) == FH_OK);
    const char first[] = "orders k1 1 done {\"status\":201};",
               second[] = "orders k2 2 undone {\"status\":201};", third[] = "users k1 3 never -;";
    char two[200], all[300];
    snprintf(two, sizeof two, "%s%s", first, second);
    snprintf(all, sizeof all, "%s%s", two, third);
    EXPECT(commands_are(c, "", "", 10, 10, all));
    EXPECT(commands_are(c, "", "", 2, 10, two));
    EXPECT(commands_are(c, "", "", 10, 1, first));
    EXPECT(commands_are(c, "orders", "k1", 1, 10, second));
    EXPECT(commands_are(c, "orders", "k2", 10, 10, third));
    EXPECT(commands_are(c, "users", "k1", 10, 10, ""));
}

static void what_is_closed_of_each_caller_is_reported(struct conformance *c)
{
    EXPECT(close_callers(c, 3, "[2]"));
    struct told told = {.left = 1};
    text_init(&told.text, TEXT_LENGTH_MAX);
    struct store_work *work = conformance_begin(c, STORE_READ);
    bool same = work && ledger_callers_read(work, tell_caller, &told, &c->error) == FH_OK &&
                told.text.data && strcmp(told.text.data, "orders birth 3 [2];") == 0;
    if (work)
        conformance_rollback(c, work);
    text_release(&told.text);
    EXPECT(same);
}

/* ---- Many, and those of the unit of work itself ---- */

#define MANY 1200
#define MANY_SLOW 60
#define AT_ONCE 100 /* in one unit of work */

static void key_of(int n, char ret[static 16])
{
    snprintf(ret, 16, "k%06d", n * 7919 % 1000003); /* in no particular order */
}

static enum fh_code put_some(struct conformance *c, int from, int count)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    enum fh_code code = work ? FH_OK : c->error.code;
    for (int i = from; i < from + count && code == FH_OK; i++) {
        char key[16];
        key_of(i, key);
        struct ledger_command command = i % 10
                                            ? command_of("orders", key, "birth", i, LEDGER_DONE)
                                            : command_of("client POST /a", key, "", 0, LEDGER_DONE);
        code = ledger_command_put(work, &command, &c->error);
    }
    return code == FH_OK ? conformance_commit(c, work) : code;
}

struct many {
    char last[16];
    int count, left;
    bool ordered;
};

static bool count_command(void *context, const struct ledger_command *command)
{
    struct many *many = context;
    many->ordered = many->ordered && strcmp(command->caller, "orders") == 0 &&
                    strcmp(command->key, many->last) > 0;
    snprintf(many->last, sizeof many->last, "%s", command->key);
    many->count++;
    return --many->left > 0;
}

/* From the place of `many`. */
static bool read_on(struct conformance *c, struct many *many, int limit)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    bool read = work && ledger_commands_read(work, "orders", many->last, limit, count_command, many,
                                             &c->error) == FH_OK;
    if (work)
        conformance_rollback(c, work);
    return read;
}

static void many_commands_are_told_whole_and_in_order(struct conformance *c)
{
    int all = c->engine->slow ? MANY_SLOW : MANY, services = all - all / 10;
    for (int i = 0; i < all; i += AT_ONCE)
        EXPECT(put_some(c, i, all - i < AT_ONCE ? all - i : AT_ONCE) == FH_OK);
    struct many whole = {.left = INT32_MAX, .ordered = true}, paged = whole;
    EXPECT(read_on(c, &whole, INT32_MAX));
    EXPECT(whole.count == services && whole.ordered);
    for (int before = -1; paged.count > before;) {
        before = paged.count;
        EXPECT(read_on(c, &paged, 47));
        EXPECT(paged.count - before <= 47);
    }
    EXPECT(paged.count == services && paged.ordered);
}

static void a_work_is_told_what_it_has_changed_itself(struct conformance *c)
{
    struct told told = {.left = 10};
    struct ledger_command one = command_of("orders", "k1", "birth", 1, LEDGER_PENDING),
                          two = command_of("orders", "k2", "birth", 2, LEDGER_DONE);
    EXPECT(put(c, one) == FH_OK);
    text_init(&told.text, TEXT_LENGTH_MAX);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    one.outcome = LEDGER_REFUSED;
    bool same = ledger_command_put(work, &one, &c->error) == FH_OK &&
                ledger_command_put(work, &two, &c->error) == FH_OK &&
                ledger_commands_read(work, "", "", 10, tell_command, &told, &c->error) == FH_OK &&
                told.text.data &&
                strcmp(told.text.data, "orders k1 1 refused {\"status\":201};"
                                       "orders k2 2 done {\"status\":201};") == 0;
    conformance_rollback(c, work);
    text_release(&told.text);
    EXPECT(same);
}

/* ---- A caller that was restored ---- */

/* Of the incarnations "old", whose backup was restored, and "new"; nobody knows "lost" any more. */
static enum fh_code hear(struct conformance *c, struct store_work *work)
{
    json_t *lives = json_pack("[s, s]", "old", "new");
    struct restored_caller caller = {.caller = "orders", .birth = "old", .cut = 2, .lives = lives};
    enum fh_code code = restored_caller_heard(work, "payments", &caller, 1000, &c->error);
    json_decref(lives);
    return code;
}

static bool reported(struct conformance *c, const char *const *parts, size_t count)
{
    json_t *report = NULL;
    struct store_work *work = conformance_begin(c, STORE_READ);
    bool same = work && restored_get(work, &report, &c->error) == FH_OK;
    const json_t *entries = json_object_get(report, "entries");
    same = same && json_array_size(entries) == count;
    for (size_t i = 0; same && i < count; i++)
        same = strstr(json_string_at(json_array_get(entries, i), "what"), parts[i]) != NULL;
    json_decref(report);
    if (work)
        conformance_rollback(c, work);
    return same;
}

#define SEEN_TO 1100 /* far beyond one page */

static bool news_of(struct conformance *c, int from, int count)
{
    struct restored_news news = {0};
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    for (int i = from; i < from + count; i++) {
        char saga[32];
        snprintf(saga, sizeof saga, "old.%d", i);
        struct restored_entry entry = {"payments", saga, "It has lost that.", "Look at it."};
        restored_news_add(&news, &entry);
    }
    bool put = work && restored_put(work, &news, 1000, &c->error) == FH_OK &&
               conformance_commit(c, work) == FH_OK;
    restored_news_release(&news);
    return put;
}

static json_t *report_of(struct conformance *c, int64_t *ret_count)
{
    json_t *report = NULL;
    struct store_work *work = conformance_begin(c, STORE_READ);
    if (!work)
        return NULL;
    if (restored_get(work, &report, &c->error) == FH_OK)
        restored_count(work, ret_count, &c->error);
    conformance_rollback(c, work);
    return report;
}

static bool see(struct conformance *c, const struct restored_seen *seen)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    return work && restored_seen(work, seen, &c->error) == FH_OK &&
           conformance_commit(c, work) == FH_OK;
}

static void a_long_report_is_kept_whole_and_ticked_off_entry_by_entry(struct conformance *c)
{
    int64_t count = 0;
    EXPECT(news_of(c, 0, SEEN_TO - 50) && news_of(c, SEEN_TO - 50, 50));
    conformance_reopen(c);
    json_t *report = report_of(c, &count), *entries = json_object_get(report, "entries");
    EXPECT(count == SEEN_TO && json_array_size(entries) == SEEN_TO);
    EXPECT(json_integer_value(json_object_get(report, "left_out")) == 0);
    json_t *ids = json_array(), *left;
    for (size_t i = 1; i < SEEN_TO; i += 2) /* every other one, on every page */
        json_array_append(ids, json_object_get(json_array_get(entries, i), "id"));
    struct restored_seen some = {.ids = ids};
    EXPECT(see(c, &some) && see(c, &some)); /* twice counts once */
    left = report_of(c, &count);
    bool right = count == SEEN_TO / 2;
    for (size_t i = 0; right && i < SEEN_TO / 2; i++)
        right =
            strcmp(json_string_value(json_object_get(
                       json_array_get(json_object_get(left, "entries"), i), "saga")),
                   json_string_value(json_object_get(json_array_get(entries, 2 * i), "saga"))) == 0;
    json_decref(left);
    json_decref(ids);
    json_decref(report);
    EXPECT(right);
    struct restored_seen first = {.first = SEEN_TO};
    EXPECT(see(c, &first));
    json_decref(report_of(c, &count));
    EXPECT(count == 0);
    EXPECT(news_of(c, 0, 3));
    json_decref(report_of(c, &count));
    EXPECT(count == 3);
}

static void a_report_of_a_former_version_stays_readable(struct conformance *c)
{
    int64_t count = 0;
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_meta_put(
               work, "restored",
               "{\"entries\": [{\"peer\": \"orders\", \"saga\": \"old.1\", \"what\": \"w\","
               " \"todo\": \"t\", \"at_ms\": 1}], \"left_out\": 954}",
               &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    json_t *report = report_of(c, &count);
    const json_t *entry = json_array_get(json_object_get(report, "entries"), 0);
    bool right = count == 955 && json_string_length(json_object_get(entry, "id")) == 16;
    json_decref(report);
    EXPECT(right && news_of(c, 0, 120));
    json_decref(report_of(c, &count));
    EXPECT(count == 955 + 120);
    struct restored_seen all = {.first = 121, .left_out = 954};
    EXPECT(see(c, &all));
    json_decref(report_of(c, &count));
    EXPECT(count == 0);
}

static void what_was_done_for_lost_sagas_of_a_restored_caller_is_reported(struct conformance *c)
{
    static const char *const expected[] = {
        "payments did step charge/0 of saga lost.1 of orders",
        "payments did step charge/0 of saga old.3 of orders",
        "payments is still carrying out step charge/0 of saga old.4 of orders",
        "above 2 up to 5 of life old"};
    EXPECT(put(c, command_of("orders", "orders/old.2/charge/0", "old", 2, LEDGER_DONE)) == FH_OK);
    EXPECT(put(c, command_of("orders", "orders/old.3/charge/0", "old", 3, LEDGER_DONE)) == FH_OK);
    EXPECT(put(c, command_of("orders", "orders/old.4/charge/0", "old", 4, LEDGER_PENDING)) ==
           FH_OK);
    EXPECT(put(c, command_of("orders", "orders/old.5/charge/0", "old", 5, LEDGER_UNDONE)) == FH_OK);
    EXPECT(put(c, command_of("orders", "orders/new.9/charge/0", "new", 9, LEDGER_DONE)) == FH_OK);
    EXPECT(put(c, command_of("orders", "orders/lost.1/charge/0", "lost", 1, LEDGER_DONE)) == FH_OK);
    EXPECT(put(c, command_of("users", "users/old.3/rename/0", "old", 3, LEDGER_DONE)) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    struct ledger_caller closed = {5, "[3, 4]"};
    EXPECT(work && ledger_caller_close(work, "orders", "old", &closed, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT((work = conformance_begin(c, STORE_WRITE)) != NULL);
    EXPECT(hear(c, work) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(reported(c, expected, sizeof expected / sizeof *expected));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(commands_of_services_are_read_page_by_page),
        CASE(what_is_closed_of_each_caller_is_reported),
        CASE(many_commands_are_told_whole_and_in_order),
        CASE(a_work_is_told_what_it_has_changed_itself),
        CASE(what_was_done_for_lost_sagas_of_a_restored_caller_is_reported),
        CASE(a_long_report_is_kept_whole_and_ticked_off_entry_by_entry),
        CASE(a_report_of_a_former_version_stays_readable),
    };
    return conformance_main_all(rows, sizeof rows / sizeof *rows);
}
