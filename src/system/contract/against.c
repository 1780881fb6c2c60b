/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The present system is written as a description and read back, so that both sides have been read
 * by the same rules. Who uses what has changed is looked for among the services as they are, among
 * those of other teams, and among those of the previous descriptions: while a system is upgraded,
 * these still run.
 */

#define _GNU_SOURCE
#include "system/contract/against.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "gateway/compose.h"
#include "system/check/callers.h"
#include "system/contract/changes.h"
#include "system/contract/whom.h"

#define OUTSIDE "clients outside"
#define GATEWAY "the gateway"

struct comparing {
    struct system_file *file;
    const struct contract_files *previous, *others;
    json_t *now;   /* services by name, as contract_parse gives them */
    json_t *known; /* changes by what they are, {"...": {...}} */
};

/* ---- The present ---- */

static json_t *present_services(const struct system_file *file, struct findings *findings)
{
    const json_t *descriptions[SYSTEM_SERVICES_MAX];
    struct text text;
    for (size_t i = 0; i < file->service_count; i++)
        descriptions[i] = file->services[i].description;
    json_t *document = contract_document(file->name, descriptions, file->service_count);
    text_init(&text, TEXT_LENGTH_MAX);
    contract_write(&text, document);
    json_t *services = contract_parse("the present description", text.data, text.length, findings);
    text_release(&text);
    json_decref(document);
    return services;
}

/* ---- Whom it breaks ---- */

static void find_in_files(json_t *whom, const json_t *change, const json_t *old,
                          const struct contract_files *files, const json_t *but)
{
    const char *name;
    json_t *description;
    for (size_t i = files ? files->count : 0; i-- > 0;) {
        json_object_foreach (files->files[i].services, name, description) {
            const struct consumer consumer = {name, description, files->files[i].path};
            if (!json_object_get(but, name))
                whom_find(whom, change, old, &consumer);
        }
    }
}

/* Compositions ask for what is in their parts. */
static void find_in_gateway(json_t *whom, const json_t *change, const json_t *old,
                            const struct system_file *file)
{
    bool unused;
    for (size_t i = 0; i < file->composition_count; i++) {
        struct compose *parsed;
        json_t *declared = system_file_composition(&file->compositions[i]);
        enum fh_code code = compose_parse(declared, &parsed, ERROR_UNHEEDED);
        json_decref(declared);
        if (code != FH_OK)
            continue;
        for (int j = 0; j < parsed->part_count; j++) {
            const struct compose_part *part = &parsed->parts[j];
            const json_t *route = strcmp(part->service, json_string_at(change, "service")) == 0
                                      ? callers_route(old, "GET", part->target, &unused)
                                      : NULL;
            char how[256];
            snprintf(how, sizeof how, "asks for it in %s", file->compositions[i].path);
            if (route && strcmp(json_string_at(route, "path"), json_string_at(change, "path")) == 0)
                whom_add(whom, GATEWAY, how, NULL);
        }
        compose_free(parsed);
    }
}

static bool was_public(const json_t *change, const json_t *old)
{
    size_t i;
    json_t *route;
    json_array_foreach (json_object_get(old, "routes"), i, route) {
        if (strcmp(json_string_at(route, "path"), json_string_at(change, "path")) == 0 &&
            strcmp(json_string_at(route, "method"), json_string_at(change, "method")) == 0)
            return strcmp(json_string_at(route, "audience"), "public") == 0;
    }
    return false;
}

static json_t *find_whom(const struct comparing *comparing, const json_t *change, const json_t *old)
{
    json_t *whom = json_array(), *description;
    const char *name, *kind = json_string_at(change, "kind"),
                      *method = json_string_at(change, "method");
    json_object_foreach (comparing->now, name, description) {
        const struct consumer consumer = {name, description, NULL};
        whom_find(whom, change, old, &consumer);
    }
    if (method && strcmp(method, "GET") == 0)
        find_in_gateway(whom, change, old, comparing->file);
    if (strcmp(kind, "route") == 0 && was_public(change, old) &&
        strcmp(json_string_at(change, "rule"), "marked") != 0)
        whom_add(whom, OUTSIDE, "may use it", NULL);
    find_in_files(whom, change, old, comparing->others, comparing->now);
    find_in_files(whom, change, old, comparing->previous, NULL);
    return whom;
}

