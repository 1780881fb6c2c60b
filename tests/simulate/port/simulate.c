/* SPDX-License-Identifier: Apache-2.0 */
/* The port under whatever a seed draws: see port.c. */

#include "port.h"

#define CLIENTS 6
#define ACTIONS_MAX 14

static void run_client(fh_client *client, int number)
{
    int actions = 4 + (int)fh_client_random(client, ACTIONS_MAX - 3);
    for (int i = 0; i < actions; i++) {
        uint64_t what = fh_client_random(client, 10);
        if (what < 5)
            port_land(client, false);
        else if (what < 7)
            port_land(client, true);
        else if (what < 9)
            port_count(client, number * ACTIONS_MAX + i);
        else
            port_lift(client);
        if (fh_client_random(client, 3) == 0)
            fh_client_sleep_ms(client, (int)fh_client_random(client, 400));
    }
}

FH_SIMULATION(port, .state_size = sizeof(struct port_state), .clients = CLIENTS,
              .client = run_client, .check = port_check, .servers = true);
