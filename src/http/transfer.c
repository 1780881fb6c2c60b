/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request in progress: libcurl's easy handle, the data to send and the data received. Options
 * that are the same for all requests are set once, when the handle is made; libcurl's unwanted
 * defaults (Accept, Expect, proxies from the environment, collapsing of "/../") are turned off.
 *
 * Every buffer has a bound. Small buffers are kept for the next request.
 */

#define _GNU_SOURCE
#include "http/transfer.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/head.h"
#include "http/protocol.h"

#define BUFFER_KEPT_MAX ((size_t)32 << 10)

void transfer_fail(struct transfer *transfer, const char *format, ...)
{
    if (transfer->failure[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(transfer->failure, sizeof transfer->failure, format, args);
    va_end(args);
}

/* ---- Receiving ---- */

void transfer_take_body(struct transfer *transfer, const char *data, size_t length)
{
    text_append(&transfer->answer, data, length);
    if (transfer->answer.overflow)
        transfer_fail(transfer, "the answer is larger than %zu bytes", transfer->answer.length_max);
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    transfer_take_body(transfer, data, size * count);
    return transfer->answer.overflow ? 0 : size * count;
}

/* A line of the answer's head without its CR LF: what this client and whoever reads the same bytes
 * could take for two things is no answer. Sets *ret_name to the name's length. */
static bool check_header(struct transfer *transfer, const char *line, size_t length,
                         size_t *ret_name)
{
    size_t name = byte_span(line, length, BYTE_TOKEN);
    if (!name || name == length || line[name] != ':')
        transfer_fail(transfer, "the answer has a header without a name, or one that is folded");
    else if (byte_span(line, length, BYTE_VALUE) < length)
        transfer_fail(transfer, "the answer has control characters in its header %.*s",
                      name < 64 ? (int)name : 64, line);
    *ret_name = name;
    return !transfer->failure[0];
}

/* The headers that say where the answer ends: one of them, once. */
static void note_answer_framing(struct transfer *transfer, const char *name, size_t name_length,
                                const char *value, size_t length)
{
    bool is_length = name_length == 14 && strncasecmp(name, "Content-Length", 14) == 0;
    bool is_encoding = name_length == 17 && strncasecmp(name, "Transfer-Encoding", 17) == 0;
    if (!is_length && !is_encoding)
        return;
    if (transfer->framed)
        transfer_fail(transfer, "the answer says twice where it ends");
    else if (is_encoding && !(length == 7 && strncasecmp(value, "chunked", 7) == 0))
        transfer_fail(transfer, "the answer has a Transfer-Encoding other than chunked");
    else if (is_length && (!length || strspn(value, "0123456789") < length))
        transfer_fail(transfer, "the answer's Content-Length is not a number");
    transfer->framed = true;
    transfer->chunked = is_encoding;
    transfer->body_length = is_length ? strtoull(value, NULL, 10) : 0;
}

static void keep_header(struct transfer *transfer, const char *line, size_t length)
{
    size_t name_length;
    if (!check_header(transfer, line, length, &name_length))
        return;
    if (transfer->header_count == ANSWER_HEADERS_MAX) {
        transfer_fail(transfer, "the answer has more than %d headers", ANSWER_HEADERS_MAX);
        return;
    }
    struct text *head = &transfer->head;
    size_t name = head->length;
    text_append(head, line, name_length);
    text_append(head, "", 1);
    const char *value = line + name_length + 1, *end = line + length;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (value < end && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    note_answer_framing(transfer, line, name_length, value, (size_t)(end - value));
    transfer->places[transfer->header_count].name = name;
    transfer->places[transfer->header_count].value = head->length;
    text_append(head, value, (size_t)(end - value));
    text_append(head, "", 1);
    if (head->overflow) {
        transfer_fail(transfer, "the answer's headers are larger than %zu bytes", head->length_max);
        return;
    }
    for (size_t i = 0; i < name_length; i++)
        head->data[name + i] = (char)tolower((unsigned char)head->data[name + i]);
    transfer->header_count++;
}

bool transfer_keep_header(struct transfer *transfer, const char *line, size_t length)
{
    keep_header(transfer, line, length);
    return !transfer->failure[0];
}

bool transfer_has_close(const struct transfer *transfer)
{
    for (size_t i = 0; i < transfer->header_count; i++) {
        const char *value = transfer->head.data + transfer->places[i].value;
        if (strcmp(transfer->head.data + transfer->places[i].name, "connection") == 0 &&
            list_has(value, strlen(value), "close"))
            return true;
    }
    return false;
}

void transfer_drop_head(struct transfer *transfer)
{
    transfer->header_count = 0;
    transfer->framed = transfer->chunked = false;
    text_clear(&transfer->head);
}

/* libcurl gives the status line, each header and the empty line, then the trailers in the same way.
 * Those are no headers: whoever sent a good head could change it by them. */
static size_t on_header(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    size_t length = size * count;
    if (transfer->head_ended)
        return length;
    if (length < 2 || data[length - 2] != '\r' || data[length - 1] != '\n') {
        transfer_fail(transfer, "the answer has a line that does not end with CR LF");
    } else if (length == 2) {
        long status = 0;
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        transfer->head_ended = status >= 200;
    } else if (length > 5 && memcmp(data, "HTTP/", 5) == 0) {
        /* A status line: the headers so far were an interim answer's. */
        transfer_drop_head(transfer);
    } else {
        keep_header(transfer, data, length - 2);
    }
    return transfer->failure[0] ? 0 : length;
}

/* Called before a request is sent, and again if libcurl wants to resend it because a kept
 * connection broke before any answer. The receiver may have executed it before it died: only the
 * layers above can decide whether to resend it. */
static int on_sending(void *context, char *ip, char *own_ip, int port, int own_port)
{
    struct transfer *transfer = context;
    (void)ip;
    (void)own_ip;
    (void)port;
    (void)own_port;
    if (transfer->sending) {
        transfer_fail(transfer, "the connection was closed without an answer");
        return CURL_PREREQFUNC_ABORT;
    }
    transfer->sending = true;
    return CURL_PREREQFUNC_OK;
}

/* ---- A handle ---- */

static void set_blob(CURL *easy, CURLoption option, char *text)
{
    struct curl_blob blob = {.data = text, .len = strlen(text), .flags = CURL_BLOB_NOCOPY};
    curl_easy_setopt(easy, option, &blob);
}

static void set_transfer_tls(CURL *easy, const struct http_tls *tls)
{
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    set_blob(easy, CURLOPT_CAINFO_BLOB, tls->trusted);
    if (!tls->certificate)
        return;
    set_blob(easy, CURLOPT_SSLCERT_BLOB, tls->certificate);
    set_blob(easy, CURLOPT_SSLKEY_BLOB, tls->key);
}

/* As http/tls.h says, in the language of the library that libcurl was built with. */
static void set_transfer_ciphers(CURL *easy, const char *library)
{
    bool gnutls = library && strncmp(library, "GnuTLS", 6) == 0;
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    FH_ASSERT(curl_easy_setopt(easy, CURLOPT_SSL_CIPHER_LIST,
                               gnutls ? HTTP_TLS_PRIORITIES : HTTP_TLS_CIPHERS) == CURLE_OK);
}

static void set_once(struct transfer *transfer)
{
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* A name is looked up in a thread of libcurl's. Without this, whoever ends the request waits
     * for that thread, and the whole loop with it, for as long as the name servers are silent. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, CONNECTION_AGE_S_MAX);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_sending);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    set_transfer_ciphers(easy, transfer->client->libcurl->ssl_version);
    if (transfer->client->tls) {
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
        set_transfer_tls(easy, transfer->client->tls);
    }
    if (transfer->client->trusted)
        set_transfer_tls(easy, transfer->client->trusted);
    if (transfer->client->goes_outside) {
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    }
}

/* Only those that libcurl sends have one. */
void transfer_make_easy(struct transfer *transfer)
{
    if (transfer->easy)
        return;
    transfer->easy = curl_easy_init();
    FH_ASSERT(transfer->easy != NULL);
    set_once(transfer);
    transfer->client->opens_sockets_of(transfer);
}

static void drop_easy(struct transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
}

struct transfer *transfer_new(struct http_client *client)
{
    struct transfer *transfer = calloc(1, sizeof *transfer);
    FH_ASSERT(transfer != NULL);
    transfer->client = client;
    text_init(&transfer->sent, SENT_LENGTH_MAX);
    text_init(&transfer->answer, ANSWER_LENGTH_MAX);
    text_init(&transfer->head, ANSWER_HEADERS_LENGTH_MAX);
    text_init(&transfer->line, ANSWER_HEADERS_LENGTH_MAX);
    return transfer;
}

void transfer_free(struct transfer *transfer)
{
    drop_easy(transfer);
    text_release(&transfer->sent);
    text_release(&transfer->answer);
    text_release(&transfer->head);
    text_release(&transfer->line);
    free(transfer);
}

static void reuse_text(struct text *text)
{
    if (text->capacity > BUFFER_KEPT_MAX)
        text_release(text);
    else
        text_clear(text);
}

/* Before 8.1.0 an easy handle that is used again remembers the last header of its former answer,
 * though that is freed, and appends to it what the next answer begins its headers with if that is a
 * folded line. So whoever answers could write into freed memory. */
static bool easy_is_reusable(const struct transfer *transfer)
{
    return transfer->client->libcurl->version_num >= 0x080100;
}

void transfer_clear(struct transfer *transfer)
{
    if (!easy_is_reusable(transfer))
        drop_easy(transfer);
    reuse_text(&transfer->sent);
    reuse_text(&transfer->answer);
    reuse_text(&transfer->head);
    reuse_text(&transfer->line);
    transfer->request = NULL;
    transfer->sending = false;
    transfer->header_count = 0;
    transfer->framed = transfer->chunked = transfer->head_ended = false;
    transfer->plain_answer = (struct plain_answer){0};
    transfer->status = 0;
    transfer->failure[0] = '\0';
}

/* ---- The end ---- */

static void fail_with_errno(struct transfer *transfer, const char *otherwise)
{
    long number = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &number);
    if (!number) {
        transfer_fail(transfer, "%s", otherwise);
        return;
    }
    char reason[96];
    snprintf(reason, sizeof reason, "%s", strerror((int)number));
    reason[0] = (char)tolower((unsigned char)reason[0]);
    transfer_fail(transfer, "%s", reason);
}

