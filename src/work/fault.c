/* SPDX-License-Identifier: Apache-2.0 */
/* The lines about faults and about what could not be served. A fault is written with each request
 * that meets it, to a bound; what comes with a load or an outage once a second at most, with the
 * number of those in between. */

#include "work/fault.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "shape/problem.h"
#include "work/redact.h"
#include "work/spans.h"

/* ---- its parts ---- */

static bool is_sql_word_byte(char byte)
{
    return isalnum((unsigned char)byte) || byte == '_' || byte == '$' || (byte & 0x80);
}

/* Behind a quoted text that begins at `at`; a doubled quote is one in it. A quote behind a
 * backslash ends it in some engines and not in others, so all that follows may be values. */
static const char *quoted_end(const char *at)
{
    char quote = *at++;
    while (*at && (*at != quote || at[1] == quote)) {
        if (at[0] == '\\' && at[1] == quote)
            return at + strlen(at);
        at += *at == quote || (at[0] == '\\' && at[1] == '\\') ? 2 : 1;
    }
    return *at ? at + 1 : at;
}

/* Behind a text in PostgreSQL's $$ or $tag$; NULL: none begins there. */
static const char *dollar_end(const char *at)
{
    size_t tag = 1 + strcspn(at + 1, "$");
    for (size_t i = 1; i < tag; i++) {
        if (!is_sql_word_byte(at[i]) || isdigit((unsigned char)at[1]))
            return NULL;
    }
    if (!at[tag])
        return NULL;
    const char *end = strchr(at + tag + 1, '$');
    while (end && strncmp(end, at, tag + 1) != 0)
        end = strchr(end + 1, '$');
    return end ? end + tag + 1 : at + strlen(at);
}

static const char *comment_end(const char *at)
{
    const char *end = *at == '/' ? strstr(at + 2, "*/") : strchr(at, '\n');
    if (!end)
        return at + strlen(at);
    return end + (*at == '/' ? 2 : 1);
}

/* Behind what may be a value, or no part of the statement; `at` itself: neither. */
static const char *value_end(const char *begin, const char *at)
{
    const char *end = at;
    bool in_word = at > begin && is_sql_word_byte(at[-1]);
    if (strchr("'\"", *at))
        return quoted_end(at);
    const char *dollar = *at == '$' && !in_word ? dollar_end(at) : NULL;
    if (dollar)
        return dollar;
    if (!in_word && isdigit((unsigned char)*at))
        while (is_sql_word_byte(*end) || *end == '.')
            end++;
    return end;
}

void fault_statement(const char *sql, char out[static FAULT_STATEMENT_LENGTH_MAX + 1])
{
    size_t used = 0;
    for (const char *at = sql; *at && used < FAULT_STATEMENT_LENGTH_MAX;) {
        bool comment = (at[0] == '-' && at[1] == '-') || (at[0] == '/' && at[1] == '*');
        const char *end = comment ? comment_end(at) : value_end(sql, at);
        if (end != at && !comment) {
            out[used++] = '?';
        } else if (comment || isspace((unsigned char)*at)) {
            if (used && out[used - 1] != ' ')
                out[used++] = ' ';
        } else {
            out[used++] = *at;
        }
        at = end != at ? end : at + 1;
    }
    while (used && (out[used - 1] == ' ' || out[used - 1] == ';'))
        used--;
    out[used] = '\0';
}

const char *fault_trace(const char *traceparent, char out[static FAULT_TRACE_SIZE])
{
    out[0] = '\0';
    if (spans_is_traceparent(traceparent))
        snprintf(out, FAULT_TRACE_SIZE, "%.32s", traceparent + 3);
    return out;
}

const char *fault_what(const fh_work *w, char out[static DOING_SIZE])
{
    if (w->doing)
        snprintf(out, DOING_SIZE, "%s", w->doing->what);
    else if (w->route)
        snprintf(out, DOING_SIZE, "%s %s", w->route->method, w->route->path);
    else
        snprintf(out, DOING_SIZE, "a handler");
    return out;
}

