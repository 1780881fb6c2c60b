/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule is the pattern's: personal data are in their own service, and in others only where
 * somebody has said so. A program says so by naming the fields (`.personal`), so one that is marked
 * later is a finding until its subscribers have been looked at.
 *
 * Only top-level fields can be subscribed to and named: one that contains a marked field counts as
 * marked.
 */

#include "system/check/personal.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "service/marks.h"
#include "system/check/callers.h"
#include "system/check/event_versions.h"

#define WHAT_SIZE 256
#define NAME_SIZE 160

struct looking {
    struct system_file *file;
    struct findings *findings; /* NULL: for the map alone */
    json_t *map;               /* NULL: for the findings alone */
    const struct system_service *service;
    json_t *marked; /* of the service, so far: {"street": {"mark": "personal", "in": "POST /a"}} */
};

/* ---- Fields ---- */

/* "id,name": whether the list has this name, of `length` bytes. NULL has none. */
static bool is_named_in(const char *list, const char *name, size_t length)
{
    while (list && *list) {
        size_t word = strcspn(list, ",");
        if (word == length && strncmp(list, name, length) == 0)
            return true;
        list += word + (list[word] == ',');
    }
    return false;
}

/* Removes what a subscription with these `.fields` does not get. */
static void keep_listed(json_t *fields, const char *list)
{
    const char *name;
    json_t *mark;
    void *next;
    if (!list)
        return;
    json_object_foreach_safe (fields, next, name, mark) {
        if (!is_named_in(list, name, strcspn(name, ".")))
            json_object_del(fields, name);
    }
}

/* The strongest mark of what is at, within or around `source`; NULL: none. */
static const char *mark_at(const json_t *fields, const char *source)
{
    const char *name, *strongest = NULL;
    json_t *mark;
    json_object_foreach ((json_t *)(uintptr_t)fields, name, mark) {
        size_t length = strlen(name), asked = strlen(source);
        size_t least = length < asked ? length : asked;
        bool related = strncmp(name, source, least) == 0 &&
                       (length == asked || (length > asked ? name[asked] : source[length]) == '.');
        const char *word = json_string_value(mark);
        if (related && (!strongest || strcmp(word, "secret") == 0 ||
                        (strcmp(word, "card") == 0 && strcmp(strongest, "personal") == 0)))
            strongest = word;
    }
    return strongest;
}

/* By their own names, whatever they are in. */
static void note_marked(const struct looking *looking, const char *what, const json_t *fields)
{
    const char *path;
    json_t *mark;
    json_object_foreach ((json_t *)(uintptr_t)fields, path, mark) {
        const char *dot = strrchr(path, '.'), *name = dot ? dot + 1 : path;
        if (!json_object_get(looking->marked, name))
            json_object_set_new(looking->marked, name,
                                json_pack("{s:O, s:s}", "mark", mark, "in", what));
    }
}

/* Takes over `fields`. Versions of a saga say the same several times. */
static void add_flow(const struct looking *looking, const char *how, const char *what,
                     const char *other, json_t *fields)
{
    note_marked(looking, *what ? what : how, fields);
    json_t *flow = json_pack("{s:s, s:s, s:s, s:s, s:o}", "service", looking->service->name, "how",
                             how, "what", what, "other", other ? other : "", "fields", fields),
           *one;
    size_t i;
    bool adds = looking->map && json_object_size(json_object_get(flow, "fields")) > 0;
    json_array_foreach (looking->map, i, one)
        adds = adds && !json_equal(one, flow);
    if (adds)
        json_array_append(looking->map, flow);
    json_decref(flow);
}

/* ---- What it gets of others ---- */

