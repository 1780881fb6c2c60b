/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long this disk takes to make a page durable: the floor under every durable figure. Writes
 * pages one after the other into a file in FOLDER that has its full size already, as a log does,
 * and prints the median and the 99th percentile of fdatasync, in microseconds.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAGE_SIZE 4096
#define SYNCS 4000
#define SECONDS_MAX 3

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static int fail(const char *what)
{
    perror(what);
    return 1;
}

int main(int argc, char **argv)
{
    static double took_us[SYNCS];
    static char page[PAGE_SIZE];
    char path[4096];
    int count = 0;
    if (argc != 2 || snprintf(path, sizeof path, "%s/fdatasync", argv[1]) >= (int)sizeof path) {
        fprintf(stderr, "usage: fdatasync FOLDER\n");
        return 2;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || unlink(path) != 0)
        return fail(path);
    memset(page, 'x', sizeof page);
    for (int i = 0; i < SYNCS; i++)
        if (pwrite(fd, page, sizeof page, (off_t)i * PAGE_SIZE) != PAGE_SIZE)
            return fail("pwrite");
    if (fsync(fd) != 0)
        return fail("fsync");
    double end_us = now_us() + SECONDS_MAX * 1e6;
    while (count < SYNCS && now_us() < end_us) {
        page[0] = (char)count;
        if (pwrite(fd, page, sizeof page, (off_t)count * PAGE_SIZE) != PAGE_SIZE)
            return fail("pwrite");
        double began_us = now_us();
        if (fdatasync(fd) != 0)
            return fail("fdatasync");
        took_us[count++] = now_us() - began_us;
    }
    qsort(took_us, (size_t)count, sizeof *took_us, compare);
    printf("%.0f %.0f\n", took_us[count / 2], took_us[count * 99 / 100]);
    return close(fd) == 0 ? 0 : fail("close");
}
