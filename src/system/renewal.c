/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process reads its configuration when it starts. So when a new program needs more of others than
 * the old one did, the order is
 *
 *     1. keys for new pairs and all configurations, with old and new grants together; durable
 *     2. those whose callers have changed are started again, one service after the other
 *     3. the service itself
 *     4. the gateway, if it serves other routes now
 *
 * and nobody calls anyone who does not know him. What the new program needs no more is taken away
 * by the next `up`: processes of the old one still need it until 3 is over.
 *
 * Killed in between, the next `up` asks all programs again and starts everything anew.
 */

#include "system/renewal.h"

#include <string.h>

#include "base/json.h"
#include "system/check.h"
#include "system/definitions.h"
#include "system/describe.h"
#include "system/findings.h"

static bool differ(const json_t *before, const json_t *now, const char *key)
{
    const json_t *one = json_object_get(before, key), *other = json_object_get(now, key);
    return one != other && !json_equal(one, other);
}

static void take_back(struct system_service *service, json_t *before,
                      const struct program_file *described)
{
    json_decref(service->description);
    service->description = json_incref(before);
    service->described = *described;
}

/* Sets the service's description to what its program says now, if that can be. */
static enum fh_code describe_again(struct system_file *file, struct system_service *service,
                                   json_t *before, struct fh_error *error)
{
    struct findings findings = {0};
    struct program_file described = service->described;
    service->description = NULL;
    describe_program(service, RENEWAL_DESCRIBE_MS_MAX, &findings);
    if (!findings.errors && differ(before, service->description, "model"))
        findings_error(&findings, service->place,
                       "its program keeps another kind of data now; that takes a new up");
    if (!findings.errors && !json_equal(before, service->description))
        check_system(file, &findings);
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < findings.count && code == FH_OK; i++) {
        if (!findings.items[i].warning)
            code = error_set(error, FH_INVALID, "%s can't be upgraded: %.200s", service->name,
                             findings.items[i].message);
    }
    findings_release(&findings);
    if (code != FH_OK)
        take_back(service, before, &described);
    return code;
}

static enum fh_code check_sagas(const struct provision *provision, size_t service,
                                const json_t *before, enum renewal_sagas sagas,
                                struct fh_error *error)
{
    const struct provision_part *part = &provision->parts[service];
    if (sagas == RENEWAL_PARK_ALL)
        return FH_OK;
    return definitions_check(&provision->state, part->name,
                             sagas == RENEWAL_ASK ? part->address : NULL, before,
                             provision->options.file->services[service].description, error);
}

static void plan(struct renewal *renewal, const struct provision *provision, size_t service,
                 const bool *changed, bool other_routes)
{
    size_t gateway = provision->part_count - 1;
    *renewal = (struct renewal){.service = service};
    for (size_t i = 0; i < gateway; i++) {
        if (changed[i] && i != service)
            renewal->parts[renewal->count++] = i;
    }
    renewal->parts[renewal->count++] = service;
    if (other_routes)
        renewal->parts[renewal->count++] = gateway;
}

enum fh_code renewal_begin(struct renewal *renewal, struct provision *provision, size_t service,
                           enum renewal_sagas sagas, struct fh_error *error)
{
    struct system_file *file = provision->options.file;
    struct system_service *own = &file->services[service];
    bool changed[PROVISION_PARTS_MAX] = {false}, other_routes = false;
    json_t *before = own->description;
    struct program_file described = own->described;
    enum fh_code code = describe_again(file, own, before, error);
    if (code == FH_OK) {
        code = check_sagas(provision, service, before, sagas, error);
        if (code != FH_OK)
            take_back(own, before, &described);
    }
    if (code == FH_OK && !json_equal(before, own->description)) {
        code = provision_renew(provision, changed, error);
        other_routes = differ(before, own->description, "routes") ||
                       differ(before, own->description, "publishes");
    }
    if (code == FH_OK)
        plan(renewal, provision, service, changed, other_routes);
    json_decref(before);
    return code;
}

bool renewal_next(struct renewal *renewal)
{
    if (++renewal->at < renewal->count)
        return true;
    renewal->count = 0;
    return false;
}
