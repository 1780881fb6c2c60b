/* SPDX-License-Identifier: Apache-2.0 */
/* What a process remembers of what it did, and what it drops. */

#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "work/spans.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define OWN "00-" TRACE "-00f067aa0ba902b7-01"
#define OTHER "00-11111111111111111111111111111111-2222222222222222-00"

static struct harness harness;

static int set_up(void **state)
{
    harness_init(&harness);
    *state = spans_new(harness.world, -1);
    return 0;
}

static int tear_down(void **state)
{
    spans_free(*state);
    harness_release(&harness);
    return 0;
}

static void keep(struct spans *spans, enum span_kind kind, const char *own, const char *where,
                 const char *key)
{
    struct span span = {.kind = kind,
                        .own = own,
                        .what = "POST",
                        .where = where,
                        .key = key,
                        .status = 201,
                        .began_ns = world_monotonic_ns(harness.world)};
    spans_keep(spans, &span);
}

static size_t count(struct spans *spans, const char *trace, const char *key, bool *ret_more)
{
    json_t *found = spans_find(spans, trace, key);
    size_t length = json_array_size(json_object_get(found, "spans"));
    *ret_more = json_is_true(json_object_get(found, "more"));
    json_decref(found);
    return length;
}

static void a_span_is_found_by_its_trace_and_by_its_key(void **state)
{
    struct spans *spans = *state;
    struct span part = {.kind = SPAN_PUBLISHED,
                        .parent = OWN,
                        .what = "OrderCreated",
                        .key = "42",
                        .began_ns = world_monotonic_ns(harness.world)};
    keep(spans, SPAN_REQUEST, OWN, "/api/orders?token=secret", NULL);
    keep(spans, SPAN_REQUEST, OTHER, "/api/orders", "4");
    spans_keep(spans, &part);
    json_t *found = spans_find(spans, TRACE, NULL), *list = json_object_get(found, "spans");
    assert_int_equal(json_array_size(list), 2);
    json_t *request = json_array_get(list, 0), *published = json_array_get(list, 1);
    assert_string_equal(json_string_at(request, "where"), "/api/orders"); /* no query */
    assert_string_equal(json_string_at(request, "span"), "00f067aa0ba902b7");
    assert_string_equal(json_string_at(published, "parent"), "00f067aa0ba902b7");
    assert_true(json_is_null(json_object_get(published, "span")));
    json_decref(found);
    found = spans_find(spans, NULL, "42");
    list = json_object_get(found, "spans");
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(json_string_at(json_array_get(list, 0), "trace"), TRACE);
    json_decref(found);
}

static void the_oldest_is_forgotten_and_reads_forget_nothing_else(void **state)
{
    struct spans *spans = *state;
    bool more;
    keep(spans, SPAN_REQUEST, OWN, "/a", "first");
    for (int i = 0; i < 2 * SPANS_READS_MAX; i++)
        keep(spans, SPAN_READ, OTHER, "/b", "read");
    assert_int_equal(count(spans, NULL, "first", &more), 1);
    assert_int_equal(count(spans, NULL, "read", &more), SPANS_READS_MAX);
    for (int i = 0; i < SPANS_OTHERS_MAX; i++)
        keep(spans, SPAN_REQUEST, OTHER, "/c", "later");
    assert_int_equal(count(spans, NULL, "first", &more), 0);
    assert_false(more);
    assert_int_equal(count(spans, NULL, "later", &more), SPANS_TOLD_MAX);
    assert_true(more);
}

static void without_a_trace_or_a_place_nothing_is_kept(void **state)
{
    struct spans *spans = *state;
    bool more;
    keep(spans, SPAN_REQUEST, NULL, "/a", "k");
    keep(spans, SPAN_REQUEST, "", "/a", "k");
    keep(spans, SPAN_REQUEST, "00-" TRACE, "/a", "k");
    keep(NULL, SPAN_REQUEST, OWN, "/a", "k");
    assert_int_equal(count(spans, NULL, "k", &more), 0);
    assert_int_equal(count(NULL, NULL, "k", &more), 0);
}

static void what_is_no_visible_text_is_not_shown(void **state)
{
    struct spans *spans = *state;
    char path[300];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    keep(spans, SPAN_REQUEST, OWN, "/\033[31m\xff", "caf\xc3\xa9");
    keep(spans, SPAN_REQUEST, OTHER, path, path);
    json_t *found = spans_find(spans, NULL, "caf\xc3\xa9");
    json_t *one = json_array_get(json_object_get(found, "spans"), 0);
    assert_string_equal(json_string_at(one, "where"), "/?[31m?");
    assert_string_equal(json_string_at(one, "key"), "caf??");
    json_decref(found);
    bool more;
    assert_int_equal(count(spans, NULL, path, &more), 1); /* both are cut alike */
}

