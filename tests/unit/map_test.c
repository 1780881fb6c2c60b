/* SPDX-License-Identifier: Apache-2.0 */
/* Maps: what is put is found until removed, in the order in which it came. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/map.h"

#define MANY 5000

static int values[MANY];

static void map_finds_what_was_put_and_nothing_else(void **state)
{
    (void)state;
    struct map map;
    map_init(&map);
    assert_null(map_get(&map, "users"));
    map_put(&map, "users", &values[1]);
    map_put(&map, "", &values[2]);
    assert_ptr_equal(map_get(&map, "users"), &values[1]);
    assert_ptr_equal(map_get(&map, ""), &values[2]);
    assert_null(map_get(&map, "user"));
    assert_null(map_get(&map, "userss"));
    map_release(&map);
    assert_null(map_get(&map, "users"));
}

static void map_copies_its_keys(void **state)
{
    (void)state;
    struct map map;
    map_init(&map);
    char key[] = "users";
    map_put(&map, key, &values[1]);
    memcpy(key, "order", sizeof key);
    assert_ptr_equal(map_get(&map, "users"), &values[1]);
    assert_null(map_get(&map, "order"));
    map_release(&map);
}

static void map_replaces_the_value_and_keeps_the_place(void **state)
{
    (void)state;
    struct map map;
    map_init(&map);
    map_put(&map, "first", &values[1]);
    map_put(&map, "second", &values[2]);
    map_put(&map, "first", &values[3]);
    assert_int_equal(map.count, 2);
    struct map_entry *entry = NULL;
    const char *key;
    void *value;
    assert_true(map_next(&map, &entry, &key, &value));
    assert_string_equal(key, "first");
    assert_ptr_equal(value, &values[3]);
    assert_true(map_next(&map, &entry, NULL, NULL));
    assert_false(map_next(&map, &entry, &key, &value));
    map_release(&map);
}

static void map_keeps_the_order_of_insertion_through_growth_and_removal(void **state)
{
    (void)state;
    struct map map;
    map_init(&map);
    char name[16];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "key%d", i);
        map_put(&map, name, &values[i]);
    }
    for (int i = 0; i < MANY; i += 3) {
        snprintf(name, sizeof name, "key%d", i);
        assert_ptr_equal(map_remove(&map, name), &values[i]);
        assert_null(map_remove(&map, name));
        assert_null(map_get(&map, name));
    }
    struct map_entry *entry = NULL;
    const char *key;
    void *value;
    int next = 1;
    size_t seen = 0;
    while (map_next(&map, &entry, &key, &value)) {
        snprintf(name, sizeof name, "key%d", next);
        assert_string_equal(key, name);
        assert_ptr_equal(value, &values[next]);
        next += next % 3 == 2 ? 2 : 1;
        seen++;
    }
    assert_int_equal(seen, map.count);
    assert_int_equal(seen, MANY - (MANY + 2) / 3);
    map_release(&map);
}

static void map_puts_a_removed_key_back_after_the_others(void **state)
{
    (void)state;
    struct map map;
    map_init(&map);
    map_put(&map, "first", &values[1]);
    map_put(&map, "second", &values[2]);
    map_remove(&map, "first");
    map_put(&map, "first", &values[3]);
    struct map_entry *entry = NULL;
    const char *key;
    assert_true(map_next(&map, &entry, &key, NULL));
    assert_string_equal(key, "second");
    assert_true(map_next(&map, &entry, &key, NULL));
    assert_string_equal(key, "first");
    assert_ptr_equal(map_remove(&map, "second"), &values[2]);
    assert_ptr_equal(map_remove(&map, "first"), &values[3]);
    entry = NULL;
    assert_false(map_next(&map, &entry, &key, NULL));
    map_release(&map);
}

/* Few entries are looked up in another way than many. */
static void map_finds_all_of_any_count(void **state)
{
    (void)state;
    char name[16];
    for (int count = 0; count < 40; count++) {
        struct map map;
        map_init(&map);
        for (int i = 0; i < count; i++) {
            snprintf(name, sizeof name, "key%d", i);
            map_put(&map, name, &values[i]);
        }
        for (int i = 0; i < count; i += 2) {
            snprintf(name, sizeof name, "key%d", i);
            assert_ptr_equal(map_remove(&map, name), &values[i]);
        }
        for (int i = 0; i < count; i++) {
            snprintf(name, sizeof name, "key%d", i);
            assert_ptr_equal(map_get(&map, name), i % 2 ? &values[i] : NULL);
        }
        assert_null(map_get(&map, "key"));
        assert_int_equal(map.count, count / 2);
        map_release(&map);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map_finds_what_was_put_and_nothing_else),
        cmocka_unit_test(map_copies_its_keys),
        cmocka_unit_test(map_replaces_the_value_and_keeps_the_place),
        cmocka_unit_test(map_keeps_the_order_of_insertion_through_growth_and_removal),
        cmocka_unit_test(map_finds_all_of_any_count),
        cmocka_unit_test(map_puts_a_removed_key_back_after_the_others),
    };
    return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
