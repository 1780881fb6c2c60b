/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key-value model: whole units of work, one after the other and concurrent. A long run of
 * random units of work is compared with a reference that keeps everything in one JSON object: what
 * a unit of work reads of its own changes, and what others read after the commit or the rollback,
 * is what the reference has.
 */

#include "keyvalue.h"

#define HOUR_MS 3600000
#define COUNTERS 20
#define REFERENCE_WORKS 150
#define REFERENCE_WORKS_SLOW 40
#define REFERENCE_KEYS 4
#define REFERENCE_NAMES 5

/* ---- Units of work ---- */

static void a_rolled_back_work_leaves_nothing(struct conformance *c)
{
    bool existed;
    EXPECT(prepare(c));
    EXPECT(puts_value(c, "v", "1") && puts_field(c, "h", "f", "1") && puts_member(c, "s", "m", 1));
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    EXPECT(kv(c)->put(&view, "v", "2", false, &c->error) == FH_OK);
    EXPECT(kv(c)->put(&view, "new", "2", false, &c->error) == FH_OK);
    EXPECT(kv(c)->remove(&view, "h", &existed, &c->error) == FH_OK);
    EXPECT(kv(c)->member_put(&view, "s", "n", 2, &c->error) == FH_OK);
    EXPECT(kv(c)->expire(&view, "s", view.now_ms + HOUR_MS, &c->error) == FH_OK);
    conformance_rollback(c, view.work);
    EXPECT(holds(c, "v", "1") && holds(c, "h", "{'f':1}") && holds(c, "new", NULL));
    EXPECT(holds_later(c, 2 * HOUR_MS, "s", "[{'member':'m','score':1}]"));
}

static void a_work_reads_its_own_changes_and_others_none_of_them(struct conformance *c)
{
    EXPECT(prepare(c));
    EXPECT(puts_value(c, "v", "1") && puts_field(c, "h", "f", "1"));
    struct keyvalue_view view = begin(c, STORE_WRITE, 0);
    EXPECT(kv(c)->put(&view, "v", "2", false, &c->error) == FH_OK);
    EXPECT(kv(c)->field_put(&view, "h", "g", "2", &c->error) == FH_OK);
    EXPECT(kv(c)->add(&view, "n", 3, &c->error) == FH_OK);
    EXPECT(shows(c, &view, "v", "2") && shows(c, &view, "h", "{'f':1,'g':2}"));
    EXPECT(shows(c, &view, "n", "3"));
    EXPECT(holds(c, "v", "1") && holds(c, "h", "{'f':1}") && holds(c, "n", NULL));
    EXPECT(conformance_commit(c, view.work) == FH_OK);
    EXPECT(holds(c, "v", "2") && holds(c, "h", "{'f':1,'g':2}") && holds(c, "n", "3"));
}

static void a_reading_work_changes_nothing(struct conformance *c)
{
    EXPECT(prepare(c));
    struct keyvalue_view view = begin(c, STORE_READ, 0);
    EXPECT(kv(c)->put(&view, "v", "1", false, &c->error) != FH_OK);
    conformance_rollback(c, view.work);
    EXPECT(holds(c, "v", NULL));
}

struct counter {
    struct conformance *c;
    bool blindly;
    int done;
};

static enum fh_code count_once(struct conformance *c, const struct keyvalue_view *view,
                               bool blindly, struct fh_error *error)
{
    json_t *value;
    int64_t sum;
    char text[24];
    if (blindly)
        return kv(c)->add(view, "n", 1, error);
    enum fh_code code = kv(c)->get(view, "n", &value, error);
    if (code != FH_OK && code != FH_NOT_FOUND)
        return code;
    fiber_yield();
    code = keyvalue_add("n", value, 1, &sum, error);
    json_decref(value);
    snprintf(text, sizeof text, "%lld", (long long)sum);
    return code ? code : kv(c)->put(view, "n", text, true, error);
}

