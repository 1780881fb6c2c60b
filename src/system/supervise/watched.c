/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of the files that upgrades were tried with, and how they are told apart. */

#define _GNU_SOURCE
#include "system/supervise/watch.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "system/supervise/supervisor.h"

/* ---- Migrations ---- */

static uint64_t mix_hash(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211); /* FNV-1a */
    return hash;
}

/* The sum of its files' hashes, as a folder has no order. */
static uint64_t hash_folder(const char *path)
{
    uint64_t sum = 0;
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        struct stat status;
        size_t length = strlen(entry->d_name);
        if (length < 4 || strcmp(entry->d_name + length - 4, ".sql") != 0 ||
            fstatat(dirfd(folder), entry->d_name, &status, 0) != 0)
            continue;
        uint64_t hash = mix_hash(UINT64_C(14695981039346656037), entry->d_name, length);
        hash = mix_hash(hash, &status.st_ino, sizeof status.st_ino);
        hash = mix_hash(hash, &status.st_size, sizeof status.st_size);
        sum += mix_hash(hash, &status.st_mtim, sizeof status.st_mtim);
    }
    if (folder)
        closedir(folder);
    return sum;
}

uint64_t watch_migrations(const struct supervisor *supervisor, size_t part)
{
    char variant[4352];
    if (part == supervisor->count - 1)
        return 0;
    const struct system_service *service = &supervisor->options->file->services[part];
    if (!service->migrations)
        return 0;
    snprintf(variant, sizeof variant, "%s/%s", service->migrations, service->engine);
    return hash_folder(service->migrations) * 31 + hash_folder(variant);
}

/* ---- What came of an upgrade ---- */

bool watch_upgrades(const struct supervisor *supervisor, size_t part)
{
    return supervisor->renewal.count && supervisor->renewal.service == part;
}

void watch_put_off(struct supervisor *supervisor, size_t part, const char *why)
{
    struct watched *watched = &supervisor->watch.parts[part];
    snprintf(watched->why, sizeof watched->why, "%s", why);
    watched->pause_ms = watched->pause_ms ? watched->pause_ms * 2 : WATCH_AGAIN_MS_MIN;
    if (watched->pause_ms > WATCH_AGAIN_MS_MAX)
        watched->pause_ms = WATCH_AGAIN_MS_MAX;
    watched->again_ns = world_in_ms(supervisor->world, (int)watched->pause_ms);
}

void watch_failed(struct supervisor *supervisor, const struct renewal *renewal, const char *why)
{
    struct watched *watched = &supervisor->watch.parts[renewal->service];
    watched->failed = watched->seen = renewal->taken; /* it may not have been looked at yet */
    watched->owed = true;
    watched->migrations = watched->failed_migrations = renewal->migrations;
    snprintf(watched->why, sizeof watched->why, "%s", why);
}

void watch_taken(struct supervisor *supervisor, size_t part)
{
    supervisor->watch.parts[part].owed = false;
    supervisor->watch.parts[part].why[0] = '\0';
}

void watch_given_up(struct supervisor *supervisor, size_t part)
{
    struct watched *watched = &supervisor->watch.parts[part];
    if (watched->owed || watch_upgrades(supervisor, part))
        return;
    watched->owed = true;
    watched->migrations = watched->failed_migrations = watch_migrations(supervisor, part);
}
