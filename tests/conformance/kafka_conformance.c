/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Kafka's driver does about what only Kafka has, besides what every driver owes
 * (broker_conformance.c): topics and producers of others, offsets with gaps and without past, a
 * producer whose messages the server knows by number.
 */

#include <fcntl.h>
#include <semaphore.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/kafka/internal.h"
#include "broker_trial.h"
#include "kafka_deaf.h"
#include "kafka_raw.h"

#define REOPEN_MS 1000

extern char **environ;

static struct taken taken;

static const char *topic_of(struct trial *t)
{
    static char name[KAFKA_WORD_SIZE];
    kafka_topic_name(&t->topic, name);
    return name;
}

static void rest_a_moment(struct trial *t)
{
    fiber_sleep_until(t->harness.world, world_in_ms(t->harness.world, 20));
}

static bool all_taken(int from, int to)
{
    while (from < to && taken.times[from])
        from++;
    return from == to;
}

static bool open_until_it_succeeds(struct trial *t, const char *name,
                                   struct broker_consumer **consumer)
{
    int64_t until_ns = world_in_ms(t->harness.world, BACK_MS);
    enum fh_code code;
    while ((code = trial_consume(t, name, 0, 1, consumer, &t->error)) != FH_OK &&
           world_monotonic_ns(t->harness.world) < until_ns)
        rest_a_moment(t);
    taken.mark = 0;
    return code == FH_OK;
}

/* As a subscription does: a consumer by which nothing comes is closed, and opened again. */
static bool take_by_reopening(struct trial *t, const char *name, struct broker_consumer **consumer,
                              int from, int to)
{
    int64_t until_ns = world_in_ms(t->harness.world, BACK_MS);
    int patience_ms = REOPEN_MS;
    while (!all_taken(from, to) && world_monotonic_ns(t->harness.world) < until_ns) {
        int64_t began_ns = world_monotonic_ns(t->harness.world);
        t->patience_ms = patience_ms;
        trial_take_numbers(t, *consumer, &taken, MANY);
        trial_more_patience(t, began_ns);
        patience_ms = t->patience_ms;
        t->patience_ms = WAIT_MS;
        if (all_taken(from, to))
            break;
        t->driver->unconsume(*consumer);
        if (!open_until_it_succeeds(t, name, consumer))
            break;
    }
    return all_taken(from, to);
}

/* Again and again, as a relay does. */
static bool publish_until_acknowledged(struct trial *t, int from, int to)
{
    int64_t until_ns = world_in_ms(t->harness.world, BACK_MS);
    t->patience_ms = TRY_MS;
    enum fh_code code;
    do {
        int64_t began_ns = world_monotonic_ns(t->harness.world);
        code = trial_publish_numbers(t, from, to, &t->error);
        trial_more_patience(t, began_ns);
        if (code != FH_OK) {
            rest_a_moment(t);
            t->driver->declare(t->broker, &t->topic, trial_soon(t), ERROR_UNHEEDED);
        }
    } while (code != FH_OK && world_monotonic_ns(t->harness.world) < until_ns);
    t->patience_ms = WAIT_MS;
    return code == FH_OK;
}

/* ---- topics ---- */

static void a_topic_made_anew_is_read_from_its_beginning(struct trial *t)
{
    struct broker_consumer *consumer;
    rd_kafka_t *raw = raw_producer(t->options, NULL);
    taken.count = 0;
    EXPECT_OK(trial_consume(t, "anew", 0, 1, &consumer, &t->error));
    EXPECT_OK(trial_publish_numbers(t, 0, 400, &t->error));
    trial_take_numbers(t, consumer, &taken, 400);
    EXPECT(taken.ordered);
    t->driver->acknowledge(consumer, taken.mark);
    EXPECT(!raw_delete_topic(raw, topic_of(t)));
    EXPECT(publish_until_acknowledged(t, 400, 500)); /* some in the old topic first, perhaps */
    EXPECT(take_by_reopening(t, "anew", &consumer, 400, 500));
    EXPECT(taken.in_place);
    t->driver->unconsume(consumer);
    raw_free(raw);
}

