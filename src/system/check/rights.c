/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what the kernel says of this process: its capabilities, and its user namespace. */

#define _GNU_SOURCE
#include "system/check/rights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LACKING_SIZE 128

/* linux/capability.h: to give folders away, to become another user, to end its processes. */
static const struct {
    const char *name;
    unsigned bit;
} needed[] = {{"CHOWN", 0}, {"KILL", 5}, {"SETGID", 6}, {"SETUID", 7}};

/* All of them where /proc does not say. */
static unsigned long long capabilities_now(void)
{
    char line[256];
    unsigned long long all = ~0ULL;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "CapEff:", 7) == 0)
            all = strtoull(line + 7, NULL, 16);
    }
    if (file)
        fclose(file);
    return all;
}

/* A user namespace that an unprivileged user made has one user, and no groups can be set in it. */
static bool namespace_has_one_user(void)
{
    char word[16] = "";
    FILE *file = fopen("/proc/self/setgroups", "re");
    bool denied = file && fgets(word, sizeof word, file) && strncmp(word, "deny", 4) == 0;
    if (file)
        fclose(file);
    return denied;
}

void rights_check(struct findings *findings)
{
    char lacking[LACKING_SIZE] = "";
    unsigned long long has = capabilities_now();
    if (geteuid() != 0)
        return;
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        size_t length = strlen(lacking);
        if (!(has >> needed[i].bit & 1))
            snprintf(lacking + length, sizeof lacking - length, "%sCAP_%s", length ? ", " : "",
                     needed[i].name);
    }
    if (*lacking)
        findings_error(findings, (struct place){0},
                       "root may not start processes of other users here: it lacks %s, as in a "
                       "container that drops capabilities. Start it as another user than root "
                       "(docker run --user 1000), or give root these back (--cap-add)",
                       lacking);
    else if (namespace_has_one_user())
        findings_error(findings, (struct place){0},
                       "root may not start processes of other users here: it is in a user "
                       "namespace that has no other users (unshare --map-root-user). Start it "
                       "outside of that, as yourself");
}
