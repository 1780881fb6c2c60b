/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_FILE_H
#define SYSTEM_FILE_FILE_H

/*
 * The parsed system file: which services there are, where their programs and migrations are, what
 * the gateway composes. What a program can do is not in it: the program itself describes that (see
 * describe.h).
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "call/webhook.h"
#include "system/file/bus.h"
#include "system/file/derives.h"
#include "system/file/door.h"
#include "system/file/exposure.h"
#include "system/file/limits.h"
#include "system/file/findings.h"
#include "system/file/program_file.h"
#include "system/file/sources.h"

#define SYSTEM_FILE_SIZE_MAX ((size_t)1 << 20)
#define SYSTEM_PROFILES_MAX 16
#define SYSTEM_SERVICES_MAX 64
#define SYSTEM_READS_MAX 8
#define SYSTEM_COMPOSE_MAX 32
#define SYSTEM_PARTS_MAX 32
#define SYSTEM_INSTANCES_MAX 64
#define SYSTEM_OUTSIDE_PORTS_MAX 16
#define SYSTEM_OUTSIDE_KEYS_MAX 32
#define SYSTEM_CALLERS_MAX 66 /* every service, and the gateway, with room to spare */
#define SYSTEM_SERVERS_DECLARED_MAX 16
#define SYSTEM_SERVERS_MAX (SYSTEM_SERVERS_DECLARED_MAX + SYSTEM_SERVICES_MAX)
#define SYSTEM_CONNECTIONS_DEFAULT 8 /* per process, to its store */
#define SYSTEM_CONNECTIONS_MAX 64
#define SYSTEM_NAME_LENGTH_MAX 32
#define SYSTEM_LISTEN_DEFAULT "127.0.0.1:8080"

struct system_path {
    const char *path; /* absolute, once the file was read */
    struct place place;
};

struct system_caller {
    const char *name;
    struct place place;
};

/* A database server that stores live on, a broker that events travel by, or one that derived stores
 * lie on. */
struct system_server {
    struct system_address address; /* must be first; no host: a private server, which `up` runs */
    const char *name;
    struct place place;
    const char *engine; /* NULL: it is another one, or has a finding */
    struct place engine_place;
    const char *broker;  /* the driver's name; NULL: it is none */
    const char *derived; /* likewise, of derived stores */
    json_t *options;     /* of both: as its driver takes them; NULL: none */
    struct place options_place;
    const char *token;                  /* of a broker: who we are there */
    int partitions;                     /* of each topic on a broker; 0: as usual */
    json_t *settings;                   /* of a private server, by the server's own names */
    const struct place *setting_places; /* in their order */
    bool schemas; /* one database for the whole system, a schema for each service */
    bool used;    /* by a service, as a bus, by a source or for what is derived, in the profile */
};

/* Where a service's store is, if not in the service's folder. */
struct system_store {
    struct system_address address; /* with a host: an existing store, used as it is */
    const char *database, *schema; /* only for such a store */
    struct system_address reports; /* ... of which user and password: those for reports */
    const char *server;            /* otherwise: the server it is on; NULL: embedded */
    const char *appendfsync; /* Redis: "everysec" accepts what that may lose; NULL: not given */
    int connections;         /* per process */
    /* Read replicas of it, [{"host", "port"}] (NULL: none), and how stale their answers may be. */
    json_t *replicas;
    int staleness_ms;
    int statement_timeout_ms; /* PostgreSQL; 0: not given */
    struct place place;
};

/* Files of keys with which the webhooks to a host are signed. */
struct system_outside_key {
    const char *host; /* a pattern of http/outside.h; NULL: it has a finding */
    const char *files[WEBHOOK_KEYS_MAX];
    struct place places[WEBHOOK_KEYS_MAX];
    size_t file_count;
};

/* Where steps of sagas that go outside may go. */
struct system_outside {
    bool anywhere;                       /* also to this machine and its network */
    bool http;                           /* also without TLS */
    int ports[SYSTEM_OUTSIDE_PORTS_MAX]; /* besides 80 and 443 */
    size_t port_count;
    json_t *hosts; /* patterns; NULL: all */
    struct system_outside_key keys[SYSTEM_OUTSIDE_KEYS_MAX];
    size_t key_count;
    json_t *signing; /* what these files hold, as in a process's configuration: secret */
};

struct system_service {
    const char *name;
    struct place place;
    const char *program; /* as the file has it, with environment variables filled in */
    struct place program_place;
    const char *program_path; /* absolute, with links, once found; NULL before */
    const char *migrations;   /* absolute; NULL: none */
    struct place migrations_place;
    const char *reports; /* absolute; NULL: none */
    struct place reports_place;
    const char *engine;
    struct place engine_place;
    /* After a move that the file does not reflect yet: what the file says of the store, and what it
     * must say; otherwise NULL. */
    const char *moved_from, *moved_to;
    struct system_store store;
    int instances;
    struct place instances_place;
    /* Which of the services that declare the need may call it; unrestricted: all of them. */
    struct system_caller callers[SYSTEM_CALLERS_MAX];
    size_t caller_count;
    struct system_path reads[SYSTEM_READS_MAX]; /* what its program reads, besides its libraries */
    size_t read_count;
    bool callers_restricted;
    bool unconfined; /* may reach every file of its user: for debuggers and the like */
    struct system_outside outside;
    bool open;        /* its public routes accept requests without a token: for development */
    json_t *settings; /* an object; may hold secrets, so it is never shown */
    struct place settings_place;
    struct system_bus bus; /* that its events go out by; not given: the system's */
    struct system_derives derives[SYSTEM_DERIVES_MAX]; /* which lie on servers */
    size_t derives_count;
    bool logs_requests; /* all of them, not only those that fail */
    json_t *retention;  /* as in a process's configuration (work/retention.h); NULL: all defaults */
    struct place outside_kept_place;
    json_t *description;           /* the program's description of itself; NULL until described */
    struct program_held described; /* the program that gave the description */
};

