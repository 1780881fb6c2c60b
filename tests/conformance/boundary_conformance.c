/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store tells of its commands when a boundary moves out of it, on every engine that tells.
 */

#include "base/text.h"
#include "conformance.h"
#include "store/ledger.h"

static struct ledger_command command_of(const char *caller, const char *key, const char *birth,
                                        int64_t number, enum ledger_outcome outcome)
{
    return (struct ledger_command){.caller = caller,
                                   .key = key,
                                   .birth = birth,
                                   .number = number,
                                   .attempt = 1,
                                   .created_ms = 1000 + number,
                                   .outcome = outcome,
                                   .digest = "d1",
                                   .request = "{\"q\":1}",
                                   .answer = "{\"status\":201}"};
}

static enum fh_code put(struct conformance *c, struct ledger_command command)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return c->error.code;
    enum fh_code code = ledger_command_put(work, &command, &c->error);
    return code == FH_OK ? conformance_commit(c, work) : code;
}

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

/* What is told behind (caller, key), of at most `limit`, by a visitor that ends after `ends`. */
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

/* A store that can't tell says so: then no boundary moves out of it. */
static bool tells_commands(struct conformance *c)
{
    struct told told = {.left = 1};
    struct store_work *work = conformance_begin(c, STORE_READ);
    text_init(&told.text, TEXT_LENGTH_MAX);
    enum fh_code code = ledger_commands_read(work, "", "", 1, tell_command, &told, &c->error);
    conformance_rollback(c, work);
    text_release(&told.text);
    return code != FH_UNSUPPORTED;
}

static void commands_of_services_are_told_page_by_page(struct conformance *c)
{
    if (!tells_commands(c))
        return;
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

static void what_is_closed_of_whom_is_told(struct conformance *c)
{
    if (!tells_commands(c))
        return;
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

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(commands_of_services_are_told_page_by_page),
        CASE(what_is_closed_of_whom_is_told),
    };
    return conformance_main_all(rows, sizeof rows / sizeof *rows);
}
