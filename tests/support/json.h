/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_JSON_H
#define TESTS_JSON_H

#include "base/json.h"

/* For a group of tests without a world of their own: JSON's memory is as programs have it. */
static inline int begin_json(void **unused)
{
    (void)unused;
    json_memory_init();
    return 0;
}

#endif
