/* SPDX-License-Identifier: Apache-2.0 */
/* The port on a server in whose place, once, a replica takes over that lacks the last commits: what
 * was acknowledged may be gone, but nothing is there in part or twice; and the yard has what the
 * quay has, or says that it does not follow it any more. */

#include "port.h"

#include <string.h>

#define CLIENTS 4
#define ACTIONS 8

static void run_client(fh_client *client, int number)
{
    for (int i = 0; i < ACTIONS; i++) {
        uint64_t what = fh_client_random(client, 10);
        if (what < 4)
            port_land(client, false);
        else if (what < 6)
            port_land(client, true);
        else if (what < 8)
            port_count(client, number * ACTIONS + i);
        else
            port_lift(client);
        fh_client_sleep_ms(client, (int)fh_client_random(client, 500));
    }
}

static bool has_refused(fh_client *client)
{
    struct fh_ask ask = {"yard", "GET", "/_freehold/state", .as_operator = true};
    json_t *state = NULL, *subscription;
    size_t i;
    bool refused = false;
    fh_client_ask(client, &ask, &state);
    json_array_foreach (json_object_get(state, "subscriptions"), i, subscription) {
        const char *text = json_string_value(json_object_get(subscription, "state"));
        refused = refused || (text && strcmp(text, "refused") == 0);
    }
    json_decref(state);
    return refused;
}

static void check(fh_client *client)
{
    struct port_state *state = fh_client_state(client);
    state->estranged = has_refused(client);
    fh_client_count(client, state->estranged ? "estranged" : "together", 1);
    port_check(client);
}

FH_SIMULATION(failover, .state_size = sizeof(struct port_state), .clients = CLIENTS,
              .client = run_client, .check = check, .servers = true, .fails_over = true);
