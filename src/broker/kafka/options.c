/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a server is, by which the others are found, who we are there, and how long they keep
 * messages. What is wrong is told without repeating it: it may be the password.
 *
 * Options with a dot in their names are settings of the client library. A few may be set; all
 * others are refused, above all those by which events would be lost, reordered or doubled.
 */

#include <string.h>

#include "base/json.h"
#include "broker/kafka/internal.h"
#include "broker/options.h"

#define KAFKA_KEEP_S (24 * 60 * 60)

static const char *const settings_allowed[KAFKA_SETTINGS_MAX] = {
    "batch.size",  "broker.address.family", "client.id",
    "client.rack", "compression.type",      "linger.ms",
};

/* What the driver's promises depend on. */
static const char *const settings_ours[] = {
    "acks",
    "request.required.acks",
    "enable.idempotence",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "retries",
    "message.send.max.retries",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "queuing.strategy",
    "partitioner",
    "transactional.id",
    "isolation.level",
    "auto.offset.reset",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "group.id",
};

static enum fh_code read_kafka_numbers(const json_t *options, struct kafka_options *ret,
                                       struct fh_error *error)
{
    int64_t port = 0, replicas = 0;
    enum fh_code code = broker_option_number(options, "port", KAFKA_PORT, 65535, &port, error);
    if (!code)
        code = broker_option_number(options, "replicas", 1, 7, &replicas, error);
    if (!code)
        code = broker_option_number(options, "keep_s", KAFKA_KEEP_S, BROKER_KEEP_S_MAX,
                                    &ret->keep_s, error);
    if (!code)
        code = broker_option_number(options, "keep_bytes", BROKER_KEEP_BYTES, INT64_C(1) << 50,
                                    &ret->keep_bytes, error);
    if (!code)
        code = broker_option_outside(options, &ret->outside_kept_s, error);
    ret->port = (int)port;
    ret->replicas = (int)replicas;
    return code;
}

static enum fh_code read_kafka_setting(const char *name, const json_t *value,
                                       struct kafka_options *ret, struct fh_error *error)
{
    for (size_t i = 0; i < sizeof settings_ours / sizeof *settings_ours; i++) {
        if (strcmp(name, settings_ours[i]) == 0)
            return error_set(error, FH_INVALID,
                             "\"%s\" of the bus can't be set: Freehold sets it so that events keep "
                             "their order and are acknowledged when they are stored.",
                             name);
    }
    for (size_t i = 0; i < KAFKA_SETTINGS_MAX; i++) {
        struct kafka_setting *setting = &ret->settings[i];
        if (strcmp(name, settings_allowed[i]) != 0)
            continue;
        setting->name = settings_allowed[i];
        if (json_is_integer(value))
            snprintf(setting->value, sizeof setting->value, "%lld",
                     (long long)json_integer_value(value));
        else if (json_is_string(value) && json_string_length(value) < sizeof setting->value)
            snprintf(setting->value, sizeof setting->value, "%s", json_string_value(value));
        else
            return error_set(error, FH_INVALID,
                             "\"%s\" of the bus must be a number, or a text below %zu bytes.", name,
                             sizeof setting->value);
        return FH_OK;
    }
    return error_set(error, FH_INVALID,
                     "\"%.64s\" of the bus is none of the client library's settings that may be "
                     "set: batch.size, broker.address.family, client.id, client.rack, "
                     "compression.type, linger.ms.",
                     name);
}

static enum fh_code read_kafka_settings(const json_t *options, struct kafka_options *ret,
                                        struct fh_error *error)
{
    const char *name;
    const json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)options, name, value) {
        bool setting =
            strchr(name, '.') || strcmp(name, "acks") == 0 || strcmp(name, "retries") == 0;
        enum fh_code code = setting ? read_kafka_setting(name, value, ret, error) : FH_OK;
        if (code)
            return code;
    }
    return FH_OK;
}

static enum fh_code judge_kafka_user(const struct kafka_options *read, struct fh_error *error)
{
    static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
    bool known = false;
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
        known |= strcmp(read->mechanism, mechanisms[i]) == 0;
    if (!known)
        return error_set(error, FH_INVALID,
                         "\"mechanism\" of the bus must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.");
    if (!read->user[0] != !read->password[0])
        return error_set(error, FH_INVALID,
                         "The bus has one of \"user\" and \"password\": they go together.");
    if (read->user[0] && !read->tls.verify && strcmp(read->mechanism, "PLAIN") == 0 &&
        !store_is_here(read->host))
        return error_set(error, FH_INVALID,
                         "With PLAIN and without TLS the bus's password would cross the network as "
                         "it is: turn \"tls\" on, or choose SCRAM-SHA-256.");
    return FH_OK;
}

enum fh_code kafka_options_read(const json_t *options, struct kafka_options *ret,
                                struct fh_error *error)
{
    *ret = (struct kafka_options){0};
    enum fh_code code =
        broker_option_text(options, "host", "127.0.0.1", ret->host, sizeof ret->host, error);
    if (!code)
        code = broker_option_text(options, "user", "", ret->user, sizeof ret->user, error);
    if (!code)
        code =
            broker_option_text(options, "password", "", ret->password, sizeof ret->password, error);
    if (!code)
        code = broker_option_text(options, "mechanism", "SCRAM-SHA-256", ret->mechanism,
                                  sizeof ret->mechanism, error);
    if (!code)
        code = read_kafka_numbers(options, ret, error);
    if (!code)
        code = store_tls_read(options, &ret->tls, error);
    if (!code)
        code = judge_kafka_user(ret, error);
    if (!code)
        code = read_kafka_settings(options, ret, error);
    if (!code && (!ret->host[0] || strpbrk(ret->host, "/@, ")))
        code = error_set(error, FH_INVALID,
                         "\"host\" of the bus must be a host's name or address, without a scheme, "
                         "a user or a port.");
    return code;
}
