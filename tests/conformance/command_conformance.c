/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of commands, and what their callers have closed, on every engine that can own a service's
 * truth.
 */

#include "commands.h"

static bool recorded(struct conformance *c, const char *caller, const char *key)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    struct arena arena;
    struct ledger_command command;
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = ledger_command_get(work, &arena, caller, key, &command, &c->error);
    arena_release(&arena);
    conformance_rollback(c, work);
    if (code != FH_OK && code != FH_NOT_FOUND)
        conformance_note(c, __FILE__, __LINE__, "a command can be looked up");
    return code == FH_OK;
}

static void a_command_is_recorded_and_replaced(struct conformance *c)
{
    EXPECT(!recorded(c, "orders", "k1"));
    EXPECT(put(c, command_of("orders", "k1", "birth", 5, LEDGER_REFUSED)) == FH_OK);
    EXPECT(recorded(c, "orders", "k1") && !recorded(c, "users", "k1"));
    struct ledger_command again = command_of("orders", "k1", "birth", 5, LEDGER_UNDONE);
    again.attempt = 2;
    again.digest = "d2";
    again.request = NULL;
    again.answer = NULL;
    again.undo_answer = "{\"status\":204}";
    EXPECT(put(c, again) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    struct arena arena;
    struct ledger_command read;
    arena_init(&arena, ARENA_SIZE_MAX);
    bool same = ledger_command_get(work, &arena, "orders", "k1", &read, &c->error) == FH_OK &&
                read.attempt == 2 && read.number == 5 && strcmp(read.birth, "birth") == 0 &&
                read.outcome == LEDGER_UNDONE && strcmp(read.digest, "d2") == 0 && !read.request &&
                !read.answer && strcmp(read.undo_answer, "{\"status\":204}") == 0 &&
                strcmp(read.caller, "orders") == 0 && strcmp(read.key, "k1") == 0;
    arena_release(&arena);
    EXPECT(same);
}

static void a_command_of_a_rolled_back_unit_of_work_is_not_recorded(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    struct ledger_command command = command_of("orders", "k1", "birth", 5, LEDGER_DONE);
    EXPECT(ledger_command_put(work, &command, &c->error) == FH_OK);
    conformance_rollback(c, work);
    EXPECT(!recorded(c, "orders", "k1"));
}

static enum ledger_outcome outcome_in(struct conformance *c, struct store_work *work,
                                      const char *key)
{
    struct arena arena;
    struct ledger_command command = {.outcome = LEDGER_PENDING};
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = ledger_command_get(work, &arena, "client", key, &command, &c->error);
    arena_release(&arena);
    return code == FH_OK ? command.outcome : LEDGER_PENDING;
}

static void a_unit_of_work_finds_replaces_and_removes_what_it_recorded(struct conformance *c)
{
    if (c->engine->sequencer)
        return; /* on SQL's servers a record may be looked for beside the unit of work */
    struct ledger_command one = command_of("client", "c1", "", 1, LEDGER_REFUSED);
    struct ledger_command other = command_of("client", "c2", "", 900, LEDGER_DONE);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_command_put(work, &one, &c->error) == FH_OK);
    EXPECT(ledger_command_put(work, &other, &c->error) == FH_OK);
    EXPECT(outcome_in(c, work, "c1") == LEDGER_REFUSED && outcome_in(c, work, "c2") == LEDGER_DONE);
    one.outcome = LEDGER_DONE;
    EXPECT(ledger_command_put(work, &one, &c->error) == FH_OK);
    EXPECT(outcome_in(c, work, "c1") == LEDGER_DONE && outcome_in(c, work, "c3") == LEDGER_PENDING);
    int64_t removed = 0;
    EXPECT(ledger_commands_expire(work, 1500, 10, &removed, &c->error) == FH_OK && removed == 1);
    EXPECT(outcome_in(c, work, "c1") == LEDGER_PENDING);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(!recorded(c, "client", "c1") && recorded(c, "client", "c2"));
}

static void old_commands_of_outside_clients_expire_and_no_others(struct conformance *c)
{
    EXPECT(put(c, command_of("client", "c1", "", 1, LEDGER_DONE)) == FH_OK);
    EXPECT(put(c, command_of("client", "c2", "", 2, LEDGER_DONE)) == FH_OK);
    EXPECT(put(c, command_of("client", "c9", "", 9, LEDGER_DONE)) == FH_OK);
    EXPECT(put(c, command_of("orders", "s1", "birth", 1, LEDGER_DONE)) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    int64_t removed = 0;
    EXPECT(ledger_commands_expire(work, 1009, 1, &removed, &c->error) == FH_OK && removed == 1);
    EXPECT(ledger_commands_expire(work, 1009, 10, &removed, &c->error) == FH_OK && removed == 1);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(!recorded(c, "client", "c1") && !recorded(c, "client", "c2"));
    EXPECT(recorded(c, "client", "c9") && recorded(c, "orders", "s1"));
}

static bool close_callers(struct conformance *c, int64_t through, const char *still_open)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    struct ledger_caller closed = {through, still_open};
    return work && ledger_caller_close(work, "orders", "birth", &closed, &c->error) == FH_OK &&
           conformance_commit(c, work) == FH_OK;
}

