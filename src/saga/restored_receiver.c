/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A receiver of our sagas that was restored: which of its answers to us it has lost. restored.c
 * explains the whole.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "saga/manager.h"

/* ---- A receiver that was restored ---- */

struct over {
    struct saga_manager *manager;
    const struct saga_target *target;
    const struct lives *former; /* used for judging last time; NULL: there were none */
    struct restored_news *news;
};

static void tell_lost(const struct over *over, const struct ledger_saga *saga,
                      const struct ledger_step *step, bool surely)
{
    char id[ID_SIZE + 24], name[32], what[RESTORED_TEXT_SIZE], todo[RESTORED_TEXT_SIZE];
    const struct saga_type *type = saga_manager_type(over->manager, saga->name);
    const char *receiver = over->target->name;
    bool parked = strcmp(saga->status, "parked") == 0;
    bool done = saga_element_state_of(step->state) == SAGA_DONE;
    snprintf(id, sizeof id, "%s.%" PRId64, step->birth, step->number);
    snprintf(name, sizeof name, "%d", step->step);
    const char *step_name =
        type && step->step < type->rules.step_count ? type->rules.steps[step->step].name : name;
    snprintf(what, sizeof what,
             "%s was restored to before it %s step %.40s, element %d, of saga %.40s %s, which is "
             "%s here: it %s lost that.",
             receiver, done ? "did" : "had undone", step_name, step->element, saga->name, id,
             saga->status, surely ? "has" : "may have");
    if (parked)
        snprintf(todo, sizeof todo, "freehold saga retry %s %s asks there again.",
                 over->manager->context->service->name, id);
    else if (done)
        snprintf(todo, sizeof todo,
                 "Check in %s whether it is there, by the saga's input, and enter it by hand, or "
                 "undo by hand what the saga did elsewhere.",
                 receiver);
    else
        snprintf(todo, sizeof todo,
                 "Check in %s whether what was undone is there again, and undo it by hand.",
                 receiver);
    restored_news_add(over->news, &(struct restored_entry){
                                      .peer = receiver, .saga = id, .what = what, .todo = todo});
}

static bool see_answered(void *context, const struct ledger_saga *saga,
                         const struct ledger_step *step)
{
    const struct over *over = context;
    enum lives_lost lost = lives_lost(over->target->lives, step->receiver, step->receiver_position);
    int state = saga_element_state_of(step->state);
    bool undone = state == SAGA_TAKEN_BACK || state == SAGA_NEVER;
    if (over->former &&
        lives_lost(over->former, step->receiver, step->receiver_position) != LIVES_KEPT)
        return true; /* it was reported after the previous restore */
    if (lost != LIVES_KEPT && (state == SAGA_DONE || undone))
        tell_lost(over, saga, step, lost == LIVES_LOST);
    return true;
}

static enum fh_code look_for_lost(struct saga_manager *manager, struct saga_target *target,
                                  const json_t *stored, struct store_work *work,
                                  struct restored_news *news, struct fh_error *error)
{
    struct over over = {.manager = manager, .target = target, .news = news};
    const char *seen = json_string_at(stored, "seen");
    struct lives *former = seen ? calloc(1, sizeof *former) : NULL;
    FH_ASSERT(!seen || former);
    if (former)
        lives_of(seen, json_object_get(stored, "ancestors"), former);
    over.former = former;
    enum fh_code code = ledger_steps_answered(work, target->name, target->lives->present,
                                              see_answered, &over, error);
    free(former);
    return code;
}

/* Sends again what is closed, for each of our incarnations; *ret: its answer, with its
 * incarnations. */
static bool close_again(struct saga_manager *manager, const struct saga_target *target,
                        json_t **ret)
{
    bool tells = saga_manager_tells(manager), told = true;
    *ret = NULL;
    for (int i = -1; told && i < (tells ? manager->lives.count : 0); i++) {
        const char *birth = i < 0 ? manager->lives.present : manager->lives.before[i].incarnation;
        told = saga_closing_again(manager, target, birth, i < 0 ? ",\"asks_lives\":true" : NULL,
                                  i < 0 ? ret : NULL);
    }
    return told && *ret;
}

bool saga_restored_look(struct saga_manager *manager, struct saga_target *target)
{
    struct fh_error error;
    json_t *answer;
    struct lives *lives = calloc(1, sizeof *lives);
    FH_ASSERT(lives != NULL);
    bool known = close_again(manager, target, &answer);
    struct arena *arena = json_arena_set(NULL);
    const char *present = json_string_at(answer, "incarnation");
    json_t *ancestors = json_object_get(answer, "ancestors");
    known = known && present && strlen(present) == ID_SIZE - 1;
    bool restored = false;
    if (known)
        lives_of(present, ancestors, lives);
    for (int i = 0; i < lives->count; i++)
        restored = restored || lives->before[i].restored;
    if (known && restored)
        saga_peer_lives(manager, target, present, ancestors);
    json_t *fields =
        known ? json_pack("{s:s, s:O}", "seen", present, "ancestors", ancestors) : NULL;
    json_decref(answer);
    json_arena_set(arena);
    CRASH_POINT("restored.looked");
    if (known && saga_manager_tells(manager) && fields)
        known = saga_peer_store(manager, target, fields, restored ? look_for_lost : NULL, &error) ==
                FH_OK;
    else
        json_decref(fields);
    if (known) {
        memcpy(target->seen, lives->present, sizeof target->seen);
        target->looks = false;
    }
    free(lives);
    return known;
}

/* ---- Judging ---- */

bool saga_restored_judge(struct saga_run *run, struct saga_state *next)
{
    const struct saga_rules *rules = &run->type->rules;
    bool changed = false;
    for (int step = 0; run->manager->judges && step < rules->step_count; step++) {
        const char *name = run->type->calls[step].target;
        const struct saga_target *target = name ? saga_manager_target(run->manager, name) : NULL;
        bool lost_some = target && target->lives;
        for (int i = 0; lost_some && i < saga_elements(next, step); i++) {
            const struct saga_part *part = &run->parts[next->first[step] + i];
            struct saga_happening lost = {.what = SAGA_LOST, .step = step, .element = i};
            if (part->receiver[0] &&
                lives_lost(target->lives, part->receiver, part->receiver_position) != LIVES_KEPT)
                changed |= saga_decide(rules, next, &lost) == SAGA_CHANGED;
        }
    }
    return changed;
}

void saga_restored_judge_all(struct saga_manager *manager)
{
    struct map_entry *entry = NULL;
    const char *reference;
    void *run;
    while (manager->judges && map_next(&manager->runs, &entry, &reference, &run))
        saga_run_queue(run);
}
