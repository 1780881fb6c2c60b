# SPDX-License-Identifier: Apache-2.0
"""A bit that a disk has flipped: what needs its page is 503 with a sentence that names it, all else goes on, and
nothing that was not written is ever served."""

import re

from test_service import make  # noqa: F401

PAGE_SIZE, FRAME_SIZE, HEAD_SIZE = 4096, 4120, 32
USERS = 150


def name_of(number):
    return f"user {number:0150}"


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 8]))


def with_users(service):
    for number in range(1, USERS + 1):
        answer = service.ask("POST", "/api/users", {"name": name_of(number), "email": f"{number}@example.org"})
        assert answer.status == 201 and answer.body["id"] == number, answer
    return service


def test_a_turned_bit_in_the_database_is_503_for_what_needs_it_and_for_nothing_else(make):  # noqa: F811
    users = with_users(make().start())
    assert users.end() == 0
    path = users.folder / "store.db"
    # In the row, where the next field follows: events have the name, too.
    at = path.read_bytes().index(f"{name_of(1)}1@example.org".encode()) + 100
    flip(path, at)
    users.start()
    answer = users.ask("GET", "/api/users/1")
    sentence = f"page {at // PAGE_SIZE + 1} of users/store.db"
    assert answer.status == 503 and answer.headers["retry-after"], answer
    assert sentence in users.log.read_text() and sentence not in answer.body["detail"], answer
    assert users.ask("GET", f"/api/users/{USERS}").body["name"] == name_of(USERS)
    assert users.add("another").status == 201
    flip(path, at)
    assert users.ask("GET", "/api/users/1").body["name"] == name_of(1)
    assert users.end() == 0


def test_a_turned_bit_in_the_log_of_a_killed_service_stops_its_start_with_a_sentence(make):  # noqa: F811
    users = with_users(make().start())
    users.end(9)
    path = users.folder / "store.db-wal"
    at = path.read_bytes().index(name_of(1).encode()) + 100
    flip(path, at)
    code, said = users.failed_start()
    assert code == 69
    assert f"Frame {(at - HEAD_SIZE) // FRAME_SIZE + 1} of the log users/store.db-wal is damaged" in said
    flip(path, at)
    users.start()
    for number in (1, USERS):
        assert users.ask("GET", f"/api/users/{number}").body["name"] == name_of(number)
    assert users.end() == 0
    assert not path.exists() or path.stat().st_size == 0, "a store that was closed leaves no log"
    assert not re.search(r"assert|invariant", users.log.read_text())