/* Compares what a service gets of another with what it has named. `remedy` ends the sentence. */
static void judge_got(const struct looking *looking, const json_t *fields, const char *named,
                      const char *gets, const char *remedy)
{
    struct text missing;
    const char *name;
    json_t *mark;
    if (!looking->findings)
        return;
    text_init(&missing, WHAT_SIZE * 4);
    json_object_foreach ((json_t *)(uintptr_t)fields, name, mark) {
        size_t length = strcspn(name, ".");
        bool said = is_named_in(missing.data, name, length);
        if (!is_named_in(named, name, length) && !said)
            text_printf(&missing, "%s%.*s", missing.length ? "," : "", (int)length, name);
    }
    if (missing.length > 0)
        findings_error(looking->findings, looking->service->place,
                       "%s %s with the personal %s, and does not say that it may have %s: %s"
                       ".personal = \"%s%s%s\"",
                       looking->service->name, gets, missing.data,
                       strchr(missing.data, ',') ? "them" : "it", remedy, named ? named : "",
                       named ? "," : "", missing.data);
    text_release(&missing);
    while (named && *named) {
        char word[NAME_SIZE];
        size_t length = strcspn(named, ",");
        snprintf(word, sizeof word, "%.*s", (int)length, named);
        if (*word && !mark_at(fields, word))
            findings_warning(looking->findings, looking->service->place,
                             "%s %s and names '%s' in .personal, which is not marked there, or not "
                             "asked for",
                             looking->service->name, gets, word);
        named += length + (named[length] == ',');
    }
}

static const json_t *described_event(const struct looking *looking, const char *publisher,
                                     const char *type)
{
    const json_t *description = system_file_description(looking->file, publisher);
    size_t i;
    json_t *published;
    json_array_foreach (json_object_get(description, "publishes"), i, published) {
        if (strcmp(json_string_at(published, "type"), type) == 0)
            return published;
    }
    return NULL;
}

/* What it gets of one version; `list`: of these fields, NULL: of all. */
static void look_at_got_version(const struct looking *looking, const json_t *subscribed,
                                const json_t *schema, const char *list, const char *named,
                                int version)
{
    const char *publisher = json_string_at(subscribed, "service"),
               *type = json_string_at(subscribed, "type");
    char gets[WHAT_SIZE], what[WHAT_SIZE];
    json_t *fields = marks_of_schema(schema);
    keep_listed(fields, list);
    snprintf(gets, sizeof gets, "subscribes to %s of %s", type, publisher);
    snprintf(what, sizeof what, "%s", type);
    if (version) {
        snprintf(gets, sizeof gets, "upcasts version %d of %s of %s", version, type, publisher);
        snprintf(what, sizeof what, "%s@%d", type, version);
    }
    judge_got(looking, fields, named, gets,
              version ? "leave that out of the upcast's shape, or mark it there, or add "
                      : "leave that out of .fields, or add ");
    add_flow(looking, "subscribes", what, publisher, fields);
}

/* "id,name": the fields of a schema. */
static void add_field_names(struct text *out, const json_t *schema)
{
    const char *name;
    json_t *unused;
    json_object_foreach (json_object_get(schema, "properties"), name, unused)
        text_printf(out, "%s%s", out->length ? "," : "", name);
}

/* A field that is marked in what is sent is named if the upcast's own shape marks it, or
 * `.personal` names it. */
static void add_known_fields(struct text *out, const json_t *sent, const json_t *own,
                             const char *personal)
{
    json_t *fields = marks_of_schema(sent), *marked = marks_of_schema(own), *unused;
    const char *name;
    json_object_foreach (fields, name, unused) {
        char field[NAME_SIZE];
        snprintf(field, sizeof field, "%.*s", (int)strcspn(name, "."), name);
        size_t length = strlen(field);
        if ((mark_at(marked, field) || is_named_in(personal, field, length)) &&
            !is_named_in(out->data, field, length))
            text_printf(out, "%s%s", out->length ? "," : "", field);
    }
    json_decref(marked);
    json_decref(fields);
}

