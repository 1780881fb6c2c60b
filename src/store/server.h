/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_SERVER_H
#define STORE_SERVER_H

/*
 * Database servers, by kind: how a private one is created and run, how a service's database and
 * user are created on one, and how it is verified that no other service can enter. Everything here
 * blocks: it is for the time before `up` runs its loop, for the server supervisor, and for `check`.
 *
 * Where a store is, and as which user to connect, is a "store" as in services' configuration
 * (docs/internals/processes.md): {"host", "port", "user", "password", "database", "schema", "tls"}.
 *
 * A private database server listens on no port: whoever bound that after the server had ended would
 * be told the services' passwords. Its "host" is the folder with its socket, in which only the
 * server can make one; see store/socket.h.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

#define SERVER_SETTINGS_MAX 200 /* of a private server; each may be two arguments */
#define SERVER_ARGUMENTS_MAX (2 * SERVER_SETTINGS_MAX + 64)
#define SERVER_CONNECT_S_MAX 5
#define SERVER_OPEN_SIZE 256

/* A private server that is about to be created or run, in its supervisor's working folder. */
struct server_own {
    struct arena *arena;
    const char *programs; /* the folder with its programs */
    const char *folder;   /* absolute */
    const char *data;     /* absolute: where its data are, or will be created */
    const char *sockets;  /* the folder for its socket, relative to `data` */
    const char *password; /* SERVER_SUPERUSER's */
    const json_t *settings;
    const json_t *stores; /* that it will have to provide; of a broker: its topics; of a server
                           * of derived stores: its users */
    /* Of one that listens on a port of the loopback address, as brokers do: */
    int port;
    const char *certificate, *key; /* its TLS: files, absolute */
    const char *ca;                /* its authority's certificate, by which it is known */
};
#define SERVER_SUPERUSER "freehold"