static void count(void *argument)
{
    struct counter *counter = argument;
    struct conformance *c = counter->c;
    for (int tries = 0; tries < 100; tries++) {
        struct fh_error error = {0};
        struct keyvalue_view view = begin(c, tries ? STORE_WRITE_EXCLUSIVE : STORE_WRITE, 0);
        EXPECT(view.work);
        enum fh_code code = count_once(c, &view, counter->blindly, &error);
        fiber_yield();
        if (code == FH_OK) {
            code = conformance_commit(c, view.work);
            error = c->error;
        } else {
            conformance_rollback(c, view.work);
        }
        if (code == FH_CONFLICT && error.retryable)
            continue;
        counter->done += code == FH_OK;
        return;
    }
}

static void concurrent_units_of_work_count_every_one(struct conformance *c)
{
    struct counter counters[COUNTERS] = {0};
    char text[24];
    int done = 0;
    EXPECT(prepare(c));
    for (int i = 0; i < COUNTERS; i++) {
        counters[i] = (struct counter){.c = c, .blindly = i % 3 == 0};
        conformance_start(c, count, &counters[i]);
    }
    conformance_join(c);
    for (int i = 0; i < COUNTERS; i++)
        done += counters[i].done;
    EXPECT(done == COUNTERS);
    snprintf(text, sizeof text, "%d", COUNTERS);
    EXPECT(holds(c, "n", text));
}

/* Two that each check whether the other has come, and come themselves only if not: an invariant
 * over two keys (write skew). */
static void come(void *argument)
{
    struct counter *one = argument;
    struct conformance *c = one->c;
    const char *mine = one->blindly ? "left" : "right", *other = one->blindly ? "right" : "left";
    for (int tries = 0; tries < 100; tries++) {
        struct fh_error error = {0};
        struct keyvalue_view view = begin(c, tries ? STORE_WRITE_EXCLUSIVE : STORE_WRITE, 0);
        json_t *value = NULL;
        EXPECT(view.work);
        enum fh_code code = kv(c)->get(&view, other, &value, &error);
        json_decref(value);
        fiber_yield();
        bool comes = code == FH_NOT_FOUND;
        if (comes)
            code = kv(c)->put(&view, mine, "1", false, &error);
        fiber_yield();
        if (code == FH_OK) {
            code = conformance_commit(c, view.work);
            error = c->error;
        } else {
            conformance_rollback(c, view.work);
        }
        if (code == FH_CONFLICT && error.retryable)
            continue;
        one->done += comes && code == FH_OK;
        return;
    }
}

static void works_that_read_what_the_other_writes_are_serializable(struct conformance *c)
{
    bool existed;
    EXPECT(prepare(c));
    for (int round = 0; round < 10; round++) {
        struct counter both[2] = {{.c = c, .blindly = true}, {.c = c}};
        conformance_start(c, come, &both[0]);
        conformance_start(c, come, &both[1]);
        conformance_join(c);
        EXPECT(both[0].done + both[1].done == 1);
        struct keyvalue_view view = begin(c, STORE_WRITE, 0);
        EXPECT(kv(c)->remove(&view, "left", &existed, &c->error) == FH_OK);
        EXPECT(kv(c)->remove(&view, "right", &existed, &c->error) == FH_OK);
        EXPECT(conformance_commit(c, view.work) == FH_OK);
    }
}

/* ---- Against the reference ---- */

static unsigned draw(unsigned *seed, unsigned below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % below;
}

/* The reference: {"k1": 5, "k2": {"f0": ...}, "k3": [{"member", "score"}, ...]}, sorted. Hashes and
 * lists never come as values here, so that a key's kind can be seen. */
static enum keyvalue_kind reference_kind(const json_t *value)
{
    if (!value)
        return KEYVALUE_NONE;
    return json_is_object(value)  ? KEYVALUE_HASH
           : json_is_array(value) ? KEYVALUE_SORTED
                                  : KEYVALUE_VALUE;
}

static void reference_end_if_empty(json_t *reference, const char *key)
{
    json_t *value = json_object_get(reference, key);
    if ((json_is_object(value) && json_object_size(value) == 0) ||
        (json_is_array(value) && json_array_size(value) == 0))
        json_object_del(reference, key);
}

static bool reference_remove_member(json_t *list, const char *member)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (strcmp(json_string_at(json_array_get(list, i), "member"), member) == 0) {
            json_array_remove(list, i);
            return true;
        }
    }
    return false;
}

