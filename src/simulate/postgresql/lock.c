/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks by name: those of rows ("table|key"), advisory ones, and the schema's. Who can't have one
 * takes its statement back and waits; whenever locks are given up, all who wait in the database
 * look again. A circle of those who wait is seen when it is closed, not a second later.
 */

#include "simulate/postgresql/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define DEPTH_MAX 64

static bool is_held_against(const struct model_session *session, const char *name, bool shared)
{
    for (const struct model_lock *lock = session->database->locks; lock; lock = lock->next) {
        if (lock->owner != session && !(shared && lock->shared) && strcmp(lock->name, name) == 0)
            return true;
    }
    return false;
}

static void add_lock(struct model_session *session, const char *name, bool shared, bool of_session)
{
    struct model_lock *lock = session->database->locks;
    for (; lock; lock = lock->next) {
        if (lock->owner == session && lock->of_session == of_session && lock->shared == shared &&
            strcmp(lock->name, name) == 0)
            return;
    }
    lock = calloc(1, sizeof *lock);
    FH_ASSERT(lock != NULL && (lock->name = strdup(name)) != NULL);
    lock->shared = shared;
    lock->of_session = of_session;
    lock->owner = session;
    lock->next = session->database->locks;
    session->database->locks = lock;
}

bool model_lock_try(struct model_session *session, const char *name, bool shared)
{
    if (is_held_against(session, name, shared))
        return false;
    add_lock(session, name, shared, false);
    return true;
}

bool model_lock(struct model_session *session, const char *name, bool shared, bool of_session)
{
    if (is_held_against(session, name, shared)) {
        snprintf(session->waits_for, sizeof session->waits_for, "%s", name);
        session->waits_shared = shared;
        return false;
    }
    add_lock(session, name, shared, of_session);
    return true;
}

bool model_lock_others(struct model_session *session, const char *name)
{
    return is_held_against(session, name, false);
}

void model_unlock(struct model_session *session, bool all)
{
    struct model_lock **at = &session->database->locks;
    bool any = false;
    while (*at) {
        struct model_lock *lock = *at;
        if (lock->owner != session || (lock->of_session && !all)) {
            at = &lock->next;
            continue;
        }
        *at = lock->next;
        free(lock->name);
        free(lock);
        any = true;
    }
    for (struct model_session *other = session->server->sessions; any && other;
         other = other->next) {
        if (other->waits && other->database == session->database)
            model_session_wake(other);
    }
}

static bool waits_reach(struct model_session *from, const struct model_session *to, int depth)
{
    if (!from->waits_for[0] || depth == DEPTH_MAX)
        return false;
    for (const struct model_lock *lock = from->database->locks; lock; lock = lock->next) {
        if (lock->owner == from || (from->waits_shared && lock->shared) ||
            strcmp(lock->name, from->waits_for) != 0)
            continue;
        if (lock->owner == to || waits_reach(lock->owner, to, depth + 1))
            return true;
    }
    return false;
}

bool model_lock_circle(struct model_session *session)
{
    return waits_reach(session, session, 0);
}
