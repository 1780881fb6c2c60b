/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alerts: watches what devices measure, and tells people. Owns the documents `rules`, and
 * `watched`: of each device what is raised there.
 *
 * A rule of a kind raises an alert once the value has been above `above` for `for_s` seconds of the
 * device's own time, and clears it once it is below `clear_below`: a value that trembles about one
 * limit raises one alert, not a hundred. A rule with `absent_s` raises one when a device has sent
 * nothing for so long, and clears it with the next points. An alert that is raised is posted to the
 * rule's URL, by a saga that tries until it is taken, unless the rule is silent: then the alert is
 * there all the same, and nobody is woken.
 *
 * A late point changes no alert: the device has been judged by later ones.
 */

#include <freehold.h>
#include <string.h>

#define RULES_MAX 200
#define TOLD_FOR_S (24 * 3600) /* then a person finds the saga among the parked */

static json_t *member(json_t *object, const char *name)
{
    return json_object_get(object, name);
}

static int64_t integer(json_t *object, const char *name)
{
    return json_integer_value(member(object, name));
}

static double number(json_t *object, const char *name)
{
    return json_number_value(member(object, name));
}

static const char *text(json_t *object, const char *name)
{
    return json_string_value(member(object, name));
}

/* ---- rules ---- */

static json_t *all_rules(fh_work *w)
{
    return fh_docs(w, "rules", NULL, NULL, NULL, RULES_MAX + 1);
}

/* Operators alone make rules: whoever may name a URL lets this service send requests there. */
static void check_rule(fh_work *w, json_t *rule)
{
    const char *url = text(rule, "url"), *refusal = url ? fh_url_refusal(w, url) : NULL;
    bool of_kind = text(rule, "kind") != NULL, of_absence = integer(rule, "absent_s") > 0;
    if (refusal)
        fh_fail_at(w, 422, "/url", "The URL %s.", refusal);
    if (of_kind == of_absence)
        fh_fail_at(w, 422, "/kind", "expected a kind, or absent_s");
    if (of_kind && !json_is_number(member(rule, "above")))
        fh_fail_at(w, 422, "/above", "expected a number, above which a value raises an alert");
    if (of_absence && (json_is_number(member(rule, "above")) || integer(rule, "for_s") > 0 ||
                       json_is_number(member(rule, "clear_below"))))
        fh_fail_at(w, 422, "/absent_s", "expected no limits of a value, and no for_s, beside it");
    if (of_kind && json_is_number(member(rule, "clear_below")) &&
        number(rule, "clear_below") > number(rule, "above"))
        fh_fail_at(w, 422, "/clear_below", "expected at most %g, as `above` is",
                   number(rule, "above"));
}

static void create_rule(fh_work *w)
{
    json_t *rule = json_copy(fh_body(w));
    check_rule(w, rule);
    if (json_is_null(member(rule, "clear_below")))
        json_object_set(rule, "clear_below", member(rule, "above"));
    json_object_set_new(rule, "silent_until_ms", json_integer(0));
    if (json_array_size(all_rules(w)) >= RULES_MAX)
        fh_fail(w, 409, "There are %d rules already.", RULES_MAX);
    fh_reply(w, 201, fh_doc_insert(w, "rules", rule));
}

static void list_rules(fh_work *w)
{
    fh_reply(w, 200, all_rules(w));
}

static void silence_rule(fh_work *w)
{
    int64_t until_ms = fh_now_ms(w) + integer(fh_body(w), "for_s") * 1000;
    fh_reply(w, 200,
             fh_doc_update(w, "rules", text(fh_path(w), "id"), NULL,
                           fh_object(w, "$set", fh_object(w, "silent_until_ms", until_ms))));
}

/* What it has raised is not shown any more, and nobody is told that it is over. */
static void delete_rule(fh_work *w)
{
    if (!fh_doc_delete(w, "rules", text(fh_path(w), "id")))
        fh_fail(w, 404, "There is no such rule.");
}

/* ---- alerts ---- */

static bool watches(json_t *rule, json_t *device)
{
    const char *site = text(rule, "site"), *one = text(rule, "device");
    return (!site || strcmp(site, text(device, "site")) == 0) &&
           (!one || strcmp(one, text(device, "id")) == 0);
}

