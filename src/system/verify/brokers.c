/* SPDX-License-Identifier: Apache-2.0 */
/* A user who can't get in is refused everything, which verifies nothing: so each has to get in. The
 * drivers park fibers, so this runs a loop of its own, on which one fiber tries everything. */

#include "system/verify/brokers.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/json.h"
#include "broker/broker.h"
#include "system/servers/brokers.h"
#include "world/fiber.h"
#include "world/real.h"

#define TRESPASS_MS_MAX 5000 /* with one user */

struct verifying_brokers {
    struct system_file *file;
    const struct state *state;
    struct findings *findings;
    struct world *world;
};

static const struct system_server *private_broker(struct system_file *file,
                                                  const struct system_service *publisher)
{
    const struct system_server *server = brokers_of_publisher(file, publisher);
    return server && !server->address.host && broker_driver_named(server->broker)->trespass ? server
                                                                                            : NULL;
}

static void report_open(struct verifying_brokers *by, const struct system_service *service,
                        const struct system_service *topic, enum fh_code code, const char *open,
                        const struct fh_error *error)
{
    if (code != FH_OK)
        findings_error(by->findings, service->place,
                       "whether %s reaches the topic of %s could not be tried: %s", service->name,
                       topic->name, error->message);
    else if (*open)
        findings_error(by->findings, service->place,
                       "%s can, on the broker of %s and in its topic, %s, which is not for it",
                       service->name, topic->name, open);
}

/* All topics of the broker but its own, if the user is one who publishes; else `publisher` is whose
 * topic it reads. */
static void try_topics(struct verifying_brokers *by, const struct system_service *service,
                       const struct system_server *server, const struct system_service *publisher,
                       struct broker *broker, int64_t until_ns)
{
    char name[BROKERS_TOPIC_SIZE], open[BROKER_OPEN_SIZE];
    struct fh_error error = {0};
    for (size_t i = 0; i < by->file->service_count; i++) {
        const struct system_service *other = &by->file->services[i];
        struct broker_topic topic = {.name = name};
        if (private_broker(by->file, other) != server || other == service)
            continue;
        brokers_topic(by->file, other, server, name, &topic.partitions);
        enum fh_code code =
            broker->driver->trespass(broker, &topic, other == publisher, until_ns, open, &error);
        report_open(by, service, other, code, open, &error);
    }
}

/* As the user that `options` name. */
static void try_user(struct verifying_brokers *by, const struct system_service *service,
                     const struct system_service *publisher, const json_t *options)
{
    const struct system_server *server = private_broker(by->file, publisher);
    struct fh_error error = {0};
    struct broker *broker;
    if (!server || !options)
        return;
    const struct broker_driver *driver = broker_driver_named(server->broker);
    int64_t until_ns = world_in_ms(by->world, TRESPASS_MS_MAX);
    if (driver->connect(by->world, options, until_ns, &broker, &error) != FH_OK) {
        findings_error(by->findings, service->place,
                       "the broker of %s's events does not let %s in, so nothing was verified of "
                       "it: %s",
                       publisher->name, service->name, error.message);
        return;
    }
    try_topics(by, service, server, publisher, broker, until_ns);
    driver->close(broker);
}

static void try_service(struct verifying_brokers *by, const struct system_service *service)
{
    json_t *config, *options;
    const char *source;
    char name[SYSTEM_NAME_LENGTH_MAX + 16];
    snprintf(name, sizeof name, "%s/service.json", service->name);
    if (state_read_json(by->state->folder_fd, name, &config, ERROR_UNHEEDED) != FH_OK)
        return; /* live_check has reported it */
    try_user(by, service, service, json_object_get(config, "bus"));
    json_object_foreach (json_object_get(config, "buses"), source, options) {
        const struct system_service *publisher = system_file_service(by->file, source);
        if (publisher)
            try_user(by, service, publisher, options);
    }
    json_decref(config);
}

static void try_services(void *argument)
{
    struct verifying_brokers *by = argument;
    for (size_t i = 0; i < by->file->service_count; i++)
        try_service(by, &by->file->services[i]);
}

void verify_brokers(struct system_file *file, const struct state *state, struct findings *findings)
{
    uv_loop_t loop;
    struct fh_error error;
    struct verifying_brokers by = {.file = file, .state = state, .findings = findings};
    bool any = false;
    for (size_t i = 0; i < file->service_count; i++)
        any |= private_broker(file, &file->services[i]) != NULL;
    if (!any)
        return;
    FH_ASSERT(uv_loop_init(&loop) == 0);
    by.world = world_real_new(&loop, &error);
    FH_ASSERT(by.world != NULL);
    if (!fiber_start(by.world->fibers, try_services, &by))
        findings_error(findings, (struct place){file->path, 0, 0},
                       "there is no memory to verify what services may do on brokers");
    uv_run(&loop, UV_RUN_DEFAULT);
    world_real_free(by.world);
    uv_run(&loop, UV_RUN_DEFAULT);
    FH_ASSERT(uv_loop_close(&loop) == 0);
}