static void what_retention_took_is_passed_over(struct trial *t)
{
    struct broker_consumer *consumer;
    rd_kafka_t *raw = raw_producer(t->options, NULL);
    taken.count = 0;
    EXPECT_OK(trial_consume(t, "old", 0, 1, &consumer, &t->error));
    t->driver->unconsume(consumer);
    EXPECT_OK(trial_publish_numbers(t, 0, 80 * PARTITIONS, &t->error));
    EXPECT(!raw_forget(raw, topic_of(t), PARTITIONS, 50));
    EXPECT_OK(trial_consume(t, "old", 0, 1, &consumer, &t->error));
    trial_take_numbers(t, consumer, &taken, 30 * PARTITIONS);
    EXPECT(taken.count == 30 * PARTITIONS && taken.ordered && taken.in_place);
    EXPECT(!taken.times[50 * PARTITIONS - 1] && taken.times[50 * PARTITIONS]);
    t->driver->unconsume(consumer);
    raw_free(raw);
}

static void a_topic_that_would_lose_or_take_nothing_is_refused(struct trial *t)
{
    static const char *const settings[][3] = {
        {"cleanup.policy", "compact", "cleanup.policy"},
        {"cleanup.policy", "compact,delete", "cleanup.policy"},
        {"min.insync.replicas", "2", "min.insync.replicas"},
        {"max.message.bytes", "1000012", "max.message.bytes"},
        {"retention.ms", "60000", NULL},
    };
    rd_kafka_t *raw = raw_producer(t->options, NULL);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        char name[80], full[KAFKA_WORD_SIZE];
        snprintf(name, sizeof name, "%s-set-%zu", t->topic.name, i);
        struct broker_topic topic = {name, PARTITIONS};
        kafka_topic_name(&topic, full);
        EXPECT(!raw_create_topic(raw, full, PARTITIONS, settings[i][0], settings[i][1]));
        enum fh_code code = t->driver->declare(t->broker, &topic, trial_soon(t), &t->error);
        if (!settings[i][2]) {
            bool refused_by_default = code == FH_CONFLICT; /* a server takes 1048588 bytes */
            EXPECT(refused_by_default && strstr(t->error.message, "max.message.bytes"));
            continue;
        }
        EXPECT(code == FH_CONFLICT && strstr(t->error.message, settings[i][2]));
        EXPECT(strstr(t->error.message, full));
    }
    raw_free(raw);
}

static void more_replicas_than_there_are_servers_are_refused(struct trial *t)
{
    json_t *options = json_deep_copy(t->options);
    struct broker *broker;
    char name[80];
    snprintf(name, sizeof name, "%s-three", t->topic.name);
    struct broker_topic fresh = {name, 1};
    json_object_set_new(options, "replicas", json_integer(3));
    EXPECT_OK(t->driver->connect(t->harness.world, options, trial_soon(t), &broker, &t->error));
    EXPECT(t->driver->declare(broker, &fresh, trial_soon(t), &t->error) != FH_OK);
    EXPECT(strstr(t->error.message, "eplication"));
    EXPECT(t->driver->declare(broker, &t->topic, trial_soon(t), &t->error) == FH_CONFLICT);
    EXPECT(strstr(t->error.message, "replicas"));
    t->driver->close(broker);
    json_decref(options);
}

/* ---- messages of others ---- */

