/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDIS_INTERNAL_H
#define ENGINE_REDIS_INTERNAL_H

/*
 * What the files of the Redis engine share. How they work together, and what holds after a crash,
 * is told in docs/operate/engines/redis.md.
 *
 *     call.c        calls of the script, and what became of them
 *     library.c     the client library       commit.c     what a work leaves
 *     connection.c  sockets, answers         script.c     the script that writes it
 *     pool.c        which connection, anew   keyvalue*.c  the model's operations
 *     session.c     settings that must be    record.c     records of the ledger
 *     work.c        what a work has read     range.c      and where they are found
 *     engine.c      opening and closing      ledger*.c    the rest of the ledger
 *     known.c       the memory of keys       remember.c   what a work leaves in it
 *     tls.c         links by TLS             link.c       links for administrators
 *     list.c        the list of all keys     copy*.c      copies of the store
 *     socket.c      what the kernel does
 *
 * Keys: PREFIX:kv:KEY is the service's KEY; PREFIX:fh:NAME is Freehold's.
 */

#include "base/map.h"
#include "base/text.h"
#include "store/keyvalue/keyvalue.h"
#include "engine/redis/known.h"
#include "engine/redis/library.h"
#include "engine/redis/tls.h"
#include "store/records/records.h"
#include "store/store.h"

#define REDIS_CONNECTIONS 4 /* where the configuration does not say */
#define REDIS_CONNECTIONS_MAX 64
#define REDIS_CONNECT_MS 3000
#define REDIS_ANSWER_MS 10000 /* an answer that takes longer: the connection is given up */
#define REDIS_OPEN_MS 30000   /* for a server that is starting, and reads what it has kept */
#define REDIS_WAIT_MS 30000   /* for works in the way of an alone one */
#define REDIS_WORK_SIZE_MAX ((size_t)16 << 20) /* of all that one work reads and writes */
#define REDIS_ARGUMENTS_MAX 500000
#define REDIS_PIECE_SIZE 16384 /* the server reads at most so much of a connection at once */
#define REDIS_SENDING_MAX ((size_t)64 << 20) /* that waits to be sent, on one connection */
#define REDIS_PLACED_MAX 16384               /* positions remembered for those who ask */
#define REDIS_PREFIX_SIZE 80
#define REDIS_TEXT_SIZE 256
#define REDIS_DIGEST_SIZE 41
#define REDIS_WORDS_MAX 8

/* ---- Talking to the server ----------------------------------------------------------------------
 */

/* Words as the protocol has them, one behind the other; `count` words, or commands. */
struct redis_words {
    struct text text;
    int count;
    bool now; /* it is sent at once, not with all others of the loop's turn */
};

void redis_words_init(struct redis_words *words);
void redis_words_release(struct redis_words *words);
void redis_word(struct redis_words *words, const char *word);
void redis_word_of(struct redis_words *words, const char *data, size_t length);
void redis_word_number(struct redis_words *words, int64_t number);
void redis_words_add(struct redis_words *words, const struct redis_words *others);
/* Appends one command: the words of which it is. */
void redis_command_of(struct redis_words *commands, const struct redis_words *words);
/* The first line of a command of `count` words, which the caller puts behind it. */
void redis_command_begin(struct redis_words *commands, int count);
void redis_command(struct redis_words *commands, const char *first, ...) __attribute__((sentinel));

struct redis_options {
    char host[REDIS_TEXT_SIZE]; /* an address, or the absolute path of the server's socket */
    int port;
    char prefix[REDIS_PREFIX_SIZE]; /* the configuration's "database" */
    char user[REDIS_TEXT_SIZE], password[REDIS_TEXT_SIZE];
    int connections;
    bool every_second; /* the system file says that a second of works may be lost */
    struct store_tls tls;
};

enum redis_state { REDIS_DOWN, REDIS_CONNECTING, REDIS_UP };

struct redis_call;

struct redis_connection {
    struct redis *redis;
    enum redis_state state;
    int fd;
    struct redis_tls *tls;     /* NULL: the link is not by TLS */
    struct fh_error tls_error; /* why that has ended the link before it was up; FH_OK: it has not */
    unsigned watched;
    redisReader *reader; /* NULL: there is no link, or not yet */
    struct text sending;
    size_t sent;
    struct world_poll poll;
    struct world_turn turn;
    struct world_timer timer;
    struct redis_call *first, **end; /* without their answers yet, in order */
    size_t asked_size;               /* of these */
};

/* An id towards the server: who has it numbers its calls of the script, and the server refuses one
 * that is not newer than the last it has heard of (script.c). */
struct redis_slot {
    char life[ID_SIZE]; /* of the process, under which the call is numbered */
    int number;
    int64_t sequence;
    struct redis_slot *next;
};

struct redis_placed {
    char event_id[ID_SIZE];
    int64_t position;
};

