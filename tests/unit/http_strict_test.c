/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hostile bytes become, by tests/support/requests.txt: each line is sent whole, byte by byte,
 * and in two pieces parted at each of its bytes, and comes out the same. A request behind it, on
 * the same connection, shows where the server takes the last one to have ended.
 */

#define _GNU_SOURCE
#include <ctype.h>

#include "http_support.h"

#define LINE_SIZE 8192
#define SENTINEL "GET /sentinel HTTP/1.1\r\nHost: x\r\n\r\n"
#define CLOSES "\r\nConnection: close\r\n"
#define SENTINEL_TAKEN "GET /sentinel 0"

/* One line: `taken` are the requests, `status` the refusal at their end, or 0. */
struct strict_case {
    char name[128], taken[512];
    int status;
    char bytes[LINE_SIZE];
    size_t length;
};

static char log_of_taken[4096];

static void on_strict(void *context, struct http_incoming *incoming)
{
    (void)context;
    size_t at = strlen(log_of_taken);
    snprintf(log_of_taken + at, sizeof log_of_taken - at, "%s%s %s%s%s %zu", at ? ", " : "",
             incoming->method, incoming->path, *incoming->query ? "?" : "", incoming->query,
             incoming->body_length);
    reply_text(incoming, 200, "taken");
}

static size_t unescape(const char *text, char *ret)
{
    char *at = ret;
    for (; *text && *text != '\n'; text++) {
        if (*text != '\\') {
            *at++ = *text;
            continue;
        }
        switch (*++text) {
        case 'r':
            *at++ = '\r';
            break;
        case 'n':
            *at++ = '\n';
            break;
        case 'x': {
            char digits[3] = {text[1], text[2], 0};
            *at++ = (char)strtol(digits, NULL, 16);
            text += 2;
            break;
        }
        default:
            *at++ = *text;
        }
    }
    return (size_t)(at - ret);
}

/* "NAME | GET /a 0, POST /b 2, 400 | BYTES" */
static void read_case(char *line, struct strict_case *ret)
{
    char *taken = strstr(line, " | ");
    assert_non_null(taken);
    *taken = '\0';
    taken += 3;
    char *bytes = strstr(taken, " | ");
    assert_non_null(bytes);
    *bytes = '\0';
    snprintf(ret->name, sizeof ret->name, "%.100s", line);
    snprintf(ret->taken, sizeof ret->taken, "%.500s", taken);
    ret->length = unescape(bytes + 3, ret->bytes);
    char *last = strrchr(ret->taken, ',');
    char *status = last ? last + 2 : ret->taken;
    ret->status = isdigit((unsigned char)*status) ? atoi(status) : 0;
    if (ret->status)
        *(last ? last : ret->taken) = '\0';
}

static int count_of(const char *text, const char *word)
{
    int count = 0;
    for (; (text = strstr(text, word)); text++)
        count++;
    return count;
}

static void assert_as_expected(const struct strict_case *one, const struct raw *raw, size_t split)
{
    char expected[1024];
    bool sentinel = !one->status && !raw->closed;
    snprintf(expected, sizeof expected, "%s%s", one->taken, sentinel ? ", " SENTINEL_TAKEN : "");
    if (strcmp(log_of_taken, expected) != 0)
        fail_msg("%s, parted at %zu: expected \"%s\", taken were \"%s\", answered:\n%s", one->name,
                 split, expected, log_of_taken, raw->data);
    char line[32] = "HTTP/1.1 ";
    if (one->status)
        snprintf(line, sizeof line, "HTTP/1.1 %d ", one->status);
    int answers = count_of(raw->data, "\r\nDate: "), taken = count_of(raw->data, "HTTP/1.1 200 OK");
    if (answers != taken + (one->status != 0) || !strstr(raw->data, line))
        fail_msg("%s, parted at %zu: expected one %d, got:\n%s", one->name, split, one->status,
                 raw->data);
    if (one->status &&
        (!strstr(raw->data, "application/problem+json") || !strstr(raw->data, CLOSES)))
        fail_msg("%s: no problem, or the connection is kept:\n%s", one->name, raw->data);
}

