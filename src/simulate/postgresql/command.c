/* SPDX-License-Identifier: Apache-2.0 */
/* What a session is sent, and what it answers. */

#include "simulate/postgresql/model.h"

#include <stdlib.h>

#include "base/error.h"

void model_command_free(struct model_command *command)
{
    for (int i = 0; i < command->count; i++)
        free(command->values[i]);
    free(command->name);
    free(command->text);
    free(command);
}

void model_commands_free(struct model_command *commands)
{
    for (struct model_command *next; commands; commands = next) {
        next = commands->next;
        model_command_free(commands);
    }
}

void model_reply_free(struct model_reply *reply)
{
    for (int i = reply->taken; i < reply->count; i++)
        model_result_free(reply->results[i]);
    free(reply);
}

struct model_reply *model_reply(bool sync)
{
    struct model_reply *reply = calloc(1, sizeof *reply);
    FH_ASSERT(reply != NULL);
    reply->sync = sync;
    return reply;
}

void model_reply_add(struct model_reply *reply, PGresult *result)
{
    FH_ASSERT(reply->count < 32);
    reply->results[reply->count++] = result;
}
