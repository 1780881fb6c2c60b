/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service declares of its own casts, it has looked at before it described itself
 * (event/versions_check.c): chains without holes. Here both ends are known.
 *
 *   publisher has   subscriber reads   they meet if
 *   2               2                  always
 *   3               2                  the publisher has downcasts from 3 to 2
 *   2               3                  the subscriber has an upcast from 2
 *   any             0                  always: it takes whatever comes
 */

#include "system/check/event_versions.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "system/check/fit.h"

#define CLASH_LENGTH_MAX ((size_t)1024)

static int described_version(const json_t *object, const char *name)
{
    return (int)json_integer_value(json_object_get(object, name));
}

static int present_version(const json_t *published)
{
    int version = described_version(published, "version");
    return version ? version : 1;
}

/* The one of `list` whose `name` is this version. */
static const json_t *cast_at(const json_t *list, const char *name, int version)
{
    size_t i;
    json_t *cast;
    json_array_foreach (list, i, cast) {
        if (described_version(cast, name) == version)
            return cast;
    }
    return NULL;
}

const json_t *event_versions_schema(const json_t *published, int version)
{
    if (version == present_version(published))
        return json_object_get(published, "schema");
    return json_object_get(cast_at(json_object_get(published, "downcasts"), "to", version),
                           "schema");
}

const json_t *event_versions_read(const json_t *published, const json_t *subscribed)
{
    int read = described_version(subscribed, "version");
    return read ? event_versions_schema(published, read) : json_object_get(published, "schema");
}

int event_versions_sent(const json_t *published, const json_t *subscribed)
{
    int present = present_version(published), read = described_version(subscribed, "version");
    bool made = read && read < present &&
                cast_at(json_object_get(published, "downcasts"), "to", read) != NULL;
    return made ? read : present;
}

/* A cast, or the handlers, expect of the data what the publisher's never are. */
static void check_fit(const struct system_service *service, const json_t *subscribed,
                      const char *publisher, const json_t *sent, const json_t *expected,
                      int version, struct findings *findings)
{
    struct text why;
    if (!sent || !expected)
        return;
    text_init(&why, CLASH_LENGTH_MAX);
    if (fit_clashes(sent, expected, "", &why))
        findings_error(findings, service->place,
                       "%s expects another version %d of %s than %s publishes: %s", service->name,
                       version, json_string_at(subscribed, "type"), publisher, why.data);
    text_release(&why);
}

static void tell_unread(const struct system_service *service, const json_t *subscribed,
                        const char *publisher, int present, struct findings *findings)
{
    const char *type = json_string_at(subscribed, "type");
    int read = described_version(subscribed, "version");
    if (present > read)
        findings_error(findings, service->place,
                       "%s publishes %s in version %d, and %s reads version %d: give %s a downcast "
                       "to version %d, or have %s read version %d",
                       publisher, type, present, service->name, read, publisher, read,
                       service->name, present);
    else
        findings_error(findings, service->place,
                       "%s publishes %s in version %d, and %s reads version %d: give %s an upcast "
                       "from version %d",
                       publisher, type, present, service->name, read, service->name, present);
}

/* Part of the fields alone, as they are asked for: what is not asked for is not missed. */
static json_t *part_expected(const json_t *schema, const json_t *expected)
{
    json_t *part = json_deep_copy(schema), *unused, *required = json_array(), *name_there;
    json_t *asked = json_object_get(expected, "properties");
    const char *name;
    void *next;
    size_t i;
    json_object_foreach_safe (json_object_get(part, "properties"), next, name, unused) {
        if (!json_object_get(asked, name))
            json_object_del(json_object_get(part, "properties"), name);
    }
    json_array_foreach (json_object_get(part, "required"), i, name_there) {
        if (json_object_get(asked, json_string_value(name_there)))
            json_array_append(required, name_there);
    }
    json_object_set_new(part, "required", required);
    return part;
}

/* What comes in each version that the publisher sends, where the subscriber says what it expects of
 * it. */
static void check_version_shapes(const struct system_service *service, const json_t *subscribed,
                                 const char *publisher, const json_t *published,
                                 struct findings *findings)
{
    int read = described_version(subscribed, "version");
    bool part = json_object_get(subscribed, "fields") != NULL;
    const json_t *upcasts = json_object_get(subscribed, "upcasts");
    size_t i;
    json_t *upcast;
    json_array_foreach (upcasts, i, upcast) {
        int from = described_version(upcast, "from");
        const json_t *schema = event_versions_schema(published, from),
                     *expected = json_object_get(upcast, "schema");
        json_t *sent = schema && part ? part_expected(schema, expected)
                                      : json_incref((json_t *)(uintptr_t)schema);
        check_fit(service, subscribed, publisher, sent, expected, from, findings);
        json_decref(sent);
    }
    const json_t *made = json_object_get(cast_at(upcasts, "from", read - 1), "into");
    const json_t *schema = event_versions_schema(published, read);
    json_t *sent = schema && made ? part_expected(schema, made) : NULL;
    check_fit(service, subscribed, publisher, sent, made, read, findings);
    json_decref(sent);
}

static void check_meeting(const struct system_service *service, const json_t *subscribed,
                          const char *publisher, const json_t *published, struct findings *findings)
{
    int read = described_version(subscribed, "version"), present = present_version(published);
    int sent = event_versions_sent(published, subscribed);
    if (!read)
        return;
    if (sent != read && !cast_at(json_object_get(subscribed, "upcasts"), "from", sent))
        tell_unread(service, subscribed, publisher, present, findings);
    check_version_shapes(service, subscribed, publisher, published, findings);
}

void event_versions_check(struct system_file *file, const struct system_service *service,
                          struct findings *findings)
{
    size_t i, j;
    json_t *subscribed, *published;
    json_array_foreach (json_object_get(service->description, "hears"), i, subscribed) {
        const char *name = json_string_at(subscribed, "service");
        const char *type = json_string_at(subscribed, "type");
        const struct system_service *publisher = system_file_service(file, name);
        json_array_foreach (json_object_get(publisher ? publisher->description : NULL, "publishes"),
                            j, published) {
            if (strcmp(json_string_at(published, "type"), type) == 0)
                check_meeting(service, subscribed, name, published, findings);
        }
    }
}
