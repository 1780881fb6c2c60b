/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key-value model, call by call. What units of work do concurrently is in
 * keyvalue_works_conformance.c.
 *
 * Times: a unit of work is given the time, so a key's expiry is reached by giving a later one. They
 * are ahead of the wall clock, since an engine may use a clock of its own, too.
 */

#include "keyvalue.h"

#include <stdlib.h>

#define HOUR_MS 3600000

/* ---- Values ---- */

static void values_come_back_as_they_were_put(struct conformance *c)
{
    static const char *const values[] = {
        "'text'",
        "''",
        "'5'",
        "5",
        "-7",
        "0",
        "true",
        "null",
        "1.5",
        "[1,'two',null]",
        "{'z':1,'a':{'b':[]}}",
        "9007199254740991",
        "'\\\\u0000\\\\u0001\\\\u007f'",
        "'a \\\\u0022quoted\\\\u0022 back\\\\\\\\slash'",
        "'\u00e4\u00f6\u00fc \u4e16\u754c \U0001f6d2'",
    };
    EXPECT(prepare(c));
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        json_t *value = conformance_json(values[i]);
        char *text;
        EXPECT(keyvalue_value_text(value, &text, &c->error) == FH_OK);
        json_decref(value);
        bool put = puts_value(c, "v", text);
        json_text_free(text);
        EXPECT(put);
        EXPECT(holds(c, "v", values[i]));
    }
    conformance_reopen(c);
    EXPECT(holds(c, "v", values[sizeof values / sizeof *values - 1]));
}

