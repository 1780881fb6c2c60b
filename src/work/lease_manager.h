/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_LEASE_MANAGER_H
#define WORK_LEASE_MANAGER_H

/* Shared by the files that implement leases: lease.c acts; lease_look.c observes and decides. */

#include "base/arena.h"
#include "store/ledger.h"
#include "work/lease.h"
#include "work/work.h"

/* An instance, as its row showed it. */
struct lease_member {
    char name[LEASE_NAME_SIZE], owner[STORE_INSTANCE_SIZE];
    int64_t beat, since_ns; /* when a look first showed this beat */
    int looks;              /* how many looks have shown this same beat */
    int64_t tick_ms;        /* how often it says it beats */
    char *note_text;
    json_t *note; /* or NULL */
};

/* Something that can be leased: a row, one of our leases, or both. */
struct lease_entry {
    const char *name, *owner;
    int64_t epoch; /* 0: there is no row yet */
    struct lease *lease;
    bool wanted; /* by the plan, we should have it */
    bool free;   /* its owner is dead, or it is ours */
};

struct lease_manager {
    struct work_context *context;
    char name[LEASE_NAME_SIZE];      /* of our own row */
    char instance[LEASE_NAME_SIZE];  /* "0" */
    char life[STORE_INSTANCE_SIZE];  /* our session, "0.3f9a…"; new each time we join */
    bool joined, stopping, draining; /* draining: nothing more is taken */
    bool alive;                      /* the fiber that looks is running */
    bool shut_out;                   /* another process has our name; logged once */
    struct lease *leases;
    struct lease_watcher *watchers;
    char *note; /* as last written by us */
    int64_t told_tick_ms;

    struct arena arena; /* of one look */
    struct lease_entry entries[LEASES_MAX];
    int entry_count;
    struct lease_member members[LEASE_MEMBERS_MAX];
    int member_count;
    int64_t own_epoch; /* of the row with our name, whoever owns it; 0: there is none */
    char own_owner[STORE_INSTANCE_SIZE];
    bool changed; /* an instance came or went */

    struct fiber_queue wake, ended;
};

/* Reads all rows. */
enum fh_code lease_look(struct lease_manager *manager, struct fh_error *error);
/* Fills in which entries we should have. */
void lease_plan(struct lease_manager *manager);
bool lease_member_dead(const struct lease_manager *manager, const struct lease_member *member);
/* Removes an instance that no longer exists. */
void lease_member_forget(struct lease_manager *manager, int index);
struct lease_member *lease_member_named(struct lease_manager *manager, const char *name);
/* The length of the part of a name that identifies its group. */
int lease_group_length(const char *name);

#endif