struct redis {
    struct store store; /* first */
    struct redis_options options;
    struct redis_trust *trust; /* NULL: links are not by TLS */
    char life[ID_SIZE];        /* of this opening; a later one where the server has forgotten it */
    bool born;                 /* the server knows it */
    int64_t kept_ns;           /* when it was last told to keep what it knows of it */
    char copy[ID_SIZE];        /* the run of copying into it (copy_ask.c); "": none */
    char digest[REDIS_DIGEST_SIZE];
    struct redis_connection *connections;
    int next; /* connection that is asked */

    int failures; /* to connect, since the last success */
    int64_t retry_ns;
    struct fh_error down;
    struct fiber_queue connected;

    struct redis_memory memory;
    struct redis_group *gathering; /* works that go to the server together; NULL: none do */
    int calling;                   /* groups that are with the server */
    struct redis_slot *slots;      /* free ones */
    struct redis_slot answered;    /* the last call that was answered */
    struct redis_slot stands;      /* ... that has written; number 0: none has */
    int slot_count;
    int open, exclusive_waiting; /* writing works */
    bool exclusive;
    struct fiber_queue gate;

    struct redis_placed placed[REDIS_PLACED_MAX];
    uint64_t placed_count;
};

static inline struct redis *redis_of(struct store *store)
{
    return (struct redis *)store;
}

/* Sends `commands` and parks the fiber until all their answers are there, or none will come.
 * FH_UNAVAILABLE: nothing was sent. FH_OUTCOME_UNKNOWN: the connection was lost meanwhile. Answers
 * are the caller's; an error of the server's is one of them. */
enum fh_code redis_ask_at(struct redis_connection *connection, const struct redis_words *commands,
                          redisReply **ret_replies, struct fh_error *error);
enum fh_code redis_ask(struct redis *redis, const struct redis_words *commands,
                       redisReply **ret_replies, struct fh_error *error);
/* The same for what changes nothing: it is asked again once when the connection was lost, and
 * otherwise FH_UNAVAILABLE. */
enum fh_code redis_read(struct redis *redis, const struct redis_words *commands,
                        redisReply **ret_replies, struct fh_error *error);
/* One command's answer, whatever it is. */
enum fh_code redis_read_one(struct redis *redis, const struct redis_words *command,
                            redisReply **ret, struct fh_error *error);

/* connection.c: makes the link, and gives it up (what waits hears so). */
enum fh_code redis_connection_make(struct redis_connection *connection, int64_t deadline_ns,
                                   struct fh_error *error);
void redis_connection_close(struct redis_connection *connection);
/* Redis 7 reads its log as the user `default`, and passes over each transaction there, which is all
 * that a script has written, where that user's rights do not suffice. */
#define REDIS_DEFAULT_USER                                                                         \
    "The Redis server's user `default` may not write, and the server would forget all works when " \
    "it is started again: give it its rights (ACL SETUSER default off resetpass ~* &* +@all)."
/* session.c: who we are, and whether the server keeps what it is given. */
enum fh_code redis_session(struct redis_connection *connection, struct fh_error *error);
enum fh_code redis_clock(struct store *store, int64_t *ret_ms, struct fh_error *error);
/* pool.c */
enum fh_code redis_connect_first(struct redis *redis, struct fh_error *error);

static inline bool redis_is(const redisReply *reply, int type)
{
    return reply && reply->type == type;
}
/* What the server refused, in words: FH_UNAVAILABLE where that may pass, FH_UNSUPPORTED where a
 * person has to mend it. `what` was tried. */
enum fh_code redis_refused(const redisReply *reply, const char *what, struct fh_error *error);

/* ---- Works: work.c ------------------------------------------------------------------------------
 */

/* A question to the server whose answer the work remembers, unless it only `looks`. */
struct redis_question {
    const char *words[REDIS_WORDS_MAX];
    int count;
    bool looks;
    bool ahead; /* asked before it is known whether it can be: an error tells nothing */
    const redisReply *reply; /* the work's */
};

struct redis_read;
struct redis_record;

/* Steps of the script: of each its letter in script.c and how many words it has, "H3W2", and
 * the words, one behind the other. */
struct redis_steps {
    struct text shape;
    struct redis_words words;
    int count;
};

struct redis_key;

struct redis_work {
    struct store_work work; /* first */
    struct redis *redis;
    struct map reads; /* the command → struct redis_read */
    size_t read_size;

    struct redis_steps checks;     /* what the script has to find so still */
    struct redis_steps operations; /* and then does, in order */
    struct map kinds; /* the server's key → the kind that it has to be to be written */

    struct map records; /* "TABLE ID" → struct redis_record */
    struct map keys;    /* the service's → struct redis_key */
    int64_t now_ms;     /* by which its keys are there or not; 0: it has looked at none */

    struct redis_words events;
    int event_count;
    struct redis_placed *published; /* ids of the events */
};

static inline struct redis_work *redis_work_of(struct store_work *work)
{
    return (struct redis_work *)work;
}
static inline bool redis_writes(const struct store_work *work)
{
    return work->mode != STORE_READ && work->mode != STORE_READ_COMMITTED;
}

enum fh_code redis_begin(struct store *store, enum store_mode mode, struct store_work **ret,
                         struct fh_error *error);