/* What is told of an alert: `value` is null where nothing was sent. */
static json_t *notice(fh_work *w, json_t *device, json_t *rule, json_t *value, int64_t at_ms)
{
    bool silent = integer(rule, "silent_until_ms") > fh_now_ms(w);
    return fh_object(w, "device", text(device, "id"), "site", text(device, "site"), "rule",
                     text(rule, "id"), "name", text(rule, "name"), "value", value, "at_ms", at_ms,
                     "silent", silent);
}

static void raise_alert(fh_work *w, json_t *device, json_t *rule, json_t *value, int64_t at_ms)
{
    json_t *told = notice(w, device, rule, value, at_ms);
    json_object_set(member(device, "alerts"), text(rule, "id"),
                    fh_object(w, "raised", true, "name", text(rule, "name"), "value", value,
                              "since_ms", at_ms));
    fh_publish(w, "AlertRaised", told);
    fh_count(w, "alerts_raised", 1);
    if (text(rule, "url") && !json_is_true(member(told, "silent")))
        fh_saga_start(
            w, "notify",
            fh_object(w, "url", text(rule, "url"), "rule", text(rule, "id"), "alert", told));
}

static void clear_alert(fh_work *w, json_t *device, json_t *rule, json_t *value, int64_t at_ms)
{
    json_object_set_new(member(device, "alerts"), text(rule, "id"), json_object());
    fh_publish(w, "AlertCleared", notice(w, device, rule, value, at_ms));
}

/* The rule's alert of this device, as it is or begins. */
static json_t *alert_of(json_t *device, json_t *rule)
{
    json_t *alerts = member(device, "alerts");
    if (!member(alerts, text(rule, "id")))
        json_object_set_new(alerts, text(rule, "id"), json_object());
    return member(alerts, text(rule, "id"));
}

static void judge(fh_work *w, json_t *device, json_t *rule, json_t *point)
{
    json_t *alert = alert_of(device, rule), *value = member(point, "value");
    int64_t at_ms = integer(point, "at_ms");
    double measured = json_number_value(value);
    if (json_is_true(member(alert, "raised"))) {
        if (measured < number(rule, "clear_below"))
            clear_alert(w, device, rule, value, at_ms);
        return;
    }
    if (measured <= number(rule, "above")) {
        json_object_del(alert, "above_since_ms");
        return;
    }
    if (!member(alert, "above_since_ms"))
        json_object_set_new(alert, "above_since_ms", json_integer(at_ms));
    if (at_ms - integer(alert, "above_since_ms") >= integer(rule, "for_s") * 1000)
        raise_alert(w, device, rule, value, at_ms);
}

/* Of a rule that is gone nothing is left. */
static void forget_rules(fh_work *w, json_t *device, json_t *rules)
{
    json_t *kept = fh_object(w), *rule, *alert;
    size_t i;
    json_array_foreach (rules, i, rule) {
        alert = member(member(device, "alerts"), text(rule, "id"));
        if (alert)
            json_object_set(kept, text(rule, "id"), alert);
    }
    json_object_set(device, "alerts", kept);
}

/* ---- what was measured ---- */

static json_t *watched_device(fh_work *w, json_t *data)
{
    json_t *device = fh_try_doc(w, "watched", text(data, "device"));
    if (!device)
        device = fh_doc_insert(w, "watched",
                               fh_object(w, "id", text(data, "device"), "site", text(data, "site"),
                                         "alerts", fh_object(w), "latest_ms", fh_object(w)));
    return json_deep_copy(device);
}

static void keep_device(fh_work *w, json_t *device)
{
    json_t *changed = json_copy(device);
    json_object_del(changed, "id");
    fh_doc_update(w, "watched", text(device, "id"), NULL, fh_object(w, "$set", changed));
}

/* Absence is looked for when it may have begun: by one timer of the device, which each batch of
 * points moves. */