static void reference_put_member(json_t *list, const char *member, int64_t score)
{
    size_t at = 0;
    reference_remove_member(list, member);
    for (; at < json_array_size(list); at++) {
        const json_t *one = json_array_get(list, at);
        int64_t there = json_integer_value(json_object_get(one, "score"));
        if (there > score || (there == score && strcmp(json_string_at(one, "member"), member) > 0))
            break;
    }
    json_array_insert_new(list, at,
                          json_pack("{s:s, s:I}", "member", member, "score", (json_int_t)score));
}

static json_t *reference_part(json_t *reference, const char *key, json_t *(*make)(void))
{
    if (!json_object_get(reference, key))
        json_object_set_new(reference, key, make());
    return json_object_get(reference, key);
}

struct step {
    const char *key;
    char name[16], text[16];
    int number;
};

static enum fh_code step_value(struct conformance *c, const struct keyvalue_view *view,
                               json_t *reference, const struct step *step, unsigned what)
{
    const json_t *before = json_object_get(reference, step->key);
    if (what < 2) {
        json_object_set_new(reference, step->key, json_integer(step->number));
        return kv(c)->put(view, step->key, step->text, what == 0, &c->error);
    }
    json_object_set_new(reference, step->key,
                        json_integer(json_integer_value(before) + step->number));
    return kv(c)->add(view, step->key, step->number, &c->error);
}

static enum fh_code step_hash(struct conformance *c, const struct keyvalue_view *view,
                              json_t *reference, const struct step *step, unsigned what)
{
    if (what < 2) {
        json_object_set_new(reference_part(reference, step->key, json_object), step->name,
                            json_integer(step->number));
        return kv(c)->field_put(view, step->key, step->name, step->text, &c->error);
    }
    bool existed, was = json_object_del(json_object_get(reference, step->key), step->name) == 0;
    enum fh_code code = kv(c)->field_remove(view, step->key, step->name, &existed, &c->error);
    reference_end_if_empty(reference, step->key);
    return code == FH_OK && existed != was ? FH_INVALID : code;
}

static enum fh_code step_sorted(struct conformance *c, const struct keyvalue_view *view,
                                json_t *reference, const struct step *step, unsigned what)
{
    if (what < 2) {
        reference_put_member(reference_part(reference, step->key, json_array), step->name,
                             step->number);
        return kv(c)->member_put(view, step->key, step->name, step->number, &c->error);
    }
    bool existed, was = reference_remove_member(json_object_get(reference, step->key), step->name);
    enum fh_code code = kv(c)->member_remove(view, step->key, step->name, &existed, &c->error);
    reference_end_if_empty(reference, step->key);
    return code == FH_OK && existed != was ? FH_INVALID : code;
}

static enum fh_code step_any(struct conformance *c, const struct keyvalue_view *view,
                             json_t *reference, unsigned *seed)
{
    static const char *const keys[REFERENCE_KEYS] = {"k0", "k1", "k2", "k3"};
    struct step step = {.key = keys[draw(seed, REFERENCE_KEYS)], .number = (int)draw(seed, 9) - 4};
    snprintf(step.name, sizeof step.name, "n%u", draw(seed, REFERENCE_NAMES));
    snprintf(step.text, sizeof step.text, "%d", step.number);
    enum keyvalue_kind kind = reference_kind(json_object_get(reference, step.key));
    unsigned what = draw(seed, 4);
    if (draw(seed, 12) == 0) {
        bool existed, was = json_object_del(reference, step.key) == 0;
        enum fh_code code = kv(c)->remove(view, step.key, &existed, &c->error);
        return code == FH_OK && existed != was ? FH_INVALID : code;
    }
    if (kind == KEYVALUE_NONE)
        kind = (enum keyvalue_kind)(KEYVALUE_VALUE + draw(seed, 3));
    if (kind == KEYVALUE_VALUE)
        return step_value(c, view, reference, &step, what);
    return kind == KEYVALUE_HASH ? step_hash(c, view, reference, &step, what)
                                 : step_sorted(c, view, reference, &step, what);
}