static void transactions_of_others_leave_gaps_and_nothing_aborted(struct trial *t)
{
    struct broker_consumer *consumer;
    rd_kafka_t *raw = raw_producer(t->options, t->name);
    taken.count = 0;
    EXPECT_OK(trial_consume(t, "gaps", 0, 1, &consumer, &t->error));
    EXPECT_OK(trial_publish_numbers(t, 0, 8, &t->error));
    EXPECT(!rd_kafka_begin_transaction(raw));
    raw_produce(raw, topic_of(t), 0, NULL, "8");
    EXPECT(!rd_kafka_commit_transaction(raw, RAW_MS));
    EXPECT(!rd_kafka_begin_transaction(raw));
    raw_produce(raw, topic_of(t), 0, NULL, "16");
    EXPECT(!rd_kafka_abort_transaction(raw, RAW_MS));
    EXPECT_OK(trial_publish_numbers(t, 24, 32, &t->error));
    trial_take_numbers(t, consumer, &taken, 17);
    EXPECT(taken.count == 17 && taken.ordered && taken.in_place && !taken.times[16]);
    t->driver->acknowledge(consumer, taken.mark);
    t->driver->unconsume(consumer);
    EXPECT_OK(trial_consume(t, "gaps", 0, 1, &consumer, &t->error));
    EXPECT(trial_nothing_comes(t, consumer));
    t->driver->unconsume(consumer);
    raw_free(raw);
}

static void messages_without_value_or_headers_are_taken_as_they_are(struct trial *t)
{
    static const char *const values[] = {NULL, "", "plain"};
    struct broker_consumer *consumer;
    struct broker_message got;
    rd_kafka_t *raw = raw_producer(t->options, NULL);
    EXPECT_OK(trial_consume(t, "others", 0, 1, &consumer, &t->error));
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        int count = 0;
        size_t length = values[i] ? strlen(values[i]) : 0;
        raw_produce(raw, topic_of(t), 5, i ? NULL : "tombstone", values[i]);
        EXPECT_OK(t->driver->take(consumer, &got, 1, trial_soon(t), &count, &t->error));
        EXPECT(count == 1 && got.partition == 5 && got.data && got.length == length);
        EXPECT(memcmp(got.data, length ? values[i] : "", length) == 0);
    }
    t->driver->unconsume(consumer);
    raw_free(raw);
}

#define KCAT_WORDS_MAX 16

/* With the server's login in a file of its own, and `words` after, NULL-terminated; its output. */
static bool run_kcat(struct trial *t, const char *const *words, char *ret, size_t size)
{
    char login_path[256], output_path[256];
    const char *arguments[KCAT_WORDS_MAX] = {"kcat", "-F", login_path};
    snprintf(login_path, sizeof login_path, "%s/kcat", t->harness.folder);
    snprintf(output_path, sizeof output_path, "%s/kcat.output", t->harness.folder);
    FILE *login = fopen(login_path, "w");
    FH_ASSERT(login != NULL);
    fprintf(login,
            "bootstrap.servers=127.0.0.1:%lld\nsecurity.protocol=sasl_plaintext\n"
            "sasl.mechanism=SCRAM-SHA-256\nsasl.username=%s\nsasl.password=%s\n",
            (long long)json_integer_value(json_object_get(t->options, "port")),
            json_string_at(t->options, "user"), json_string_at(t->options, "password"));
    fclose(login);
    for (int i = 3; *words && i < KCAT_WORDS_MAX - 1; i++)
        arguments[i] = *words++;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output_path,
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t pid;
    int status = -1;
    int failed =
        posix_spawnp(&pid, "kcat", &actions, NULL, (char *const *)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed)
        return false;
    FH_ASSERT(waitpid(pid, &status, 0) == pid);
    FILE *output = fopen(output_path, "r");
    FH_ASSERT(output != NULL);
    ret[fread(ret, 1, size - 1, output)] = '\0';
    fclose(output);
    return status == 0;
}

