/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

/*
 * What the server's files share: a server, its connections, and the lists that they are in.
 *
 * A connection is in one of these states, and the list belongs to the state, so that whoever walks
 * a list knows what it holds:
 *
 *     READING    awaited    a request is awaited or arriving; the socket is read
 *     BUSY       none       the handler has the request; nothing is read, however much is sent
 *     SENDING    sending    the answer's rest waits until the client takes it
 *     PACED      paced      the next request is not read yet
 *     LINGERING  lingering  the last answer is sent; input is dropped until the client closes
 *     CLOSED     none       its memory is freed at the end of the loop's turn
 */

#include <uv.h>

#include "base/text.h"
#include "http/answer.h"
#include "http/request.h"
#include "http/tls_session.h"

enum connection_state {
    CONNECTION_READING,
    CONNECTION_BUSY,
    CONNECTION_SENDING,
    CONNECTION_PACED,
    CONNECTION_LINGERING,
    CONNECTION_CLOSED
};

/* Connections by when they entered, longest first. The timeout is the same for all in a list. */
struct connection_list {
    struct http_connection *first, *last;
    uint64_t timeout_ms;
    unsigned count;
};

struct connection_queue {
    struct http_connection *first, *last;
};

struct http_connection {
    uv_poll_t poll;
    struct http_server *server;
    gnutls_session_t tls; /* NULL: plain */
    int fd;
    int events; /* that are polled for */
    enum connection_state state;
    bool handshaking; /* TLS is not yet set up */
    bool trusted;     /* its certificate is of the system's authority */
    bool used;        /* a request on it has been answered */
    bool asked;       /* the handler has had a request of it */
    bool started;     /* a request line has arrived */
    bool persistent;  /* as the client wants it after this request */
    bool old;         /* of this request: HTTP/1.0 */
    bool bodiless;    /* the answer has no body: HEAD */
    bool paced;       /* the answer that is being sent is followed by a pause */
    bool handed;      /* the server counts its answer as unsent */
    bool running;     /* its input is being read, further up on the stack */
    bool shed;        /* its last request was */
    struct connection_list *list;
    struct http_connection *previous, *next;
    struct connection_queue *queue; /* NULL: in none */
    struct http_connection *queue_previous, *queue_next;
    int64_t held_ns; /* since when what the socket has is not read; 0: it is read at once */
    uint64_t since_ms;
    struct http_request *request; /* READING: whose body arrives; BUSY: the handler's */
    char *input;                  /* what was received and is not yet read */
    size_t input_at, input_length, input_capacity;
    char *output; /* what was answered and is not yet sent */
    size_t output_at, output_length;
    size_t output_before;   /* of the same answer, sent before `output` was kept */
    size_t taken;           /* of the answer, by the client, when that was last looked at */
    struct http_held *held; /* of the answer that is being sent, or NULL */
    struct http_peer peer;
    struct head_progress progress;
    struct chunked chunked;
    bool is_chunked;
    uint64_t body_left;
    uint64_t skipped_left; /* of the body of a request that was shed: dropped as it comes */
    size_t dropped;        /* while lingering */
    size_t weight;         /* as the server counts it */
};

#define SERVER_BUFFER_SIZE ((size_t)64 << 10)
#define SERVER_DROP_SIZE ((size_t)16 << 10)

struct http_server {
    uv_loop_t *loop;
    struct world *world;
    struct http_limits limits;
    struct http_handler handler;
    uv_poll_cb ready;                              /* of its connections */
    void (*on_room)(struct http_server *server);   /* one of them has gone: another may come */
    void (*read_held)(struct http_server *server); /* as many as there is time for */
    /* Arms the timer, and looks whether a drain is over. It must be the last call of whatever the
     * loop calls: `drained` may free the server. */
    void (*settle)(struct http_server *server);
    struct tls_server *tls; /* NULL: plain HTTP */
    int listen_fd;
    uv_poll_t listening;
    bool accepting;
    bool backing_off, backed_off; /* no descriptor was left: now; at the last attempt */
    struct world_timer accept_again;
    uv_timer_t timer; /* for the first that is due in any list */
    uint64_t timer_due_ms;
    int open_handles;
    struct world_turn turn;
    struct connection_list awaited, sending, paced, lingering;
    uint64_t paced_us; /* when the last of `paced` entered, as far as its timeout is concerned */
    struct connection_queue resumed; /* with input that is already here */
    struct connection_queue held;    /* which are not read until there is time to shed (spare.c) */
    bool shedding;                   /* some of the time for it is spent */
    int64_t spare_ns, spared_ns;     /* what is left of it; as of then */
    int64_t spare_from_ns;           /* since when what is done may turn out to be shedding */
    struct world_timer spare_again;
    bool spare_awaited, newcomers_next; /* the timer runs; and is for those to be accepted */
    struct http_request *handed_first;
    unsigned connections, unanswered, unsent;
    size_t weight; /* of all connections */
    bool draining, freed;
    struct world_timer grace, beginning;
    bool grace_over, beginning_over;
    void (*drained)(void *);
    void *drained_context;
    int64_t date_s;
    char date[32];                   /* as in the header */
    struct text text;                /* of the answer's head that is being sent */
    struct http_head head;           /* that is being read */
    char buffer[SERVER_BUFFER_SIZE]; /* what one connection has just received */
    char dropped[SERVER_DROP_SIZE];  /* apart: others may end while that is read */
};