static void keys_are_distinguished_by_every_byte(struct conformance *c)
{
    static const char *const keys[] = {"a",   "A",    "a ", " a",     "a:b",     "a\nb",
                                       "a%b", "a*",   "a?", "\u00e4", "a\u0308", "{a}",
                                       "a\\", "\x01", "'",  "\""};
    enum { KEYS = sizeof keys / sizeof *keys };
    char text[16], longest[KEYVALUE_NAME_LENGTH_MAX + 1];
    EXPECT(prepare(c));
    for (int i = 0; i < KEYS; i++) {
        snprintf(text, sizeof text, "%d", i);
        EXPECT(puts_value(c, keys[i], text));
    }
    for (int i = 0; i < KEYS; i++) {
        snprintf(text, sizeof text, "%d", i);
        EXPECT(holds(c, keys[i], text));
    }
    memset(longest, 'k', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    EXPECT(puts_value(c, longest, "1"));
    EXPECT(puts_field(c, "h", longest, "1"));
    EXPECT(puts_member(c, "s", longest, 1));
    EXPECT(holds(c, longest, "1"));
    longest[0] = 'l';
    EXPECT(holds(c, longest, NULL));
}

static void a_megabyte_fits(struct conformance *c)
{
    char *text = malloc(KEYVALUE_VALUE_SIZE_MAX + 1);
    EXPECT(text);
    memset(text, 'x', KEYVALUE_VALUE_SIZE_MAX);
    text[0] = text[KEYVALUE_VALUE_SIZE_MAX - 1] = '"';
    text[KEYVALUE_VALUE_SIZE_MAX] = '\0';
    bool put = prepare(c) && puts_value(c, "big", text) && puts_field(c, "bigs", "one", text);
    bool same = put && holds(c, "big", text);
    free(text);
    EXPECT(same);
    struct keyvalue_view view = begin(c, STORE_READ, 0);
    json_t *value = NULL;
    EXPECT(kv(c)->field_get(&view, "bigs", "one", &value, &c->error) == FH_OK);
    EXPECT(json_string_length(value) == KEYVALUE_VALUE_SIZE_MAX - 2);
    json_decref(value);
}

static void what_is_not_there_is_not_found(struct conformance *c)
{
    json_t *value = NULL;
    int64_t score;
    bool existed = true;
    EXPECT(prepare(c));
    EXPECT(puts_field(c, "h", "f", "1") && puts_member(c, "s", "m", 1));
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    EXPECT(kv(c)->get(&view, "none", &value, &c->error) == FH_NOT_FOUND && !value);
    EXPECT(strstr(c->error.message, "none"));
    EXPECT(kv(c)->field_get(&view, "none", "f", &value, &c->error) == FH_NOT_FOUND && !value);
    EXPECT(kv(c)->field_get(&view, "h", "g", &value, &c->error) == FH_NOT_FOUND && !value);
    EXPECT(kv(c)->score(&view, "none", "m", &score, &c->error) == FH_NOT_FOUND);
    EXPECT(kv(c)->score(&view, "s", "n", &score, &c->error) == FH_NOT_FOUND);
    EXPECT(kv(c)->expire(&view, "none", view.now_ms + HOUR_MS, &c->error) == FH_NOT_FOUND);
    EXPECT(kv(c)->remove(&view, "none", &existed, &c->error) == FH_OK && !existed);
    existed = true;
    EXPECT(kv(c)->field_remove(&view, "none", "f", &existed, &c->error) == FH_OK && !existed);
    existed = true;
    EXPECT(kv(c)->member_remove(&view, "s", "n", &existed, &c->error) == FH_OK && !existed);
    EXPECT(kv(c)->fields(&view, "none", &value, &c->error) == FH_OK);
    EXPECT(conformance_is(c, value, "{}"));
    json_decref(value);
    struct keyvalue_range all = {.min = 0, .max = 9, .limit = 10};
    EXPECT(kv(c)->members(&view, "none", &all, &value, &c->error) == FH_OK);
    EXPECT(conformance_is(c, value, "[]"));
    json_decref(value);
}

static void counters_count(struct conformance *c)
{
    EXPECT(prepare(c));
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    EXPECT(kv(c)->add(&view, "n", 5, &c->error) == FH_OK);
    EXPECT(kv(c)->add(&view, "n", -7, &c->error) == FH_OK);
    EXPECT(shows(c, &view, "n", "-2"));
    EXPECT(kv(c)->put(&view, "n", "40", false, &c->error) == FH_OK);
    EXPECT(kv(c)->add(&view, "n", 2, &c->error) == FH_OK);
    EXPECT(shows(c, &view, "n", "42"));
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    EXPECT(holds(c, "n", "42"));
    view = begin(c, STORE_WRITE, 0);
    EXPECT(kv(c)->add(&view, "n", 1, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    EXPECT(holds(c, "n", "43"));
}

/* Reported by the call or by the commit; nothing of the unit of work is there. */
static bool refuses_to_add(struct conformance *c, const char *key, int64_t delta)
{
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    kv(c)->put(&view, "beside", "1", false, &c->error);
    enum fh_code code = kv(c)->add(&view, key, delta, &c->error);
    if (code == FH_OK)
        code = conformance_commit(c, view.work);
    else
        conformance_rollback(c, view.work);
    return code == FH_CONFLICT && !c->error.retryable && strstr(c->error.message, key) &&
           holds(c, "beside", NULL);
}

static void what_can_not_count_is_a_conflict(struct conformance *c)
{
    EXPECT(prepare(c));
    EXPECT(puts_value(c, "text", "\"5\"") && puts_value(c, "real", "1.5"));
    EXPECT(puts_value(c, "high", "9007199254740990") && puts_value(c, "low", "-9007199254740991"));
    EXPECT(refuses_to_add(c, "text", 1));
    EXPECT(refuses_to_add(c, "real", 1));
    EXPECT(refuses_to_add(c, "high", 2));
    EXPECT(refuses_to_add(c, "low", -1));
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    EXPECT(kv(c)->add(&view, "high", 1, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    EXPECT(holds(c, "high", "9007199254740991"));
}

/* ---- Hashes and sorted sets ---- */

static void fields_are_ordered_by_their_bytes(struct conformance *c)
{
    EXPECT(prepare(c));
    EXPECT(puts_field(c, "h", "b", "1") && puts_field(c, "h", "\u00e4", "2"));
    EXPECT(puts_field(c, "h", "B", "\"three\"") && puts_field(c, "h", "b", "[4]"));
    EXPECT(puts_field(c, "h", "aa", "{}"));
    EXPECT(holds(c, "h", "{'B':'three','aa':{},'b':[4],'\u00e4':2}"));
}

static void a_key_goes_with_its_last_part(struct conformance *c)
{
    bool existed = false;
    EXPECT(prepare(c));
    EXPECT(puts_field(c, "h", "f", "1") && puts_member(c, "s", "m", 1));
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    EXPECT(kv(c)->expire(&view, "h", view.now_ms + HOUR_MS, &c->error) == FH_OK);
    EXPECT(kv(c)->field_remove(&view, "h", "f", &existed, &c->error) == FH_OK && existed);
    EXPECT(shows(c, &view, "h", NULL));
    EXPECT(kv(c)->member_remove(&view, "s", "m", &existed, &c->error) == FH_OK && existed);
    EXPECT(shows(c, &view, "s", NULL));
    /* And may be created again as another kind, without its former expiry time. */
    EXPECT(kv(c)->member_put(&view, "h", "m", 3, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    EXPECT(holds_later(c, 2 * HOUR_MS, "h", "[{'member':'m','score':3}]"));
    EXPECT(holds(c, "s", NULL));
    EXPECT(puts_field(c, "s", "f", "1"));
    EXPECT(holds(c, "s", "{'f':1}"));
}

static bool range_is(struct conformance *c, const struct keyvalue_view *view, bool highest,
                     int64_t min, int64_t max, int skip, int limit, const char *members)
{
    struct keyvalue_range range = {min, max, highest, skip, limit};
    json_t *list = NULL, *one;
    char got[128] = "";
    size_t i;
    if (kv(c)->members(view, "s", &range, &list, &c->error) != FH_OK)
        return false;
    json_array_foreach (list, i, one)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? " " : "",
                 json_string_at(one, "member"));
    json_decref(list);
    if (strcmp(got, members) != 0)
        conformance_note(c, __FILE__, __LINE__, got);
    return strcmp(got, members) == 0;
}

static void ranges(struct conformance *c, const struct keyvalue_view *view)
{
    int64_t max = KEYVALUE_INTEGER_MAX;
    EXPECT(range_is(c, view, false, -max, max, 0, 10, "low B a b \u00e4 c high"));
    EXPECT(range_is(c, view, true, -max, max, 0, 10, "high c \u00e4 b a B low"));
    EXPECT(range_is(c, view, false, 5, 7, 0, 10, "B a b \u00e4 c"));
    EXPECT(range_is(c, view, true, 5, 5, 0, 10, "\u00e4 b a B"));
    EXPECT(range_is(c, view, false, 5, 5, 1, 2, "a b"));
    EXPECT(range_is(c, view, true, 5, 7, 1, 2, "\u00e4 b"));
    EXPECT(range_is(c, view, false, 6, 6, 0, 10, ""));
    EXPECT(range_is(c, view, false, 7, 5, 0, 10, ""));
    EXPECT(range_is(c, view, false, -max, max, 7, 10, ""));
    EXPECT(range_is(c, view, false, max, max, 0, 1, "high"));
}

static void members_are_ordered_by_score_and_then_by_their_bytes(struct conformance *c)
{
    static const struct {
        const char *member;
        int64_t score;
    } members[] = {{"c", 7},
                   {"b", 5},
                   {"a", 9},
                   {"\u00e4", 5},
                   {"B", 5},
                   {"a", 5},
                   {"low", -KEYVALUE_INTEGER_MAX},
                   {"high", KEYVALUE_INTEGER_MAX}};
    bool existed = false;
    EXPECT(prepare(c));
    EXPECT(puts_member(c, "s", "gone", 5));
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        EXPECT(kv(c)->member_put(&view, "s", members[i].member, members[i].score, &c->error) ==
               FH_OK);
    EXPECT(kv(c)->member_remove(&view, "s", "gone", &existed, &c->error) == FH_OK && existed);
    ranges(c, &view);
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    view = begin(c, STORE_READ, 0);
    ranges(c, &view);
}

/* ---- Kinds ---- */

static bool is_kind_error(struct conformance *c, enum fh_code code, const char *words)
{
    return code == FH_CONFLICT && !c->error.retryable && strstr(c->error.message, words);
}

static void reads_of_another_kind_are_conflicts(struct conformance *c)
{
    json_t *value = NULL;
    int64_t score;
    struct keyvalue_range all = {.min = 0, .max = 9, .limit = 10};
    EXPECT(prepare(c));
    EXPECT(puts_value(c, "v", "1") && puts_field(c, "h", "f", "1") && puts_member(c, "s", "m", 1));
    struct keyvalue_view view = begin(c, STORE_READ, 0);
    EXPECT(
        is_kind_error(c, kv(c)->get(&view, "h", &value, &c->error), "'h' is a hash, and a value"));
    EXPECT(is_kind_error(c, kv(c)->fields(&view, "s", &value, &c->error), "'s' is a sorted set"));
    EXPECT(
        is_kind_error(c, kv(c)->field_get(&view, "v", "f", &value, &c->error), "'v' is a value"));
    EXPECT(
        is_kind_error(c, kv(c)->members(&view, "h", &all, &value, &c->error), "a sorted set is"));
    EXPECT(is_kind_error(c, kv(c)->score(&view, "v", "m", &score, &c->error), "a sorted set is"));
}

enum write { WRITE_ADD, WRITE_FIELD, WRITE_MEMBER };

/* Reported by the call or by the commit; the key stays as it is. */
static bool refuses_kind(struct conformance *c, enum write write, const char *key, const char *is)
{
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    enum fh_code code;
    if (write == WRITE_ADD)
        code = kv(c)->add(&view, key, 1, &c->error);
    else if (write == WRITE_FIELD)
        code = kv(c)->field_put(&view, key, "x", "1", &c->error);
    else
        code = kv(c)->member_put(&view, key, "x", 1, &c->error);
    if (code == FH_OK)
        code = conformance_commit(c, view.work);
    else
        conformance_rollback(c, view.work);
    return is_kind_error(c, code, is);
}

static void writes_of_another_kind_are_conflicts(struct conformance *c)
{
    EXPECT(prepare(c));
    EXPECT(puts_value(c, "v", "1") && puts_field(c, "h", "f", "1") && puts_member(c, "s", "m", 1));
    EXPECT(refuses_kind(c, WRITE_FIELD, "v", "'v' is a value, and a hash"));
    EXPECT(refuses_kind(c, WRITE_MEMBER, "v", "'v' is a value, and a sorted set"));
    EXPECT(refuses_kind(c, WRITE_ADD, "h", "'h' is a hash"));
    EXPECT(refuses_kind(c, WRITE_MEMBER, "h", "'h' is a hash"));
    EXPECT(refuses_kind(c, WRITE_ADD, "s", "'s' is a sorted set"));
    EXPECT(refuses_kind(c, WRITE_FIELD, "s", "'s' is a sorted set"));
    EXPECT(holds(c, "v", "1") && holds(c, "h", "{'f':1}"));
    EXPECT(holds(c, "s", "[{'member':'m','score':1}]"));
}

static void put_and_remove_take_any_kind(struct conformance *c)
{
    bool existed = false;
    EXPECT(prepare(c));
    EXPECT(puts_field(c, "h", "f", "1") && puts_member(c, "s", "m", 1));
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    EXPECT(kv(c)->put(&view, "h", "\"now a value\"", false, &c->error) == FH_OK);
    EXPECT(kv(c)->remove(&view, "s", &existed, &c->error) == FH_OK && existed);
    EXPECT(kv(c)->field_put(&view, "s", "f", "2", &c->error) == FH_OK);
    EXPECT(shows(c, &view, "h", "'now a value'") && shows(c, &view, "s", "{'f':2}"));
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    EXPECT(holds(c, "h", "'now a value'") && holds(c, "s", "{'f':2}"));
    view = begin(c, STORE_WRITE, 0);
    EXPECT(kv(c)->remove(&view, "h", &existed, &c->error) == FH_OK && existed);
    EXPECT(shows(c, &view, "h", NULL));
    EXPECT(kv(c)->field_put(&view, "h", "g", "3", &c->error) == FH_OK);
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    EXPECT(holds(c, "h", "{'g':3}"));
}

/* ---- Expiry ---- */

static bool expires(struct conformance *c, const char *key, int64_t later_ms)
{
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    int64_t at_ms = later_ms ? view.now_ms + later_ms : 0, expires_ms = -1;
    enum keyvalue_kind kind;
    return kv(c)->expire(&view, key, at_ms, &c->error) == FH_OK &&
           kv(c)->look(&view, key, &kind, &expires_ms, &c->error) == FH_OK && expires_ms == at_ms &&
           conformance_commit(c, view.work) == FH_OK;
}

static void a_key_ends_at_its_time(struct conformance *c)
{
    EXPECT(prepare(c));
    EXPECT(puts_value(c, "v", "1") && puts_field(c, "h", "f", "1") && puts_member(c, "s", "m", 1));
    EXPECT(expires(c, "v", HOUR_MS) && expires(c, "h", HOUR_MS) && expires(c, "s", HOUR_MS));
    EXPECT(holds(c, "v", "1") && holds(c, "h", "{'f':1}"));
    EXPECT(holds_later(c, 2 * HOUR_MS, "v", NULL) && holds_later(c, 2 * HOUR_MS, "h", NULL));
    EXPECT(holds_later(c, 2 * HOUR_MS, "s", NULL));
    conformance_reopen(c);
    EXPECT(holds(c, "v", "1") && holds_later(c, 2 * HOUR_MS, "v", NULL));
    EXPECT(expires(c, "v", 0));
    EXPECT(holds_later(c, 2 * HOUR_MS, "v", "1"));
}

static void the_time_that_is_given_decides_to_the_millisecond(struct conformance *c)
{
    EXPECT(prepare(c));
    struct keyvalue_view view = begin(c, STORE_WRITE, 0), then;
    int64_t at_ms = view.now_ms + HOUR_MS;
    EXPECT(kv(c)->put(&view, "v", "1", false, &c->error) == FH_OK);
    EXPECT(kv(c)->expire(&view, "v", at_ms, &c->error) == FH_OK);
    then = (struct keyvalue_view){view.work, at_ms - 1};
    EXPECT(shows(c, &then, "v", "1"));
    then.now_ms = at_ms;
    EXPECT(shows(c, &then, "v", NULL));
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    then = (struct keyvalue_view){conformance_begin(c, STORE_READ), at_ms - 1};
    EXPECT(shows(c, &then, "v", "1"));
    then.now_ms = at_ms;
    EXPECT(shows(c, &then, "v", NULL));
}

static void a_time_that_has_come_ends_the_key_at_once(struct conformance *c)
{
    EXPECT(prepare(c));
    EXPECT(puts_field(c, "h", "f", "1"));
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    EXPECT(kv(c)->expire(&view, "h", view.now_ms, &c->error) == FH_OK);
    EXPECT(shows(c, &view, "h", NULL));
    EXPECT(kv(c)->expire(&view, "h", 0, &c->error) == FH_NOT_FOUND);
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    EXPECT(holds(c, "h", NULL));
}

static void what_is_written_after_the_expiry_begins_empty(struct conformance *c)
{
    EXPECT(prepare(c));
    EXPECT(puts_value(c, "v", "7") && puts_field(c, "h", "old", "1") &&
           puts_member(c, "s", "old", 1) && puts_field(c, "other", "old", "1"));
    EXPECT(expires(c, "v", HOUR_MS) && expires(c, "h", HOUR_MS) && expires(c, "s", HOUR_MS) &&
           expires(c, "other", HOUR_MS));
    struct keyvalue_view view = begin(c, STORE_WRITE, 2 * HOUR_MS);
    EXPECT(kv(c)->add(&view, "v", 1, &c->error) == FH_OK);
    EXPECT(kv(c)->field_put(&view, "h", "new", "2", &c->error) == FH_OK);
    EXPECT(kv(c)->member_put(&view, "s", "new", 2, &c->error) == FH_OK);
    EXPECT(kv(c)->member_put(&view, "other", "new", 2, &c->error) == FH_OK);
    EXPECT(shows(c, &view, "v", "1") && shows(c, &view, "h", "{'new':2}"));
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    EXPECT(holds_later(c, 3 * HOUR_MS, "v", "1"));
    EXPECT(holds_later(c, 3 * HOUR_MS, "h", "{'new':2}"));
    EXPECT(holds_later(c, 3 * HOUR_MS, "s", "[{'member':'new','score':2}]"));
    EXPECT(holds_later(c, 3 * HOUR_MS, "other", "[{'member':'new','score':2}]"));
}

static void put_ends_the_time_and_other_writes_keep_it(struct conformance *c)
{
    bool existed;
    EXPECT(prepare(c));
    EXPECT(puts_value(c, "put", "1") && puts_value(c, "kept", "1") && puts_value(c, "n", "1"));
    EXPECT(puts_field(c, "h", "f", "1") && puts_field(c, "h", "g", "1"));
    EXPECT(expires(c, "put", HOUR_MS) && expires(c, "kept", HOUR_MS) && expires(c, "n", HOUR_MS) &&
           expires(c, "h", HOUR_MS));
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    EXPECT(kv(c)->put(&view, "put", "2", false, &c->error) == FH_OK);
    EXPECT(kv(c)->put(&view, "kept", "2", true, &c->error) == FH_OK);
    EXPECT(kv(c)->put(&view, "new", "2", true, &c->error) == FH_OK);
    EXPECT(kv(c)->add(&view, "n", 1, &c->error) == FH_OK);
    EXPECT(kv(c)->field_put(&view, "h", "f", "2", &c->error) == FH_OK);
    EXPECT(kv(c)->field_remove(&view, "h", "g", &existed, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    EXPECT(holds(c, "kept", "2") && holds(c, "n", "2") && holds(c, "h", "{'f':2}"));
    EXPECT(holds_later(c, 2 * HOUR_MS, "put", "2") && holds_later(c, 2 * HOUR_MS, "new", "2"));
    EXPECT(holds_later(c, 2 * HOUR_MS, "kept", NULL) && holds_later(c, 2 * HOUR_MS, "n", NULL));
    EXPECT(holds_later(c, 2 * HOUR_MS, "h", NULL));
}

static bool sweeps(struct conformance *c, int64_t later_ms, int slices)
{
    int64_t removed = KEYVALUE_SWEEP_ROWS;
    int count = 0;
    for (; removed >= KEYVALUE_SWEEP_ROWS && count < 100; count++) {
        struct keyvalue_view view = begin(c, STORE_WRITE, later_ms);
        if (kv(c)->sweep(&view, &removed, &c->error) != FH_OK || removed > KEYVALUE_SWEEP_ROWS ||
            conformance_commit(c, view.work) != FH_OK)
            return false;
    }
    return count >= slices && removed < KEYVALUE_SWEEP_ROWS;
}

static void fill(struct conformance *c, const char *key, int fields)
{
    char name[24];
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    for (int i = 0; i < fields; i++) {
        snprintf(name, sizeof name, "f%d", i);
        EXPECT(kv(c)->field_put(&view, key, name, "1", &c->error) == FH_OK);
    }
    EXPECT(conformance_commit(c, view.work) == FH_OK);
}

static void what_ended_is_swept_in_slices_and_the_rest_stays(struct conformance *c)
{
    char key[24];
    bool existed;
    int slices = kv(c)->prepare ? 3 : 1; /* tables keep the rows of what was removed */
    if (!kv(c)->sweep)
        return; /* the engine does it by itself */
    EXPECT(prepare(c));
    fill(c, "removed", 2 * KEYVALUE_SWEEP_ROWS);
    fill(c, "kept", 10);
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    EXPECT(kv(c)->remove(&view, "removed", &existed, &c->error) == FH_OK && existed);
    EXPECT(kv(c)->member_put(&view, "removed", "again", 1, &c->error) == FH_OK);
    for (int i = 0; i < KEYVALUE_SWEEP_ROWS; i++) {
        snprintf(key, sizeof key, "k%d", i);
        EXPECT(kv(c)->put(&view, key, "1", false, &c->error) == FH_OK);
        EXPECT(kv(c)->expire(&view, key, view.now_ms + HOUR_MS, &c->error) == FH_OK);
    }
    EXPECT(kv(c)->expire(&view, "kept", view.now_ms + 3 * HOUR_MS, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    EXPECT(sweeps(c, 0, slices));
    EXPECT(holds(c, "k0", "1"));
    EXPECT(sweeps(c, 2 * HOUR_MS, slices));
    EXPECT(holds(c, "k0", NULL)); /* whatever time it is given now */
    EXPECT(holds(c, "removed", "[{'member':'again','score':1}]"));
    view = begin(c, STORE_READ, 0);
    json_t *fields = NULL;
    EXPECT(kv(c)->fields(&view, "kept", &fields, &c->error) == FH_OK);
    EXPECT(json_object_size(fields) == 10);
    json_decref(fields);
    conformance_rollback(c, view.work);
    EXPECT(sweeps(c, 0, 1));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(values_come_back_as_they_were_put),
        CASE(keys_are_distinguished_by_every_byte),
        CASE(a_megabyte_fits),
        CASE(what_is_not_there_is_not_found),
        CASE(counters_count),
        CASE(what_can_not_count_is_a_conflict),
        CASE(fields_are_ordered_by_their_bytes),
        CASE(a_key_goes_with_its_last_part),
        CASE(members_are_ordered_by_score_and_then_by_their_bytes),
        CASE(reads_of_another_kind_are_conflicts),
        CASE(writes_of_another_kind_are_conflicts),
        CASE(put_and_remove_take_any_kind),
        CASE(a_key_ends_at_its_time),
        CASE(the_time_that_is_given_decides_to_the_millisecond),
        CASE(a_time_that_has_come_ends_the_key_at_once),
        CASE(what_is_written_after_the_expiry_begins_empty),
        CASE(put_ends_the_time_and_other_writes_keep_it),
        CASE(what_ended_is_swept_in_slices_and_the_rest_stays),
    };
    return conformance_main(FH_KEY_VALUE, rows, sizeof rows / sizeof *rows);
}