/* ---- The file ---- */

static const char *file_path(void)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/" SPANS_FILE, harness.folder);
    return path;
}

static struct spans *open_file(void)
{
    int fd = spans_open(file_path());
    assert_true(fd >= 0);
    return spans_new(harness.world, fd);
}

static void a_file_outlives_the_process_and_is_read_beside_it(void **state)
{
    (void)state;
    bool more;
    assert_null(spans_read(file_path()));
    struct spans *spans = open_file();
    keep(spans, SPAN_REQUEST, OWN, "/a", "first");
    spans_free(spans);
    spans = open_file();
    keep(spans, SPAN_REQUEST, OTHER, "/b", "second");
    struct spans *reader = spans_read(file_path());
    assert_non_null(reader);
    keep(spans, SPAN_READ, OTHER, "/c", "second");
    assert_int_equal(count(spans, TRACE, NULL, &more), 1);
    assert_int_equal(count(reader, NULL, "first", &more), 1);
    assert_int_equal(count(reader, NULL, "second", &more), 2);
    spans_free(reader);
    spans_free(spans);
}

/* What is in the file is not trusted: neither a count nor a kind, nor that texts end. */
static void a_damaged_file_harms_nobody(void **state)
{
    (void)state;
    bool more;
    for (unsigned char byte = 0; byte < 255; byte += 51) {
        struct spans *spans = open_file();
        for (int i = 0; i < 20; i++)
            keep(spans, SPAN_REQUEST, OWN, "/a", "k");
        spans_free(spans);
        FILE *file = fopen(file_path(), "r+");
        assert_non_null(file);
        assert_int_equal(fseek(file, 0, SEEK_END), 0);
        long size = ftell(file);
        assert_int_equal(fseek(file, 24, SEEK_SET), 0); /* after the header */
        for (long i = 24; i < size; i++)
            fputc(byte, file);
        assert_int_equal(fclose(file), 0);
        spans = open_file();
        count(spans, NULL, "k", &more);
        assert_int_equal(count(spans, TRACE, NULL, &more), 0);
        keep(spans, SPAN_REQUEST, OWN, "/a", "after");
        assert_int_equal(count(spans, NULL, "after", &more), 1);
        spans_free(spans);
    }
    FILE *file = fopen(file_path(), "w"); /* too short */
    assert_int_equal(fputs("freehold spans 1", file) >= 0 && fclose(file) == 0, true);
    assert_null(spans_read(file_path()));
    struct spans *spans = open_file();
    assert_int_equal(count(spans, TRACE, NULL, &more), 0);
    spans_free(spans);
    assert_int_equal(spans_open("/proc/no/such/place"), -1);
    spans = spans_new(harness.world, -1);
    keep(spans, SPAN_REQUEST, OWN, "/a", "k");
    assert_int_equal(count(spans, TRACE, NULL, &more), 1);
    spans_free(spans);
}

/* The process owns its folder; whoever reads the file is somebody else. */
static void nobody_waits_for_a_fifo_in_the_files_place(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(file_path(), 0600), 0);
    alarm(20); /* ends the test if it waits */
    assert_null(spans_read(file_path()));
    assert_int_equal(spans_open(file_path()), -1);
    alarm(0);
}

static void a_part_has_the_trace_and_a_span_of_its_own(void **state)
{
    (void)state;
    char one[SPANS_TRACE_SIZE], again[SPANS_TRACE_SIZE], other[SPANS_TRACE_SIZE];
    assert_true(spans_part(OWN, 1, one) && spans_part(OWN, 1, again) && spans_part(OWN, 2, other));
    assert_string_equal(one, again);
    assert_string_not_equal(one, other);
    assert_int_equal(strlen(one), SPANS_TRACE_SIZE - 1);
    assert_memory_equal(one, OWN, 36);
    assert_string_equal(one + 52, "-01");
    assert_string_not_equal(one, OWN);
    assert_false(spans_part(NULL, 1, one));
    assert_string_equal(one, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_span_is_found_by_its_trace_and_by_its_key, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_oldest_is_forgotten_and_reads_forget_nothing_else,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_trace_or_a_place_nothing_is_kept, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_visible_text_is_not_shown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_outlives_the_process_and_is_read_beside_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_file_harms_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_waits_for_a_fifo_in_the_files_place, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_part_has_the_trace_and_a_span_of_its_own, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
