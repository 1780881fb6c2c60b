/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process reads its configuration when it starts. So when a new program needs more of others than
 * the old one did, the order is
 *
 *  1. keys for new pairs and all configurations are written, with old and new grants together
 *  2. services whose callers have changed are restarted, one service after another
 *  3. the service itself
 *  4. the gateway, if the service's routes have changed
 *
 * and nobody calls a service that does not know its caller yet. What the new program no longer
 * needs is taken away by the next `up`: processes of the old one still need it until 3 is over.
 *
 * The older program and its description are kept until that is over. If a part does not get ready,
 * the service goes back to the older one: processes that die are started from that.
 *
 * If `up` is killed in between, the next one asks all programs again and starts everything afresh.
 */

#include "system/supervise/renewal.h"

#include <string.h>

#include "base/json.h"
#include "system/check/check.h"
#include "system/provision/definitions.h"
#include "system/check/describe.h"
#include "system/file/findings.h"
#include "system/file/outside.h"

static bool member_differs(const json_t *before, const json_t *now, const char *key)
{
    const json_t *one = json_object_get(before, key), *other = json_object_get(now, key);
    return one != other && !json_equal(one, other);
}

/* Gives the service its earlier description and program back. Takes both. */
static void take_description_back(struct system_service *service, json_t *before,
                                  struct program_held older)
{
    json_decref(service->description);
    program_release(&service->described);
    service->description = before;
    service->described = older;
}

static enum fh_code first_fault(const struct findings *findings, const char *service,
                                struct fh_error *error)
{
    for (size_t i = 0; i < findings->count; i++) {
        if (!findings->items[i].warning)
            return error_set(error, FH_INVALID, "%s can't be upgraded: %.200s", service,
                             findings->items[i].message);
    }
    return FH_OK;
}

/* Sets the service's description to what its program says now, and holds that program open. What
 * signs its webhooks is read again, too. */
static enum fh_code describe_again(struct system_file *file, struct system_service *service,
                                   const json_t *before, struct fh_error *error)
{
    struct findings findings = {0};
    describe_program(service, RENEWAL_DESCRIBE_MS_MAX, &findings);
    if (!findings.errors && member_differs(before, service->description, "model"))
        findings_error(&findings, service->place,
                       "its program keeps another kind of data now; that takes a new up");
    if (!findings.errors && !json_equal(before, service->description))
        check_system(file, &findings);
    if (!findings.errors)
        file_settle_outside(file, service, &findings);
    enum fh_code code = first_fault(&findings, service->name, error);
    findings_release(&findings);
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

static void plan_parts(struct renewal *renewal, const struct provision *provision, size_t service,
                       bool other_routes)
{
    size_t gateway = provision->part_count - 1;
    renewal->service = service;
    renewal->count = renewal->at = 0;
    for (size_t i = 0; i < gateway; i++) {
        if (provision->owed[service][i] && i != service)
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
    bool other_routes = false;
    json_t *before = own->description;
    struct program_held older = own->described;
    own->description = NULL;
    own->described = (struct program_held){0};
    enum fh_code code = describe_again(file, own, before, error);
    if (code == FH_OK)
        code = check_sagas(provision, service, before, sagas, error);
    if (code == FH_OK && json_equal(before, own->description)) {
        code = provision_configure_service(provision, service, error);
    } else if (code == FH_OK) {
        code = provision_renew(provision, service, error);
        other_routes = member_differs(before, own->description, "routes") ||
                       member_differs(before, own->description, "publishes");
    }
    if (code != FH_OK) {
        take_description_back(own, before, older);
        return code;
    }
    plan_parts(renewal, provision, service, other_routes);
    renewal->before = before;
    renewal->older = older;
    renewal->taken = own->described.file;
    return FH_OK;
}

void renewal_put_off(struct renewal *renewal, struct provision *provision)
{
    struct system_service *own = &provision->options.file->services[renewal->service];
    renewal->newer = own->described;
    own->described = renewal->older;
    renewal->older = (struct program_held){0};
}

void renewal_go_on(struct renewal *renewal, struct provision *provision)
{
    struct system_service *own = &provision->options.file->services[renewal->service];
    renewal->older = own->described;
    own->described = renewal->newer;
    renewal->newer = (struct program_held){0};
}

enum fh_code renewal_begin_gateway(struct renewal *renewal, struct provision *provision,
                                   struct fh_error *error)
{
    const char *command = provision->options.command;
    /* As of a service: certificates and keys that were renewed may have to be copied. */
    enum fh_code code = provision_configure_gateway(provision, error);
    if (code != FH_OK)
        return code;
    struct program_held now = program_hold(command);
    if (!now.file.inode)
        return error_set(error, FH_INVALID, "gateway can't be upgraded: %.150s can't be opened.",
                         command);
    renewal->older = provision->command;
    renewal->taken = now.file;
    provision->command = now;
    renewal->service = renewal->parts[0] = provision->part_count - 1;
    renewal->count = 1;
    renewal->at = 0;
    return FH_OK;
}

bool renewal_next(struct renewal *renewal, struct provision *provision)
{
    for (size_t i = 0; i < provision->part_count; i++)
        provision->owed[i][renewal->parts[renewal->at]] = false;
    if (++renewal->at < renewal->count)
        return true;
    renewal_end(renewal);
    return false;
}

static void take_gateway_back(struct renewal *renewal, struct provision *provision)
{
    program_release(&provision->command);
    provision->command = renewal->older;
    renewal->older = (struct program_held){0};
}

bool renewal_take_back(struct renewal *renewal, struct provision *provision, struct fh_error *error)
{
    struct system_service *own = &provision->options.file->services[renewal->service];
    bool tried_only = renewal->newer.file.inode != 0;
    if (tried_only)
        renewal_go_on(renewal, provision);
    /* Who was only tried is not started, even where the older one was overwritten. */
    bool whole = tried_only || program_is_whole(&renewal->older);
    *error = (struct fh_error){0};
    if (whole && renewal->service == provision->part_count - 1) {
        take_gateway_back(renewal, provision);
    } else if (whole) {
        bool differs = !json_equal(renewal->before, own->description);
        take_description_back(own, renewal->before, renewal->older);
        renewal->before = NULL;
        renewal->older = (struct program_held){0};
        if (differs)
            provision_renew(provision, renewal->service, error);
    }
    renewal_end(renewal);
    return whole;
}

void renewal_end(struct renewal *renewal)
{
    json_decref(renewal->before);
    program_release(&renewal->older);
    program_release(&renewal->newer);
    renewal->before = NULL;
    renewal->count = 0;
    renewal->force = false;
}
