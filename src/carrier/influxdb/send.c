/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page as one request, with a part of its link in each day that it has ops of (line.c).
 *
 * The server syncs its log before it answers with 204: then all of it is durable. One that takes
 * some lines and not others ("partial write") has taken the parts as well, though not all ops. It
 * does so of a field that somebody else has written there with another type, and beyond its limits
 * of tags and series. So the link is void first (its parts say that there are none); then what is
 * not taken by itself is refused, if it is for its type; and then the page is sent again without
 * it, with its link. Killed or not answered before it is void, a link stands of a page of which
 * something is missing; no cursor is behind that page then, and it is sent again. Where one is
 * (`again`), all ops are sent without the link before that.
 */

#include <stdio.h>

#include "carrier/influxdb/internal.h"

#define SENDS_MAX 3 /* of a page, of which others spoil more each time */

struct page_sending {
    struct influxdb *server;
    struct influxdb_page *lines;
    struct carried_page *page;
    bool kept; /* what is refused leaves no link */
    int refused;
    struct fh_error *error;
};

/* *ret_partial: not all lines were taken, and FH_OK is returned. */
static enum fh_code send_influxdb_body(struct page_sending *sending, bool *ret_partial)
{
    struct influxdb_call call = {0};
    *ret_partial = false;
    if (sending->lines->body.overflow)
        return error_set(sending->error, FH_NO_MEMORY, "There is no memory for a page of ops.");
    if (!sending->lines->body.length) /* all of these are refused */
        return FH_OK;
    call.body = sending->lines->body.data;
    call.body_length = sending->lines->body.length;
    enum fh_code code = influxdb_write(sending->server, &call, sending->error);
    *ret_partial = call.partial;
    influxdb_call_release(&call);
    return *ret_partial ? FH_OK : code;
}

static enum fh_code send_lines(struct page_sending *sending, bool *ret_partial)
{
    world_blocking(sending->server->world, influxdb_page_write, sending->lines);
    return send_influxdb_body(sending, ret_partial);
}

static enum fh_code send_whole_page(struct page_sending *sending, bool *ret_partial)
{
    if (sending->lines->whole)
        return send_influxdb_body(sending, ret_partial);
    sending->lines->first = 0;
    sending->lines->count = sending->page->count;
    sending->lines->linked = true;
    sending->lines->voids = false;
    return send_lines(sending, ret_partial);
}

static enum fh_code void_link(struct page_sending *sending)
{
    bool partial;
    sending->lines->voids = true;
    enum fh_code code = send_lines(sending, &partial);
    sending->lines->voids = false;
    if (code == FH_OK && partial)
        code = error_set(sending->error, FH_UNSUPPORTED,
                         "InfluxDB at %.100s does not take the link of a page: somebody else has "
                         "written there.",
                         sending->server->base_url);
    return code;
}

/* Whether the server lacks room for tags or series, which is nothing that is wrong with an op. */
static bool is_at_limit(const struct world_request *request)
{
    const char *words = world_answer_header(request, "x-influxdb-error");
    return words &&
           (strstr(words, "max-values-per-tag") || strstr(words, "max-series-per-database"));
}

/* Sends one op by itself. */
static enum fh_code try_op(struct page_sending *sending, int at)
{
    struct influxdb_call call = {0};
    struct carried_op *op = &sending->page->ops[at];
    text_clear(&sending->lines->body);
    sending->lines->whole = false;
    influxdb_write_op(&sending->lines->body, &sending->lines->form, op);
    call.body = sending->lines->body.data;
    call.body_length = sending->lines->body.length;
    enum fh_code code = influxdb_write(sending->server, &call, sending->error);
    if (call.partial && is_at_limit(&call.request)) {
        code = error_set(sending->error, FH_UNSUPPORTED,
                         "InfluxDB at %.100s is at its limit max-values-per-tag or "
                         "max-series-per-database.",
                         sending->server->base_url);
    } else if (call.partial) {
        snprintf(op->refused, sizeof op->refused,
                 "InfluxDB has a field of its name with another type.");
        sending->refused++;
        code = FH_OK;
    }
    influxdb_call_release(&call);
    return code;
}

