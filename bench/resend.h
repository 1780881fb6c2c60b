/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_RESEND_H
#define BENCH_RESEND_H

/*
 * What bench/recorded.py has written down: pages as a service has sent them to a server, each with
 * how many answers it has, and whether it is of those that are measured. They are in memory before
 * the first of them is sent.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAGES_MAX = 4096 };

struct page {
    uint32_t measured, answers;
    uint64_t length;
    char *bytes;
};

static struct page pages[PAGES_MAX];
static int page_count;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void read_pages(const char *path)
{
    const size_t head = offsetof(struct page, bytes);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("no file of pages");
    while (page_count < PAGES_MAX && fread(&pages[page_count], head, 1, file) == 1) {
        struct page *page = &pages[page_count++];
        page->bytes = malloc(page->length);
        if (!page->bytes || fread(page->bytes, 1, page->length, file) != page->length)
            fail("a page is cut short");
    }
    if (!feof(file))
        fail("too many pages");
    fclose(file);
}

#endif
