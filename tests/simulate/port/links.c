/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The port, one instance of each service, for links_test.py: the same few works each time, one of
 * each kind, while given messages between the services and their server meet given fates. The first
 * clients' works are alike and come at once, so that they share a transaction.
 */

#include "port.h"

#define CLIENTS 3
#define SLEEP_MS 1500 /* so that the saga's steps and the subscriber's works meet fates, too */

static void run_client(fh_client *client, int number)
{
    for (int i = 0; i < 2; i++)
        port_land(client, false);
    if (number == 0)
        port_land(client, true);
    else if (number == 1)
        port_count(client, number);
    else
        port_lift(client);
    fh_client_sleep_ms(client, SLEEP_MS);
}

FH_SIMULATION(links, .state_size = sizeof(struct port_state), .clients = CLIENTS,
              .client = run_client, .check = port_check, .servers = true);
