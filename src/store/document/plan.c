/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans a find: what must be true of a document's id or keys for the filter to match. Only the
 * filter's outer conjunction is examined ($and included): conditions below $or, $nor, $not or a
 * negative operator imply nothing here. The evaluator of filter.c decides on every candidate, so a
 * plan may allow too much, never too little. It is pure: no statement is run.
 *
 * That a document matching {"a": v} has a key for it follows from key.h: its keys are those of all
 * values that the path reaches, and conditions are tested on the same values. Arrays as a whole
 * have no key, so a comparison with an array implies nothing.
 */

#include <stdlib.h>
#include <string.h>

#include "store/document/engine.h"
#include "store/document/filter.h"
#include "store/document/value.h"

static bool all_strings(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i)))
            return false;
    return true;
}

/* `values` lists what the id may be. */
static void plan_ids(struct plan *plan, const json_t *values)
{
    size_t count = json_array_size(values);
    if (plan->by_id || count > DOCUMENTS_MAX || !all_strings(values))
        return;
    plan->ids = calloc(count + 1, sizeof *plan->ids);
    FH_ASSERT(plan->ids != NULL);
    for (size_t i = 0; i < count; i++)
        plan->ids[i] = json_string_value(json_array_get(values, i));
    plan->id_count = (int)count;
    plan->by_id = true;
}

/* Fewer points are better: the first list is kept unless a later one is shorter. */
static void plan_points(struct plan *plan, int field, const json_t *values)
{
    size_t count = json_array_size(values);
    if (count > PLAN_POINTS_MAX || (plan->points_field >= 0 && (int)count >= plan->point_count))
        return;
    for (size_t i = 0; i < count; i++)
        if (json_is_array(json_array_get(values, i)))
            return;
    for (int i = 0; i < plan->point_count; i++)
        text_release(&plan->points[i]);
    plan->points_field = field;
    plan->point_count = (int)count;
    for (size_t i = 0; i < count; i++) {
        text_init(&plan->points[i], DOCUMENT_KEY_SIZE_MAX);
        document_key_append(&plan->points[i], json_array_get(values, i));
        if (plan->points[i].overflow)
            text_clear(&plan->points[i]); /* no document can have this key: it would be too long */
    }
}

/* No key is a prefix of another, so appending a byte to a bound turns "at least" into "greater
 * than". */
static void plan_bound(struct plan_range *range, const char *operator_name, const json_t *value)
{
    bool low = operator_name[1] == 'g', equal = operator_name[3] == 'e';
    struct text *bound = low ? &range->low : &range->high;
    int kind = (int)document_kind(value);
    if (bound->data || (range->kind && range->kind != kind))
        return;
    range->kind = kind;
    text_init(bound, DOCUMENT_KEY_SIZE_MAX);
    document_key_append(bound, value);
    if (low != equal)
        text_append(bound, "\0", 1);
    if (bound->overflow)
        text_release(bound);
}

static void plan_operator(struct plan *plan, const struct engine_collection *collection,
                          const char *path, const char *name, const json_t *argument)
{
    bool equal = strcmp(name, "$eq") == 0, in = strcmp(name, "$in") == 0;
    int field = engine_field(collection, path);
    json_t *values = NULL;
    if (equal) {
        values = json_array();
        FH_ASSERT(values && json_array_append(values, document_iterable(argument)) == 0);
        argument = values;
    }
    if ((equal || in) && strcmp(path, "id") == 0)
        plan_ids(plan, argument);
    else if ((equal || in) && field >= 0)
        plan_points(plan, field, argument);
    else if (field >= 0 && (name[1] == 'g' || name[1] == 'l'))
        plan_bound(&plan->ranges[field], name, argument);
    json_decref(values);
}

static void plan_filter(struct plan *plan, const struct engine_collection *collection,
                        const json_t *filter)
{
    const char *path, *name;
    json_t *condition, *argument;
    json_object_foreach (document_iterable(filter), path, condition) {
        if (strcmp(path, "$and") == 0) {
            for (size_t i = 0; i < json_array_size(condition); i++)
                plan_filter(plan, collection, json_array_get(condition, i));
        } else if (*path == '$') {
            continue;
        } else if (json_is_object(condition) && document_is_operators(condition)) {
            json_object_foreach (condition, name, argument)
                plan_operator(plan, collection, path, name, argument);
        } else {
            plan_operator(plan, collection, path, "$eq", condition);
        }
    }
}

void plan_init(struct plan *plan, const struct engine_collection *collection, const json_t *filter)
{
    *plan = (struct plan){.points_field = -1};
    plan_filter(plan, collection, filter);
}

void plan_release(struct plan *plan)
{
    free(plan->ids);
    for (int i = 0; i < plan->point_count; i++)
        text_release(&plan->points[i]);
    for (int i = 0; i < ENGINE_INDEXES_MAX; i++) {
        text_release(&plan->ranges[i].low);
        text_release(&plan->ranges[i].high);
    }
}
