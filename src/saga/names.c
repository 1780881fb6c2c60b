/* SPDX-License-Identifier: Apache-2.0 */
/* Names of states and outcomes, as they are stored and sent: these words must outlive releases. */

#include <string.h>

#include "saga/decide.h"

static const char *const status_names[] = {"running", "compensating", "ended",
                                           "undone",  "parked",       "abandoned"};
static const char *const element_names[] = {"unstored", "stored", "sent", "done",
                                            "refused",  "undone", "never"};
static const char *const outcome_names[] = {"",        "done",   "refused",  "undone", "never",
                                            "pending", "closed", "mismatch", "fixed"};

static int index_of_name(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

enum saga_outcome saga_outcome_of(const char *text)
{
    int found = text ? index_of_name(outcome_names, COUNT(outcome_names), text) : -1;
    return found < 0 ? SAGA_OUTCOME_NONE : (enum saga_outcome)found;
}

const char *saga_status_name(enum saga_status status)
{
    return status_names[status];
}

int saga_status_of(const char *name)
{
    return index_of_name(status_names, COUNT(status_names), name);
}

const char *saga_element_state_name(enum saga_element_state state)
{
    return element_names[state];
}

int saga_element_state_of(const char *name)
{
    return index_of_name(element_names, COUNT(element_names), name);
}
