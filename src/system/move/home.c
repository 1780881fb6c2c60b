/* SPDX-License-Identifier: Apache-2.0 */
/* The whole file is read a second time, so it is checked as at the start. That second reading lives
 * as long as the first, which borrows texts from it. */

#include "system/move/home.h"

#include <string.h>

#include "base/error.h"
#include "system/file/servers.h"

/* Removes it from the file's servers; the result has no name if there is none. */
static struct system_server take_private(struct system_file *file,
                                         const struct system_service *service)
{
    struct system_server *found = system_file_server(file, service->name), taken = {0};
    if (!found)
        return taken;
    taken = *found;
    size_t after = (size_t)(&file->servers[file->server_count] - (found + 1));
    memmove(found, found + 1, after * sizeof *found);
    file->server_count--;
    return taken;
}

static void release_server(struct system_server *server)
{
    json_decref(server->settings);
    json_decref(server->address.tls);
    *server = (struct system_server){0};
}

/* As if the file named this engine, and said nothing of a store. */
static void say_engine(struct system_file *there, struct system_service *service, const char *to,
                       struct findings *findings)
{
    struct system_server before = take_private(there, service);
    release_server(&before);
    file_store_release(&service->store);
    service->store.connections = SYSTEM_CONNECTIONS_DEFAULT;
    service->store.place = service->engine_place;
    service->engine = arena_text(&there->arena, to);
    file_settle_store(there, service, findings);
}

/* Adds a server that several services may share to the file. */
static void lend_server(struct system_file *file, struct system_server *theirs,
                        struct findings *findings)
{
    struct system_server *mine = system_file_server(file, theirs->name);
    if (mine && mine->used) {
        if (strcmp(mine->engine, theirs->engine) != 0)
            findings_error(findings, theirs->place,
                           "servers.%s was %s when the system was started, and is %s now: stop it, "
                           "and move while it is stopped",
                           theirs->name, mine->engine, theirs->engine);
        return;
    }
    if (!mine && file->server_count == SYSTEM_SERVERS_MAX) {
        findings_error(findings, theirs->place, "there are more than %d servers",
                       SYSTEM_SERVERS_MAX);
        return;
    }
    if (mine)
        release_server(mine);
    else
        mine = &file->servers[file->server_count++];
    *mine = *theirs;
    theirs->settings = theirs->address.tls = NULL;
}

/* No process may inherit the environment variables that the home's values came from. */
static void lend_variables(struct system_file *file, const struct system_file *there)
{
    size_t count = file->variable_count + there->variable_count;
    const char **all = arena_alloc(&file->arena, (count + 1) * sizeof *all);
    for (size_t i = 0; i < count; i++)
        all[i] = i < file->variable_count ? file->variables[i]
                                          : there->variables[i - file->variable_count];
    file->variables = all;
    file->variable_count = count;
}

bool home_read(struct system_file *file, const struct system_service *service, const char *profile,
               const char *to, struct system_home *ret, struct findings *findings)
{
    struct system_file *there =
        system_file_read(file->path, profile ? arena_text(&file->arena, profile) : NULL, findings);
    if (!there)
        return false;
    there->lent = file->lent;
    file->lent = there;
    struct system_service *same = system_file_service(there, service->name);
    if (!same) {
        findings_error(findings, service->place, "the file has no service '%s' any more",
                       service->name);
        return false;
    }
    if (to)
        say_engine(there, same, to, findings);
    struct system_server *shared = same->store.server && strcmp(same->store.server, same->name) != 0
                                       ? system_file_server(there, same->store.server)
                                       : NULL;
    if (findings->errors == 0 && shared)
        lend_server(file, shared, findings);
    if (findings->errors)
        return false;
    lend_variables(file, there);
    *ret = (struct system_home){.engine = same->engine,
                                .engine_place = same->engine_place,
                                .store = same->store,
                                .server = take_private(there, same)};
    same->store = (struct system_store){0};
    return true;
}

void home_swap(struct system_file *file, struct system_service *service, struct system_home *home)
{
    struct system_home before = {.engine = service->engine,
                                 .engine_place = service->engine_place,
                                 .store = service->store,
                                 .server = take_private(file, service)};
    service->engine = home->engine;
    service->engine_place = home->engine_place;
    service->store = home->store;
    if (home->server.name) {
        FH_ASSERT(file->server_count < SYSTEM_SERVERS_MAX);
        file->servers[file->server_count++] = home->server;
    }
    *home = before;
}

void home_release(struct system_home *home)
{
    release_server(&home->server);
    file_store_release(&home->store);
    *home = (struct system_home){0};
}

static bool is_same_text(const char *one, const char *other)
{
    return one == other || (one && other && strcmp(one, other) == 0);
}

bool home_same(const struct system_home *one, const struct system_home *other)
{
    const struct system_store *a = &one->store, *b = &other->store;
    return strcmp(one->engine, other->engine) == 0 && is_same_text(a->server, b->server) &&
           is_same_text(a->address.host, b->address.host) && a->address.port == b->address.port &&
           is_same_text(a->database, b->database) && is_same_text(a->schema, b->schema);
}

struct system_home home_of(const struct system_service *service)
{
    return (struct system_home){.engine = service->engine, .store = service->store};
}

const char *home_words(struct arena *arena, const struct system_service *service,
                       const struct system_home *home)
{
    const char *server = home->store.server;
    if (server && strcmp(server, service->name) != 0)
        return arena_printf(arena, "engine: %s, store: { server: %s }", home->engine, server);
    if (home->store.address.host)
        return arena_printf(arena, "engine: %s, store: { host: %s, ... }", home->engine,
                            home->store.address.host);
    return arena_printf(arena, "engine: %s", home->engine);
}