static void watch_absence(fh_work *w, json_t *device, json_t *rules)
{
    int64_t now_ms = fh_now_ms(w), next_ms = 0;
    json_t *rule;
    size_t i;
    json_array_foreach (rules, i, rule) {
        int64_t absent_ms = integer(device, "seen_ms") + integer(rule, "absent_s") * 1000;
        if (integer(rule, "absent_s") == 0 || !watches(rule, device))
            continue;
        bool raised = json_is_true(member(alert_of(device, rule), "raised"));
        if (raised && absent_ms > now_ms)
            clear_alert(w, device, rule, NULL, now_ms);
        else if (!raised && absent_ms <= now_ms)
            raise_alert(w, device, rule, NULL, now_ms);
        if (absent_ms > now_ms && (next_ms == 0 || absent_ms < next_ms))
            next_ms = absent_ms;
    }
    fh_cancel(w, text(device, "timer"));
    const char *timer =
        next_ms > 0 ? fh_at(w, next_ms, "look", fh_object(w, "id", text(device, "id"))) : NULL;
    json_object_update(device, fh_object(w, "timer", timer));
}

/* What no rule watches is not remembered: a device may make up as many kinds as it likes. */
static json_t *rules_of_kind(fh_work *w, json_t *rules, json_t *device, const char *kind)
{
    json_t *found = fh_array(w), *rule;
    size_t i;
    json_array_foreach (rules, i, rule) {
        if (text(rule, "kind") && strcmp(text(rule, "kind"), kind) == 0 && watches(rule, device))
            json_array_append(found, rule);
    }
    return found;
}

static void points_taken(fh_work *w)
{
    json_t *data = fh_event_data(w), *rules = all_rules(w), *rule, *point;
    json_t *device = watched_device(w, data), *latest = member(device, "latest_ms");
    size_t i, j;
    forget_rules(w, device, rules);
    json_array_foreach (member(data, "latest"), i, point) {
        const char *kind = text(point, "kind");
        json_t *watching = rules_of_kind(w, rules, device, kind);
        if (json_array_size(watching) == 0 ||
            (member(latest, kind) && integer(point, "at_ms") <= integer(latest, kind)))
            continue;
        json_object_set(latest, kind, member(point, "at_ms"));
        json_array_foreach (watching, j, rule)
            judge(w, device, rule, point);
    }
    json_object_set_new(device, "seen_ms", json_integer(fh_now_ms(w)));
    watch_absence(w, device, rules);
    keep_device(w, device);
}

static void look(fh_work *w)
{
    json_t *rules = all_rules(w);
    json_t *device = json_deep_copy(fh_doc(w, "watched", text(fh_timer_data(w), "id")));
    forget_rules(w, device, rules);
    watch_absence(w, device, rules);
    keep_device(w, device);
}

static json_t *raised_alerts(fh_work *w, json_t *device, json_t *rules)
{
    json_t *raised = fh_array(w), *rule;
    size_t i;
    json_array_foreach (rules, i, rule) {
        json_t *alert = member(member(device, "alerts"), text(rule, "id"));
        if (json_is_true(member(alert, "raised")))
            json_array_append(
                raised, fh_object(w, "rule", text(rule, "id"), "name", text(alert, "name"), "value",
                                  member(alert, "value"), "since_ms", integer(alert, "since_ms")));
    }
    return raised;
}

/* A page of devices, of which those are left out where nothing is raised: so it may be empty, and
 * not the last one. */
static void list_alerts(fh_work *w)
{
    json_t *devices = fh_page_docs(w, "watched", NULL), *rules = all_rules(w);
    json_t *answer = fh_array(w), *device;
    size_t i;
    json_array_foreach (devices, i, device) {
        json_t *raised = raised_alerts(w, device, rules);
        if (json_array_size(raised) > 0)
            json_array_append(answer, fh_object(w, "id", text(device, "id"), "site",
                                                text(device, "site"), "alerts", raised));
    }
    fh_reply(w, 200, answer);
}

/* ---- telling people ---- */

/* 410: nobody is there any more. */
static void nobody_there(fh_work *w)
{
    fh_try_doc_update(w, "rules", text(fh_saga_input(w), "rule"),
                      fh_object(w, "url", text(fh_saga_input(w), "url")),
                      fh_object(w, "$set", fh_object(w, "url", (json_t *)NULL)));
}

static const fh_step notify_steps[] = {
    {"post", .outside = "url",
     .body = "device=alert.device,site=alert.site,rule=alert.rule,name=alert.name,"
             "value=alert.value,at_ms=alert.at_ms",
     .pivot = true},
    {0}};

/* ---- the declaration ---- */

/* As devices and telemetry have them: a rule of others would watch nothing, and nobody would know.
 */
#define ID_PATTERN "[a-z0-9][a-z0-9_.-]*"
#define KIND_PATTERN "[a-z][a-z0-9_]*"

