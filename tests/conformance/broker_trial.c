/* SPDX-License-Identifier: Apache-2.0 */
/* See broker_trial.h. */

#include "broker_trial.h"

#include <stdlib.h>

#define TRIALS_MAX 256

int64_t trial_soon(struct trial *t)
{
    return world_in_ms(t->harness.world, t->patience_ms);
}

void trial_more_patience(struct trial *t, int64_t began_ns)
{
    int64_t took_ms = (world_monotonic_ns(t->harness.world) - began_ns) / 1000000;
    if (took_ms * 4 >= (int64_t)t->patience_ms * 3)
        t->patience_ms = t->patience_ms < WAIT_MS / 2 ? 2 * t->patience_ms : WAIT_MS;
}

/* ---- publishing and taking ---- */

enum fh_code trial_publish(struct trial *t, unsigned partition, const char *id, const char *text,
                           struct fh_error *error)
{
    struct broker_message message = {
        .partition = partition, .data = text, .length = strlen(text), .id = id};
    return t->driver->publish(t->broker, &t->topic, &message, 1, trial_soon(t), error);
}

enum fh_code trial_publish_numbers(struct trial *t, int from, int to, struct fh_error *error)
{
    static char texts[AT_ONCE][16];
    static struct broker_message messages[AT_ONCE]; /* valgrind takes large frames for stacks */
    enum fh_code code = FH_OK;
    while (from < to && code == FH_OK) {
        int count = 0;
        for (; count < AT_ONCE && from < to; count++, from++) {
            snprintf(texts[count], sizeof texts[count], "%d", from);
            messages[count] = (struct broker_message){.partition = (unsigned)from % PARTITIONS,
                                                      .data = texts[count],
                                                      .length = strlen(texts[count]),
                                                      .id = texts[count]};
        }
        code = t->driver->publish(t->broker, &t->topic, messages, count, trial_soon(t), error);
    }
    return code;
}

enum fh_code trial_consume(struct trial *t, const char *name, unsigned index, unsigned of,
                           struct broker_consumer **ret, struct fh_error *error)
{
    return t->driver->consume(t->broker, &t->topic, name, index, of, trial_soon(t), ret, error);
}

static void take_number(struct taken *taken, const struct broker_message *message)
{
    char text[16];
    snprintf(text, sizeof text, "%.*s", (int)message->length, message->data);
    int number = atoi(text);
    taken->in_place &= number >= 0 && number < MANY && message->partition < PARTITIONS &&
                       (unsigned)number % PARTITIONS == message->partition &&
                       message->mark > taken->mark;
    if (!taken->in_place)
        return;
    taken->mark = message->mark;
    taken->ordered &= number > taken->newest[message->partition];
    taken->newest[message->partition] = number;
    taken->different += !taken->times[number];
    taken->times[number]++;
    taken->count++;
}

void trial_take_numbers(struct trial *t, struct broker_consumer *consumer, struct taken *taken,
                        int wanted)
{
    static struct broker_message messages[BROKER_TAKE_MAX];
    int64_t until_ns = trial_soon(t);
    if (!taken->count) {
        *taken = (struct taken){.ordered = true, .in_place = true};
        for (int i = 0; i < PARTITIONS; i++)
            taken->newest[i] = -1;
    }
    while (taken->different < wanted && world_monotonic_ns(t->harness.world) < until_ns) {
        int count = 0;
        enum fh_code code = t->driver->take(consumer, messages, t->take_max,
                                            world_in_ms(t->harness.world, 1000), &count, &t->error);
        if (code != FH_OK)
            fiber_sleep_until(t->harness.world, world_in_ms(t->harness.world, 20));
        else if (count)
            until_ns = trial_soon(t);
        for (int i = 0; code == FH_OK && i < count; i++)
            take_number(taken, &messages[i]);
    }
}

bool trial_nothing_comes(struct trial *t, struct broker_consumer *consumer)
{
    struct broker_message message;
    int count = -1;
    return t->driver->take(consumer, &message, 1, world_in_ms(t->harness.world, QUIET_MS), &count,
                           &t->error) == FH_OK &&
           count == 0;
}

/* ---- around a case ---- */

struct planned {
    const struct broker_bed *bed;
    const struct trial_case *one;
};

/* A Kafka that was started again in the case before takes connections before it can make a topic.
 */
static enum fh_code declare_patiently(struct trial *t)
{
    int64_t until_ns = trial_soon(t);
    enum fh_code code;
    while ((code = t->driver->declare(t->broker, &t->topic, trial_soon(t), &t->error)) ==
               FH_UNAVAILABLE &&
           world_monotonic_ns(t->harness.world) < until_ns)
        fiber_sleep_until(t->harness.world, world_in_ms(t->harness.world, QUIET_MS));
    return code;
}

static void run_trial(void *argument)
{
    struct trial *t = argument;
    EXPECT_OK(
        t->driver->connect(t->harness.world, t->options, trial_soon(t), &t->broker, &t->error));
    EXPECT_OK(declare_patiently(t));
    t->run(t);
}

static void run_case(void **state)
{
    static int number;
    const struct planned *planned = *state;
    const struct broker_bed *bed = planned->bed;
    char why[256] = "";
    struct trial t = {.bed = bed,
                      .driver = broker_driver_named(bed->driver),
                      .run = planned->one->run,
                      .take_max = BROKER_TAKE_MAX,
                      .patience_ms = WAIT_MS};
    harness_init(&t.harness); /* before there is JSON */
    t.harness.ms_max = CASE_MS;
    t.options = bed->options(bed, why, sizeof why);
    if (!t.options) {
        harness_release(&t.harness);
        SKIP_BECAUSE("%s can't be tried here: %s", bed->driver, why);
    }
    assert_non_null(t.driver);
    snprintf(t.name, sizeof t.name, "conformance-%s-%d", strrchr(t.harness.folder, '-') + 1,
             ++number);
    t.topic = (struct broker_topic){t.name, PARTITIONS};
    json_object_set_new(t.options, "keep_bytes", json_integer(64 << 20));
    harness_run(&t.harness, run_trial, &t);
    if (t.broker && !t.wrong[0]) /* what a failed case has open stays */
        t.driver->close(t.broker);
    json_decref(t.options);
    if (t.wrong[0])
        fail_msg("%s: %s", bed->driver, t.wrong);
    harness_release(&t.harness);
}

int trial_main(const struct trial_case *cases, size_t count, const char *only)
{
    static struct CMUnitTest tests[TRIALS_MAX];
    static struct planned planned[TRIALS_MAX];
    static char names[TRIALS_MAX][160];
    size_t used = 0;
    for (const struct broker_bed *const *bed = broker_beds; *bed; bed++) {
        for (size_t i = 0; i < count; i++) {
            FH_ASSERT(used < TRIALS_MAX);
            planned[used] = (struct planned){*bed, &cases[i]};
            snprintf(names[used], sizeof names[used], "%s: %s", (*bed)->driver, cases[i].name);
            tests[used] = (struct CMUnitTest){
                .name = names[used], .test_func = run_case, .initial_state = &planned[used]};
            used += !only || strstr(names[used], only);
        }
    }
    return _cmocka_run_group_tests("broker", tests, used, NULL, NULL);
}