void redis_rollback(struct store_work *work);
/* A work that was not brought to its commit. */
void redis_abandon(struct store_work *work);
enum fh_code redis_see(struct redis_work *own, struct redis_question *questions, int count,
                       struct fh_error *error);
/* One question, its words up to NULL; *ret is the work's. */
enum fh_code redis_see_one(struct redis_work *own, bool looks, const redisReply **ret,
                           struct fh_error *error, const char *first, ...)
    __attribute__((sentinel));
/* A step of `count` words, which the caller puts behind `steps->words`. */
void redis_step(struct redis_steps *steps, char letter, int count);
/* A command of the script's, its words up to NULL. Its key has to be of `kind` or not there. */
void redis_do(struct redis_work *own, const char *kind, const char *command, const char *key, ...)
    __attribute__((sentinel));
void redis_needs(struct redis_work *own, const char *key, const char *kind);
/* At the commit, when that is known of all keys: that they are of these kinds, or not there. */
void redis_needs_check(struct redis_work *own);
/* "PREFIX:fh:NAME", "PREFIX:kv:NAME": malloc'ed. */
char *redis_name(const struct redis *redis, const char *room, const char *name);

/* ---- Records: record.c --------------------------------------------------------------------------
 */

/* The ledger's are JSON objects, each a field of the hash of its table; sorted sets name them in
 * order. All reads see the work's own changes. */

#define REDIS_RANGE_MAX 1000 /* read at once */

/* As struct record_ops has them. */
enum fh_code redis_get(struct store_work *work, const char *table, const char *id, json_t **ret,
                       struct fh_error *error);
enum fh_code redis_put(struct store_work *work, const char *table, const char *id, json_t *record,
                       struct fh_error *error);
enum fh_code redis_each(struct store_work *work, const struct record_range *range,
                        bool (*visit)(void *context, json_t *record), void *context,
                        struct fh_error *error);
enum fh_code redis_clear(struct store_work *work, const char *table, const char *within,
                         struct fh_error *error);

struct redis_range {
    const char *order;  /* the sorted set: "saga:ids" */
    const char *prefix; /* of its members; "": all */
    const char *below;  /* members before PREFIX + this; NULL: all with the prefix */
    int limit;          /* 0: all of them */
    bool last_first;
    bool looks; /* the work does not depend on what it finds */
};
/* The records that the members name, in the members' order, as an array of records with their
 * "id" (heap). */
enum fh_code redis_range(struct store_work *work, const char *table,
                         const struct redis_range *range, json_t **ret, struct fh_error *error);
/* How many members an order has, without the work depending on it. */
enum fh_code redis_count(struct store_work *work, const char *order, int64_t *ret,
                         struct fh_error *error);
/* At the commit: operations of all that was changed. */
void redis_records_write(struct redis_work *own);
void redis_records_free(struct redis_work *own);

/* ---- The model's keys: keyvalue.c ---------------------------------------------------------------
 */

void redis_keys_free(struct redis_work *own);
/* At the commit: that the keys are of the kinds that the work has seen. Returns of how many that
 * need not be written; what these are needed to be is not asked either. */
int redis_keys_check(struct redis_work *own);
/* The work is on its way to the server, and its keys will be as it leaves them; or it came to
 * nothing, and nobody knows. */
void redis_keys_remember(struct redis_work *own);
void redis_keys_forget(struct redis_work *own);
extern const struct keyvalue_ops redis_keyvalue;

/* ---- The ledger: ledger.c, ledger_list.c --------------------------------------------------------
 */

extern const struct ledger_ops redis_ledger;
extern const struct copied_ops redis_copied_ledger;
extern const struct copied_keys_ops redis_copied_keys;
__typeof__(ledger_commands_read) redis_commands_read;
__typeof__(ledger_callers_read) redis_callers_read;

/* ---- The list of keys: list.c -------------------------------------------------------------------
 */

/* In a store's meta, since it was provisioned: the list has all of its keys. */
#define REDIS_LISTED "keys_listed"
enum fh_code redis_sweep(const struct keyvalue_view *view, int64_t *ret_removed,
                         struct fh_error *error);

/* ---- The commit: commit.c, script.c
 * -------------------------------------------------- */

const char *redis_script(void);
/* call.c: calls it for `count` works, the words of which are `works`; a call that `writes` is
 * settled when its answer was lost, however long that takes. FH_UNAVAILABLE: nothing was done, nor
 * will be. */
enum fh_code redis_call(struct redis *redis, bool writes, int count,
                        const struct redis_words *works, redisReply **ret, struct fh_error *error);
/* The call that was just answered has written: a server that does not know it any more has gone
 * back. */
void redis_call_stands(struct redis *redis);
/* Makes a life known to the server, under which this process numbers its calls. */
enum fh_code redis_be_born(struct redis *redis, struct fh_error *error);
enum fh_code redis_commit(struct store_work *work, struct fh_error *error);
enum fh_code redis_sequence(struct store *store, struct store_placed *placed, int count,
                            struct fh_error *error);

extern const struct engine engine_redis;
extern const struct server_kind server_redis;

#endif
