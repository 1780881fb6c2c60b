/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_REDIS_INTERNAL_H
#define ENGINE_REDIS_INTERNAL_H

/*
 * What the files of the Redis engine share. docs/operate/engines/redis.md explains how they work
 * together, and what holds after a crash.
 *
 *     call.c        calls of the script, and their outcome
 *     library.c     the client library       commit.c     committing, in groups
 *     connection.c  sockets, answers         script.c     the script that commits
 *     pool.c        choosing, reconnecting   keyvalue.c   the model's operations
 *     name.c        names of keys            key.c        a key, and its changes
 *     refusal.c     refusals, in words
 *     session.c     required settings        record.c     records of the ledger
 *     work.c        beginning, giving up     range.c      and ranges of them
 *     reads.c       a unit's recorded reads  steps.c      its steps of the script
 *     engine.c      opening and closing      ledger*.c    the rest of the ledger
 *     known.c       the cache of keys        remember.c   what a commit puts into it
 *     tls.c         TLS connections          link.c       connections for administrators
 *     list.c        the list of all keys     copy*.c      copies of the store
 *     socket.c      system calls             options.c    the configuration
 *     hold.c        held while it is copied  counters.c    counters that are no store
 *
 * Keys: PREFIX:kv:KEY is the service's KEY; PREFIX:fh:NAME is Freehold's.
 */

#include "base/map.h"
#include "base/text.h"
#include "store/keyvalue/keyvalue.h"
#include "engine/redis/known.h"
#include "engine/redis/library.h"
#include "engine/redis/tls.h"
#include "store/counters.h"
#include "store/records/records.h"
#include "store/socket.h"
#include "store/store.h"

#define REDIS_CONNECTIONS 4 /* where the configuration does not say */
#define REDIS_CONNECTIONS_MAX 64
#define REDIS_CONNECT_MS 3000
#define REDIS_ANSWER_MS 10000 /* of a store: see struct redis */
#define REDIS_OPEN_MS 30000   /* for a server that is starting, and loads its data */
#define REDIS_WAIT_MS 30000   /* for units of work in the way of an exclusive one */
#define REDIS_WORK_SIZE_MAX ((size_t)16 << 20) /* of all that one unit of work reads and writes */
#define REDIS_ARGUMENTS_MAX 500000
#define REDIS_PIECE_SIZE 16384 /* the most that the server reads from a connection at once */
#define REDIS_SENDING_MAX ((size_t)64 << 20) /* waiting to be sent, on one connection */
#define REDIS_PLACED_MAX 16384               /* positions remembered for redis_sequence */
#define REDIS_PREFIX_SIZE 80
#define REDIS_TEXT_SIZE 256
#define REDIS_SOCKET "redis.sock" /* in the folder given as the host */
#define REDIS_DIGEST_SIZE 41
#define REDIS_WORDS_MAX 8

/* ---- Talking to the server ---- */

/* Words in the protocol's form, one after the other; `count` words, or commands. */
struct redis_words {
    struct text text;
    int count;
    bool now; /* sent at once, not at the end of the loop's turn */
};

void redis_words_init(struct redis_words *words);
void redis_words_release(struct redis_words *words);
void redis_word(struct redis_words *words, const char *word);
void redis_word_of(struct redis_words *words, const char *data, size_t length);
/* A word of `length` bytes, which the caller must write. NULL: overflow. */
char *redis_word_open(struct redis_words *words, size_t length);
void redis_word_number(struct redis_words *words, int64_t number);
void redis_words_add(struct redis_words *words, const struct redis_words *others);
/* Appends one command, which consists of `words`. */
void redis_command_of(struct redis_words *commands, const struct redis_words *words);
/* The first line of a command of `count` words, which the caller appends after it. */
void redis_command_begin(struct redis_words *commands, int count);
void redis_command(struct redis_words *commands, const char *first, ...) __attribute__((sentinel));

struct redis_options {
    /* An address, or the absolute path of the server's socket or of the folder with it. */
    char host[STORE_HOST_SIZE];
    int port;
    char prefix[REDIS_PREFIX_SIZE]; /* the configuration's "database" */
    char user[REDIS_TEXT_SIZE], password[REDIS_TEXT_SIZE];
    int connections;
    bool every_second; /* the system file accepts the loss of a second of units of work */
    struct store_tls tls;
};

enum redis_state { REDIS_DOWN, REDIS_CONNECTING, REDIS_UP };

struct redis_call;