static void look_at_upcast(const struct looking *looking, const json_t *subscribed,
                           const json_t *sent, const json_t *upcast)
{
    const json_t *own = json_object_get(upcast, "schema");
    struct text list, named;
    text_init(&list, TEXT_LENGTH_MAX);
    text_init(&named, TEXT_LENGTH_MAX);
    add_field_names(&list, own);
    add_known_fields(&named, sent, own, json_string_at(subscribed, "personal"));
    look_at_got_version(
        looking, subscribed, sent, json_string_at(subscribed, "fields") ? list.data : NULL,
        named.length ? named.data : NULL, (int)json_integer_value(json_object_get(upcast, "from")));
    text_release(&named);
    text_release(&list);
}

static void look_at_subscription(const struct looking *looking, const json_t *subscribed)
{
    const json_t *published = described_event(looking, json_string_at(subscribed, "service"),
                                              json_string_at(subscribed, "type"));
    int read = (int)json_integer_value(json_object_get(subscribed, "version"));
    size_t i;
    json_t *upcast;
    /* NULL: one that the publisher does not know yet, of which nothing comes. */
    const json_t *schema =
        read ? event_versions_schema(published, read) : json_object_get(published, "schema");
    if (!read || schema)
        look_at_got_version(looking, subscribed, schema, json_string_at(subscribed, "fields"),
                            json_string_at(subscribed, "personal"), 0);
    json_array_foreach (json_object_get(subscribed, "upcasts"), i, upcast) {
        int from = (int)json_integer_value(json_object_get(upcast, "from"));
        const json_t *sent = event_versions_schema(published, from);
        if (sent)
            look_at_upcast(looking, subscribed, sent, upcast);
    }
}

/* What `method` of a path answers; NULL: nothing is declared. */
static const json_t *route_of(const struct looking *looking, const struct callers_target *target)
{
    const json_t *description = system_file_description(looking->file, target->service);
    bool other_method;
    return description ? callers_route(description, target->method, target->path, &other_method)
                       : NULL;
}

static void look_at_ask(const struct looking *looking, const json_t *asked)
{
    struct callers_target target = {.method = "GET", .path = json_string_at(asked, "path")};
    char gets[WHAT_SIZE], what[WHAT_SIZE];
    snprintf(target.service, sizeof target.service, "%s", json_string_at(asked, "service"));
    const json_t *answer = json_object_get(route_of(looking, &target), "answer");
    json_t *fields = marks_of_schema(json_object_get(answer, "schema"));
    snprintf(gets, sizeof gets, "asks %s for %s", target.service, target.path);
    snprintf(what, sizeof what, "GET %s", target.path);
    judge_got(looking, fields, json_string_at(asked, "personal"), gets, "add ");
    add_flow(looking, "asks", what, target.service, fields);
}

/* ---- Sagas ---- */

/* The mark of a step's source: a name of the element, then of the input. */
static const char *source_mark(const json_t *input, const char *each, const char *source)
{
    char path[2 * NAME_SIZE];
    const char *mark = NULL;
    if (each && strcmp(source, "element") == 0)
        return mark_at(input, each);
    snprintf(path, sizeof path, "%s.%s", each ? each : "", source);
    if (each)
        mark = mark_at(input, path);
    return mark ? mark : mark_at(input, source);
}

/* One "name=source" of a step to a service. */
static void judge_sent(const struct looking *looking, const char *who, const char *name,
                       const char *mark, const struct callers_target *target, const json_t *taken)
{
    const char *there = mark_at(taken, name);
    const char *place = target->path;
    if (!looking->findings || (mark && there && strcmp(mark, there) == 0) || (!mark && !there))
        return;
    if (!there)
        findings_error(
            looking->findings, looking->service->place,
            "%s sends '%s', which is %s, to %s %s of %s, where it is not marked: mark it "
            "in that route's .body",
            who, name, mark, target->method, place, target->service);
    else if (!mark)
        findings_error(looking->findings, looking->service->place,
                       "%s sends '%s' to %s %s of %s, where it is %s, from an input in which it is "
                       "not marked: give the saga an .input that marks it, or it is kept and shown",
                       who, name, target->method, place, target->service, there);
    else
        findings_error(looking->findings, looking->service->place,
                       "%s sends '%s' as %s to %s %s of %s, where it is %s: mark it alike", who,
                       name, mark, target->method, place, target->service, there);
}