struct server_command {
    struct arena *arena;
    const char *arguments[SERVER_ARGUMENTS_MAX + 1]; /* ends with NULL */
    size_t count;
    /* A secret that it can take only from the environment: its own, which only its user can
     * read. */
    const char *secret_name, *secret;
};
void server_argument(struct server_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Adds PREFIXkey=value for each of own's settings, each after a `flag` (NULL: none). */
void server_argument_settings(struct server_command *command, const struct server_own *own,
                              const char *flag, const char *prefix);
/* For settings_fault: the rest of the line after the first `mark`; if there is none and the exit
 * code is not 0, the last line; else NULL. */
const char *server_settings_fault(struct arena *arena, int exit_code, const char *written,
                                  const char *mark);
/* Writes a file for the server, mode 0600: whole and durable, or not at all. */
enum fh_code server_file(const char *folder, const char *name, const char *text,
                         struct fh_error *error);
/* Writes a file in own->folder, mode 0600, for what must not be on a command line. The supervisor
 * removes it when the command no longer needs it: when the server is created, or answers. */
#define SERVER_SECRET "secret"
enum fh_code server_secret(const struct server_own *own, const char *text, struct fh_error *error);

/* What a server can report about its connections. */
struct server_room {
    int connections_max; /* for users that are not superusers */
    int connections;     /* now */
};

struct server_kind {
    const char *engine;   /* as system files spell it */
    const char *settings; /* of a store, that only this kind has, separated by spaces; "": none */
    const char *install;  /* what an operator does if it is missing */
    const char *user;     /* the package's own: as root, the server runs as it; NULL: as a nameless
                           * one of its own */
    int port;             /* the usual one of servers that are not private; private ones have it in
                           * the name of their socket at most */
    const char *socket;   /* the name of a private one's socket, with that port; NULL: it listens on
                           * a port of the loopback address, with TLS, as brokers do */
    bool schemas;         /* one database can keep several services separate */
    bool tells_password;  /* its clients tell it their password, and can't just prove it */
    bool stays_broken;    /* once its disk was full, until it is started anew */
    bool connects_nowhere; /* it need not, and is not let, where the kernel can (6.7): its users
                            * could have it do so */
    bool reports;      /* a store has a user of its own for them: "reports": {"user", "password"} */
    bool userless;     /* on an existing server, a store may have no user */
    const char *lacks; /* what a private one can't promise, as `check` puts it; NULL: nothing */
    int stop_signal;   /* ends it cleanly, even with clients connected */
    int death_signal;  /* ends it at once; sent to it when its supervisor dies */
    /* How many connections a process configured with "connections": n may have: n for units of
     * work, plus the engine's own for reads, for the sequencer, and to settle lost commits. */
    int (*connections)(int n);

    /* The folder with its programs; NULL: it is not installed. */
    const char *(*programs)(struct arena *arena);
    /* The command that creates an empty server in own->data. */
    enum fh_code (*make)(const struct server_own *own, struct server_command *command,
                         struct fh_error *error);
    /* The command that runs it. It stays in the foreground and writes its log to standard error. */
    enum fh_code (*run)(const struct server_own *own, struct server_command *command,
                        struct fh_error *error);

    /* Of a broker whose users' rights `run` does not set; else NULL: gives each user of its topics
     * (own->stores) his rights, and takes all others from everybody. `as` is its administrator, and
     * has entered. Called at each start before anybody is told that the server is ready.
     * FH_UNAVAILABLE: it is to be tried again. */
    enum fh_code (*settle)(const json_t *as, const json_t *topics, struct fh_error *error);

    /* Of a broker that can hang in part while it goes on answering; else NULL: asks it, at each
     * turn for another one of its topics. FH_CONFLICT: it answers, but not about that topic: start
     * it anew if that stays so. Any other code says nothing of the kind. Takes 3.5 s at most. */
    enum fh_code (*probe)(const json_t *as, const json_t *topics, unsigned turn,
                          struct fh_error *error);

    /* From here on NULL for brokers, but `enter`. The command that only reads own->settings, as
     * `run` would, and ends; it says on standard error what is wrong. It runs in a folder where no
     * file can be made, which is own->data. */
    void (*read_settings)(const struct server_own *own, struct server_command *command);
    /* What is wrong with them, of what that command wrote; NULL: nothing. */
    const char *(*settings_fault)(struct arena *arena, int exit_code, const char *written);

    /* Can `as` enter? FH_UNAVAILABLE: nothing answers there. FH_CONFLICT: it is refused. */
    enum fh_code (*enter)(const json_t *as, struct fh_error *error);
    /* Creates what is missing of a store's database, schema and user, and revokes all public
     * rights. `admin` may create databases and users; `is_private`: the server is freehold's own.
     * Doing it again changes nothing. Called by server_provide. */
    enum fh_code (*provide)(const json_t *admin, const json_t *store, bool is_private,
                            struct fh_error *error);
    /* Tries to reach another service's `store` as `as`: what it could reach, in words; "" when
     * everything was refused. A refusal counts only if the store is known to be there (enter). */
    enum fh_code (*trespass)(const json_t *as, const json_t *store, char ret[SERVER_OPEN_SIZE],
                             struct fh_error *error);
    /* A number that the server does not report is below 0. Called by server_room. */
    enum fh_code (*room)(const json_t *as, struct server_room *ret, struct fh_error *error);
};

/* A `make` for servers that create everything else when they start. */
enum fh_code server_make_folder(const struct server_own *own, struct server_command *command,
                                struct fh_error *error);
/* FH_CONFLICT: `server` (its title) has the store's database but not its user, so it is somebody
 * else's. */
enum fh_code server_anothers(const char *server, const char *database, struct fh_error *error);

/* Provides the store, and checks that its user can enter. */
enum fh_code server_provide(const struct server_kind *kind, const json_t *admin,
                            const json_t *store, bool is_private, struct fh_error *error);
/* FH_UNSUPPORTED: the server does not report it. */
enum fh_code server_room(const struct server_kind *kind, const json_t *as, struct server_room *ret,
                         struct fh_error *error);

/* Turns the result `code` of entering as the store's user into that of providing: a refusal means
 * that the user was there before, and is not ours. */
enum fh_code server_entered(const json_t *store, enum fh_code code, struct fh_error *error);

/* Enters as the store's user; an error names the server that does not answer, or refuses. */
enum fh_code server_try(const struct server_kind *kind, const json_t *store,
                        struct fh_error *error);

/* Where the store's server is, for people: "db.example:5432", or its socket's folder. */
#define SERVER_PLACE_SIZE 192
const char *server_place(const json_t *store, int usual_port, char ret[static SERVER_PLACE_SIZE]);

/* A text from a store, "" if it is missing. */
const char *server_text(const json_t *store, const char *key);
int server_port(const json_t *store, int usual);

#endif
