/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_CARRIER_H
#define CARRIER_CARRIER_H

/*
 * The carrier of one derived store: brings what units of work derive (work/carried.h) from the
 * owner's outbox to a server, makes the store anew where that is needed, and answers questions.
 * docs/internals/carriers.md is the protocol; numbers in comments are those of its rules.
 *
 *     carrier_turn(carrier, &more, &error)    again and again; nothing of it depends on the others
 *     carrier_ask(carrier, ...)               meanwhile
 *
 * All that must outlive it is in the ledger (record.h). So whatever it was doing when it died, the
 * next one goes on from there; and two at a time, of which neither knows of the other, do no harm.
 */

#include "base/portion.h"
#include "carrier/kept_walk.h"
#include "carrier/record.h"
#include "carrier/server.h"
#include "carrier/walk.h"
#include "work/work.h"

#define CARRIED_WALK_MS 600000  /* from the end of one walk to the next, at least */
#define CARRIED_WALK_REST 50    /* and so many times as long as it took */
#define CARRIED_LINKS_MAX 1000  /* in one answer */
#define CARRIED_ROWS_MAX 500    /* of `state`, in a page */
#define CARRIED_FACTS_MAX 16384 /* of the owner's points or facts, in a page, if they fit */
#define CARRIED_TRIM_MS 3600000 /* from one trim to the next, at least */
#define CARRIED_ALL_MS 86400000 /* from one walk of all kept links to the next, at least */
#define CARRIED_ASKS_MAX 4      /* of one question, where another generation serves each time */
#define CARRIED_SENT_MAX 4      /* generations of which it is known what was sent */
#define CARRIED_DROPS_MAX 8     /* generations found and dropped at once */

struct derived_carrier {
    struct work_context *context;
    const struct fh_derived *declared; /* an FH_SEARCH has a `state` */
    struct carried_server *server;
    bool kept;            /* the server alone has its points or facts (23 to 30, 36) */
    int64_t count_ms_max; /* see kept_lives.c; 0, but in tests: as that says */
    /* Where several processes write to the owner's store: what the program derives (alike.h). NULL:
     * one does. */
    const json_t *alike;
    /* The rest is its own; zero at first. */
    struct carrier_look {
        struct carried_record record;
        int64_t position, trimmed;         /* of the outbox */
        bool serving_lives, filling_lives; /* made in a life that the owner knows */
        bool alike;                        /* whoever writes derives as this program does */
    } look;
    struct portion rows;
    struct carried_name walked; /* the generation that serves, when it was walked last */
    int64_t walks_ns;           /* when it is walked next */
    struct carrier_walking {
        struct carried_name generation; /* number 0: no walk is under way */
        struct carried_walk walk;
        struct carried_link last; /* that was walked */
        int64_t spent_ns;
    } walking;
    bool drops;           /* there may be older generations */
    struct carrier_sent { /* of the newest generations: the last event that was sent (37) */
        struct carried_name generation;
        struct carried_place place;
    } sent[CARRIED_SENT_MAX];
    struct carried_place missing; /* what the last page should have followed, if that is lost */
    struct carried_name filled;   /* the generation that is filled, once it was looked at */
    struct carried_name trimmed;  /* that served, when what is too old was removed last */
    int64_t trims_ns;             /* when it is removed next */
    /* Of facts that the server alone has. */
    char life[ID_SIZE];        /* the owner's incarnation, at the last look */
    struct carried_place from; /* behind it the next page begins: the cursor, or before it */
    bool lacks;                /* the server lacks something, which this one sends again */
    int64_t gaps;              /* as it noted that */
    bool looked;               /* for what the server had before */
    int64_t links_shown;       /* to the last look */
    int64_t walks_all_ns;      /* when a look is to walk all links next, not from a milestone on */
    struct carrier_placing {
        struct carried_milestone milestone; /* that was answered; no name: there is none */
        char replaces[ID_SIZE];             /* the record's then */
        int64_t began_ns, gaps;             /* of the look that found all whole up to there */
    } placing;
    int64_t places_ns; /* when one is to be sent next, at the earliest */
    struct carrier_settling {
        int64_t to; /* up to there it is whole since began_ns; 0: nothing settles */
        char id[ID_SIZE];
        int64_t began_ns, gaps;
    } settling;
    struct carrier_counters {
        uint64_t pages, ops, refused, walks, lost, begun, switched, dropped, trims;
        uint64_t set_back; /* times that the outbox had lost what was sent (37) */
        uint64_t resent, left, formers, milestones; /* of facts that the server alone has */
    } counters;
};

/* Whether a generation, one of the look's record, can be asked: it is of this life and declaration,
 * and the server has all of it, as far as is known. It is of one time, if only of an earlier one.
 */
bool carrier_may_be_asked(const struct derived_carrier *carrier, const struct carrier_look *look,
                          const struct carried_generation *generation);

/* One round: looks, carries a page for each generation, publishes a page of rows, switches, walks,
 * drops, trims: whatever of these is due. *ret_more: there was something to do, so there may be
 * more. On a fiber. After a failure the same again is right, at intervals; FH_UNSUPPORTED needs
 * somebody, or this is no process that may carry: context->serves is not set, or its store has
 * several writers.
 */
enum fh_code carrier_turn(struct derived_carrier *carrier, bool *ret_more, struct fh_error *error);

/* Of facts that the server alone has: notes from where on it has them, if nobody has yet. Before a
 * request is answered: so none is trimmed unnoticed, whoever trims. The server is not asked. On a
 * fiber. */
enum fh_code carrier_begin_kept(struct derived_carrier *carrier, struct fh_error *error);

/* Only looks, as a turn does first, while another one carries: what this one knew of its server is
 * out of date. On a fiber. */
enum fh_code carrier_look_again(struct derived_carrier *carrier, struct fh_error *error);

/* Begins another generation although nothing is wrong with the one that serves. FH_CONFLICT: one is
 * being filled already. It fails where the server can't be asked. On a fiber. */
enum fh_code carrier_make_anew(struct derived_carrier *carrier, struct fh_error *error);

/* Goes on although the server has lost facts that nobody else has: *ret says which. FH_CONFLICT: it
 * has not. On a fiber. */
enum fh_code carrier_accept_loss(struct derived_carrier *carrier, struct carried_loss *ret,
                                 struct fh_error *error);

/* As derived_ops.search, .series or .columns; `question` is a struct fh_search, and so on, by the
 * model of what is declared. FH_UNAVAILABLE, too: no generation can be asked now. On a fiber,
 * outside of units of work. */
enum fh_code carrier_ask(struct derived_carrier *carrier, const void *question, int64_t deadline_ns,
                         json_t **ret, struct fh_error *error);

#endif