static void look_at_body(const struct looking *looking, const char *saga, const json_t *step,
                         const json_t *input)
{
    const char *call = json_string_at(step, "call"), *outside = json_string_at(step, "outside"),
               *map = json_string_at(step, "body"), *each = json_string_at(step, "each");
    struct callers_target target = {.path = ""};
    char who[WHAT_SIZE], what[WHAT_SIZE], name[NAME_SIZE];
    bool known = call && callers_target_parse(call, &target);
    const json_t *route = known ? route_of(looking, &target) : NULL;
    json_t *taken = marks_of_schema(json_object_get(route, "body")), *sent = json_object();
    snprintf(who, sizeof who, "%s: saga %s, step %s,", looking->service->name, saga,
             json_string_at(step, "name"));
    snprintf(what, sizeof what, "%s.%s", saga, json_string_at(step, "name"));
    while (map && *map) {
        size_t length = strcspn(map, ",");
        snprintf(name, sizeof name, "%.*s", (int)length, map);
        char *equals = strchr(name, '=');
        const char *mark = source_mark(input, each, equals ? equals + 1 : name);
        if (equals)
            *equals = '\0';
        if (mark)
            json_object_set_new(sent, name, json_string(mark));
        if (route)
            judge_sent(looking, who, name, mark, &target, taken);
        map += length + (map[length] == ',');
    }
    json_decref(taken);
    add_flow(looking, "sends", what, outside ? "outside" : target.service, sent);
}

static void look_at_told(const struct looking *looking, const char *saga, const json_t *step)
{
    const char *call = json_string_at(step, "call");
    struct callers_target target;
    char gets[WHAT_SIZE], what[WHAT_SIZE];
    if (!call || !callers_target_parse(call, &target))
        return;
    const json_t *answer = json_object_get(route_of(looking, &target), "answer");
    json_t *fields = marks_of_schema(json_object_get(answer, "schema"));
    const char *name;
    json_t *mark;
    void *next;
    json_object_foreach_safe (fields, next, name, mark) { /* a service is never answered those */
        if (strcmp(json_string_value(mark), "personal") != 0)
            json_object_del(fields, name);
    }
    snprintf(what, sizeof what, "%s.%s", saga, json_string_at(step, "name"));
    snprintf(gets, sizeof gets, "is answered by %s in saga %s, step %s,", target.service, saga,
             json_string_at(step, "name"));
    judge_got(looking, fields, json_string_at(step, "personal"), gets, "add to the step ");
    add_flow(looking, "told", what, target.service, fields);
}

static void look_at_saga_flows(const struct looking *looking, const json_t *saga)
{
    const char *name = json_string_at(saga, "name");
    json_t *input = marks_of_schema(json_object_get(saga, "input")), *step;
    size_t i;
    add_flow(looking, "keeps", name, NULL, json_incref(input));
    json_array_foreach (json_object_get(saga, "steps"), i, step) {
        look_at_body(looking, name, step, input);
        look_at_told(looking, name, step);
    }
    json_decref(input);
}

/* ---- What it derives ---- */

/* What is derived is in the store of the service itself if there is no other. */
static const char *server_of_derived(const struct looking *looking, const char *name)
{
    const struct system_service *service = looking->service;
    for (size_t i = 0; i < service->derives_count; i++) {
        if (strcmp(service->derives[i].name, name) == 0)
            return service->derives[i].server;
    }
    return NULL;
}

