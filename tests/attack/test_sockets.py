# SPDX-License-Identifier: Apache-2.0
"""Sockets: a service listens in on nobody, connects to those it has business with, and waits for nobody."""

import contextlib
import socket

import pytest

from conftest import scenario

AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH = 16, 17, 40, 38, 31
SOCK_RAW, SOCK_SEQPACKET = 3, 5
ETH_P_ALL, IPPROTO_ICMP, IPPROTO_SCTP, IPPROTO_MPTCP = 0x0300, 1, 132, 262


@contextlib.contextmanager
def listener():
    """A port of this machine that no system file names."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_no_token_is_read_off_the_loopback(attacked):
    refused, found = attacked.attack("sniff_tokens")
    assert refused == "EPERM" and "token" not in found


@pytest.mark.parametrize("family, type_, protocol", [
    (AF_PACKET, SOCK_RAW, ETH_P_ALL), (AF_PACKET, socket.SOCK_DGRAM, ETH_P_ALL),
    (socket.AF_INET, SOCK_RAW, IPPROTO_ICMP), (socket.AF_INET, SOCK_RAW, 255), (socket.AF_INET6, SOCK_RAW, 58),
    (socket.AF_INET, socket.SOCK_DGRAM, IPPROTO_ICMP), (socket.AF_INET, socket.SOCK_STREAM, IPPROTO_SCTP),
    (socket.AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP), (socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP),
    (socket.AF_UNIX, socket.SOCK_STREAM, 0), (socket.AF_UNIX, socket.SOCK_DGRAM, 0), (AF_VSOCK, socket.SOCK_STREAM, 0),
    (AF_ALG, SOCK_SEQPACKET, 0), (AF_BLUETOOTH, SOCK_RAW, 1)])
def test_sockets_of_other_kinds_are_refused(attacked, family, type_, protocol):
    assert attacked.attack("make_socket", family=family, type=type_, protocol=protocol)[0] == "EPERM"


def test_the_list_of_interfaces_is_refused_without_a_word(attacked):
    assert attacked.attack("make_socket", family=AF_NETLINK, type=SOCK_RAW, protocol=0)[0] == "EAFNOSUPPORT"


def test_a_service_that_resolves_no_names_has_no_udp(attacked):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        assert attacked.attack("send_datagram", port=receiver.getsockname()[1])[0] == "EPERM"


def test_it_connects_to_whom_it_asks(attacked):
    assert attacked.attack("connect_port", port=attacked.port_of("ally"))[0] is None


@pytest.mark.parametrize("attack, errno", [("connect_port", "EACCES"), ("connect_port_by_fast_open", "EPERM"),
                                           ("connect_port_by_multipath", "EPERM")])
def test_it_connects_to_nobody_else(attacked, attack, errno):
    """Not to a service that it does not ask, not to the gateway, not to another program of this machine."""
    with listener() as other:
        for port in (attacked.port_of("neighbour"), attacked.port, other):
            assert attacked.attack(attack, port=port)[0] == errno, port


@pytest.mark.parametrize("attack, errno", [("connect_port", "EACCES"), ("connect_port_by_fast_open", "EPERM"),
                                           ("connect_port_by_multipath", "EPERM")])
def test_it_connects_to_no_broker_by_which_it_has_no_events(attacked, attack, errno):
    port = attacked.broker_port()
    socket.create_connection(("127.0.0.1", port), timeout=20).close()  # who is not confined gets there
    assert attacked.attack(attack, port=port)[0] == errno


@pytest.mark.parametrize("attack", ["bind_port", "listen_unbound"])
def test_it_listens_on_nothing_new(attacked, attack):
    assert attacked.attack(attack, port=0)[0] == "EPERM"


def test_sockets_of_unix_are_refused(attacked):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind("\0freehold-attacked")
        server.listen()
        assert attacked.attack("connect_abstract", path="freehold-attacked")[0] == "EPERM"
    assert attacked.attack("connect_path", path=attacked.path("control.sock"))[0] == "EPERM"


def test_filters_are_refused(attacked):
    assert attacked.attack("attach_filter")[0] == "EPERM"


def test_the_log_names_what_was_refused_once(attacked):
    attacked.attack("make_socket", family=AF_PACKET, type=SOCK_RAW, protocol=ETH_P_ALL)
    for _ in range(3):
        attacked.attack("bind_port", port=0)
    attacked.attack("write_log", text="that was all\n")
    log = scenario.wait_for("the log is written", lambda: "that was all" in attacked.log("hostile") and attacked.log("hostile"))
    assert "warning hostile [call-refused]: the system call socket was refused (family " in log
    assert "[call-refused]: the system call bind (number 49) was refused" in log
    before = log.count("the system call bind ")
    attacked.attack("bind_port", port=0)
    attacked.attack("write_log", text="that was all of it\n")
    log = scenario.wait_for("the log is written", lambda: "that was all of it" in attacked.log("hostile") and
                            attacked.log("hostile"))
    assert log.count("the system call bind ") == before, "once in the life of a process"
