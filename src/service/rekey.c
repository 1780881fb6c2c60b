/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First what is accepted, then what is used: whoever is told of a key to use was told before to
 * accept it. What was taken is reported, and once more when every request that was signed with
 * earlier keys has ended. A process that dies in between reads all of it when it starts again.
 */

#include "service/rekey.h"

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "call/user.h"
#include "event/manager.h"
#include "service/audience.h"

/* Long polls that were asked for with former keys needn't hold these up. Whoever asks is perhaps
 * told of its own keys a little later, so it is answered more than once. */
#define ANSWER_BEATS 3

static void service_keys_settled(void *context)
{
    struct process *process = ((struct rekey *)context)->process;
    process_keys(process, process->keys, process->keys);
}

static enum fh_code take_service_keys(struct rekey *rekey, const json_t *keys,
                                      struct fh_error *error)
{
    struct runtime *runtime = rekey->runtime;
    const char *user = json_string_at(keys, "user");
    enum fh_code code = audience_take_keys(runtime->audience, keys, error);
    if (code == FH_OK && user && runtime->context.users)
        code = user_verifier_take_keys(runtime->context.users, user, json_object_get(keys, "users"),
                                       error);
    CRASH_POINT("rekey.accepted");
    if (code == FH_OK)
        code = sign_take_keys(rekey->signing, json_object_get(keys, "calls"), error);
    CRASH_POINT("rekey.taken");
    return code;
}

void rekey_take(struct rekey *rekey, const json_t *keys)
{
    struct fh_error error;
    struct process *process = rekey->process;
    json_int_t number = 0;
    if (!rekey->client || !rekey->runtime->audience)
        return;
    enum fh_code code = json_integer_at(keys, "number", &number) && number > 0
                            ? take_service_keys(rekey, keys, &error)
                            : error_set(&error, FH_INVALID, "They have no number.");
    if (code != FH_OK) {
        log_error("keys-rejected", "The keys that up has sent are rejected: %s", error.message);
        return;
    }
    process_keys(process, number, process->keys_settled);
    rekey->answer_beats = ANSWER_BEATS;
    event_manager_answer(rekey->runtime->context.events);
    http_client_settle(rekey->client, service_keys_settled, rekey);
}

void rekey_beat(struct rekey *rekey)
{
    if (!rekey->client || rekey->answer_beats == 0)
        return;
    rekey->answer_beats--;
    event_manager_answer(rekey->runtime->context.events);
}