/* libcurl takes any three digits, and a 101 that nobody asked for; our server, by which the gateway
 * passes a status on, doesn't. */
void transfer_check_status(struct transfer *transfer)
{
    int status = transfer->status;
    if (status < 200 || status > 599)
        transfer_fail(transfer, "the answer has the status %d: expected 200 to 599", status);
}

void transfer_ended(struct transfer *transfer, CURLcode code)
{
    const char *text = curl_easy_strerror(code);
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    transfer->status = (int)status;
    if (code == CURLE_OK)
        transfer_check_status(transfer);
    else if (code == CURLE_COULDNT_CONNECT)
        fail_with_errno(transfer, "no connection could be made");
    else if (code == CURLE_COULDNT_RESOLVE_HOST)
        transfer_fail(transfer, "the host's name in the address is unknown");
    else if (code == CURLE_GOT_NOTHING)
        transfer_fail(transfer, "the connection was closed without an answer");
    else if (code == CURLE_PARTIAL_FILE)
        transfer_fail(transfer, "the connection was closed in the middle of the answer");
    else if (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR)
        fail_with_errno(transfer, "the connection broke");
    else if (code == CURLE_PEER_FAILED_VERIFICATION)
        transfer_fail(transfer, "the other side's certificate is not %s",
                      transfer->client->goes_outside ? "one of the host in the URL"
                                                     : "the service's");
    else if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY)
        transfer_fail(transfer, "what came is no HTTP answer");
    else
        transfer_fail(transfer, "%c%s", tolower((unsigned char)text[0]), text + 1);
}

void transfer_fill_in(struct transfer *transfer)
{
    struct world_request *request = transfer->request;
    request->status = 0;
    request->failure = NULL;
    request->unsent = request->oversized = false;
    request->answer = "";
    request->answer_length = 0;
    request->answer_headers = transfer->headers;
    request->answer_header_count = 0;
    if (transfer->failure[0]) {
        request->failure = transfer->failure;
        request->unsent = !transfer->sending;
        request->oversized = transfer->answer.overflow;
        return;
    }
    request->status = transfer->status;
    if (transfer->answer.length)
        request->answer = transfer->answer.data;
    request->answer_length = transfer->answer.length;
    request->answer_header_count = transfer->header_count;
    for (size_t i = 0; i < transfer->header_count; i++)
        transfer->headers[i] = (struct world_header){
            .name = transfer->head.data + transfer->places[i].name,
            .value = transfer->head.data + transfer->places[i].value,
        };
}