static void an_ordinary_client_reads_events_and_publishes_one(struct trial *t)
{
    struct broker_consumer *consumer;
    struct broker_message event = {
        .partition = 3, .data = "{}", .length = 2, .id = "1", .key = "order-7"};
    struct broker_message got;
    char output[400] = "";
    int count = 0;
    const char *reads[] = {"-q", "-C",        "-t", topic_of(t), "-p",       "3",
                           "-o", "beginning", "-e", "-f",        "%k %s %h", NULL};
    const char *writes[] = {"-P",      "-t", topic_of(t),     "-p", "4", "-k",
                            "order-8", "-l", "/proc/version", NULL};
    if (access("/usr/bin/kcat", X_OK) != 0) {
        print_message("NOT TESTED: that an ordinary client reads events: apt-get install kcat\n");
        return;
    }
    EXPECT_OK(t->driver->publish(t->broker, &t->topic, &event, 1, trial_soon(t), &t->error));
    EXPECT(run_kcat(t, reads, output, sizeof output));
    EXPECT(strcmp(output, "order-7 {} content-type=application/cloudevents+json; charset=UTF-8") ==
           0);
    EXPECT_OK(trial_consume(t, "kcat", 0, 1, &consumer, &t->error));
    EXPECT(run_kcat(t, writes, output, sizeof output));
    EXPECT_OK(t->driver->take(consumer, &got, 1, trial_soon(t), &count, &t->error));
    EXPECT(count == 1 && got.partition == 4 && memcmp(got.data, "Linux version", 13) == 0);
    t->driver->unconsume(consumer);
}

/* ---- each once ---- */

static void what_is_published_while_the_server_dies_is_there_once_and_in_order(struct trial *t)
{
    struct broker_consumer *consumer = NULL;
    taken.count = 0;
    EXPECT_OK(trial_consume(t, "dies", 0, 1, &consumer, &t->error));
    for (int i = 0; i < 20; i++) {
        if (i % 10 == 5)
            t->bed->kill(t->options);
        EXPECT(publish_until_acknowledged(t, i * AT_ONCE, (i + 1) * AT_ONCE));
    }
    t->driver->unconsume(
        consumer); /* it has read nothing: so the next one reads all of the topic */
    EXPECT(open_until_it_succeeds(t, "dies", &consumer));
    trial_take_numbers(t, consumer, &taken, 20 * AT_ONCE);
    EXPECT(taken.count == 20 * AT_ONCE && taken.ordered && taken.in_place);
    t->driver->unconsume(consumer);
}

static void a_paused_server_holds_up_nobody_beyond_deadlines(struct trial *t)
{
    struct broker_consumer *consumer;
    struct broker_message message;
    int count = 0;
    taken.count = 0;
    EXPECT_OK(trial_consume(t, "paused", 0, 1, &consumer, &t->error));
    EXPECT_OK(trial_publish_numbers(t, 0, 10, &t->error));
    trial_take_numbers(t, consumer, &taken, 10);
    t->bed->pause(t->options, true);
    t->patience_ms = 300;
    EXPECT(trial_publish_numbers(t, 10, 20, &t->error) == FH_UNAVAILABLE);
    enum fh_code code = t->driver->take(consumer, &message, 1,
                                        world_in_ms(t->harness.world, WAIT_MS), &count, &t->error);
    t->bed->pause(t->options, false);
    if (code != FH_UNAVAILABLE || count != 0)
        snprintf(t->wrong, sizeof t->wrong, "take: code %d, %d messages: %.300s", (int)code, count,
                 code ? t->error.message : "no error");
    EXPECT(code == FH_UNAVAILABLE && count == 0);
    t->patience_ms = WAIT_MS;
    EXPECT(publish_until_acknowledged(t, 10, 20));
    trial_take_numbers(t, consumer, &taken, 20);
    EXPECT(taken.count == 20 && taken.ordered && taken.in_place);
    t->driver->unconsume(consumer);
}

static void a_producer_that_has_failed_for_good_is_replaced(struct trial *t)
{
    struct broker_consumer *consumer;
    taken.count = 0;
    EXPECT_OK(trial_consume(t, "fatal", 0, 1, &consumer, &t->error));
    EXPECT_OK(trial_publish_numbers(t, 0, 10, &t->error));
    rd_kafka_test_fatal_error(kafka_of(t->broker)->client->handle,
                              RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "by a test");
    EXPECT(trial_publish_numbers(t, 10, 20, &t->error) == FH_UNAVAILABLE);
    EXPECT_OK(trial_publish_numbers(t, 10, 20, &t->error));
    trial_take_numbers(t, consumer, &taken, 20);
    EXPECT(taken.ordered && taken.in_place && taken.different == 20);
    t->driver->unconsume(consumer);
}