static void a_closing_deletes_exactly_what_it_closes(struct conformance *c)
{
    EXPECT(put(c, command_of("orders", "n1", "birth", 1, LEDGER_DONE)) == FH_OK);
    EXPECT(put(c, command_of("orders", "n2", "birth", 2, LEDGER_DONE)) == FH_OK);
    EXPECT(put(c, command_of("orders", "n3", "birth", 3, LEDGER_NEVER)) == FH_OK);
    EXPECT(put(c, command_of("orders", "n3b", "birth", 3, LEDGER_PENDING)) == FH_OK);
    EXPECT(put(c, command_of("orders", "n4", "birth", 4, LEDGER_REFUSED)) == FH_OK);
    EXPECT(put(c, command_of("orders", "other", "another", 1, LEDGER_DONE)) == FH_OK);
    EXPECT(put(c, command_of("users", "n1", "birth", 1, LEDGER_DONE)) == FH_OK);
    EXPECT(put(c, command_of("client", "c1", "", 0, LEDGER_DONE)) == FH_OK);
    EXPECT(close_callers(c, 3, "[2]"));
    EXPECT(!recorded(c, "orders", "n1") && !recorded(c, "orders", "n3"));
    EXPECT(recorded(c, "orders", "n2") && recorded(c, "orders", "n3b"));
    EXPECT(recorded(c, "orders", "n4") && recorded(c, "orders", "other"));
    EXPECT(recorded(c, "users", "n1") && recorded(c, "client", "c1"));
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    struct arena arena;
    struct ledger_caller caller, unknown;
    arena_init(&arena, ARENA_SIZE_MAX);
    bool same =
        ledger_caller_get(work, &arena, "orders", "birth", &caller, &c->error) == FH_OK &&
        caller.closed_through == 3 && strcmp(caller.still_open, "[2]") == 0 &&
        ledger_caller_get(work, &arena, "orders", "unknown", &unknown, &c->error) == FH_OK &&
        unknown.closed_through == 0 && strcmp(unknown.still_open, "[]") == 0;
    arena_release(&arena);
    conformance_rollback(c, work);
    EXPECT(same);
    EXPECT(close_callers(c, 4, "[]"));
    EXPECT(!recorded(c, "orders", "n2") && !recorded(c, "orders", "n4"));
    EXPECT(recorded(c, "orders", "n3b"));
}

static void a_closing_of_all_numbers_deletes_the_highest(struct conformance *c)
{
    EXPECT(put(c, command_of("orders", "n1", "birth", 1, LEDGER_DONE)) == FH_OK);
    EXPECT(put(c, command_of("orders", "n2", "birth", INT64_MAX - 1, LEDGER_DONE)) == FH_OK);
    EXPECT(close_callers(c, INT64_MAX, "[1]"));
    EXPECT(recorded(c, "orders", "n1") && !recorded(c, "orders", "n2"));
}

static void the_newest_incarnation_of_a_caller_is_kept(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    char incarnation[ID_SIZE] = "?";
    EXPECT(ledger_caller_newest(work, "orders", incarnation, &c->error) == FH_OK);
    EXPECT(incarnation[0] == '\0');
    EXPECT(ledger_caller_set_newest(work, "orders", "first", &c->error) == FH_OK);
    EXPECT(ledger_caller_set_newest(work, "orders", "second", &c->error) == FH_OK);
    EXPECT(ledger_caller_newest(work, "orders", incarnation, &c->error) == FH_OK);
    EXPECT(strcmp(incarnation, "second") == 0);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_command_is_recorded_and_replaced),
        CASE(a_command_of_a_rolled_back_unit_of_work_is_not_recorded),
        CASE(a_unit_of_work_finds_replaces_and_removes_what_it_recorded),
        CASE(old_commands_of_outside_clients_expire_and_no_others),
        CASE(a_closing_deletes_exactly_what_it_closes),
        CASE(a_closing_of_all_numbers_deletes_the_highest),
        CASE(the_newest_incarnation_of_a_caller_is_kept),
    };
    return conformance_main_all(rows, sizeof rows / sizeof *rows);
}
