/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_REDIS_MODEL_H
#define SIMULATE_REDIS_MODEL_H

/*
 * A model of a Redis server on virtual time, for the engine's own code (src/store/keyvalue/redis*),
 * which reaches its server by a table of a socket's functions (engine/redis/socket.h): here the
 * model's. The answers are read by hiredis, as ever.
 *
 *     server.c    the loop: what was read, then the sync, then the answers; restarts, failovers
 *     link.c      connections: bytes each way, and what goes wrong with them
 *     rows.c      the ledger and the keys as tables, for who looks from outside
 *     script.c    the engine's script, run by Lua 5.1, as in the server
 *     lua.c       which is loaded when a system with Redis is simulated
 *     command.c   which commands there are: those that the engine sends, and no others
 *     keys.c, hash.c, sorted.c, stream.c   what they do
 *     data.c      keys, and the log from which they can be made again
 *     reply.c     answers, on the wire and in Lua
 *     served.c    the server as all of these know it
 *
 * Each calls only what stands below it.
 *
 * The server does one thing at a time. It reads a piece of each connection, runs the commands that
 * are whole, writes what they have changed to its log, waits for the sync, and only then answers
 * all of them (appendfsync always). What a script has written is one transaction of the log. Killed
 * before the sync has ended it has a first part of that turn's transactions afterwards; nobody was
 * answered. A replica that takes over lacks the last ones, answered or not.
 *
 * What is not modelled fails loudly: a command that the engine's user has no right to, or that
 * stands in none of the files, ends the run with its name.
 */

#include "base/map.h"
#include "base/text.h"
#include "simulate/server.h"
#include "simulate/socket.h"
#include "simulate/wire.h"

#define SERVED_PIECE 16384 /* that the server reads of a connection at once */
#define SERVED_DIGEST_SIZE 41

struct served; /* the server */

/* ---- reply.c ---- */

struct served_reply {
    char type; /* '+', '-', '$', ':', '*', or '_': nothing */
    char *text;
    size_t length;
    int64_t number;
    struct served_reply **parts;
    int count;
};

struct served_reply *served_status(const char *text);
struct served_reply *served_error(const char *text);
struct served_reply *served_wrong_kind(void);
struct served_reply *served_string(const char *text); /* NULL: nothing */
struct served_reply *served_string_of(const char *data, size_t length);
struct served_reply *served_integer(int64_t number);
struct served_reply *served_list(void);
void served_list_add(struct served_reply *list, struct served_reply *part);
void served_reply_free(struct served_reply *reply);
void served_reply_write(struct text *text, const struct served_reply *reply);

/* ---- data.c ---- */

enum served_kind { SERVED_STRING, SERVED_HASH, SERVED_SORTED, SERVED_STREAM };

struct served_member { /* of a sorted set, in the order of scores and then of bytes */
    double score;
    char *name;
};
struct served_entry { /* of a stream */
    int64_t id;
    char **words;
    int count;
};

struct served_value {
    enum served_kind kind;
    int64_t ends_ms; /* 0: never */
    char *text;
    struct map fields; /* to malloc'ed strings */
    struct served_member *members;
    struct served_entry *entries;
    int count, capacity;
    int64_t last_id; /* of a stream, whatever was trimmed */
};

/* A command that has changed something. Those of one transaction have one number. */
struct served_change {
    char **words;
    int count;
    int64_t transaction;
};

/* NULL: it is not there, or has ended, and goes. */
struct served_value *served_find(struct served *served, const char *key);
/* The one that is there, or a new one. NULL: one of another kind is there. */
struct served_value *served_make(struct served *served, const char *key, enum served_kind kind);
void served_remove(struct served *served, const char *key);
bool served_is_kind(const struct served_value *value, enum served_kind kind); /* or NULL */
int64_t served_now_ms(const struct served *served);
/* Puts a command into the log, as the replica and the next start will run it. */
void served_log(struct served *served, int count, const char *const *words);
void served_remove_all(struct served *served);
void served_forget(struct served *served, size_t changes_kept); /* the rest of the log */

