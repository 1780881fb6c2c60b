/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses are on the public Internet. */

#include "http/public.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

static bool is_public(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return http_is_public((const struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return http_is_public((const struct sockaddr *)&v6);
}

static void this_machine_and_its_network_are_not(void **state)
{
    (void)state;
    static const char *const closed[] = {
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.9.9",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "febf::1",
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "3fff:fff:ffff::1",
        "5f00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2002:a00:1::",
        "2001::1",
    };
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
        if (is_public(closed[i]))
            fail_msg("%s", closed[i]);
    }
}

static void others_are(void **state)
{
    (void)state;
    static const char *const open[] = {
        "1.1.1.1",     "9.255.255.255",  "11.0.0.0",       "100.63.255.255",   "100.128.0.0",
        "172.15.0.1",  "172.32.0.1",     "192.167.0.1",    "223.255.255.255",  "2606:4700::1111",
        "2a00:1450::", "2002:808:808::", "::ffff:8.8.8.8", "64:ff9b::808:808",
    };
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        if (!is_public(open[i]))
            fail_msg("%s", open[i]);
    }
}

static void other_families_are_not(void **state)
{
    (void)state;
    struct sockaddr other = {.sa_family = AF_UNIX};
    assert_false(http_is_public(&other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_machine_and_its_network_are_not),
        cmocka_unit_test(others_are),
        cmocka_unit_test(other_families_are_not),
    };
    return cmocka_run_group_tests_name("http_public", tests, NULL, NULL);
}
