/* SPDX-License-Identifier: Apache-2.0 */
/* When a saga's steps began, were settled and were undone, as its state keeps it. Pure. */

#include "../support/values.h"

#include "base/text.h"
#include "saga/manager.h"

static const struct saga_rules rules = {
    .name = "build", .step_count = 3, .pivot = 3, .steps = {{"a", .undo = true}, {"b"}, {"c"}}};

struct shown {
    struct saga_times times[3];
    struct saga_state state;
    struct saga_element elements[4];
};

static void begin(struct shown *shown)
{
    static const int counts[SAGA_STEPS_MAX] = {2, 1, 1};
    *shown = (struct shown){0};
    saga_state_init(&rules, counts, &shown->state, shown->elements);
}

/* The state's elements, a letter each: - unstored, s stored, . sent, d done, r refused, u undone.
 */
static void take(struct shown *shown, const char *elements, int step, bool back, int64_t now_ms)
{
    static const char letters[] = "-s.dru";
    for (int i = 0; i < 4; i++)
        shown->elements[i].state = (int16_t)(strchr(letters, elements[i]) - letters);
    shown->state.step = step;
    shown->state.back = back;
    saga_times_take(shown->times, &rules, &shown->state, now_ms);
}

static json_t *stored(const struct shown *shown)
{
    struct text text;
    json_t *state;
    text_init(&text, 4096);
    text_add(&text, "{\"step\":0");
    saga_times_add(shown->times, &rules, &text);
    text_add(&text, "}");
    assert_int_equal(json_parse(text.data, text.length, &state, NULL), FH_OK);
    text_release(&text);
    return state;
}

static void expect_stored(const struct shown *shown, const char *times)
{
    json_t *state = stored(shown);
    char *text = json_text(json_object_get(state, "times"));
    assert_string_equal(text, times);
    json_text_free(text);
    json_decref(state);
}

static void each_step_has_its_times(void **state)
{
    (void)state;
    struct shown shown;
    begin(&shown);
    take(&shown, "ss--", 0, false, 10);
    take(&shown, ".d--", 0, false, 20);
    expect_stored(&shown, "[[10]]");
    take(&shown, "dds-", 1, false, 30);
    expect_stored(&shown, "[[10,30],[30]]");
    take(&shown, "ddr-", 0, true, 40);
    expect_stored(&shown, "[[10,30],[30,40]]");
    take(&shown, "uur-", -1, true, 50);
    expect_stored(&shown, "[[10,30,50],[30,40]]");
}

static void what_could_not_be_stored_leaves_no_time(void **state)
{
    (void)state;
    struct shown shown;
    begin(&shown);
    take(&shown, "dd--", 1, false, 10); /* was not stored: another answer came first */
    take(&shown, ".d--", 0, false, 20);
    expect_stored(&shown, "[[10]]");
    take(&shown, "dds-", 1, false, 30);
    expect_stored(&shown, "[[10,30],[30]]");
}

static void a_state_without_times_goes_on_with_those_that_come(void **state)
{
    (void)state;
    struct shown shown;
    json_t *before = json_pack("{s:i}", "step", 1);
    begin(&shown);
    take(&shown, "dds-", 1, false, 5);
    saga_times_load(shown.times, &rules, &shown.state, before);
    expect_stored(&shown, "[[0,0],[0]]");
    take(&shown, "ddds", 2, false, 30);
    expect_stored(&shown, "[[0,0],[0,30],[30]]");
    json_t *after = stored(&shown);
    saga_times_load(shown.times, &rules, &shown.state, after);
    expect_stored(&shown, "[[0,0],[0,30],[30]]");
    assert_int_equal(saga_times_of(after, 1).settled_ms, 30);
    assert_int_equal(saga_times_of(after, 9).begun_ms, 0);
    json_decref(before);
    json_decref(after);
}

static void times_that_are_none_are_unknown(void **state)
{
    (void)state;
    static const char *const wrong[] = {"{}", "{\"times\":7}", "{\"times\":[\"x\"]}",
                                        "{\"times\":[[null,\"1\"]]}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json_t *given;
        assert_int_equal(json_parse(wrong[i], strlen(wrong[i]), &given, NULL), FH_OK);
        assert_int_equal(saga_times_of(given, 0).begun_ms, 0);
        assert_int_equal(saga_times_of(given, 0).settled_ms, 0);
        json_decref(given);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_step_has_its_times),
        cmocka_unit_test(what_could_not_be_stored_leaves_no_time),
        cmocka_unit_test(a_state_without_times_goes_on_with_those_that_come),
        cmocka_unit_test(times_that_are_none_are_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