/* ---- command.c and the files of the kinds ---- */

typedef struct served_reply *served_run(struct served *served, int count, const char *const *words);

struct served_command {
    const char *name;
    int least; /* words, with its own name */
    served_run *run;
    bool writes;
};
/* To NULL. */
extern const struct served_command served_keys[], served_hashes[], served_sorted[],
    served_streams[];
/* NULL: there is none. Names are as the engine writes them. */
const struct served_command *served_command(const char *name);
/* A command on the data, from a connection, a script or the log. */
struct served_reply *served_do(struct served *served, int count, const char *const *words);
/* All keys as the log's first transactions have left them; the log ends there. */
void served_restore(struct served *served, int64_t transactions);

/* ---- script.c ---- */

bool served_lua_load(char *why, size_t size);
void served_script_load(struct served *served, const char *text, char ret[SERVED_DIGEST_SIZE]);
void served_scripts_forget(struct served *served);
/* Words of a script may hold NULs: so their lengths. */
struct served_reply *served_script_run(struct served *served, int count, const char *const *words,
                                       const size_t *lengths);

/* ---- link.c ---- */

struct served_link {
    struct served *served;
    struct simulate_node *node;
    int number;
    struct simulate_socket socket;
    bool connected, refused; /* as the client has it */
    bool closed;             /* by the client: nobody holds the descriptor any more */
    bool cut;                /* nothing more comes from the other end */
    bool gone;               /* ... and the client has found out */
    bool left;               /* the server has found out */
    int64_t out_ns, in_ns;   /* when the last message arrived, each way */
    struct text arrived;     /* at the client, not read */
    size_t read;
    struct text input; /* at the server, not run */
    size_t taken;
    struct text output; /* of the turn, before its sync */
    struct simulate_event event;
    struct served_link *next;
};

void served_sockets(void); /* puts them into the table */
void served_link_answer(struct served_link *link);
void served_link_cut(struct served_link *link, bool silently);
/* By the client; or by its death, of which the server hears at once if the machine lives. */
void served_link_close(struct served_link *link, bool heard);
/* By the death of the server: what was on its way to it arrives nowhere. */
void served_link_drop(struct served_link *link);

/* ---- the server ---- */

struct served {
    struct simulate_server base; /* first */
    struct simulate_wire wire;
    struct simulate *simulate;
    struct served_link *links;
    int link_count;
    struct map data; /* to struct served_value */
    struct served_change *log;
    size_t log_count, log_capacity;
    int64_t transaction; /* the last one that was begun */
    int64_t synced;      /* ... that is on the disk */
    bool changed, more;  /* in this turn of the loop; something waits for the next */
    bool logging;        /* the log's own commands are run without */
    void *lua;
    struct map scripts; /* digest to a reference, as a pointer */
    bool down, busy;
    unsigned life; /* how many times it was started */
    int64_t late_until_ns;
    int64_t clock_ms; /* that its clock is off */
    struct simulate_event turn, answer, fault, up;
    int64_t pause_ns, until_ns;
    simulate_server_failed *failed;
    void *context;
};

static inline struct served *served_of(struct simulate_server *base)
{
    return (struct served *)base;
}

/* ---- served.c ---- */

void served_begin(struct served *served); /* the only one */
struct served *the_served(void);
void served_fail(struct served *served, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void served_wake(struct served *served); /* something has arrived */

/* ---- server.c ---- */

/* A command of a connection. NULL: the model does not know it. */
struct served_reply *served_serve(struct served *served, int count, const char *const *words,
                                  const size_t *lengths);

/* ---- rows.c ---- */

json_t *served_rows(struct simulate_server *base, const char *prefix, const char *sql,
                    const char **ret_why);

simulate_server_make simulate_redis_new;

#endif
