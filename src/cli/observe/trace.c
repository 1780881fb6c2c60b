/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freehold trace: one request through all services, as a tree. Every process is asked for the spans
 * it kept of the trace (work/spans.h); a span is shown under its parent, or at the left if no
 * process kept the parent. All times come from one clock, the machine's.
 */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "http/path.h"
#include "system/file/file.h"
#include "work/spans.h"

#define TRACE_MS_MAX 5000
#define TRACES_MAX 10     /* shown per key */
#define PROCESSES_MAX 512 /* to ask */
#define DEPTH_MAX 32
#define TRACE_LENGTH 32

static const char *text_of_span(const json_t *object, const char *name)
{
    const char *value = json_string_at(object, name);
    return value ? value : "";
}

/* ---- Asking every process ---- */

struct trace_asking {
    struct cli_ask asks[PROCESSES_MAX];
    size_t count;
};

static void ask_process_spans(struct trace_asking *asking, const char *service,
                              const json_t *process, const char *path)
{
    const char *address = json_string_at(process, "address");
    if (asking->count < PROCESSES_MAX && address && json_is_true(json_at(process, "ready")))
        asking->asks[asking->count++] =
            (struct cli_ask){.service = service,
                             .address = address,
                             .method = "GET",
                             .path = path,
                             .headers = {{"Freehold-From", "operator"}}};
}

static int by_time(const void *a, const void *b)
{
    long long one = cli_number(*(json_t *const *)a, "at_us"),
              other = cli_number(*(json_t *const *)b, "at_us");
    return (one > other) - (one < other);
}

static json_t *sorted_spans(json_t *list)
{
    size_t count = json_array_size(list), i;
    json_t **items = calloc(count + 1, sizeof(json_t *)), *all = json_array(), *one;
    FH_ASSERT(items != NULL);
    json_array_foreach (list, i, one)
        items[i] = one;
    qsort(items, count, sizeof *items, by_time);
    for (i = 0; i < count; i++)
        json_array_append(all, items[i]);
    free(items);
    json_decref(list);
    return all;
}

static void take_spans(const struct cli_ask *ask, json_t *all)
{
    json_t *body = NULL, *one;
    size_t i;
    if (ask->status != 200 ||
        json_parse(ask->answer, strlen(ask->answer), &body, ERROR_UNHEEDED) != FH_OK) {
        cli_fail(CLI_FAILED, "%s reported nothing: %s", ask->service,
                 ask->status ? ask->answer : "it gave no answer");
        return;
    }
    json_array_foreach (json_object_get(body, "spans"), i, one) {
        json_object_set_new(one, "in", json_string(ask->service));
        json_array_append(all, one);
    }
    json_decref(body);
}

/* The gateway only answers clients, so it is not asked: its spans are read from its folder. It
 * knows traces but not keys: `trace` may be NULL. */
static void take_gateway(const struct state *state, const char *file, const char *trace,
                         json_t *all)
{
    char path[sizeof state->folder + 32];
    size_t i;
    json_t *one;
    snprintf(path, sizeof path, "%s/gateway/%s", state->folder, file);
    struct spans *spans = trace ? spans_read(path) : NULL;
    json_t *found = spans_find(spans, trace, NULL);
    json_array_foreach (json_object_get(found, "spans"), i, one) {
        json_object_set_new(one, "in", json_string("gateway"));
        json_array_append(all, one);
    }
    json_decref(found);
    spans_free(spans);
}

/* All spans that processes kept of it, oldest first. */
static int ask_for_spans(struct cli_operator *cli, const char *path, const char *trace,
                         json_t **ret)
{
    struct trace_asking *asking = calloc(1, sizeof *asking);
    json_t *status = NULL, *service, *instance;
    size_t i, j;
    FH_ASSERT(asking != NULL);
    *ret = json_array();
    int code = cli_control_status(&cli->state, &status);
    json_array_foreach (json_at(status, "services"), i, service) {
        const json_t *instances = json_at(service, "instances");
        if (json_array_size(instances) <= 1) /* then it has no address of its own */
            instances = NULL;
        json_array_foreach (instances, j, instance)
            ask_process_spans(asking, text_of_span(service, "name"), instance, path);
        if (!instances)
            ask_process_spans(asking, text_of_span(service, "name"), service, path);
    }
    cli_ask_all(&cli->state, asking->asks, asking->count, TRACE_MS_MAX);
    take_gateway(&cli->state, SPANS_FILE, trace, *ret);
    take_gateway(&cli->state, SPANS_FILE "-1", trace,
                 *ret); /* a second process runs beside it during an upgrade */
    for (i = 0; i < asking->count; i++) {
        take_spans(&asking->asks[i], *ret);
        free(asking->asks[i].answer);
    }
    *ret = sorted_spans(*ret);
    json_decref(status);
    free(asking);
    return code;
}