/* One key of the reference, as an object in the order of its fields. */
static bool is_as_reference(struct conformance *c, const struct keyvalue_view *view,
                            const json_t *wanted, const char *key)
{
    json_t *value = read_key(c, view, key);
    bool same = wanted ? value && json_equal(value, wanted) : !value;
    if (!same) {
        char *got = value ? json_text(value) : NULL, *text = wanted ? json_text(wanted) : NULL;
        snprintf(c->failure, sizeof c->failure, "%s is %.400s, not %.400s", key,
                 got ? got : "nothing", text ? text : "nothing");
        json_text_free(got);
        json_text_free(text);
    }
    json_decref(value);
    return same;
}

static bool all_are_as_reference(struct conformance *c, const struct keyvalue_view *view,
                                 const json_t *reference)
{
    char key[8];
    for (int i = 0; i < REFERENCE_KEYS; i++) {
        snprintf(key, sizeof key, "k%d", i);
        if (!is_as_reference(c, view, json_object_get(reference, key), key))
            return false;
    }
    return true;
}

/* One range of each sorted set, compared with the reference's list. */
static bool ranges_are_as_reference(struct conformance *c, const struct keyvalue_view *view,
                                    json_t *reference, unsigned *seed)
{
    const char *key;
    json_t *list, *one;
    size_t at;
    json_object_foreach (reference, key, list) {
        struct keyvalue_range range = {.min = (int)draw(seed, 9) - 4,
                                       .limit = 1 + (int)draw(seed, 4),
                                       .skip = (int)draw(seed, 3),
                                       .highest_first = draw(seed, 2)};
        range.max = range.min + draw(seed, 5);
        if (!json_is_array(list))
            continue;
        json_t *wanted = json_array(), *got = NULL;
        json_array_foreach (list, at, one) {
            int64_t score = json_integer_value(json_object_get(one, "score"));
            if (score >= range.min && score <= range.max)
                json_array_insert(wanted, range.highest_first ? 0 : json_array_size(wanted), one);
        }
        for (int i = 0; i < range.skip; i++)
            json_array_remove(wanted, 0);
        while (json_array_size(wanted) > (size_t)range.limit)
            json_array_remove(wanted, json_array_size(wanted) - 1);
        kv(c)->members(view, key, &range, &got, &c->error);
        bool same = got && json_equal(got, wanted);
        json_decref(wanted);
        json_decref(got);
        if (!same)
            return false;
    }
    return true;
}

static void works_by_chance_are_as_the_reference(struct conformance *c)
{
    json_t *reference = json_object();
    unsigned seed = 20261;
    int works = c->engine->slow ? REFERENCE_WORKS_SLOW : REFERENCE_WORKS;
    bool right = prepare(c);
    for (int i = 0; i < works && right; i++) {
        struct keyvalue_view view = begin(c, STORE_WRITE, 0);
        json_t *before = json_deep_copy(reference);
        unsigned steps = 1 + draw(&seed, 8);
        for (unsigned step = 0; step < steps && right; step++) {
            right = step_any(c, &view, reference, &seed) == FH_OK;
            if (right && draw(&seed, 3) == 0)
                right = all_are_as_reference(c, &view, reference) &&
                        ranges_are_as_reference(c, &view, reference, &seed);
        }
        if (right && draw(&seed, 4)) {
            right = conformance_commit(c, view.work) == FH_OK;
            json_decref(before);
        } else {
            conformance_rollback(c, view.work);
            json_decref(reference);
            reference = before;
        }
        view = begin(c, STORE_READ, 0);
        right = right && all_are_as_reference(c, &view, reference) &&
                ranges_are_as_reference(c, &view, reference, &seed);
        conformance_rollback(c, view.work);
    }
    json_decref(reference);
    EXPECT(right);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_rolled_back_work_leaves_nothing),
        CASE(a_work_reads_its_own_changes_and_others_none_of_them),
        CASE(a_reading_work_changes_nothing),
        CASE(concurrent_units_of_work_count_every_one),
        CASE(works_that_read_what_the_other_writes_are_serializable),
        CASE(works_by_chance_are_as_the_reference),
    };
    return conformance_main(FH_KEY_VALUE, rows, sizeof rows / sizeof *rows);
}
