/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A finding is what fails whenever the step is sent. What fails only for some inputs (a text that
 * may be longer than the receiver takes) is none: the handler that starts the saga may well exclude
 * them.
 *
 * An undo is carried out whatever its body is, so that nothing stays done for a matter of form:
 * only where its route declares a body does its handler rely on it.
 */

#include "system/check/bodies.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "system/check/fit.h"
#include "system/file/nearest.h"

#define NAME_SIZE 128
#define WHY_LENGTH_MAX ((size_t)4096)
#define ELEMENT "element" /* the name of an element that is no object */

/* ---- Where values come from ---- */

/* The schemas that the value of a name may be of: the element's, or the input's. */
struct source {
    enum fit_there there; /* in either of them */
    const json_t *schemas[2];
    int count; /* 0: nothing is known */
};

static const json_t *input_of(const struct bodies_step *by)
{
    return json_object_get(by->saga, "input");
}

/* False: nothing is known of the elements. */
static bool element_schema(const struct bodies_step *by, const json_t **ret)
{
    const json_t *list;
    *ret = NULL;
    if (fit_find(input_of(by), json_string_at(by->step, "each"), &list) >= FIT_SOMETIMES)
        *ret = json_object_get(list, "items");
    return *ret != NULL;
}

/* One of the places where it is looked for. True: it needs not be looked for further. */
static bool look_for_source(struct source *source, const json_t *schema, const char *name)
{
    const json_t *found;
    enum fit_there there = fit_find(schema, name, &found);
    if (there == FIT_UNKNOWN) {
        source->there = FIT_UNKNOWN;
        source->count = 0;
        return true;
    }
    if (found)
        source->schemas[source->count++] = found;
    if (there > source->there)
        source->there = there;
    return there == FIT_ALWAYS;
}

static struct source find_source(const struct bodies_step *by, const char *name)
{
    struct source source = {.there = FIT_NEVER};
    const json_t *element;
    if (!input_of(by))
        return (struct source){.there = FIT_UNKNOWN};
    if (json_string_at(by->step, "each")) {
        if (!element_schema(by, &element))
            return (struct source){.there = FIT_UNKNOWN};
        unsigned types = fit_types(element);
        if (types & ~FIT_OBJECT && strcmp(name, ELEMENT) == 0) {
            if (types & FIT_OBJECT)
                return (struct source){.there = FIT_UNKNOWN};
            return (struct source){FIT_ALWAYS, {element}, 1};
        }
        if (types & FIT_OBJECT && look_for_source(&source, element, name))
            return source;
    }
    look_for_source(&source, input_of(by), name);
    return source;
}

/* A name that nothing has. */
static void report_no_source(const struct bodies_step *by, const char *what, const char *name)
{
    struct nearest nearest = nearest_begin(name);
    const char *known;
    json_t *unused;
    json_object_foreach (json_object_get(input_of(by), "properties"), known, unused)
        nearest_offer(&nearest, known);
    findings_error(by->findings, by->place,
                   "%s takes '%s' for its %s, which the saga's input never has%s%s%s", by->who,
                   name, what, nearest.word ? "; did you mean '" : "",
                   nearest.word ? nearest.word : "", nearest.word ? "'?" : "");
}

void bodies_check_sources(const struct bodies_step *by)
{
    static const char array[] = "array";
    const char *each = json_string_at(by->step, "each"),
               *outside = json_string_at(by->step, "outside");
    const json_t *list;
    if (each && *each && input_of(by)) {
        enum fit_there there = fit_find(input_of(by), each, &list);
        if (there == FIT_NEVER)
            report_no_source(by, "each", each);
        else if (list && !(fit_types(list) & FIT_ARRAY))
            findings_error(by->findings, by->place,
                           "%s is for each of '%s', which is no %s in the saga's input", by->who,
                           each, array);
    }
    if (outside && *outside) {
        struct source source = find_source(by, outside);
        bool text = !source.count;
        for (int i = 0; i < source.count; i++)
            text = text || fit_types(source.schemas[i]) & FIT_STRING;
        if (source.there == FIT_NEVER)
            report_no_source(by, "URL", outside);
        else if (!text)
            findings_error(by->findings, by->place,
                           "%s goes to the URL in '%s', which is no text in the saga's input",
                           by->who, outside);
    }
}

/* ---- Paths ---- */

