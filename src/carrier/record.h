/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_RECORD_H
#define CARRIER_RECORD_H

/*
 * What the owner's ledger knows of one derived store on a server, as JSON under a name of its own
 * in fh_meta: which generation serves, which is being filled, and how far each is. It is the truth
 * about both; a server says only whether it still has what it once acknowledged.
 *
 *     {"last": 3, "serving": {"number": 2, "incarnation": "...", "digest": "...", "began": 10,
 *      "cursor": 870, "after": "", "listed": true, "filled": true, "parked": [{"key", "position",
 *      "reason"}]}, "filling": {...}}
 *
 * One of facts that the server alone has carries "kept": {...} and no "parked", so that a version
 * of the library that does not know them can't read it.
 *
 * Whoever changes it reads it in the same unit of work.
 */

#include <stdbool.h>
#include <stdint.h>

#include "carrier/server.h"
#include "store/derived/derived.h"
#include "store/store.h"

/* Of a generation. Where more keys are refused its cursor stays: something is wrong with all of
 * them, and a record of each would only fill the store. */
#define CARRIED_PARKED_MAX 32
#define CARRIED_LOSSES_MAX 16

struct carried_parked {
    char key[DERIVED_KEY_LENGTH_MAX + 1];
    int64_t position;
    char reason[CARRIED_REASON_SIZE];
};

/* What was given up, by an operator's word: events behind `after`, up to `to`. */
struct carried_loss {
    int64_t after, to, at_ms;
};

/* A life that the owner has lost: a backup of it was restored, which ends at `position`. What it
 * did later has been carried all the same: so many facts. */
#define CARRIED_UNCOUNTED (-1) /* they were too many to be counted in time */
struct carried_former {
    char incarnation[ID_SIZE];
    int64_t position, facts;
};

/* A link of its own on the server, from `name` to a place: if the server has it, it has all up to
 * that place (38). No name: there is none. */
struct carried_milestone {
    struct carried_place place;
    char name[ID_SIZE];
};

/* Of facts that a server alone has (23 to 30): they are in one generation, which serves from the
 * beginning and is never made anew. */
struct carried_kept {
    char began_id[ID_SIZE], cursor_id[ID_SIZE]; /* of the events there */
    struct carried_milestone milestone;
    int64_t settled; /* up to here it is durable there: the outbox is kept behind it */
    int64_t whole;   /* if it is lost: up to here it is whole */
    bool made;       /* it has been carried to since it began, or began again */
    bool lacks;      /* it may lack facts that the outbox has; it is not asked meanwhile */
    int64_t gaps;    /* how often that was found, or given up: a look that is older says nothing */
    char life[ID_SIZE]; /* the owner's incarnation, when it was carried last */
    struct carried_loss losses[CARRIED_LOSSES_MAX]; /* the newest ones */
    int loss_count;
    struct carried_former formers[CARRIED_LOSSES_MAX];
    int former_count;
};

struct carried_generation {
    struct carried_name name;         /* number 0: there is none */
    char digest[DERIVED_DIGEST_SIZE]; /* of the declaration it was made by */
    int64_t began;  /* its first link begins here: where the outbox ended before its first row */
    int64_t cursor; /* carried up to here; only rises */
    char after[DERIVED_KEY_LENGTH_MAX + 1]; /* rows up to this key are published */
    bool listed;                            /* all are */
    bool filled; /* all are carried, and what they have seen: it is of one time */
    bool lost;   /* the server lacks something that it had acknowledged */
    struct carried_parked parked[CARRIED_PARKED_MAX];
    int parked_count;
    struct carried_kept kept; /* if name.kept */
};

struct carried_record {
    int64_t last; /* number that was given out */
    struct carried_generation serving, filling;
};

/* All zero: nothing was ever carried. FH_UNSUPPORTED: what is written there can't be read. */
enum fh_code carried_record_read(struct store_work *work, const char *name,
                                 struct carried_record *ret, struct fh_error *error);
/* The same on the heap, whatever it returns, since it is large for a fiber's stack: free(*ret). */
enum fh_code carried_record_get(struct store_work *work, const char *name,
                                struct carried_record **ret, struct fh_error *error);
enum fh_code carried_record_write(struct store_work *work, const char *name,
                                  const struct carried_record *record, struct fh_error *error);
/* The generations of one, so that it is made anew. One whose record can't be read stays as it is:
 * no carrier goes on from that either. In a unit of work. */
enum fh_code carried_record_forget(struct store_work *work, const char *name,
                                   struct fh_error *error);
/* The same, unless a server alone has its facts: those are in the outbox until they are there,
 * whoever derived what else meanwhile, and can't be made anew. */
enum fh_code carried_record_forget_copy(struct store_work *work, const char *name,
                                        struct fh_error *error);
/* The generation of this name, if it serves or is being filled; else NULL. */
struct carried_generation *carried_record_find(struct carried_record *record,
                                               const struct carried_name *name);

/* Whether what was done in this incarnation of the owner is part of what it knows today: it is the
 * present one, or the owner was moved since, never restored. */
enum fh_code carried_same_life(struct store_work *work, const char *incarnation, bool *ret,
                               struct fh_error *error);

/* Up to where the outbox may be trimmed for the sake of one derived store: INT64_MAX if it needs
 * nothing. In a unit of work. */
enum fh_code carried_needed(struct store_work *work, const char *name, int64_t *ret,
                            struct fh_error *error);

/* The same of facts that the server alone has: the outbox is never trimmed behind it, whatever its
 * bounds are. 0 before there is a generation. */
enum fh_code carried_kept_settled(struct store_work *work, const char *name, int64_t *ret,
                                  struct fh_error *error);
/* The first derived store of the service whose facts a server alone has; NULL: there is none. */
enum fh_code carried_kept_find(struct store_work *work, const fh_service *service, const char **ret,
                               struct fh_error *error);
/* What `from` knows of facts that servers alone have, as `to` does from now on: its outbox is the
 * other one's. In units of work of both stores. */
enum fh_code carried_kept_copy(const fh_service *service, struct store_work *from,
                               struct store_work *to, struct fh_error *error);
/* The id of the event at a position of the outbox that is not before what is trimmed; "" at 0. */
enum fh_code carried_place_id(struct store_work *work, int64_t position, char ret[static ID_SIZE],
                              struct fh_error *error);
/* Whether the outbox has that event at that place, or had it: it begins at `trimmed`. */
enum fh_code carried_place_lives(struct store_work *work, const struct carried_place *place,
                                 int64_t trimmed, bool *ret, struct fh_error *error);

/* names.c: notes that these derived stores, up to NULL, are carried from now on, and no others;
 * what was carried before and is not any more is made anew if it ever is again. Before anything is
 * derived. Writes nothing where it is so already. On a fiber. */
enum fh_code carried_names_settle(struct store *store, const char *const *names,
                                  struct fh_error *error);

/* In a unit of work: what was carried is made anew, as the store's contents are others from now on,
 * though its outbox and incarnation stay. */
enum fh_code carried_names_forget(struct store_work *work, struct fh_error *error);

/* Notes a refused op in place of an older one of its key; false: there is no room. */
bool carried_park(struct carried_generation *generation, const struct carried_op *op);
/* It was taken: what is noted of older ones of its key is over. A row may be older. */
void carried_unpark(struct carried_generation *generation, const struct carried_op *op);

#endif
