/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_FILE_H
#define SYSTEM_FILE_FILE_H

/*
 * The system file, read: which services there are, where their programs and migrations lie, what
 * the gateway composes. What the programs can do is their own knowledge (see describe.h).
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "system/file/findings.h"
#include "system/file/program_file.h"

#define SYSTEM_FILE_SIZE_MAX ((size_t)1 << 20)
#define SYSTEM_SERVICES_MAX 64
#define SYSTEM_COMPOSE_MAX 32
#define SYSTEM_PARTS_MAX 32
#define SYSTEM_INSTANCES_MAX 64
#define SYSTEM_CALLERS_MAX 66 /* every service, and the gateway */
#define SYSTEM_SERVERS_DECLARED_MAX 16
#define SYSTEM_SERVERS_MAX (SYSTEM_SERVERS_DECLARED_MAX + SYSTEM_SERVICES_MAX)
#define SYSTEM_CONNECTIONS_DEFAULT 8 /* of one process to its store */
#define SYSTEM_CONNECTIONS_MAX 64
#define SYSTEM_NAME_LENGTH_MAX 32
#define SYSTEM_LISTEN_DEFAULT "127.0.0.1:8080"

struct system_caller {
    const char *name;
    struct place place;
};

/* Where a server is and as whom it is reached. */
struct system_address {
    const char *host; /* a name, an address, or the folder of a socket */
    int port;         /* 0: the engine's usual one */
    const char *user, *password;
    json_t *tls; /* {"mode": "off" | "verify", "ca", "certificate", "key"}; NULL: not said */
};

/* A database server that stores are on. */
struct system_server {
    struct system_address address; /* the first, as in system_store; no host: a private server,
                                    * which `up` runs */
    const char *name;
    struct place place;
    const char *engine;
    struct place engine_place;
    json_t *settings; /* of a private one, by its own names */
    bool schemas;     /* one database for the whole system, a schema for each service */
    bool used;        /* by a service, in the profile in use */
};

/* Where a service's store is, if not in its folder. */
struct system_store {
    struct system_address address; /* with a host: the store is there already, as it is */
    const char *database, *schema; /* of such a one */
    const char *server;            /* else: on which server; NULL: embedded */
    const char *appendfsync;       /* Redis: "everysec", what it may lose is known; else NULL */
    int connections;               /* of each process */
    /* Servers that follow it, [{"host", "port"}], and how old what they give may be; NULL: none. */
    json_t *replicas;
    int staleness_ms;
    int statement_timeout_ms; /* PostgreSQL; 0: not said */
    struct place place;
};

struct system_service {
    const char *name;
    struct place place;
    const char *program; /* as the file has it, environment filled in */
    struct place program_place;
    const char *program_path; /* absolute, once found; NULL before */
    const char *migrations;   /* absolute; NULL: none */
    struct place migrations_place;
    const char *engine;
    struct place engine_place;
    /* What the file says of its store, and has to say, where a move has gone beyond it; else NULL.
     */
    const char *moved_from, *moved_to;
    struct system_store store;
    int instances;
    struct place instances_place;
    /* Who may call it, of those who declare that they need to; not restricted: all of them. */
    struct system_caller callers[SYSTEM_CALLERS_MAX];
    size_t caller_count;
    bool callers_restricted;
    bool unconfined;  /* reaches every file of its user: for debuggers and the like */
    bool anywhere;    /* steps that go outside may go to this machine and its network, too */
    bool open;        /* its public routes take requests without a token: for development */
    json_t *settings; /* an object; may hold secrets: never shown */
    struct place settings_place;
    json_t *retention;   /* as in a process's configuration (work/retention.h); NULL: all usual */
    json_t *description; /* what the program says of itself; NULL until described */
    struct program_held described; /* the file that said so */
};

/* A part of a composed answer; texts not given are NULL. */
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

struct system_file {
    const char *path;   /* as it was given: what places show */
    const char *folder; /* absolute: what relative paths begin from */
    const char *name;
    const char *profile; /* NULL: none */
    bool profile_found;
    const char *listen;
    struct place listen_place;
    bool links_tls; /* between the processes; else plain HTTP on the loopback address */
    const char *door_certificate, *door_key; /* absolute: the gateway's TLS; NULL: plain HTTP */
    bool upgrades_by_hand;                   /* a program that is replaced is not taken by itself */
    bool users; /* isolation: each process a user of its own, besides its confinement */
    struct place isolation_place;
    struct system_service services[SYSTEM_SERVICES_MAX]; /* in the file's order */
    size_t service_count;
    /* Those of the file, and the private ones of services that name none. */
    struct system_server servers[SYSTEM_SERVERS_MAX];
    size_t server_count;
    bool documents_hidden; /* the gateway has no documents of itself */
    struct system_composition compositions[SYSTEM_COMPOSE_MAX];
    size_t composition_count;
    /* The environment variables that the file takes values from: they are for the services that
     * name them, so no process inherits them. */
    const char **variables;
    size_t variable_count;
    struct system_file *lent; /* read again since (home.h), and owned: texts of it are used here */
    struct arena arena;       /* owns all text above */
};

/* Reads `path` with the overrides of `profile` (NULL: none). Every fault is added to `findings`;
 * NULL when there was any error. `findings` borrows `path`. */
struct system_file *system_file_read(const char *path, const char *profile,
                                     struct findings *findings);
void system_file_free(struct system_file *file);

/* What a system file may have in it, as JSON Schema (2020-12), told by its reader. What values must
 * be together is `check`'s. New reference. */
json_t *system_file_schema(void);

struct system_service *system_file_service(struct system_file *file, const char *name);
struct system_server *system_file_server(struct system_file *file, const char *name);
/* One composition as the gateway reads it (docs/guide/gateway.md). New reference. */
json_t *system_file_composition(const struct system_composition *composition);

#endif
