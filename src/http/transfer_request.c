/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a transfer sends: its address, method and header lines, checked, for libcurl or, where a
 * service is asked without it, as the bytes of a request. The body is sent from where it is.
 */

#define _GNU_SOURCE
#include "http/transfer.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http/protocol.h"

static bool has_header(const struct world_request *request, const char *name)
{
    for (int i = 0; i < WORLD_HEADERS_MAX && request->headers[i].name; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return true;
    return false;
}

static bool is_sendable(const char *text, bool spaces_too)
{
    size_t length = strlen(text);
    return value_span(text, length) == length && !(spaces_too && strpbrk(text, " \t#"));
}

/* A place in `sent` for each of libcurl's lines; the request's own bytes without libcurl, which has
 * to be told of headers that it shall not add. */
struct header_lines {
    bool plain;
    int count;
    size_t places[WORLD_HEADERS_MAX + 5];
};

static void add_plain_line(struct transfer *transfer, const char *name, const char *value)
{
    text_add(&transfer->sent, name);
    text_append(&transfer->sent, ": ", 2);
    text_add(&transfer->sent, value);
    text_append(&transfer->sent, "\r\n", 2);
}

static void add_header_line(struct transfer *transfer, struct header_lines *lines, const char *name,
                            const char *value)
{
    if (lines->plain) {
        if (value)
            add_plain_line(transfer, name, value);
        return;
    }
    lines->places[lines->count++] = transfer->sent.length;
    text_add(&transfer->sent, name);
    text_add(&transfer->sent, ":");
    if (value) {
        /* libcurl writes an empty header as "name;"; "name:" would remove the header. */
        if (!*value)
            transfer->sent.data[transfer->sent.length - 1] = ';';
        else
            text_add(&transfer->sent, " ");
        text_add(&transfer->sent, value);
    }
    text_append(&transfer->sent, "", 1);
}

static bool check_sent_length(struct transfer *transfer)
{
    if (transfer->sent.overflow)
        transfer_fail(transfer, "the request's headers are larger than %zu bytes", SENT_LENGTH_MAX);
    return !transfer->sent.overflow;
}

static bool add_all_headers(struct transfer *transfer, struct header_lines *lines)
{
    const struct world_request *request = transfer->request;
    add_header_line(transfer, lines, "Accept", NULL);
    add_header_line(transfer, lines, "Expect", NULL);
    if (!request->body) /* libcurl labels even an empty body a form */
        add_header_line(transfer, lines, "Content-Type", NULL);
    else if (!has_header(request, "Content-Type"))
        add_header_line(transfer, lines, "Content-Type", "application/json");
    for (int i = 0; i < WORLD_HEADERS_MAX && request->headers[i].name; i++) {
        const struct world_header *header = &request->headers[i];
        if (!is_sendable(header->name, true) || !is_sendable(header->value, false)) {
            transfer_fail(transfer, "the header %.64s has characters that no header can have",
                          header->name);
            return false;
        }
        add_header_line(transfer, lines, header->name, header->value);
    }
    if (!request->url) /* to a service of this system */
        add_header_line(transfer, lines, PROTOCOL_HEADER, PROTOCOL_TEXT(PROTOCOL_VERSION));
    const struct http_client *client = transfer->client;
    const char *proof = client->signer.sign && !request->url
                            ? client->signer.sign(client->signer.context, request->service)
                            : NULL;
    if (proof)
        add_header_line(transfer, lines, client->signer.name, proof);
    return check_sent_length(transfer);
}

/* The list is built in the transfer's own memory: libcurl only reads it. */
static bool set_transfer_headers(struct transfer *transfer)
{
    struct header_lines lines = {0};
    if (!add_all_headers(transfer, &lines))
        return false;
    for (int i = 0; i < lines.count; i++)
        transfer->lines[i] = (struct curl_slist){
            .data = transfer->sent.data + lines.places[i],
            .next = i + 1 < lines.count ? &transfer->lines[i + 1] : NULL,
        };
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->lines);
    return true;
}

