/* SPDX-License-Identifier: Apache-2.0 */
/* The list of brokers' drivers: those built in, in the order of src/broker/meson.build, then those
 * registered later. A driver that lacks a slot ends the process when it is registered. */

#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "broker/broker.h"

#define DRIVERS_MAX 16

static const struct broker_driver *drivers[DRIVERS_MAX];
static size_t driver_count;
static pthread_once_t drivers_begun = PTHREAD_ONCE_INIT;

static const struct broker_driver *find_driver(const char *name)
{
    for (size_t i = 0; i < driver_count; i++) {
        if (strcmp(drivers[i]->name, name) == 0)
            return drivers[i];
    }
    return NULL;
}

static void add_driver(const struct broker_driver *driver)
{
    FH_ASSERT(driver_count < DRIVERS_MAX && driver->name && driver->title &&
              !find_driver(driver->name));
    FH_ASSERT(driver->connect && driver->close && driver->declare && driver->publish);
    FH_ASSERT(driver->consume && driver->take && driver->wake && driver->acknowledge);
    FH_ASSERT(driver->unconsume);
    FH_ASSERT(!driver->attach == !driver->header && !driver->attach == !driver->attributes);
    drivers[driver_count++] = driver;
}

static void add_built_in_drivers(void)
{
    for (const struct broker_driver *const *driver = brokers_built_in; *driver; driver++)
        add_driver(*driver);
}

void broker_register(const struct broker_driver *driver)
{
    pthread_once(&drivers_begun, add_built_in_drivers);
    add_driver(driver);
}

const struct broker_driver *broker_driver_named(const char *name)
{
    pthread_once(&drivers_begun, add_built_in_drivers);
    return find_driver(name);
}

const struct broker_driver *broker_driver_next(const struct broker_driver *driver)
{
    size_t at = 0;
    pthread_once(&drivers_begun, add_built_in_drivers);
    while (driver && at < driver_count && drivers[at++] != driver)
        ;
    return at < driver_count ? drivers[at] : NULL;
}
