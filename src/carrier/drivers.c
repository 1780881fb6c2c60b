/* SPDX-License-Identifier: Apache-2.0 */
/* The list of drivers of servers that derived stores lie on: those built in, in the order of
 * meson.build, then those registered later. One that lacks a slot ends the process when it is
 * registered. */

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "carrier/driver.h"

#define CARRIED_DRIVERS_MAX 16

static const struct carried_driver *carried_drivers[CARRIED_DRIVERS_MAX];
static size_t carried_driver_count;
static pthread_once_t carried_drivers_begun = PTHREAD_ONCE_INIT;

static const struct carried_driver *find_carried_driver(const char *name)
{
    for (size_t i = 0; i < carried_driver_count; i++) {
        if (strcmp(carried_drivers[i]->name, name) == 0)
            return carried_drivers[i];
    }
    return NULL;
}

static void add_carried_driver(const struct carried_driver *driver)
{
    FH_ASSERT(carried_driver_count < CARRIED_DRIVERS_MAX && driver->name && driver->title &&
              driver->models);
    FH_ASSERT(!find_carried_driver(driver->name));
    FH_ASSERT(driver->check && driver->open && driver->silence && driver->close);
    carried_drivers[carried_driver_count++] = driver;
}

static void add_built_in_carried(void)
{
    for (const struct carried_driver *const *driver = carried_drivers_built_in; *driver; driver++)
        add_carried_driver(*driver);
}

void carried_driver_register(const struct carried_driver *driver)
{
    pthread_once(&carried_drivers_begun, add_built_in_carried);
    add_carried_driver(driver);
}

bool carried_keeps(const struct carried_driver *driver, enum fh_model model,
                   char ret_why[static 160])
{
    if (model == FH_SEARCH)
        snprintf(ret_why, 160,
                 "what an FH_SEARCH has is made of the service's own rows, and made anew of them");
    else if (model == FH_SERIES)
        snprintf(ret_why, 160,
                 "%s could not tell what a restored service corrects from what was there before",
                 driver->title);
    else
        snprintf(ret_why, 160,
                 "%s has no names for facts that stay the same after a service was restored",
                 driver->title);
    return model != FH_SEARCH && driver->keeps >> model & 1;
}

const struct carried_driver *carried_driver_named(const char *name)
{
    pthread_once(&carried_drivers_begun, add_built_in_carried);
    return find_carried_driver(name);
}

const struct carried_driver *carried_driver_next(const struct carried_driver *driver)
{
    size_t at = 0;
    pthread_once(&carried_drivers_begun, add_built_in_carried);
    while (driver && at < carried_driver_count && carried_drivers[at++] != driver)
        ;
    return at < carried_driver_count ? carried_drivers[at] : NULL;
}