static int ask_for_trace(struct cli_operator *cli, const char *path, const char *name,
                         const char *value, json_t **ret)
{
    struct fh_error error;
    const char *filled;
    json_t *values = json_pack("{s:s}", name, value);
    enum fh_code code = path_fill(&cli->arena, path, &values, 1, &filled, &error);
    json_decref(values);
    return code == FH_OK
               ? ask_for_spans(cli, filled, strcmp(name, "trace") == 0 ? value : NULL, ret)
               : cli_fail(CLI_USAGE, "%s", error.message);
}

/* ---- The tree ---- */

struct tree {
    const json_t *spans;
    long long began_us;
    size_t shown;
};

static bool has_parent(const json_t *spans, const json_t *span)
{
    const char *parent = text_of_span(span, "parent");
    size_t i;
    json_t *other;
    json_array_foreach (spans, i, other) {
        if (*parent && other != span && strcmp(text_of_span(other, "span"), parent) == 0)
            return true;
    }
    return false;
}

static void print_status(FILE *line, const json_t *span)
{
    long long status = cli_number(span, "status");
    const char *kind = text_of_span(span, "kind");
    if (strcmp(kind, "published") == 0)
        return;
    enum cli_colour colour = status >= 500 || status == 0 ? CLI_RED
                             : status >= 400              ? CLI_YELLOW
                                                          : CLI_GREEN;
    fprintf(line, ": %s", cli_colour(stdout, colour));
    if (strcmp(kind, "heard") == 0 || strcmp(kind, "handler") == 0)
        fprintf(line,
                status >= 200 && status < 300 ? "done"
                : status                      ? "failed with %lld"
                                              : "not done",
                status);
    else if (status)
        fprintf(line, "%lld", status);
    else
        fprintf(line, "no answer");
    fprintf(line, "%s", cli_colour(stdout, CLI_PLAIN));
}

static void print_what(FILE *line, const json_t *span)
{
    const char *kind = text_of_span(span, "kind"), *what = text_of_span(span, "what");
    const char *service = text_of_span(span, "service"), *where = text_of_span(span, "where");
    if (strcmp(kind, "request") == 0)
        fprintf(line, "%s %s", what, where);
    else if (strcmp(kind, "ask") == 0)
        fprintf(line, "asks %s: %s %s", service, what, where);
    else if (strcmp(kind, "step") == 0 || strcmp(kind, "undo") == 0)
        fprintf(line, "%s %s at %s%s%s", kind, what, service, *where ? ", " : "", where);
    else if (strcmp(kind, "handler") == 0)
        fprintf(line, "runs %s", what);
    else if (strcmp(kind, "heard") == 0)
        fprintf(line, "applies %s %s of %s", what, text_of_span(span, "key"), service);
    else
        fprintf(line, "publishes %s %s", what, text_of_span(span, "key"));
}

#define WHAT_COLUMN 11 /* of what goes on in a second line: paths are long */

static void print_span(struct tree *tree, const json_t *span, int depth)
{
    char *text = NULL;
    size_t size, i;
    FILE *line = open_memstream(&text, &size);
    FH_ASSERT(line != NULL);
    print_what(line, span);
    print_status(line, span);
    FH_ASSERT(fclose(line) == 0);
    cli_line(WHAT_COLUMN, "%10.1f %9.1f  %s%-14s%s %*s%s",
             (double)(cli_number(span, "at_us") - tree->began_us) / 1e3,
             (double)cli_number(span, "took_us") / 1e3, cli_colour(stdout, CLI_BOLD),
             text_of_span(span, "in"), cli_colour(stdout, CLI_PLAIN), 2 * depth, "", text);
    free(text);
    tree->shown++;
    json_t *part;
    const char *own = text_of_span(span, "span");
    json_array_foreach (tree->spans, i, part) {
        if (*own && part != span && depth < DEPTH_MAX &&
            strcmp(text_of_span(part, "parent"), own) == 0)
            print_span(tree, part, depth + 1);
    }
}