/* Whether it comes from there is not known: a name may be that of a person and of a product. */
static void judge_derived(const struct looking *looking, const char *derived, const char *field)
{
    const json_t *found = json_object_get(looking->marked, field);
    const char *mark = json_string_at(found, "mark");
    if (looking->findings && mark)
        findings_warning(looking->findings, looking->service->place,
                         "%s derives '%s' into %s, and has one of that name that is %s, in %s: if "
                         "it is the same, %s",
                         looking->service->name, field, derived, mark, json_string_at(found, "in"),
                         strcmp(mark, "personal") == 0 ? "declare it .personal"
                                                       : "leave it out, as that is never derived");
}

/* After all else, since it may be made of any of that. */
static void look_at_derived(const struct looking *looking, const json_t *derived)
{
    const char *name = json_string_at(derived, "name");
    json_t *personal = json_object(), *field;
    size_t i;
    json_array_foreach (json_object_get(derived, "fields"), i, field) {
        const char *field_name = json_string_at(field, "name");
        if (field_name && json_is_true(json_object_get(field, "x-freehold-personal")))
            json_object_set_new(personal, field_name, json_string("personal"));
        else if (field_name)
            judge_derived(looking, name, field_name);
    }
    add_flow(looking, "derives", name, server_of_derived(looking, name), personal);
}

/* ---- Its own ---- */

static void look_at_route(const struct looking *looking, const json_t *route)
{
    const char *audience = json_string_at(route, "audience");
    bool is_public = !audience || strcmp(audience, "public") == 0;
    char what[WHAT_SIZE];
    json_t *taken = marks_of_schema(json_object_get(route, "body"));
    json_t *asked = marks_of_schema(json_object_get(route, "query"));
    snprintf(what, sizeof what, "%s %s", json_string_at(route, "method"),
             json_string_at(route, "path"));
    json_object_update(taken, asked);
    json_decref(asked);
    add_flow(looking, "takes", what, is_public ? "public" : NULL, taken);
    add_flow(looking, "answers", what, is_public ? "public" : NULL,
             marks_of_schema(json_object_get(json_object_get(route, "answer"), "schema")));
}

static void look_at_service(struct looking *looking)
{
    const json_t *description = looking->service->description;
    struct fh_error error;
    size_t i;
    json_t *one;
    looking->marked = json_object();
    if (looking->findings && marks_check(description, &error) != FH_OK)
        findings_error(looking->findings, looking->service->place, "%s: %s", looking->service->name,
                       error.message);
    json_array_foreach (json_object_get(description, "routes"), i, one)
        look_at_route(looking, one);
    json_array_foreach (json_object_get(description, "publishes"), i, one)
        add_flow(looking, "publishes", json_string_at(one, "type"), NULL,
                 marks_of_schema(json_object_get(one, "schema")));
    add_flow(looking, "settings", "", NULL,
             marks_of_schema(json_object_get(description, "settings")));
    json_array_foreach (json_object_get(description, "hears"), i, one)
        look_at_subscription(looking, one);
    json_array_foreach (json_object_get(description, "asks"), i, one)
        look_at_ask(looking, one);
    json_array_foreach (json_object_get(description, "sagas"), i, one)
        look_at_saga_flows(looking, one);
    json_array_foreach (json_object_get(description, "derives"), i, one)
        look_at_derived(looking, one);
    json_decref(looking->marked);
}

json_t *personal_map(struct system_file *file)
{
    struct looking looking = {.file = file, .map = json_array()};
    for (size_t i = 0; i < file->service_count; i++) {
        looking.service = &file->services[i];
        look_at_service(&looking);
    }
    return looking.map;
}

void personal_check(struct system_file *file, struct findings *findings)
{
    struct looking looking = {.file = file, .findings = findings};
    for (size_t i = 0; i < file->service_count; i++) {
        looking.service = &file->services[i];
        look_at_service(&looking);
    }
}