const char *fault_text(const fh_work *w, char out[static FAULT_TEXT_SIZE])
{
    char what[DOING_SIZE], statement[FAULT_STATEMENT_LENGTH_MAX + 1] = "", trace[FAULT_TRACE_SIZE];
    char why[sizeof w->failure.message], details[FAULT_TEXT_SIZE] = "";
    size_t used = 0;
    memcpy(why, w->failure.message, sizeof why);
    work_redact(w, SHAPE_MARKED, why, sizeof why);
    if (w->statement)
        fault_statement(w->statement, statement);
    fault_trace(w->trace, trace);
    const struct {
        const char *name, *value;
    } parts[] = {{"handler", w->doing ? w->doing->handler : ""},
                 {"SQL", statement},
                 {"engine", w->failure.native},
                 {"trace", trace}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].value[0] && used < sizeof details)
            used += (size_t)snprintf(details + used, sizeof details - used, "%s%s %s",
                                     used ? "; " : "", parts[i].name, parts[i].value);
    }
    snprintf(out, FAULT_TEXT_SIZE, used ? "%s: %s (%s)" : "%s: %s", fault_what(w, what), why,
             details);
    return out;
}

/* ---- telling ---- */

static const char *more_text(unsigned more, char out[static 48])
{
    out[0] = '\0';
    if (more)
        snprintf(out, 48, "; %u more like it were not logged", more);
    return out;
}

/* False: it is one too many. */
static bool line_passes(struct fault_lines *lines, struct world *world, int status,
                        unsigned *ret_more)
{
    int64_t now_ns = world_monotonic_ns(world);
    return status == 503 || status == 504
               ? log_pause_passes(&lines->unserved, now_ns, ret_more)
               : log_rate_passes(&lines->faults, FAULT_LINES_A_SECOND, now_ns, ret_more);
}

void fault_is_told(fh_work *w)
{
    w->fault_status = 0;
}

int fault_take(fh_work *w)
{
    const struct work_context *context = w->context;
    int status = w->fault_status;
    fault_is_told(w);
    if (status == 500 && context->on_fault)
        context->on_fault(context->fault_owner, w);
    return status;
}

void fault_write(fh_work *w)
{
    char text[FAULT_TEXT_SIZE], rest[48];
    int status = fault_take(w);
    unsigned more;
    if (!status || !line_passes(&w->context->fault_lines, w->context->world, status, &more))
        return;
    fault_text(w, text);
    more_text(more, rest);
    if (status == 503 || status == 504)
        log_warning("request-unserved", "%d, %s%s", status, text, rest);
    else if (status == 500)
        log_error("handler-failed", "a handler's fault: %s%s", text, rest);
    else
        log_error("request-failed", "%d, %s%s", status, text, rest);
}

void fault_tell_of(struct fault_lines *lines, struct world *world, int status, const char *what,
                   const char *trace, const char *why)
{
    char rest[48], id[FAULT_TRACE_SIZE];
    unsigned more;
    if (!line_passes(lines, world, status, &more))
        return;
    fault_trace(trace, id);
    more_text(more, rest);
    if (status == 503 || status == 504)
        log_warning("request-unserved", "%d, %s: %s%s%s%s", status, what, why,
                    id[0] ? "; trace " : "", id, rest);
    else
        log_error("request-failed", "%d, %s: %s%s%s%s", status, what, why, id[0] ? "; trace " : "",
                  id, rest);
}

void fault_tell_answer(struct fault_lines *lines, struct world *world, int status, const char *body,
                       size_t body_length)
{
    struct arena *before = json_arena_set(NULL);
    json_t *problem = NULL;
    if (body_length)
        json_parse(body, body_length, &problem, ERROR_UNHEEDED);
    const char *detail = json_string_at(problem, "detail");
    fault_tell_of(lines, world, status, "a request", NULL, detail ? detail : problem_title(status));
    json_decref(problem);
    json_arena_set(before);
}
