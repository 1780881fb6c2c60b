/* SPDX-License-Identifier: Apache-2.0 */
/* Anybody on the machine can connect to a private server's port, and a service is let connect to a
 * port whoever listens there: so it is the server that has to refuse, and to be who it should be.
 * One that lets nobody in has refused nothing. */

#include "system/verify/derives.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "carrier/driver.h"
#include "store/server.h"

struct verifying_derives {
    struct system_file *file;
    struct findings *findings;
    const struct system_service *service;
    const struct system_server *server;
    const struct server_kind *kind;
};

static void expect_refusal(const struct verifying_derives *by, const json_t *as, const char *who)
{
    struct fh_error error = {0};
    enum fh_code code = by->kind->enter(as, &error);
    if (code == FH_OK)
        findings_error(by->findings, by->server->place,
                       "the server %s, on which %s has derived stores, lets in %s",
                       by->server->name, by->service->name, who);
    else if (code != FH_CONFLICT)
        findings_error(by->findings, by->server->place,
                       "whether the server %s lets in %s could not be tried: %s", by->server->name,
                       who, error.message);
}

static void try_derived(const struct verifying_derives *by, const json_t *options)
{
    struct fh_error error = {0};
    enum fh_code code = by->kind->enter(options, &error);
    if (code != FH_OK) {
        struct findings *findings = by->findings;
        /* It is not waited for when the system starts, and is asked again later. */
        (code == FH_UNAVAILABLE ? findings_warning : findings_error)(
            findings, by->server->place,
            "the server %s does not let %s in, so nothing was verified of it: %s", by->server->name,
            by->service->name, error.message);
        return;
    }
    json_t *as = json_deep_copy(options);
    json_object_set_new(as, "password", json_string("not-the-password"));
    expect_refusal(by, as, "whoever has another password");
    json_object_del(as, "user");
    json_object_del(as, "password");
    expect_refusal(by, as, "whoever shows no password");
    json_decref(as);
}

static void try_derives(struct verifying_derives *by, const json_t *config)
{
    const char *asked = NULL;
    for (size_t i = 0; i < by->service->derives_count; i++) {
        const struct system_derives *derives = &by->service->derives[i];
        const struct system_server *server = system_file_server(by->file, derives->server);
        const json_t *options = json_object_get(json_object_get(config, "derives"), derives->name);
        if (!server || server->address.host || !options ||
            (asked && strcmp(asked, server->name) == 0))
            continue;
        asked = server->name;
        by->server = server;
        by->kind = carried_driver_named(server->derived)->server;
        try_derived(by, options);
    }
}

void verify_derives(struct system_file *file, const struct state *state, struct findings *findings)
{
    struct verifying_derives by = {.file = file, .findings = findings};
    char name[SYSTEM_NAME_LENGTH_MAX + 16];
    for (size_t i = 0; i < file->service_count; i++) {
        json_t *config;
        by.service = &file->services[i];
        snprintf(name, sizeof name, "%s/service.json", by.service->name);
        if (!by.service->derives_count ||
            state_read_json(state->folder_fd, name, &config, ERROR_UNHEEDED) != FH_OK)
            continue; /* live_check has reported it */
        try_derives(&by, config);
        json_decref(config);
    }
}
