/* SPDX-License-Identifier: Apache-2.0 */
/* Names of timers and schedules, as they are declared and as they stand in the store: what is found
 * by them, and ids made of them. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doing.h"
#include "timer/manager.h"

const struct fh_timer *timer_declared(const fh_service *service, const char *name)
{
    for (size_t i = 0; i < sizeof service->timers / sizeof *service->timers; i++) {
        const struct fh_timer *timer = &service->timers[i];
        if (timer->name && strcmp(timer->name, name) == 0)
            return timer;
    }
    return NULL;
}

struct schedule *schedule_named(struct timer_manager *manager, const char *name)
{
    for (int i = 0; i < manager->schedule_count; i++) {
        if (strcmp(manager->schedules[i].name, name) == 0)
            return &manager->schedules[i];
    }
    return NULL;
}

fh_handler *timer_handler(struct timer_manager *manager, const struct ledger_timer *timer)
{
    if (strncmp(timer->name, SCHEDULE_PREFIX, strlen(SCHEDULE_PREFIX)) == 0) {
        const struct schedule *schedule = schedule_named(manager, timer->name);
        return schedule ? schedule->declared->handler : NULL;
    }
    const struct fh_timer *declared = timer_declared(manager->context->service, timer->handler);
    return declared ? declared->handler : NULL;
}

const struct doing *timer_doing(struct timer_manager *manager, const struct ledger_timer *timer)
{
    if (strncmp(timer->name, SCHEDULE_PREFIX, strlen(SCHEDULE_PREFIX)) == 0) {
        struct schedule *schedule = schedule_named(manager, timer->name);
        if (schedule && !schedule->doing)
            schedule->doing = doing_of((doing_function *)schedule->declared->handler, "schedule %s",
                                       schedule->declared->name);
        return schedule ? schedule->doing : NULL;
    }
    const fh_service *service = manager->context->service;
    const struct fh_timer *declared = timer_declared(service, timer->handler);
    if (!declared)
        return NULL;
    const struct doing **doing = &manager->doings[declared - service->timers];
    if (!*doing)
        *doing = doing_of((doing_function *)declared->handler, "timer %s", declared->name);
    return *doing;
}

/* ---- Ids ---- */

void timer_id_format(char id[static TIMER_ID_SIZE], int64_t due_ms, const char *name)
{
    snprintf(id, TIMER_ID_SIZE, "%" PRId64 "-%s", due_ms, name);
}

bool timer_id_parse(const char *id, int64_t *ret_due_ms, const char **ret_name)
{
    size_t digits = strspn(id, "0123456789");
    if (digits == 0 || digits > 18 || id[digits] != '-')
        return false;
    const char *name = id + digits + 1;
    size_t length = strspn(name, TIMER_NAME_LETTERS "/"); /* no raw bytes: ids come from clients */
    if (length == 0 || name[length] || length >= TIMER_NAME_SIZE)
        return false;
    *ret_due_ms = strtoll(id, NULL, 10);
    *ret_name = id + digits + 1;
    return true;
}