struct redis_connection {
    struct redis *redis;
    enum redis_state state;
    bool making; /* a fiber connects it, and has not ended yet: it may be down again already */
    int fd;
    struct redis_tls *tls;     /* NULL: no TLS */
    struct fh_error tls_error; /* why TLS ended it before it was up; FH_OK: it did not */
    unsigned watched;
    redisReader *reader; /* NULL: not connected (yet) */
    struct text sending;
    size_t sent;
    struct world_poll poll;
    struct world_turn turn;
    struct world_timer timer;
    struct redis_call *first, **end; /* without their answers yet, in order */
    size_t asked_size;               /* of these */
    size_t heard;                    /* since the last answer was complete */
};

/* Identifies a sender to the server: its calls of the script are numbered, and the server refuses
 * one whose number is not above the last it has seen (script.c). */
struct redis_slot {
    char life[ID_SIZE]; /* the process's session id, under which the call is numbered */
    int number;
    int64_t sequence;
    struct redis_slot *next;
};

struct redis_placed {
    char event_id[ID_SIZE];
    int64_t position;
};

#define REDIS_READ_SIZE 65536

struct redis {
    struct store store; /* first */
    struct redis_options options;
    struct redis_trust *trust; /* NULL: no TLS */
    /* What a new connection begins with: redis_session, or no more than logging in. */
    enum fh_code (*session)(struct redis_connection *connection, struct fh_error *error);
    int answer_ms;           /* after this long without an answer a connection is given up */
    size_t answer_size_max;  /* of one answer; 0: no bound */
    char life[ID_SIZE];      /* of this opening's session; a new one if the server forgot it */
    bool born;               /* the server knows it */
    int64_t kept_ns;         /* when the server was last told to keep it */
    char copy[ID_SIZE];      /* the run of copying into the store (copy_ask.c); "": none */
    struct redis_hold *hold; /* others are held off (hold.c); NULL: they are not */
    char digest[REDIS_DIGEST_SIZE];
    struct redis_connection *connections;
    int next; /* index of the connection to use next */
    /* What a connection reads goes through here, within one call. In the frame of a function it
     * would be so large that valgrind takes the call for a switch to another stack. */
    char received[REDIS_READ_SIZE];

    int failures; /* to connect, since the last success */
    int64_t retry_ns;
    struct fh_error down;
    struct fiber_queue connected;

    struct redis_memory memory;
    struct redis_group *gathering; /* units of work to be sent together; NULL: none */
    int calling;                   /* groups that are with the server */
    struct redis_slot *slots;      /* free ones */
    struct redis_slot answered;    /* the last call that was answered */
    struct redis_slot stands;      /* the last one that wrote; number 0: none */
    int slot_count;
    int open, exclusive_waiting; /* units of work that write */
    bool exclusive;
    struct fiber_queue gate;
    struct redis_work *spare; /* units of work that have ended, with their memory */
    int spare_count;

    struct redis_placed placed[REDIS_PLACED_MAX];
    uint64_t placed_count;
};

static inline struct redis *redis_of(struct store *store)
{
    return (struct redis *)store;
}

/* Sends `commands` and parks the fiber until all their answers are there, or none will come.
 * FH_UNAVAILABLE: nothing was sent. FH_OUTCOME_UNKNOWN: the connection was lost. The caller owns
 * the answers; an error of the server's is one of them. */
enum fh_code redis_ask_at(struct redis_connection *connection, const struct redis_words *commands,
                          redisReply **ret_replies, struct fh_error *error);
enum fh_code redis_ask(struct redis *redis, const struct redis_words *commands,
                       redisReply **ret_replies, struct fh_error *error);
/* The same for commands that change nothing: asks once more if the connection was lost, and fails
 * with FH_UNAVAILABLE otherwise. */
enum fh_code redis_read(struct redis *redis, const struct redis_words *commands,
                        redisReply **ret_replies, struct fh_error *error);
/* One command's answer, whatever it is. */
enum fh_code redis_read_one(struct redis *redis, const struct redis_words *command,
                            redisReply **ret, struct fh_error *error);

/* connection.c: makes the connection, and closes it (whatever waits for an answer is told). */
enum fh_code redis_connection_make(struct redis_connection *connection, int64_t deadline_ns,
                                   struct fh_error *error);
void redis_connection_close(struct redis_connection *connection);
/* Redis 7 reads its log as the user `default`, and skips each transaction for which that user's
 * rights do not suffice; everything that a script writes is a transaction. */
#define REDIS_DEFAULT_USER                                                                         \
    "The Redis server's user `default` may not write, and the server would forget all writes "     \
    "when "                                                                                        \
    "it is started again: give it its rights (ACL SETUSER default off resetpass ~* &* +@all)."