/* ---- Changes ---- */

/* Those that an older description has already are the same. */
static void keep_change(const struct comparing *comparing, json_t *change, const json_t *old,
                        const struct contract_file *file)
{
    static const char *const members[] = {"service", "kind", "method",  "path", "name",
                                          "version", "part", "pointer", "rule"};
    json_t *identity = json_array();
    bool breaking = json_is_true(json_object_get(change, "breaking"));
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const json_t *member = json_object_get(change, members[i]);
        json_array_append_new(identity,
                              member ? json_incref((json_t *)(uintptr_t)member) : json_null());
    }
    json_array_append(identity, json_object_get(change, "text"));
    char *key = json_text(identity);
    json_t *whom = breaking ? find_whom(comparing, change, old) : json_array();
    const char *level = !breaking ? "compatible" : json_array_size(whom) ? "error" : "warning";
    json_object_set_new(change, "level", json_string(level));
    json_object_set_new(change, "breaks", whom);
    json_object_set_new(change, "last_in", json_string(file->path));
    FH_ASSERT(json_object_set(comparing->known, key, change) == 0);
    json_text_free(key);
    json_decref(identity);
}

static bool is_described_later(const struct contract_files *files, size_t at, const char *name)
{
    for (size_t i = at + 1; i < files->count; i++) {
        if (json_object_get(files->files[i].services, name))
            return true;
    }
    return false;
}

static void compare_with_file(const struct comparing *comparing, size_t at, const char *name,
                              const json_t *old)
{
    json_t *found = json_array(), *change;
    size_t i;
    bool newest = !is_described_later(comparing->previous, at, name);
    changes_of_service(found, name, old, json_object_get(comparing->now, name));
    json_array_foreach (found, i, change) {
        if (newest || json_is_true(json_object_get(change, "breaking")))
            keep_change(comparing, change, old, &comparing->previous->files[at]);
    }
    json_decref(found);
}

static void add_level(json_t *all, const json_t *known, const char *level)
{
    const char *key;
    json_t *change;
    json_object_foreach ((json_t *)(uintptr_t)known, key, change) {
        if (strcmp(json_string_at(change, "level"), level) == 0)
            FH_ASSERT(json_array_append(all, change) == 0);
    }
}

/* A description of other services says nothing of these. */
static bool is_of_this(const struct comparing *comparing, struct findings *findings)
{
    const char *name, *first = NULL;
    json_t *unused;
    const struct contract_files *files = comparing->previous;
    for (size_t i = 0; i < files->count; i++) {
        json_object_foreach (files->files[i].services, name, unused) {
            first = first ? first : name;
            if (json_object_get(comparing->now, name))
                return true;
        }
    }
    struct place place = {files->count ? files->files[0].path : NULL, 0, 0};
    if (first)
        findings_error(findings, place,
                       "it describes other services, such as %s, and none of the system %s", first,
                       comparing->file->name);
    else
        findings_error(findings, place, "it describes no service");
    return false;
}

json_t *contract_against(struct system_file *file, const struct contract_files *previous,
                         const struct contract_files *others, struct findings *findings)
{
    struct comparing comparing = {.file = file,
                                  .previous = previous,
                                  .others = others,
                                  .now = present_services(file, findings),
                                  .known = json_object()};
    json_t *all = NULL, *old;
    const char *name;
    if (comparing.now && is_of_this(&comparing, findings)) {
        for (size_t i = 0; i < previous->count; i++) {
            json_object_foreach (previous->files[i].services, name, old)
                compare_with_file(&comparing, i, name, old);
        }
        all = json_array();
        add_level(all, comparing.known, "error");
        add_level(all, comparing.known, "warning");
        add_level(all, comparing.known, "compatible");
    }
    json_decref(comparing.now);
    json_decref(comparing.known);
    return all;
}

size_t contract_count(const json_t *changes, const char *level)
{
    size_t count = 0, i;
    json_t *change;
    json_array_foreach (changes, i, change)
        count += strcmp(json_string_at(change, "level"), level) == 0;
    return count;
}
