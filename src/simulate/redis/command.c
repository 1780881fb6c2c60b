/* SPDX-License-Identifier: Apache-2.0 */
/* Which commands there are; and the log, run again. */

#include <string.h>

#include "simulate/redis/model.h"

const struct served_command *served_command(const char *name)
{
    static const struct served_command *const tables[] = {served_keys, served_hashes, served_sorted,
                                                          served_streams};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        for (const struct served_command *command = tables[i]; command->name; command++) {
            if (strcmp(command->name, name) == 0)
                return command;
        }
    }
    return NULL;
}

struct served_reply *served_do(struct served *served, int count, const char *const *words)
{
    const struct served_command *command = count ? served_command(words[0]) : NULL;
    if (!command) {
        served_fail(served, "The model of Redis has no command %.60s.", count ? words[0] : "");
        return served_error("ERR unknown command");
    }
    if (count < command->least) {
        served_fail(served, "%s was sent with %d words.", words[0], count);
        return served_error("ERR wrong number of arguments");
    }
    return command->run(served, count, words);
}

void served_restore(struct served *served, int64_t transactions)
{
    size_t kept = 0;
    served_remove_all(served);
    served->logging = false;
    for (; kept < served->log_count && served->log[kept].transaction <= transactions; kept++) {
        const struct served_change *change = &served->log[kept];
        served_reply_free(served_do(served, change->count, (const char *const *)change->words));
    }
    served_forget(served, kept);
    served->synced = served->transaction = transactions;
    served->logging = true;
}
