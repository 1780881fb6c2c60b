/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CONTRACT_WHOM_H
#define SYSTEM_CONTRACT_WHOM_H

/* Whom a change breaks: who is known to use what has changed. */

#include <jansson.h>

/* One that may use it. */
struct consumer {
    const char *name;
    const json_t *description;
    const char *by; /* the file that says so; NULL: the program itself */
};

/* Appends {"service": "orders", "how": "reads name", "by": "others/orders.json"} to `whom` for each
 * of its uses that the change breaks, each once. `old`: the service that has changed, as it was. */
void whom_find(json_t *whom, const json_t *change, const json_t *old,
               const struct consumer *consumer);
/* Appends one, if no equal one is there. */
void whom_add(json_t *whom, const char *service, const char *how, const char *by);

#endif