static void a_wiped_server_gets_the_topic_again(struct trial *t)
{
    struct broker_consumer *consumer;
    taken.count = 0;
    EXPECT_OK(trial_consume(t, "wiped", 0, 1, &consumer, &t->error));
    EXPECT_OK(trial_publish_numbers(t, 0, 100, &t->error));
    trial_take_numbers(t, consumer, &taken, 100);
    t->driver->acknowledge(consumer, taken.mark);
    t->bed->wipe(t->options);
    EXPECT(publish_until_acknowledged(t, 100, 200)); /* those may be the feed's to bring */
    t->driver->unconsume(consumer);
    EXPECT(open_until_it_succeeds(t, "wiped", &consumer));
    EXPECT(publish_until_acknowledged(t, 200, 300));
    EXPECT(take_by_reopening(t, "wiped", &consumer, 200, 300));
    EXPECT(taken.in_place);
    t->driver->unconsume(consumer);
}

static void a_server_that_goes_during_a_login_has_refused_nobody(struct trial *t)
{
    struct deaf deaf;
    json_t *options = json_deep_copy(t->options);
    enum fh_code code = FH_UNAVAILABLE;
    deaf_start(&deaf);
    json_object_set_new(options, "port", json_integer(deaf.port));
    for (int i = 0; i < 5 && code == FH_UNAVAILABLE; i++) { /* the library's errors take turns */
        struct broker *broker = NULL;
        code = t->driver->connect(t->harness.world, options, world_in_ms(t->harness.world, TRY_MS),
                                  &broker, &t->error);
        if (broker)
            t->driver->close(broker);
    }
    deaf_stop(&deaf);
    json_decref(options);
    EXPECT(code == FH_UNAVAILABLE);
}

/* ---- a library that does not end ---- */

static void (*destroys)(rd_kafka_t *handle, int flags);
static sem_t may_end;

static void destroy_late(rd_kafka_t *handle, int flags)
{
    while (sem_wait(&may_end) != 0)
        ;
    destroys(handle, flags);
}

static void a_consumer_that_does_not_end_holds_up_no_other(struct trial *t)
{
    struct broker_consumer *consumer, *other = NULL;
    taken.count = 0;
    EXPECT_OK(trial_consume(t, "endless", 0, 1, &consumer, &t->error));
    sem_init(&may_end, 0, 0);
    destroys = kafka.rd_kafka_destroy_flags;
    kafka.rd_kafka_destroy_flags = destroy_late;
    t->driver->unconsume(consumer);
    enum fh_code code = trial_consume(t, "endless", 0, 1, &other, &t->error);
    kafka.rd_kafka_destroy_flags = destroys;
    sem_post(&may_end);
    EXPECT(code == FH_OK);
    EXPECT_OK(trial_publish_numbers(t, 0, 10, &t->error));
    trial_take_numbers(t, other, &taken, 10);
    EXPECT(taken.count == 10 && taken.ordered && taken.in_place);
    t->driver->unconsume(other);
}

/* ---- options ---- */

static void settings_that_lose_or_reorder_are_refused(struct trial *t)
{
    static const struct {
        const char *option, *value, *says; /* says NULL: it is taken */
    } tried[] = {
        {"acks", "1", "keep their order"},
        {"retries", "0", "keep their order"},
        {"enable.idempotence", "false", "keep their order"},
        {"max.in.flight.requests.per.connection", "50", "keep their order"},
        {"message.timeout.ms", "10", "keep their order"},
        {"group.id", "others", "keep their order"},
        {"plugin.library.paths", "/tmp/x.so", "compression.type"},
        {"sasl.username", "somebody", "compression.type"},
        {"compression.type", "best", "compression.type"},
        {"mechanism", "GSSAPI", "SCRAM-SHA-256"},
        {"host", "kafka:9092/x", "host"},
        {"compression.type", "lz4", NULL},
        {"linger.ms", "1", NULL},
        {"mechanism", "PLAIN", NULL},
    };
    for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
        json_t *options = json_deep_copy(t->options);
        struct broker *broker = NULL;
        json_object_set_new(options, tried[i].option, json_string(tried[i].value));
        enum fh_code code =
            t->driver->connect(t->harness.world, options, trial_soon(t), &broker, &t->error);
        json_decref(options);
        if (tried[i].says) {
            EXPECT(code == FH_INVALID && !broker && strstr(t->error.message, tried[i].says));
        } else {
            EXPECT(code == FH_OK);
            t->driver->close(broker);
        }
    }
    json_t *remote = json_pack("{s:s, s:s, s:s, s:s, s:{s:s}}", "host", "192.0.2.1", "user", "u",
                               "password", "not-told", "mechanism", "PLAIN", "tls", "mode", "off");
    struct broker *broker = NULL;
    enum fh_code code =
        t->driver->connect(t->harness.world, remote, trial_soon(t), &broker, &t->error);
    json_decref(remote);
    EXPECT(code == FH_INVALID && strstr(t->error.message, "PLAIN"));
    EXPECT(!strstr(t->error.message, "not-told"));
}