static bool is_over(void *argument)
{
    struct raw *raw = argument;
    return raw->closed || strstr(log_of_taken, SENTINEL_TAKEN);
}

struct refusal_wait {
    struct raw *raw;
    int taken; /* requests before the one that is refused */
};

/* Or something was taken that should have been refused, or the connection stays open. */
static bool is_refused_or_wrong(void *argument)
{
    const struct refusal_wait *wait = argument;
    const char *data = wait->raw->data;
    bool is_taken = count_of(data, "HTTP/1.1 200 OK") > wait->taken;
    bool is_kept = count_of(data, "\r\nDate: ") > wait->taken && !strstr(data, CLOSES);
    return wait->raw->closed || is_taken || is_kept;
}

/* `split`: where the bytes are parted; 0: everywhere. */
static void send_case(struct site *site, const struct strict_case *one, size_t split)
{
    struct raw *raw = raw_connect(site);
    log_of_taken[0] = '\0';
    for (size_t at = 0; at < one->length;) {
        size_t part = !split ? 1 : at < split ? split - at : one->length - at;
        raw_send(raw, one->bytes + at, part);
        at += part;
        for (int turn = 0; turn < 2; turn++)
            uv_run(&site->harness.loop, UV_RUN_NOWAIT);
    }
    if (!one->status && !raw->closed)
        raw_text(raw, SENTINEL);
    struct refusal_wait wait = {raw, *one->taken ? count_of(one->taken, ", ") + 1 : 0};
    if (one->status)
        harness_until(&site->harness, is_refused_or_wrong, &wait);
    else
        harness_until(&site->harness, is_over, raw);
    while (!raw->closed && count_of(raw->data, "\r\nDate: ") < count_of(log_of_taken, ", ") + 1)
        uv_run(&site->harness.loop, UV_RUN_NOWAIT);
    assert_as_expected(one, raw, split);
    raw_close(raw);
}

static void each(void (*check)(struct site *site, const struct strict_case *one))
{
    struct site site;
    struct strict_case one;
    char line[LINE_SIZE];
    int count = 0;
    memset(&site, 0, sizeof site);
    harness_init(&site.harness);
    site.listen_fd = listen_anywhere(&site.port);
    struct fh_error error = {0};
    assert_int_equal(http_server_new(&site.harness.loop, site.harness.world, site.listen_fd, NULL,
                                     NULL, (struct http_handler){on_strict, NULL}, &site.server,
                                     &error),
                     FH_OK);
    FILE *file = fopen(REQUESTS_FILE, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (*line == '#')
            continue;
        read_case(line, &one);
        check(&site, &one);
        count++;
    }
    fclose(file);
    assert_true(count > 150);
    site_release(&site);
}

static void check_whole(struct site *site, const struct strict_case *one)
{
    send_case(site, one, one->length);
}

static void check_bytes(struct site *site, const struct strict_case *one)
{
    send_case(site, one, 0);
}

static void check_parted(struct site *site, const struct strict_case *one)
{
    for (size_t split = 1; split < one->length; split++)
        send_case(site, one, split);
}

static void each_is_taken_or_refused_as_it_says(void **state)
{
    (void)state;
    each(check_whole);
}

static void and_so_it_is_byte_by_byte(void **state)
{
    (void)state;
    each(check_bytes);
}

static void and_so_it_is_parted_anywhere(void **state)
{
    (void)state;
    each(check_parted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_taken_or_refused_as_it_says),
        cmocka_unit_test(and_so_it_is_byte_by_byte),
        cmocka_unit_test(and_so_it_is_parted_anywhere),
    };
    return cmocka_run_group_tests_name("http_strict", tests, NULL, NULL);
}