/* ---- lists.c ---- */

uint64_t server_now_ms(const struct http_server *server); /* the loop's time */
/* Moves the connection to the end of a list. */
void list_append(struct connection_list *list, struct http_connection *connection);
void list_remove(struct http_connection *connection);     /* from whichever it is in */
uint64_t list_due_ms(const struct connection_list *list); /* UINT64_MAX: none */
/* When a connection's pause begins, if that of the one before it began at `last_us`: a share of a
 * pause behind it, but neither before now nor more than a pause later. */
uint64_t paced_turn_us(uint64_t last_us, uint64_t now_us, unsigned connections);
/* Whether any connection is new and has not sent a request yet, or has begun to send one. A silent
 * one that was answered before doesn't count. */
bool awaited_begins(const struct connection_list *awaited);

/* ---- wire.c ---- */

void connection_watch(struct http_connection *connection, int events); /* 0: none */
void connection_close(struct http_connection *connection);
/* Nothing of its answer is kept any more. */
void connection_let_go_answer(struct http_connection *connection);
void connection_append(struct connection_queue *queue, struct http_connection *connection);
void connection_dequeue(struct http_connection *connection); /* from whichever it is in */
/* In the server's next turn: connection_resume. */
void connection_resume_later(struct http_connection *connection);
void server_release(
    struct http_server *server); /* once it is freed, with its last handle and turn */

/* ---- spare.c ---- */

void spare_init(struct http_server *server);
bool spare_left(struct http_server *server); /* of the time for shedding */
/* What begins now may turn out to be shedding: what came before, a handler perhaps, was none. */
void spare_begin(struct http_server *server);
/* It is: the time since then is spent. What is shed begins the shedding. */
void spare_shed(struct http_server *server);
/* It belongs to it, as long as there is any shedding: so does accepting. */
void spare_spend(struct http_server *server);
/* Its input is left where it is until spare_again. */
void spare_hold(struct http_connection *connection);
/* Nothing is left: the timer spare_again looks soon. */
void spare_wait(struct http_server *server);

/* ---- reply.c ---- */

/* Answers those that are with the handler itself. What the handler replies later goes nowhere. */
void server_give_up_requests(struct http_server *server);

/* ---- weight.c ---- */

/* To be called when the connection may keep more or less than before. If all of them keep too much
 * together, the server's turn cuts off those that have waited longest. */
void connection_weigh(struct http_connection *connection);

/* ---- linger.c ---- */

/* The answer is out, and nothing else will be sent. */
void connection_linger(struct http_connection *connection);
void connection_drop_input(struct http_connection *connection);
/* Closes it; if its last answer has just been sent, so that this is not lost. */
void connection_end(struct http_connection *connection);

/* ---- write.c ---- */

/* Sends an answer: the state is then READING, SENDING, LINGERING or CLOSED. `final`: and nothing
 * after it. */
void connection_send(struct http_connection *connection, const struct http_answer *answer,
                     bool final);
void connection_send_rest(struct http_connection *connection);
/* The client has had the idle timeout to take of its answer. It is cut off if that was too little.
 */
void connection_judge_reading(struct http_connection *connection);
/* The next request may come: at once, or after a pause. */
void connection_await(struct http_connection *connection);
void connection_pace(struct http_connection *connection);
/* Refuses the request that is being read. */
void connection_refuse(struct http_connection *connection, enum problem_type type,
                       const char *detail);
/* Tells the client to go on with its body. */
void connection_say_continue(struct http_connection *connection);

/* ---- connection.c ---- */

/* Owns the descriptor from now on. False: no memory, and the descriptor is closed. */
bool connection_open(struct http_server *server, int fd, const struct http_peer *peer, bool paced);
/* Goes on with the input that is already here, or in the socket. */
void connection_resume(struct http_connection *connection);
/* Answers the request that it is busy with. */
void connection_answer(struct http_connection *connection, const struct http_answer *answer,
                       bool final);
/* At once; if a request has begun it is refused, as far as the socket takes that. */
void connection_cut_off(struct http_connection *connection, enum problem_type type,
                        const char *detail);

/* `given` (may be NULL) with defaults filled in; fewer connections if the process can't have enough
 * descriptors. */
struct http_limits limits_of(const struct http_limits *given);

#endif