static void check_path(const struct bodies_step *by, const char *path)
{
    while ((path = strchr(path, '{'))) {
        char name[NAME_SIZE];
        size_t length = strcspn(++path, "}");
        snprintf(name, sizeof name, "%.*s", (int)length, path);
        if (length < sizeof name && path[length] && find_source(by, name).there == FIT_NEVER)
            report_no_source(by, "path", name);
    }
}

/* ---- Bodies ---- */

/* What a route is called in a message. */
struct receiver {
    const char *service, *method, *path;
    const json_t *schema; /* of its body; NULL: it takes none */
    bool undo;
};

static void check_sent(const struct bodies_step *by, const struct receiver *to, const char *name,
                       const char *from)
{
    const json_t *taken;
    struct text why;
    struct source source = find_source(by, from);
    enum fit_there there = fit_find(to->schema, name, &taken);
    if (source.there == FIT_NEVER)
        report_no_source(by, to->undo ? "undo's body" : "body", from);
    if (there == FIT_NEVER) {
        struct nearest nearest = nearest_begin(name);
        const char *known;
        json_t *unused;
        json_object_foreach (json_object_get(to->schema, "properties"), known, unused)
            nearest_offer(&nearest, known);
        findings_error(by->findings, by->place,
                       "%s sends '%s' to %s %s of %s, whose body has no such field%s%s%s", by->who,
                       name, to->method, to->path, to->service,
                       nearest.word ? "; did you mean '" : "", nearest.word ? nearest.word : "",
                       nearest.word ? "'?" : "");
        return;
    }
    if (!taken || !source.count || source.there == FIT_UNKNOWN)
        return;
    char place[NAME_SIZE + 1];
    snprintf(place, sizeof place, "/%s", name);
    text_init(&why, WHY_LENGTH_MAX);
    bool clashes = true;
    for (int i = source.count - 1; i >= 0 && clashes; i--) {
        text_clear(&why);
        clashes = fit_clashes(source.schemas[i], taken, place, &why);
    }
    if (clashes)
        findings_error(by->findings, by->place,
                       "%s sends '%s' of the saga's input to %s %s of %s, which can't take it: %s",
                       by->who, from, to->method, to->path, to->service, why.data);
    text_release(&why);
}

static bool body_sends(const char *map, const char *name)
{
    size_t length = strlen(name);
    for (; *map; map += strcspn(map, ",") + (map[strcspn(map, ",")] == ',')) {
        if (strcspn(map, "=,") == length && strncmp(map, name, length) == 0)
            return true;
    }
    return false;
}

static void check_needed(const struct bodies_step *by, const struct receiver *to, const char *map)
{
    size_t i;
    json_t *required;
    json_array_foreach (json_object_get(to->schema, "required"), i, required) {
        const char *name = json_string_value(required);
        if (name && !body_sends(map, name))
            findings_error(by->findings, by->place,
                           "%s does not send '%s', which the body of %s %s of %s needs: add it to "
                           "the step's .body",
                           by->who, name, to->method, to->path, to->service);
    }
}

static void check_body(const struct bodies_step *by, const struct receiver *to, const char *map)
{
    check_needed(by, to, map);
    while (*map) {
        char name[NAME_SIZE];
        size_t length = strcspn(map, ",");
        snprintf(name, sizeof name, "%.*s", (int)length, map);
        map += length + (map[length] == ',');
        char *equals = strchr(name, '=');
        const char *from = equals ? equals + 1 : name;
        if (equals)
            *equals = '\0';
        if (length < sizeof name)
            check_sent(by, to, name, from);
    }
}

void bodies_check(const struct bodies_step *by, const char *path, bool undo, const char *service,
                  const json_t *route)
{
    const char *map = json_string_at(by->step, "body");
    struct receiver to = {.service = service,
                          .method = json_string_at(route, "method"),
                          .path = json_string_at(route, "path"),
                          .schema = json_object_get(route, "body"),
                          .undo = undo};
    check_path(by, path);
    bool sends = map && *map;
    if (sends && to.schema)
        check_body(by, &to, map);
    else if (sends && !undo)
        findings_error(by->findings, by->place,
                       "%s sends a body to %s %s of %s, which takes none: leave out the step's "
                       ".body, or give the route one",
                       by->who, to.method, to.path, to.service);
    else if (to.schema)
        findings_error(by->findings, by->place,
                       "%s sends no body to %s %s of %s, which needs one: say in the step's .body "
                       "what it has",
                       by->who, to.method, to.path, to.service);
}
