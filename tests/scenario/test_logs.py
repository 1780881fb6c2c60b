# SPDX-License-Identifier: Apache-2.0
"""The logs of a state folder as one stream. No system need run for it: the files are written here."""

import json
import os
import subprocess

import pytest

from conftest import FREEHOLD, wait_for


@pytest.fixture
def state(tmp_path):
    folder = tmp_path / ".freehold" / "mini"
    for part in ("users", "orders", "gateway", ".servers/users-mariadb"):
        (folder / part).mkdir(parents=True)
    (folder / "up.log").write_text("2026-11-20T10:00:00.500Z info up [system-started]: mini is up, pid 7\n")
    (folder / "users" / "log.1").write_text("2026-11-20T10:00:00.100Z info users: ready\n")
    (folder / "users" / "log").write_text("2026-11-20T10:00:02.000Z warning users [store-slowed]: slow: very\n"
                                          "  the second line of it\n"
                                          "2026-11-20T10:00:04.000Z error users: \033[31mred\n")
    (folder / "orders" / "log").write_text("2026-11-20T10:00:01.000Z info orders: ready\n")
    (folder / "orders" / "log-1").write_text("2026-11-20T10:00:03.000Z debug orders [beat-sent]: beat\n")
    (folder / "gateway" / "log").write_text("")
    (folder / ".servers" / "users-mariadb" / "log").write_bytes(b"2026-11-20 10:00:00 0 [Note] caf\xe9 opens\n")
    return folder


def logs(state, *arguments, code=0):
    done = subprocess.run([FREEHOLD, "logs", *arguments], cwd=state.parent.parent, capture_output=True, timeout=120,
                          check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == code, said
    return said


def lines(state, *arguments):
    return [json.loads(line) for line in logs(state, "--json", *arguments).splitlines()]


def test_lines_of_all_processes_come_in_the_order_of_their_times(state):
    told = lines(state)
    assert [(line["service"], line["text"]) for line in told] == [
        ("users-mariadb", "0 [Note] caf\ufffd opens"), ("users", "ready"), ("up", "mini is up, pid 7"), ("orders", "ready"),
        ("users", "slow: very"), ("users", "the second line of it"), ("orders/1", "beat"), ("users", " [31mred")]
    assert told[5]["time"] == told[4]["time"] and told[5]["level"] == "warning"
    assert [line.get("id") for line in told] == [
        None, None, "system-started", None, "store-slowed", "store-slowed", "beat-sent", None]
    assert told[0] == {"time": "2026-11-20T10:00:00.000Z", "service": "users-mariadb", "level": "info",
                       "text": "0 [Note] caf\ufffd opens"}


def test_lines_for_people_are_in_columns(state):
    assert logs(state, "up") == "2026-11-20T10:00:00.500Z up            info    mini is up, pid 7\n"
    assert "\033" not in logs(state)


@pytest.mark.parametrize("arguments, texts", [
    (["orders"], ["ready", "beat"]),
    (["orders/1"], ["beat"]),
    (["users", "up", "--level", "info"], ["ready", "mini is up, pid 7", "slow: very", "the second line of it",
                                          " [31mred"]),
    (["--level", "error"], [" [31mred"]),
    (["--text", "READY"], ["ready", "ready"]),
    (["--since", "2026-11-20T10:00:03"], ["beat", " [31mred"]),
    (["--since", "90s"], []),
    (["--id", "store-slowed"], ["slow: very", "the second line of it"]),
    (["orders", "--id", "store-slowed"], []),
    (["--id", "store"], []),
])
def test_lines_are_chosen_by_service_level_id_text_and_time(state, arguments, texts):
    assert [line["text"] for line in lines(state, *arguments)] == texts


def test_a_service_cannot_steer_the_terminal_by_its_log(state):
    (state / "orders" / "log").write_bytes(b"2026-11-20T10:00:05.000Z info orders: \033]0;mine\007\033[2J\033[H\x9b31m\r"
                                           b"all is well \xe2\x80\xaeton\n")
    for arguments in ([], ["--json"]):
        said = logs(state, "orders", *arguments)
        assert "all is well" in said and not set(said) & {"\033", "\007", "\r", "\x9b", "\u202e"}, said


@pytest.mark.parametrize("arguments, expected", [
    (["user"], "nothing named 'user' has a log here; did you mean 'users'?"),
    (["--level", "loud"], "--level does not know 'loud'; expected error|warning|info|debug"),
    (["--level", "warnig"], "--level does not know 'warnig'; did you mean 'warning'?"),
    (["--since", "yesterday"], "--since 'yesterday' is not a time"),
    (["--since", "10y"], "--since '10y' is not a time"),
])
def test_a_wrong_choice_is_refused(state, arguments, expected):
    assert expected in logs(state, *arguments, code=2)


def test_without_a_system_that_is_reported(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert "there is no system below ./.freehold" in logs(tmp_path / "a" / "b", code=3)


def test_it_goes_on_with_what_is_logged_later_and_past_a_rotation(state, tmp_path):
    out = tmp_path / "out"
    with open(out, "w", encoding="utf-8") as file:
        following = subprocess.Popen([FREEHOLD, "logs", "orders", "-f"], cwd=state.parent.parent, stdout=file)
    try:
        wait_for("what is there", lambda: "ready" in out.read_text())
        log = state / "orders" / "log"
        with open(log, "a", encoding="utf-8") as file:
            file.write("2026-11-20T10:01:00.000Z info orders: la")
            file.flush()
            file.write("ter\n")
        wait_for("what was added", lambda: "info    later\n" in out.read_text())
        os.truncate(log, 0)
        with open(log, "a", encoding="utf-8") as file:
            file.write("2026-11-20T10:02:00.000Z info orders: new\n")
        wait_for("what came into the cut file", lambda: "info    new\n" in out.read_text())
        assert out.read_text().count("later") == 1
    finally:
        following.terminate()  # an interrupt would be ignored by children of a shell's background job
        following.wait(timeout=120)
