/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_SERVER_H
#define STORE_SERVER_H

/*
 * Database servers, by kind: how a private one is made and run, how a service's database and user
 * are made on one, and how it is proved that nobody else's let in. Everything here blocks: it is
 * for the time before `up` turns its loop, for a server's keeper, and for `check`.
 *
 * Who reaches what is a "store" as services have it in their configuration (docs/internals/processes.md):
 * {"host", "port", "user", "password", "database", "schema", "tls"}.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

#define SERVER_ARGUMENTS_MAX 64
#define SERVER_CONNECT_S_MAX 5
#define SERVER_OPEN_SIZE 256

/* A private server, about to be made or run, in the folder in which its keeper stands. */
struct server_own {
    struct arena *arena;
    const char *programs; /* the folder of its programs */
    const char *folder;   /* absolute */
    const char *data;     /* absolute: where its data are, or are to be made */
    int port;             /* on the loopback address */
    const char *password; /* of SERVER_SUPERUSER */
    const json_t *settings;
    const json_t *stores; /* that it will be asked to provide */
};
#define SERVER_SUPERUSER "freehold"

struct server_command {
    struct arena *arena;
    const char *arguments[SERVER_ARGUMENTS_MAX + 1]; /* ends with NULL */
    size_t count;
    /* What only an environment can tell it: the server's own, which only its user reads. */
    const char *secret_name, *secret;
};
void server_argument(struct server_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* PREFIXkey=value, of server_own's settings. */
void server_argument_setting(struct server_command *command, const char *prefix, const char *key,
                             const json_t *value);
/* A file in own->folder, for what belongs on no command line; mode 0600. The keeper removes it when
 * the command has done with it: when the server is made, and when it answers. */
#define SERVER_SECRET "secret"
enum fh_code server_secret(const struct server_own *own, const char *text, struct fh_error *error);

/* What a server can say of its connections. */
struct server_room {
    int connections_max; /* for users that are not superusers */
    int connections;     /* now */
};

struct server_kind {
    const char *engine;   /* as the system file has it */
    const char *settings; /* of a store that only it has, with spaces; "": none */
    const char *install;  /* what a person does who lacks it */
    const char *user;     /* the package's own: as root, the server runs as it; NULL: a nameless
                           * one of its own */
    int port;             /* where others' servers usually are */
    bool schemas;         /* a database can hold several services apart */
    bool userless;        /* a store that is given as it is may have no user */
    const char *lacks;    /* what a private one can't promise, as `check` says it; NULL: nothing */
    int stop_signal;      /* ends it in order, clients or no clients */
    int death_signal;     /* ends it at once; what it does on its keeper's death */
    /* How many connections a process with "connections": n may have: n for works, and the engine's
     * others for reads, for the sequencer, and to settle what a lost one has come to. */
    int (*connections)(int n);

    /* The folder of its programs; NULL: it is not installed. */
    const char *(*programs)(struct arena *arena);
    /* The command that makes an empty server in own->data. */
    enum fh_code (*make)(const struct server_own *own, struct server_command *command,
                         struct fh_error *error);
    /* The command that runs it. It stays in the foreground and writes its log to standard error. */
    enum fh_code (*run)(const struct server_own *own, struct server_command *command,
                        struct fh_error *error);

    /* Does it let `as` in? FH_UNAVAILABLE: nobody answers there. FH_CONFLICT: it refuses. */
    enum fh_code (*enter)(const json_t *as, struct fh_error *error);
    /* Makes what is missing of a store's database, schema and user, takes all public rights away,
     * and proves that the user gets in. `admin` may make databases and users; `is_private`: the
     * server is freehold's own. Doing it again changes nothing. */
    enum fh_code (*provide)(const json_t *admin, const json_t *store, bool is_private,
                            struct fh_error *error);
    /* What `as` reaches of another's `store`, by trying, in words; "" when all was refused. That
     * the store itself is there has to be known (enter). */
    enum fh_code (*trespass)(const json_t *as, const json_t *store, char ret[SERVER_OPEN_SIZE],
                             struct fh_error *error);
    /* FH_UNSUPPORTED: it does not tell. */
    enum fh_code (*room)(const json_t *as, struct server_room *ret, struct fh_error *error);
};

/* By an engine's name; NULL: it is embedded, unknown, or not built in. */
const struct server_kind *server_kind(const char *engine);

/* After providing: what came of entering as the store's user. A refusal means that the user was
 * there before, and is not ours. */
enum fh_code server_entered(const json_t *store, enum fh_code code, struct fh_error *error);

/* Enters as the store's user, and says which server it is that does not answer, or refuses. */
enum fh_code server_try(const struct server_kind *kind, const json_t *store,
                        struct fh_error *error);

/* A text of a store, "" when it is not there. */
const char *server_text(const json_t *store, const char *key);
int server_port(const json_t *store, int usual);

#endif