/* A part of a composed answer; a NULL text was not given. */
struct system_part {
    struct place place;
    const char *name, *get, *each, *id;
    bool required, query;
    int timeout_ms; /* 0: not given */
};

struct system_composition {
    struct place place;
    const char *path;
    int deadline_ms; /* 0: not given */
    struct system_part parts[SYSTEM_PARTS_MAX];
    size_t part_count;
};

/* A server that a profile which is not chosen names. */
struct system_mention {
    const char *service; /* whose store is on it; NULL: it is a bus */
    const char *derives; /* that it is of the service, instead of its store; or NULL */
    const char *server;
    struct place place;
    struct system_mention *next;
};

struct system_file {
    const char *path;   /* as given: findings show it */
    const char *folder; /* absolute, with links: relative paths start here */
    const char *name;
    const char *profile; /* NULL: none */
    bool profile_found;
    const char *profiles[SYSTEM_PROFILES_MAX]; /* their names, in the file's order */
    size_t profile_count;
    const char *listen;
    struct place listen_place;
    bool links_tls; /* TLS between the processes; otherwise plain HTTP on the loopback address */
    const char *door_certificate, *door_key; /* absolute: the gateway's TLS; NULL: plain HTTP */
    json_t *door_clients;  /* gateway.tls.clients, as in the gateway's configuration; NULL: none */
    bool logs_requests;    /* the gateway's: all of them, not only those that fail */
    bool upgrades_by_hand; /* a replaced program is not picked up automatically */
    int rotate_keys_days;  /* 0: by hand alone */
    /* isolation, besides each process's confinement: whether it runs as a user of its own, and in a
     * mount namespace of its own where one can be made. */
    bool users, namespaces;
    struct place isolation_place;
    struct system_service services[SYSTEM_SERVICES_MAX]; /* in the file's order */
    size_t service_count;
    /* The servers the file declares, and the private ones of services that name none. */
    struct system_server servers[SYSTEM_SERVERS_MAX];
    size_t server_count;
    struct system_bus bus; /* of services that name none */
    struct system_source sources[SYSTEM_SOURCES_MAX];
    size_t source_count;
    json_t *auth; /* the gateway's "auth", as in its configuration; NULL: it authenticates nobody */
    json_t *backup_key; /* {"file": PATH} or {"command": [TEXT, ...]}; NULL: none */
    enum exposure gateway_exposure[EXPOSED_COUNT], service_exposure[EXPOSED_COUNT];
    const char *inside; /* where the gateway listens for the inside; NULL: nowhere */
    struct system_door door;
    struct system_limits limits;
    struct system_composition compositions[SYSTEM_COMPOSE_MAX];
    size_t composition_count;
    /* The environment variables that the file takes values from. They are meant for the services
     * that name them, so no process inherits them. */
    const char **variables;
    size_t variable_count;
    struct system_mention *mentioned;
    /* What other teams' services say of themselves, by name (system/contract/document.h): they are
     * not of this system, and these may be asked and subscribed to all the same. NULL: none. */
    json_t *others;
    bool keyless;             /* the files with keys that it names are not read */
    struct system_file *lent; /* a later reading of the file (home.h), owned: texts come from it */
    struct arena arena;       /* owns all text above */
};

/* Reads `path` with the overrides of `profile` (NULL: none). Adds every fault to `findings`;
 * returns NULL if there was any error. `findings` borrows `path`. */
struct system_file *system_file_read(const char *path, const char *profile,
                                     struct findings *findings);
/* The same, but returns what could be read of a file with errors, so that what is beside them can
 * be found, too; NULL only if it is no mapping, or has no name. Nothing may be started with it. */
struct system_file *system_file_read_faulty(const char *path, const char *profile,
                                            struct findings *findings);
/* For what needs services alone, with no gateway, nor anybody outside: none of the files with keys
 * that it names is read, so they may be missing. */
struct system_file *system_file_read_keyless(const char *path, struct findings *findings);
void system_file_free(struct system_file *file);

/* `path` from the root on, on `arena`. Its links stay: what they point to may be another folder by
 * the time that somebody looks there again. */
const char *system_absolute_path(struct arena *arena, const char *path);

/* What a system file may contain, as JSON Schema (2020-12), generated by the same code that reads
 * it. Conditions across values are left to `check`. New reference. */
json_t *system_file_schema(void);

struct system_service *system_file_service(struct system_file *file, const char *name);
/* What a service says of itself, of this system or of another team's; NULL: nothing is known. */
static inline const json_t *system_file_description(struct system_file *file, const char *name)
{
    const struct system_service *service = system_file_service(file, name);
    return service ? service->description : json_object_get(file->others, name);
}
struct system_server *system_file_server(struct system_file *file, const char *name);
/* One composition as the gateway reads it (docs/guide/gateway.md). New reference. */
json_t *system_file_composition(const struct system_composition *composition);

#endif
