/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into bench_orders it makes one thing slower, to see that bench/check finds it. In the
 * environment's PLANT stands what, and by how much: "row 3200 instructions", "order 6000 ns".
 *
 * What a request is, its answer shows: a row has a total, the constant has none, an order is 201.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <freehold.h>

#define LOOP_INSTRUCTIONS 6 /* of a round of the loop below, as gcc -O3 makes it */

static void spend_instructions(int64_t count)
{
    for (volatile int64_t done = 0; done < count / LOOP_INSTRUCTIONS;)
        done = done + 1;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void spend_ns(int64_t ns)
{
    for (int64_t begun = now_ns(); now_ns() - begun < ns;)
        ;
}

static const char *kind_of(int status, json_t *body)
{
    if (status == 200)
        return json_object_get(body, "total") ? "row" : "constant";
    return status == 201 ? "order" : "other";
}

/* Read once: looking it up for each answer would cost more than what is planted. */
static struct {
    char what[16], unit[16];
    int64_t amount;
    void (*reply)(fh_work *, int, json_t *);
} plant;

__attribute__((constructor)) static void plant_read(void)
{
    const char *said = getenv("PLANT");
    if (!said || sscanf(said, "%15s %" SCNd64 " %15s", plant.what, &plant.amount, plant.unit) != 3)
        plant.what[0] = '\0';
    *(void **)&plant.reply = dlsym(RTLD_NEXT, "fh_reply");
}

__attribute__((visibility("default"))) void fh_reply(fh_work *w, int status, json_t *body)
{
    if (strcmp(plant.what, kind_of(status, body)) == 0) {
        if (strcmp(plant.unit, "ns") == 0)
            spend_ns(plant.amount);
        else
            spend_instructions(plant.amount);
    }
    plant.reply(w, status, body);
}
