/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_LEASE_MANAGER_H
#define WORK_LEASE_MANAGER_H

/* What the files of leases share: lease.c acts, lease_look.c sees and decides. */

#include "base/arena.h"
#include "store/ledger.h"
#include "work/lease.h"
#include "work/work.h"

/* An instance, as its row showed it. */
struct lease_member {
    char name[LEASE_NAME_SIZE], owner[STORE_INSTANCE_SIZE];
    int64_t beat, since_ns; /* the first look that showed this beat */
    int looks;              /* that showed no other */
    int64_t tick_ms;        /* how often it said it would beat */
    char *note_text;
    json_t *note; /* or NULL */
};

/* Something to be had: a row, a lease of ours, or both. */
struct lease_entry {
    const char *name, *owner;
    int64_t epoch; /* 0: there is no row yet */
    struct lease *lease;
    bool wanted; /* by us, for the best of all */
    bool free;   /* whoever had it is gone, or it is ours */
};

struct lease_manager {
    struct work_context *context;
    char name[LEASE_NAME_SIZE];      /* of our own row */
    char instance[LEASE_NAME_SIZE];  /* "0" */
    char life[STORE_INSTANCE_SIZE];  /* "0.3f9a…"; new each time that we join */
    bool joined, stopping, draining; /* draining: nothing is taken */
    bool alive;                      /* the fiber that looks */
    bool shut_out;                   /* another process has our name: said once */
    struct lease *leases;
    struct lease_watcher *watchers;
    char *note; /* as we wrote it last */
    int64_t told_tick_ms;

    struct arena arena; /* of one look */
    struct lease_entry entries[LEASES_MAX];
    int entry_count;
    struct lease_member members[LEASE_MEMBERS_MAX];
    int member_count;
    int64_t own_epoch; /* of our name's row, whoever has it; 0: there is none */
    char own_owner[STORE_INSTANCE_SIZE];
    bool changed; /* somebody came or went */

    struct fiber_queue wake, ended;
};

/* Reads all rows. */
enum fh_code lease_look(struct lease_manager *manager, struct fh_error *error);
/* Fills in who should have what. */
void lease_plan(struct lease_manager *manager);
bool lease_member_dead(const struct lease_manager *manager, const struct lease_member *member);
/* The one that is not there any more. */
void lease_member_forget(struct lease_manager *manager, int index);
struct lease_member *lease_member_named(struct lease_manager *manager, const char *name);
/* The part of a name that is spread evenly. */
int lease_group_length(const char *name);

#endif
