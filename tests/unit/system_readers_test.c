/* SPDX-License-Identifier: Apache-2.0 */
/* What the system file says of readers outside: for how long events are held for them, and where it
 * says what can't be. */

#define _GNU_SOURCE
#include "../support/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "broker/broker.h"
#include "system/file/file.h"

struct fixture {
    char path[64];
    struct findings findings;
    struct system_file *file;
};

static void read_text(struct fixture *fixture, const char *text, const char *profile)
{
    *fixture = (struct fixture){.path = "/tmp/system-readers-XXXXXX"};
    json_memory_init();
    int fd = mkstemp(fixture->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    fixture->file = system_file_read(fixture->path, profile, &fixture->findings);
}

static void release(struct fixture *fixture)
{
    unlink(fixture->path);
    system_file_free(fixture->file);
    findings_release(&fixture->findings);
}

/* That a broker is not installed here is another finding. */
static void assert_refused(const char *text, int line, int column, const char *message)
{
    struct fixture fixture;
    const struct finding *found = NULL;
    read_text(&fixture, text, NULL);
    assert_null(fixture.file);
    for (size_t i = 0; i < fixture.findings.count && !found; i++) {
        if (strstr(fixture.findings.items[i].message, message))
            found = &fixture.findings.items[i];
    }
    if (!found)
        fail_msg("not '%s', but: %s", message, fixture.findings.items[0].message);
    assert_int_equal(found->place.line, line);
    assert_int_equal(found->place.column, column);
    release(&fixture);
}

static json_int_t held_ms(const struct system_service *service)
{
    json_int_t ms = -1;
    json_integer_at(service->retention, "outside_kept_ms", &ms);
    return ms;
}

#define RETAINS "system: mini\nservices:\n  a: { retention: "

static void an_outbox_holds_events_for_as_long_as_it_is_declared(void **state)
{
    (void)state;
    struct fixture fixture;
    read_text(&fixture,
              RETAINS
              "{ outside_kept_s: 86400 } }\n  b: { retention: { outside_kept_s: 0 } }\n  c:\n"
              "profiles: { short: { a: { retention: { outside_kept_s: 60 } } } }\n",
              NULL);
    assert_non_null(fixture.file);
    assert_int_equal(held_ms(&fixture.file->services[0]), 86400000);
    assert_int_equal(held_ms(&fixture.file->services[1]), 0);
    assert_int_equal(held_ms(&fixture.file->services[2]), -1);
    release(&fixture);
    read_text(&fixture,
              RETAINS "{ events_kept_s: 7, outside_kept_s: 86400 } }\n"
                      "profiles: { short: { a: { retention: { outside_kept_s: 60 } } } }\n",
              "short");
    assert_non_null(fixture.file);
    assert_int_equal(held_ms(&fixture.file->services[0]), 60000);
    release(&fixture);
}

static void what_an_outbox_can_not_hold_is_refused_with_its_place(void **state)
{
    (void)state;
    assert_refused(RETAINS "{ outside_kept_s: -1 } }\n", 3, 37, "from 0 to 1000000000");
    assert_refused(RETAINS "{ outside_kept_s: 1d } }\n", 3, 37, "outside_kept_s");
    assert_refused(RETAINS "{ outside_kept_s: 9223372036854775808 } }\n", 3, 37, "from 0 to");
    assert_refused(RETAINS "{ outside_kept_s: } }\n", 3, 37, "outside_kept_s");
    assert_refused(RETAINS "{ outside_kept: 1 } }\n", 3, 21, "did you mean 'outside_kept_s'?");
    assert_refused(
        RETAINS "{ outside_kept_s: 604801 } }\n", 3, 37,
        "is 604801, and no event is held for longer than events_kept_s_max says, 604800");
    assert_refused(RETAINS "{ events_kept_s_max: 60, outside_kept_s: 61 } }\n", 3, 60,
                   "events_kept_s_max says, 60");
}

#define BUS "system: mini\nservices: { a: }\nservers: { events: { broker: nats"
#define THERE BUS ", host: broker.example, user: u, password: p } }\n"

static void a_topic_holds_events_for_as_long_as_it_is_declared(void **state)
{
    (void)state;
    struct fixture fixture;
    if (!broker_driver_named("nats"))
        SKIP_BECAUSE("the driver for NATS is not built in");
    read_text(&fixture, THERE "bus: { server: events, outside_kept_s: 2592000 }\n", NULL);
    assert_non_null(fixture.file);
    assert_int_equal(system_file_bus(fixture.file, &fixture.file->services[0])->outside_kept_s,
                     2592000);
    release(&fixture);
    read_text(&fixture, THERE "bus: events\n", NULL);
    assert_non_null(fixture.file);
    assert_int_equal(system_file_bus(fixture.file, &fixture.file->services[0])->outside_kept_s, 0);
    release(&fixture);
}

static void what_no_topic_can_hold_is_refused_with_its_place(void **state)
{
    (void)state;
    if (!broker_driver_named("nats"))
        SKIP_BECAUSE("the driver for NATS is not built in");
    assert_refused(THERE "bus: { server: events, outside_kept_s: forever }\n", 4, 40,
                   "outside_kept_s");
    assert_refused(THERE "bus: { server: events, outside_kept_s: 316224001 }\n", 4, 40,
                   "from 0 to 316224000");
    assert_refused(THERE "bus: { server: feed, outside_kept_s: 60 }\n", 4, 38,
                   "the feed has none; in an outbox they are held by services.NAME.retention");
    assert_refused(BUS " } }\nbus: { server: events, outside_kept_s: 60 }\n", 4, 40,
                   "nobody outside reads events, which is private");
    assert_refused("system: mini\nservices:\n  a: { bus: { server: feed, outside_kept_s: 60 } }\n",
                   3, 45, "services.a.bus.outside_kept_s holds events on a topic");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_outbox_holds_events_for_as_long_as_it_is_declared),
        cmocka_unit_test(what_an_outbox_can_not_hold_is_refused_with_its_place),
        cmocka_unit_test(a_topic_holds_events_for_as_long_as_it_is_declared),
        cmocka_unit_test(what_no_topic_can_hold_is_refused_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