static void print_tree(const json_t *spans, const char *trace)
{
    struct tree tree = {.spans = spans};
    long long ends_us = 0;
    size_t i;
    json_t *span;
    json_array_foreach (spans, i, span) {
        long long ended = cli_number(span, "at_us") + cli_number(span, "took_us");
        ends_us = ended > ends_us ? ended : ends_us;
    }
    tree.began_us = cli_number(json_array_get(spans, 0), "at_us");
    printf("%strace %s%s: %zu parts in %.1f ms\n%10s %9s  %-14s WHAT%s\n",
           cli_colour(stdout, CLI_BOLD), trace, cli_colour(stdout, CLI_PLAIN),
           json_array_size(spans), (double)(ends_us - tree.began_us) / 1e3, "AT ms", "TOOK ms",
           "SERVICE", "");
    json_array_foreach (spans, i, span) {
        if (!has_parent(spans, span))
            print_span(&tree, span, 0);
    }
}

/* ---- Which traces ---- */

static bool is_trace(const char *id)
{
    return strlen(id) == TRACE_LENGTH && strspn(id, "0123456789abcdef") == TRACE_LENGTH;
}

/* The traces that something with this key was part of; for a traceparent, its own trace. */
static int find_traces(struct cli_operator *cli, const char *id, json_t **ret)
{
    json_t *spans, *span, *known;
    size_t i, j;
    *ret = json_array();
    if (strlen(id) == 55 && strncmp(id, "00-", 3) == 0) {
        json_array_append_new(*ret, json_stringn(id + 3, TRACE_LENGTH));
        return CLI_DONE;
    }
    if (is_trace(id)) {
        json_array_append_new(*ret, json_string(id));
        return CLI_DONE;
    }
    int code = ask_for_trace(cli, "/_freehold/spans?key={key}", "key", id, &spans);
    json_array_foreach (spans, i, span) {
        bool told = false;
        json_array_foreach (*ret, j, known)
            told |= strcmp(json_string_value(known), text_of_span(span, "trace")) == 0;
        if (!told && json_array_size(*ret) < TRACES_MAX)
            json_array_append(*ret, json_object_get(span, "trace"));
    }
    json_decref(spans);
    return code;
}

static int show_traces(struct cli_operator *cli, const json_t *traces, bool as_json)
{
    json_t *all = json_array(), *trace, *spans;
    size_t i, shown = 0;
    int code = CLI_DONE;
    json_array_foreach (traces, i, trace) {
        code = ask_for_trace(cli, "/_freehold/spans?trace={trace}", "trace",
                             json_string_value(trace), &spans);
        if (code != CLI_DONE)
            break;
        if (json_array_size(spans) > 0) {
            if (!as_json && shown++)
                printf("\n");
            if (!as_json)
                print_tree(spans, json_string_value(trace));
            json_array_append_new(all, json_pack("{s:O, s:O}", "trace", trace, "spans", spans));
        }
        json_decref(spans);
    }
    if (code == CLI_DONE && json_array_size(all) == 0)
        code = CLI_FAILED;
    if (as_json) {
        json_t *told = json_pack("{s:O}", "traces", all);
        cli_print_json(told);
        json_decref(told);
    }
    json_decref(all);
    return code;
}

static int run_trace(const struct cli_command *command, char **words, const char **values)
{
    struct cli_operator cli;
    json_t *traces = NULL;
    bool as_json = cli_value(command, values, "--json") != NULL;
    int code = cli_operator_begin(&cli, cli_value(command, values, "--state"));
    if (code != CLI_DONE)
        return code;
    code = find_traces(&cli, words[0], &traces);
    if (code == CLI_DONE)
        code = show_traces(&cli, traces, as_json);
    if (code == CLI_FAILED)
        cli_fail(code,
                 "no process remembers anything of '%s'; each keeps only the last things it did. "
                 "What is durable: freehold events show SERVICE --key %s, freehold saga list",
                 words[0], words[0]);
    json_decref(traces);
    cli_operator_end(&cli);
    return code;
}

const struct cli_command cli_trace = {
    .name = "trace",
    .words = "ID",
    .words_min = 1,
    .words_max = 1,
    .summary = "Follow one request through all services, with its times",
    .text =
        "ID is a trace (32 hex digits, or a traceparent), the key of an event (an order's id), or\n"
        "a saga (as Freehold-Saga has it). Each process remembers the last 8192 things it did and\n"
        "the last 1024 reads, also when it is started again.\n"
        "Exit codes: 0 done, 1 nobody remembers it, 2 wrong usage, 3 no running system.\n",
    .options = {{"--json", NULL, "print {\"traces\": [{\"trace\", \"spans\": [...]}]}"},
                CLI_OPTION_STATE_RUNNING},
    .run = run_trace,
};