static bool take_url(struct transfer *transfer, const char *url)
{
    CURLcode code = curl_easy_setopt(transfer->easy, CURLOPT_URL, url);
    if (code != CURLE_OK)
        transfer_fail(transfer, "libcurl does not take the path: %s", curl_easy_strerror(code));
    return code == CURLE_OK;
}

static bool check_sent_path(struct transfer *transfer, const char *path)
{
    if (path[0] == '/' && is_sendable(path, true))
        return true;
    transfer_fail(transfer, "the path does not begin with '/', or is not percent-encoded");
    return false;
}

static bool set_url(struct transfer *transfer, const char *base)
{
    const char *path = transfer->request->path;
    char small[512], *url = small;
    if (!check_sent_path(transfer, path))
        return false;
    size_t base_length = strlen(base), path_size = strlen(path) + 1;
    if (base_length + path_size > sizeof small)
        url = malloc(base_length + path_size);
    FH_ASSERT(url != NULL);
    memcpy(url, base, base_length);
    memcpy(url + base_length, path, path_size);
    bool taken = take_url(transfer, url);
    if (url != small)
        free(url);
    return taken;
}

/* Even without a body. */
static bool has_length(const struct world_request *request)
{
    const char *method = request->method;
    return request->body || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "PATCH") == 0;
}

static void set_method(struct transfer *transfer)
{
    const struct world_request *request = transfer->request;
    CURL *easy = transfer->easy;
    const char *method = request->method;
    bool plain = strcmp(method, "GET") == 0, head = strcmp(method, "HEAD") == 0;
    curl_easy_setopt(easy, CURLOPT_NOBODY, head ? 1L : 0L);
    if (has_length(request)) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body ? request->body : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)(request->body ? request->body_length : 0));
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    } else {
        if (!head)
            curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, plain || head ? NULL : method);
    }
}

static void bound_answer(struct transfer *transfer)
{
    size_t answer_size_max = transfer->request->answer_size_max;
    size_t most = answer_size_max ? answer_size_max : ANSWER_LENGTH_MAX;
    if (transfer->answer.capacity > most)
        text_release(&transfer->answer); /* a text's room is within its bound */
    transfer->answer.length_max = most;
}

bool transfer_write(struct transfer *transfer, const char *host)
{
    const struct world_request *request = transfer->request;
    struct header_lines lines = {.plain = true};
    struct text *sent = &transfer->sent;
    bound_answer(transfer);
    if (!check_sent_path(transfer, request->path))
        return false;
    text_add(sent, request->method);
    text_append(sent, " ", 1);
    text_add(sent, request->path);
    text_add(sent, " HTTP/1.1\r\n");
    if (sent->overflow) {
        transfer_fail(transfer, "the path has more than %zu bytes", SENT_LENGTH_MAX);
        return false;
    }
    add_plain_line(transfer, "Host", host);
    if (!add_all_headers(transfer, &lines))
        return false;
    if (has_length(request)) {
        text_add(sent, "Content-Length: ");
        text_integer(sent, (int64_t)(request->body ? request->body_length : 0));
        text_append(sent, "\r\n", 2);
    }
    text_append(sent, "\r\n", 2);
    return check_sent_length(transfer); /* without its end, a body would be read as headers */
}

bool transfer_prepare(struct transfer *transfer, const struct client_address *address)
{
    transfer_make_easy(transfer);
    bound_answer(transfer);
    const char *url = transfer->request->url;
    if (!(url ? take_url(transfer, url) : set_url(transfer, address->base)) ||
        !set_transfer_headers(transfer))
        return false;
    curl_easy_setopt(transfer->easy, CURLOPT_CONNECT_TO, address ? address->connect_to : NULL);
    set_method(transfer);
    return true;
}
