/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_COMMANDS_H
#define TESTS_COMMANDS_H

/* Records of commands, as several suites put them into a ledger. Header only. */

#include "conformance.h"

#include "store/ledger.h"

static inline struct ledger_command command_of(const char *caller, const char *key,
                                               const char *birth, int64_t number,
                                               enum ledger_outcome outcome)
{
    return (struct ledger_command){.caller = caller,
                                   .key = key,
                                   .birth = birth,
                                   .number = number,
                                   .attempt = 1,
                                   .created_ms = 1000 + number % 1000,
                                   .outcome = outcome,
                                   .digest = "d1",
                                   .request = "{\"q\":1}",
                                   .answer = "{\"status\":201}"};
}

static inline enum fh_code put(struct conformance *c, struct ledger_command command)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return c->error.code;
    enum fh_code code = ledger_command_put(work, &command, &c->error);
    return code == FH_OK ? conformance_commit(c, work) : code;
}

#endif