/* ---- TLS ---- */

#define TLS_TRIES 50

struct tls_way {
    const char *port, *host, *ca, *client, *mechanism, *password; /* a port: NULL: not TLS's */
    const char *says;                                             /* NULL: it is taken */
};

static json_t *tls_file(const char *folder, const char *name, const char *ending)
{
    return json_sprintf("%s/%s.%s", folder, name, ending);
}

static json_t *tls_options(struct trial *t, const struct tls_way *way)
{
    char path[64];
    json_int_t port = 0;
    const char *folder = json_string_at(t->options, "by_tls.folder");
    snprintf(path, sizeof path, "%s%s", way->port ? "by_tls.ports." : "port",
             way->port ? way->port : "");
    FH_ASSERT(json_integer_at(t->options, path, &port));
    json_t *options =
        json_pack("{s:s, s:I, s:s, s:{s:s, s:o}}", "host", way->host ? way->host : "localhost",
                  "port", port, "broker.address.family", "v4", "tls", "mode", "verify", "ca",
                  tls_file(folder, way->ca ? way->ca : "ca", "pem"));
    json_t *tls = json_object_get(options, "tls");
    if (way->client) {
        json_object_set_new(tls, "certificate", tls_file(folder, way->client, "pem"));
        json_object_set_new(tls, "key", tls_file(folder, way->client, "key"));
    }
    if (way->mechanism) {
        json_object_set_new(options, "mechanism", json_string(way->mechanism));
        json_object_set(options, "user", json_object_get(t->options, "user"));
        json_object_set(options, "password", json_object_get(t->options, "password"));
    }
    if (way->password)
        json_object_set_new(options, "password", json_string(way->password));
    return options;
}

/* Not only reached: events go there, and come. */
static enum fh_code goes_by_tls(struct trial *t, const struct tls_way *way, int number)
{
    char text[16];
    int count = 0;
    struct broker *broker;
    struct broker_consumer *consumer;
    struct broker_message sent = {.data = text, .id = text}, got;
    json_t *options = tls_options(t, way);
    sent.length = (size_t)snprintf(text, sizeof text, "%d", number);
    enum fh_code code =
        t->driver->connect(t->harness.world, options, trial_soon(t), &broker, &t->error);
    json_decref(options);
    if (code)
        return code;
    code = t->driver->declare(broker, &t->topic, trial_soon(t), &t->error);
    if (!code)
        code =
            t->driver->consume(broker, &t->topic, text, 0, 1, trial_soon(t), &consumer, &t->error);
    if (!code) {
        code = t->driver->publish(broker, &t->topic, &sent, 1, trial_soon(t), &t->error);
        if (!code)
            code = t->driver->take(consumer, &got, 1, trial_soon(t), &count, &t->error);
        if (!code && (count != 1 || got.length != sent.length))
            code = error_set(&t->error, FH_CONFLICT, "%d messages came, or another one.", count);
        t->driver->unconsume(consumer);
    }
    t->driver->close(broker);
    return code;
}

