# SPDX-License-Identifier: Apache-2.0
"""What bench/recorded writes down of requests and statements, and what the loaders make of it; and which servers there
are."""

import contextlib
import io
import os
import pathlib
import socket
import struct
import sys
import tempfile
import threading
import traceback
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench"))
import bars  # noqa: E402
import beside  # noqa: E402
import carried  # noqa: E402
import common  # noqa: E402
import loaders  # noqa: E402
import recorded  # noqa: E402


def taken_of(take, data, size):
    """Of bytes that come in parts."""
    taken, rest = [], b""
    for first in range(0, len(data), size):
        rest += data[first:first + size]
        while found := take(rest):
            taken.append(found[0])
            rest = found[1]
    return taken, rest


def message(kind, body):
    return kind + struct.pack(">I", len(body) + 4) + body


def pages_in(path):
    data, pages = path.read_bytes(), []
    while data:
        measured, answers, length = struct.unpack_from("=IIQ", data)
        pages.append((measured, answers, data[16:16 + length]))
        data = data[16 + length:]
    return pages


def test_requests_are_told_apart_however_their_bytes_come():
    body = b"a\r\n\r\nPOST / HTTP/1.1\r\n\r\n"  # looks like another one
    one = b"POST /write?db=x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    none = b"GET /ping HTTP/1.1\r\nHost: h\r\n\r\n"
    for size in (1, 7, 1000):
        taken, rest = taken_of(recorded.take_request, one + none + one[:-1], size)
        assert [(each.method, each.path, each.body) for each in taken] == [("POST", "/write?db=x", body), ("GET", "/ping", b"")]
        assert rest == one[:-1]


def test_a_body_of_unknown_length_is_no_page():
    try:
        recorded.take_request(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    except common.Failed:
        return
    raise AssertionError("it was taken")


def test_messages_are_told_apart_and_those_of_the_connection_are_no_transaction():
    asks_for_tls = struct.pack(">II", 8, 80877103)
    startup = struct.pack(">II", 8 + 5, 196608) + b"user\0"
    begin, insert, sync = message(b"Q", b"BEGIN\0"), message(b"P", b"\0INSERT\0"), message(b"S", b"")
    commit, back = message(b"Q", b"INSERT 1; COMMIT\0"), message(b"Q", b"ROLLBACK\0")
    data = asks_for_tls + startup + message(b"p", b"proof") + begin + insert + sync + commit + begin + back + begin
    for size in (1, 5, 1000):
        taken, rest = taken_of(recorded.Messages().take, data, size)
        assert rest == b"" and b"".join(each.bytes for each in taken) == data
        parts = recorded.transactions(taken)
        assert [b"".join(each.bytes for each in part) for part in parts] == [begin + insert + sync + commit, begin + back,
                                                                           begin]


def test_pages_are_the_same_bytes_for_another_place():
    request = recorded.Request("POST", "/old.ops/_bulk?x", {"content-type": "a/b", "host": "h", "expect": "much"}, b"old\0\xff")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "pages"
        recorded.write_requests(path, [request, request], 9200, lambda at: at.replace("old", "new"))
        pages = pages_in(path)
        head, _, body = pages[0][2].partition(b"\r\n\r\n")
        assert len(pages) == 2 and pages[0] == pages[1] and pages[0][:2] == (1, 1) and body == b"old\0\xff"
        assert head.startswith(b"POST /new.ops/_bulk?x HTTP/1.1\r\n") and b"content-type: a/b" in head and b"expect" not in head


def test_the_postgresql_loader_sends_what_makes_the_tables_once_and_pages_alone():
    def transaction(*statements):
        return [recorded.Message("P", message(b"P", b"\0" + each + b"\0")) for each in statements] + [
            recorded.Message("S", message(b"S", b"")), recorded.Message("Q", message(b"Q", b"COMMIT\0"))]

    making, page = transaction(b'CREATE SCHEMA "curves"'), transaction(b'INSERT INTO "curves".point VALUES')
    looks = transaction(b'SELECT ends FROM "curves".link')
    with tempfile.TemporaryDirectory() as folder:
        loader = loaders.PostgreSQL(None, pathlib.Path(folder), None, [*making, *making, *looks, *page, *looks, *page])
        assert [(measured, answers) for measured, answers, _ in pages_in(loader.file)] == [(0, 2), (1, 2), (1, 2)]
        assert loader.schema == "curves"


def test_a_relay_passes_on_what_it_writes_down():
    server = socket.create_server(("127.0.0.1", 0))

    def answer():
        with contextlib.closing(server.accept()[0]) as one:
            read = b""
            while not read.endswith(b"body"):
                read += one.recv(100)
            one.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    threading.Thread(target=answer, daemon=True).start()
    recorder = recorded.by_http(*server.getsockname())
    with socket.create_connection(("127.0.0.1", recorder.port)) as client:
        client.settimeout(30)
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody")
        assert client.recv(100).startswith(b"HTTP/1.1 204")
    assert [each.body for each in recorder.taken] == [b"body"]
    recorder.close()
    server.close()


def test_a_load_that_did_not_come_in_lets_no_bar_be_met():
    for longest, share, word in ((0.5, 0.5, "NOT MEASURED"), (2, 0.5, "MISSED"), (0.5, 0.95, "met"), (2, 1, "MISSED")):
        bars._reached.clear()
        with contextlib.redirect_stdout(io.StringIO()) as out:
            carried.tell_longest("shown", bars.Figures([longest]), share)
            bars.close()
        assert f" {word} " in out.getvalue(), (word, out.getvalue())
    bars._reached.clear()


def test_a_server_that_is_not_installed_is_named_and_one_that_does_not_start_is_a_failure():
    fake = "#!/bin/sh\nshift\n%s\nexec \"$@\"\n"
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "tools" / "servers"
        program.parent.mkdir()
        program.touch(mode=0o755)
        with mock.patch.object(beside, "HERE", pathlib.Path(folder) / "bench"):
            program.write_text(fake % """export FREEHOLD_TEST_FAKE='{"port": 7}' FREEHOLD_TEST_MISSING={}""")
            with beside.server("fake") as (told, missing):
                assert told == {"port": 7} and missing is None
            program.write_text(fake % """export FREEHOLD_TEST_MISSING='{"fake": "apt-get install fake"}'""")
            with beside.server("fake") as (told, missing):
                assert told is None and missing == "apt-get install fake"
            program.write_text(fake % "exit 1")
            try:
                with beside.server("fake"):
                    raise AssertionError("it did start")
            except common.Failed as failed:
                assert "fake did not start" in str(failed)


def main():
    cases = [(name, case) for name, case in sorted(globals().items()) if name.startswith("test_")]
    print(f"1..{len(cases)}")
    failed = 0
    for number, (name, case) in enumerate(cases, 1):
        try:
            case()
            print(f"ok {number} - {name.removeprefix('test_')}")
        except Exception:  # of whatever kind: it is told, and the others go on
            failed += 1
            print(f"not ok {number} - {name.removeprefix('test_')}")
            print("# " + traceback.format_exc().replace("\n", "\n# "))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