static const fh_field rule_body[] = {
    {"name", FH_STRING, .min = 1, .max = 200},
    {"kind", FH_STRING, .min = 1, .max = 64, .pattern = KIND_PATTERN, .nullable = true,
     .default_value = "null"},
    {"device", FH_STRING, .min = 1, .max = 64, .pattern = ID_PATTERN, .nullable = true,
     .default_value = "null"},
    {"site", FH_STRING, .min = 1, .max = 64, .pattern = ID_PATTERN, .nullable = true,
     .default_value = "null"},
    {"above", FH_NUMBER, .nullable = true, .default_value = "null"},
    {"clear_below", FH_NUMBER, .nullable = true, .default_value = "null"},
    {"for_s", FH_INT, .min = 0, .max = 86400, .default_value = "0"},
    {"absent_s", FH_INT, .min = 0, .max = 31536000, .default_value = "0"},
    {"url", FH_STRING, .min = 8, .max = 2048, .nullable = true, .default_value = "null"},
    {0}};
static const fh_field rule_shape[] = {{"id", FH_STRING},
                                      {"name", FH_STRING},
                                      {"kind", FH_STRING, .nullable = true},
                                      {"device", FH_STRING, .nullable = true},
                                      {"site", FH_STRING, .nullable = true},
                                      {"above", FH_NUMBER, .nullable = true},
                                      {"clear_below", FH_NUMBER, .nullable = true},
                                      {"for_s", FH_INT},
                                      {"absent_s", FH_INT},
                                      {"url", FH_STRING, .nullable = true},
                                      {"silent_until_ms", FH_INT},
                                      {0}};
static const fh_field silence_shape[] = {{"for_s", FH_INT, .min = 0, .max = 31536000}, {0}};
static const fh_field alert_shape[] = {{"rule", FH_STRING},
                                       {"name", FH_STRING},
                                       {"value", FH_NUMBER, .nullable = true},
                                       {"since_ms", FH_INT},
                                       {0}};
static const fh_field raised_shape[] = {
    {"id", FH_STRING}, {"site", FH_STRING}, {"alerts", FH_ARRAY, .of = alert_shape}, {0}};
static const fh_field told_shape[] = {{"device", FH_STRING},
                                      {"site", FH_STRING},
                                      {"rule", FH_STRING},
                                      {"name", FH_STRING},
                                      {"value", FH_NUMBER, .nullable = true},
                                      {"at_ms", FH_INT},
                                      {"silent", FH_BOOL},
                                      {0}};
static const fh_field timer_shape[] = {{"id", FH_STRING}, {0}};

FH_SERVICE(
    alerts, .model = FH_DOCUMENT, .collections = {{"rules"}, {"watched"}},
    .routes = {{"POST", "/api/rules", create_rule, .body = rule_body, .answer = {201, rule_shape},
                .audience = FH_OPERATORS, .name = "create_rule"},
               {"GET", "/api/rules", list_rules, .answer = {200, .each = rule_shape},
                .auth = FH_ROLE("staff"), .name = "list_rules", .summary = "All rules"},
               {"PUT", "/api/rules/{id}/silence", silence_rule, .body = silence_shape,
                .answer = {200, rule_shape}, .auth = FH_ROLE("staff"), .name = "silence_rule",
                .summary = "Nobody is told for so long; 0: no more"},
               {"DELETE", "/api/rules/{id}", delete_rule, .answer = {204}, .audience = FH_OPERATORS,
                .name = "delete_rule"},
               {"GET", "/api/alerts", list_alerts, .answer = {200, .each = raised_shape},
                .page = {"id"}, .auth = FH_USER, .of_view = true, .name = "list_alerts",
                .summary = "Devices where something is raised, and what"}},
    .publishes = {{"AlertRaised", 1, told_shape, .key = "device"},
                  {"AlertCleared", 1, told_shape, .key = "device"}},
    .subscribes = {{"telemetry", "PointsTaken", points_taken}},
    .sagas = {{"notify", notify_steps, .deadline_s = TOLD_FOR_S, .undone = nobody_there}},
    .timers = {{"look", look, .data = timer_shape}},
    .metrics = {{"alerts_raised", "Alerts that were raised."}},
    .shapes = {{"Rule", rule_shape}, {"Alert", alert_shape}, {"RaisedAlerts", raised_shape}});