/* session.c: logs in, and checks that the server keeps the data it is given. */
enum fh_code redis_session(struct redis_connection *connection, struct fh_error *error);
enum fh_code redis_log_in(struct redis_connection *connection, struct fh_error *error);
/* Of a connection that was lost before it was up: there is no outcome to be known. */
enum fh_code redis_hung_up(const struct redis_connection *connection, struct fh_error *error);
/* The value of a line "NAME:VALUE" of INFO, "" if there is none. */
void redis_info_of(const char *info, const char *name, char *ret, size_t size);
/* pool.c */
/* Those of `options`, none of them up yet; released with what they trust. */
void redis_connections_init(struct redis *redis);
void redis_connections_release(struct redis *redis);
enum fh_code redis_connect_first(struct redis *redis, struct fh_error *error);
/* Once: there is a connection, or there is none now. */
enum fh_code redis_connect(struct redis *redis, struct fh_error *error);

/* options.c: a configuration's "store". FH_INVALID, FH_UNSUPPORTED: it can't be right. */
enum fh_code redis_options_read(const json_t *server, struct redis_options *ret,
                                struct fh_error *error);

/* reply.c: answers from the server, which nobody has checked */
#define REDIS_REPLY_DEPTH_MAX 8
#define REDIS_REPLY_ELEMENTS_MAX (1 << 20)
static inline bool redis_is(const redisReply *reply, int type)
{
    return reply && reply->type == type;
}
/* The only way to an element. Never NULL, and neither is its `str`: what is not there is nil. */
extern const redisReply redis_no_reply;
static inline const redisReply *redis_at(const redisReply *reply, size_t index)
{
    return redis_is(reply, REDIS_REPLY_ARRAY) && index < reply->elements ? reply->element[index]
                                                                         : &redis_no_reply;
}
/* A reader that takes no array longer than REDIS_REPLY_ELEMENTS_MAX, whose memory would be
 * allocated before any of it is there. */
redisReader *redis_reader_new(void);
/* The next answer, the caller's; NULL: it is not there yet. Each part has a text. False: the server
 * broke the protocol, or the answer is nested too deeply. */
bool redis_reader_next(redisReader *reader, redisReply **ret);
/* FH_OK: an array of no more elements than that, as was asked for. */
enum fh_code redis_reply_bounded(const redisReply *reply, size_t elements_max,
                                 struct fh_error *error);
/* refusal.c: turns a refusal by the server into an error: FH_UNAVAILABLE if it may pass,
 * FH_UNSUPPORTED if it needs an operator. `what` was tried. */
enum fh_code redis_refused(const redisReply *reply, const char *what, struct fh_error *error);

/* ---- Units of work: work.c, reads.c, steps.c ---- */

/* A question to the server whose answer the unit of work will depend on, unless it only `looks`. */
struct redis_question {
    const char *words[REDIS_WORDS_MAX];
    int count;
    bool looks;
    bool ahead; /* asked before it is known whether it applies: an error means nothing */
    const redisReply *reply; /* owned by the unit of work */
};

struct redis_read;
struct redis_record;

/* Steps of the script: `shape` has for each its letter in script.c, the number of its key among the
 * unit of work's `named`, or 0, and its number of words, "H1.1W0.2"; `words` are the words of all,
 * one after the other. */
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

    struct redis_words named;      /* keys that steps name by their number, from 1 on */
    struct redis_steps checks;     /* the script requires that these still hold */
    struct redis_steps operations; /* and then does these, in order */
    struct map kinds; /* the server's key → the kind that it must have to be written */

    struct map records; /* "TABLE ID" → struct redis_record */
    struct map keys;    /* the service's → struct redis_key */
    int64_t now_ms;     /* the time by which its keys exist or have ended; 0: it has read none */

    struct redis_words events;
    int event_count;
    struct redis_placed *published; /* ids of the events */

    struct redis_work *next; /* if it is spare (work.c) */
};

static inline struct redis_work *redis_work_of(struct store_work *work)
{
    return (struct redis_work *)work;
}
static inline bool redis_writes(const struct store_work *work)
{
    return store_writes(work->mode);
}

enum fh_code redis_begin(struct store *store, enum store_mode mode, struct store_work **ret,
                         struct fh_error *error);
void redis_rollback(struct store_work *work);
void redis_works_free(struct redis *redis);
/* A unit of work that was given up before its commit. */
void redis_abandon(struct store_work *work);
enum fh_code redis_see(struct redis_work *own, struct redis_question *questions, int count,
                       struct fh_error *error);
/* One question, its words up to NULL; the unit of work owns *ret. */
enum fh_code redis_see_one(struct redis_work *own, bool looks, const redisReply **ret,
                           struct fh_error *error, const char *first, ...)
    __attribute__((sentinel));
void redis_reads_free(struct redis_work *own);

void redis_steps_init(struct redis_steps *steps);
void redis_steps_release(struct redis_steps *steps);
/* Begins a step of `count` words, which the caller appends to `steps->words`. */
void redis_step(struct redis_steps *steps, char letter, int count);
/* The same of a step that also names a key by its number. */
void redis_step_at(struct redis_steps *steps, char letter, int key, int count);
/* A command for the script, its words up to NULL. Its key must be of `kind` or not exist. */
void redis_do(struct redis_work *own, const char *kind, const char *command, const char *key, ...)
    __attribute__((sentinel));