/* Nothing was said of what is wrong: in TLS 1.3 a server reads our certificate when we believe to
 * be in already, and where it resets the connection then its word of it may be lost. */
static bool is_only_away(const struct trial *t, enum fh_code code, const char *expected)
{
    const char *said = t->error.message;
    return code == FH_UNAVAILABLE && !strstr(said, expected) && !strstr(said, "certificate") &&
           !strstr(said, "TLS");
}

static enum fh_code goes_at_last(struct trial *t, const struct tls_way *way, int number)
{
    enum fh_code code = goes_by_tls(t, way, number);
    for (int again = 0; way->says && is_only_away(t, code, way->says) && again < TLS_TRIES;
         again++) {
        fiber_sleep_until(t->harness.world, world_in_ms(t->harness.world, 100));
        code = goes_by_tls(t, way, number);
    }
    return code;
}

static void a_server_is_reached_by_tls_and_no_other_takes_its_place(struct trial *t)
{
    static const char wants[] = "it wants a certificate of the service that it knows";
    static const struct tls_way ways[] = {
        {.port = "good"},
        {.port = "good", .ca = "other", .says = "its certificate is not of an authority in tls.ca"},
        {.port = "good", .host = "127.0.0.1", .says = "its certificate is of another host"},
        {.port = "elsewhere", .says = "its certificate is of another host"},
        {.port = "expired", .says = "its certificate has expired"},
        {.port = NULL, .says = "it takes no TLS"},
        {.port = "mutual", .client = "client"},
        {.port = "mutual", .says = wants},
        {.port = "mutual", .client = "stranger", .says = wants},
        {.port = "login", .mechanism = "SCRAM-SHA-256"},
        {.port = "login", .mechanism = "PLAIN"},
        {.port = "login", .mechanism = "SCRAM-SHA-256", .password = "not-told", .says = ""},
        {.port = "login", .mechanism = "PLAIN", .password = "not-told", .says = ""},
        {.port = "login", .mechanism = "PLAIN", .ca = "other", .says = "an authority in tls.ca"},
    };
    if (!json_object_get(t->options, "by_tls")) {
        print_message("KAFKA IS NOT TRIED BY TLS HERE: THERE IS NO openssl\n");
        return;
    }
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const struct tls_way *way = &ways[i];
        enum fh_code code = goes_at_last(t, way, (int)i);
        if (!way->says)
            EXPECT_OK(code);
        else if (code == FH_OK || !strstr(t->error.message, way->says) ||
                 strstr(t->error.message, "not-told"))
            snprintf(t->wrong, sizeof t->wrong, "way %zu, not \"%s\": %d %s", i, way->says, code,
                     t->error.message);
        if (way->says && way->password)
            EXPECT(code == FH_INVALID);
        if (t->wrong[0])
            return;
    }
}

#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }

/* An argument: only the cases that hold it. */
int main(int argc, char **argv)
{
    static const struct trial_case cases[] = {
        CASE(a_topic_made_anew_is_read_from_its_beginning),
        CASE(what_retention_took_is_passed_over),
        CASE(a_topic_that_would_lose_or_take_nothing_is_refused),
        CASE(more_replicas_than_there_are_servers_are_refused),
        CASE(transactions_of_others_leave_gaps_and_nothing_aborted),
        CASE(messages_without_value_or_headers_are_taken_as_they_are),
        CASE(an_ordinary_client_reads_events_and_publishes_one),
        CASE(what_is_published_while_the_server_dies_is_there_once_and_in_order),
        CASE(a_paused_server_holds_up_nobody_beyond_deadlines),
        CASE(a_producer_that_has_failed_for_good_is_replaced),
        CASE(a_wiped_server_gets_the_topic_again),
        CASE(a_server_that_goes_during_a_login_has_refused_nobody),
        CASE(a_consumer_that_does_not_end_holds_up_no_other),
        CASE(settings_that_lose_or_reorder_are_refused),
        CASE(a_server_is_reached_by_tls_and_no_other_takes_its_place),
    };
    return trial_main(cases, sizeof cases / sizeof *cases, argc > 1 ? argv[1] : NULL);
}