/* Refuses what is not taken, of ops of which something is not: each half by itself, without the
 * link. */
static enum fh_code refuse_half(struct page_sending *sending, int first, int count)
{
    bool partial = true;
    enum fh_code code = FH_OK;
    if (count == 1)
        return sending->page->ops[first].refused[0] ? FH_OK : try_op(sending, first);
    for (int half = 0; half < 2 && code == FH_OK; half++) {
        int begin = half ? first + count / 2 : first, size = half ? count - count / 2 : count / 2;
        sending->lines->first = begin;
        sending->lines->count = size;
        sending->lines->linked = false;
        code = send_lines(sending, &partial);
        if (code == FH_OK && partial)
            code = refuse_half(sending, begin, size);
    }
    return code;
}

static enum fh_code nothing_is_refused(struct page_sending *sending)
{
    return error_retry(sending->error, FH_UNAVAILABLE,
                       "InfluxDB at %.100s did not take all of a page.", sending->server->base_url);
}

static enum fh_code send_without_link(struct page_sending *sending)
{
    bool partial;
    sending->lines->first = 0;
    sending->lines->count = sending->page->count;
    sending->lines->linked = false;
    enum fh_code code = send_lines(sending, &partial);
    if (code != FH_OK || !partial)
        return code;
    code = refuse_half(sending, 0, sending->page->count);
    return code == FH_OK && !sending->refused ? nothing_is_refused(sending) : code;
}

/* Some of its lines were not taken. */
static enum fh_code mend_page(struct page_sending *sending)
{
    int before = sending->refused;
    enum fh_code code = void_link(sending);
    if (code == FH_OK && sending->page->count)
        code = refuse_half(sending, 0, sending->page->count);
    if (code == FH_OK && sending->refused == before) /* it is over, or it was the link itself */
        code = nothing_is_refused(sending);
    return code;
}

static enum fh_code send_until_whole(struct page_sending *sending)
{
    bool partial = true;
    enum fh_code code = FH_OK;
    for (int sends = 0; partial && code == FH_OK && sends < SENDS_MAX; sends++) {
        code = send_whole_page(sending, &partial);
        if (code == FH_OK && partial)
            code = mend_page(sending);
        if (code == FH_OK && sending->kept && sending->refused)
            return FH_OK;
    }
    return code == FH_OK && partial ? nothing_is_refused(sending) : code;
}

enum fh_code influxdb_send(struct carried_server *base, const struct fh_derived *declared,
                           const struct carried_name *generation, struct carried_page *page,
                           struct fh_error *error)
{
    struct page_sending sending = {influxdb_of(base), .page = page, .kept = generation->kept,
                                   .error = error};
    char measurement[INFLUXDB_NAME_SIZE];
    if (page->link.to - page->link.from > CARRIED_SPAN_MAX)
        return error_set(error, FH_UNSUPPORTED, "A page of ops is of more than %d positions.",
                         CARRIED_SPAN_MAX);
    enum fh_code code = carried_page_is_plain(page, error);
    if (code != FH_OK)
        return code;
    influxdb_measurement(declared, generation, "", measurement);
    code = influxdb_look(sending.server, declared, measurement, error);
    if (code != FH_OK)
        return code;
    bool own = carried_write(sending.server->world, base->ops, declared, generation, page);
    sending.lines = page->written;
    if (sending.lines) {
        sending.lines->page = page;
        bool left_out = sending.kept && carried_page_is_refused(page);
        if (!left_out && page->again && page->count)
            code = send_without_link(&sending);
        if (code == FH_OK && !left_out && !sending.refused)
            code = send_until_whole(&sending);
    } else {
        code = error_set(error, FH_NO_MEMORY, "There is no memory for a page of ops.");
    }
    if (own)
        carried_unwrite(base->ops, page);
    return code;
}