void redis_needs(struct redis_work *own, const char *key, const char *kind);
/* At the commit, when the kinds of all keys are known: checks that they are of these kinds, or do
 * not exist. */
void redis_needs_check(struct redis_work *own);
/* name.c: "PREFIX:fh:NAME", "PREFIX:kv:NAME": malloc'ed. */
char *redis_name(const struct redis *redis, const char *room, const char *name);

/* ---- Records: record.c ---- */

/* The ledger's records are JSON objects, each a field of its table's hash; sorted sets list them in
 * order. All reads see the unit of work's own changes. */

#define REDIS_RANGE_MAX 1000 /* read at once */

/* See struct record_ops. */
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
    bool looks; /* the unit of work does not depend on the result */
    bool ids;   /* only these: no record is read */
    /* Of sagas, members in the order of their numbers: only those with updated_ms below this; 0:
     * any. Some that fail this may be among the results. */
    int64_t before_ms;
};
/* The records that the members name, in the members' order, as an array of records with their "id"
 * (heap). */
enum fh_code redis_range(struct store_work *work, const char *table,
                         const struct redis_range *range, json_t **ret, struct fh_error *error);
/* How many members an order has; the unit of work does not depend on it. */
enum fh_code redis_count(struct store_work *work, const char *order, int64_t *ret,
                         struct fh_error *error);
/* At the commit: adds the operations for all changed records. */
void redis_records_write(struct redis_work *own);
void redis_records_free(struct redis_work *own);

/* ---- The model's keys: key.c, keyvalue.c ---- */

void redis_keys_free(struct redis_work *own);
/* At the commit: checks that the keys are of the kinds that the unit of work has seen. Returns the
 * number of keys that need neither this check nor one of redis_needs: comparing a whole hash checks
 * its kind, too. */
int redis_keys_check(struct redis_work *own);
/* Once the unit of work is sent to the server: remembers its keys as it leaves them; or forgets
 * them, if it failed and their state is unknown. */
void redis_keys_remember(struct redis_work *own);
void redis_keys_forget(struct redis_work *own);
extern const struct keyvalue_ops redis_keyvalue;

/* ---- The ledger: ledger.c, ledger_list.c ---- */

extern const struct ledger_ops redis_ledger;
extern const struct copied_ops redis_copied_ledger;
extern const struct copied_keys_ops redis_copied_keys;
extern const struct counters_ops redis_counters; /* counters.c */
__typeof__(ledger_commands_read) redis_commands_read;
__typeof__(ledger_callers_read) redis_callers_read;

/* ---- The list of keys: list.c ---- */

/* An entry of the store's meta, set since it was provisioned: the list is complete. */
#define REDIS_LISTED "keys_listed"
enum fh_code redis_sweep(const struct keyvalue_view *view, int64_t *ret_removed,
                         struct fh_error *error);

/* ---- Held while it is copied: hold.c ---- */

/* See struct store_ops. */
enum fh_code redis_hold(struct store *store, struct fh_error *error);
enum fh_code redis_release(struct store *store, struct fh_error *error);
/* Returns when nobody holds the store, as far as is known. FH_UNAVAILABLE: somebody still does at
 * `until_ns`. */
enum fh_code redis_hold_pass(struct redis *redis, int64_t until_ns, struct fh_error *error);
/* The same for a minute, and only if somebody does now: for a process that starts. Then it goes on,
 * and whatever it writes first tells why it can't. */
enum fh_code redis_hold_await(struct redis *redis, struct fh_error *error);

/* ---- The commit: commit.c, script.c ---- */

const char *redis_script(void);
/* call.c: calls the script for `count` units of work, whose words are `works`. If the answer to a
 * call that `writes` is lost, finds out the outcome, however long that takes; if another process
 * holds the store, waits for it. FH_UNAVAILABLE: nothing was done, nor will be. */
enum fh_code redis_call(struct redis *redis, bool writes, int count,
                        const struct redis_words *works, redisReply **ret, struct fh_error *error);
/* The call that was just answered has written: if the server no longer knows it later, it has lost
 * data. */
void redis_call_stands(struct redis *redis);
/* Registers a new session id with the server, under which this process numbers its calls. */
enum fh_code redis_be_born(struct redis *redis, struct fh_error *error);
enum fh_code redis_commit(struct store_work *work, struct fh_error *error);
enum fh_code redis_sequence(struct store *store, struct store_placed *placed, int count,
                            struct fh_error *error);

extern const struct engine engine_redis;
extern const struct server_kind server_redis;

#endif
