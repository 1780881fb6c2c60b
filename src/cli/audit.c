/* SPDX-License-Identifier: Apache-2.0 */
/* See audit.h. */

#include "cli/audit.h"

#include "system/audit/audit.h"

int cli_audit_begin(struct cli_act *act, const struct state *state, const char *what,
                    const char *service, json_t *with)
{
    struct fh_error error;
    const struct audit_act begun = {
        .what = what, .service = service, .who = audit_who_self(), .with = with};
    *act = (struct cli_act){.state = state};
    enum fh_code code = audit_begin(state->folder_fd, &begun, &act->number, &error);
    json_decref(with);
    if (code == FH_OK)
        return CLI_DONE;
    act->number = 0;
    return cli_fail(CLI_FAILED, "not recorded, and so not done: %s", error.message);
}

int cli_audit_end(struct cli_act *act, int code, const char *why)
{
    struct fh_error error;
    if (act->number == 0)
        return code;
    if (!why)
        why = code == CLI_DONE ? NULL : "see what the command said";
    if (audit_end(act->state->folder_fd, act->number, code == CLI_DONE ? NULL : why, &error) !=
        FH_OK)
        cli_fail(code, "the end of this act could not be recorded in the audit log: %s",
                 error.message);
    act->number = 0;
    return code;
}
