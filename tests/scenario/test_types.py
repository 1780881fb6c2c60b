# SPDX-License-Identifier: Apache-2.0
"""Routes that take and give other than JSON (.body_type, .answer_type), through the gateway."""

import http.client
import json
import pathlib
import shutil

import pytest
from conftest import FREEHOLD, ROOT

FILES = ROOT / "tests" / "simulate" / "files"
PROGRAM = pathlib.Path(FREEHOLD).parent / "tests" / "simulate" / "files"
ALL_BYTES = bytes(range(256)) * 3


@pytest.fixture(scope="module")
def files(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("types")
    shutil.copytree(FILES / "migrations", folder / "files" / "migrations")
    (folder / "freehold.yaml").write_text(
        "system: types\ngateway: { listen: '127.0.0.1:0' }\nexposure: { gateway: { openapi: public } }\n"
        f"services:\n  files: {{ program: {PROGRAM} }}\n")
    return start(folder / "freehold.yaml")


def ask(files, method, path, body=None, **headers):
    """(status, Content-Type, bytes)"""
    connection = http.client.HTTPConnection("127.0.0.1", files.port, timeout=60)
    connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
    answer = connection.getresponse()
    found = answer.status, answer.getheader("Content-Type"), answer.read()
    connection.close()
    return found


def uploads(files):
    return [row["length"] for row in json.loads(ask(files, "GET", "/api/uploads")[2])]


def test_bytes_come_and_go_as_they_are(files):
    found = ask(files, "POST", "/api/bytes", ALL_BYTES, Content_Type="application/octet-stream")
    assert found == (201, "image/x-echo", ALL_BYTES)


def test_a_repeated_request_gets_the_same_bytes_and_is_done_once(files):
    before = len(uploads(files))
    headers = {"Content_Type": "application/octet-stream", "Idempotency_Key": "bytes-1"}
    for _ in range(3):
        assert ask(files, "POST", "/api/bytes", ALL_BYTES, **headers) == (201, "image/x-echo", ALL_BYTES)
    assert len(uploads(files)) == before + 1
    assert ask(files, "POST", "/api/bytes", ALL_BYTES + b"x", **headers)[0] == 422, "the key is another request's"


def test_the_largest_answer_is_repeated_and_a_larger_one_is_a_fault(files):
    before, length = len(uploads(files)), 8 << 20
    headers = {"Content_Type": "application/json", "Idempotency_Key": "large-1"}
    for _ in range(2):
        status, _, body = ask(files, "POST", "/api/large", json.dumps({"length": length}), **headers)
        assert status == 201 and len(body) == length and body[:1000] == bytes(i * 7 % 256 for i in range(1000))
    assert ask(files, "POST", "/api/large", json.dumps({"length": length + 1}), Content_Type="application/json")[0] == 500
    assert len(uploads(files)) == before + 1


def test_text_is_sent_as_utf_8(files):
    assert ask(files, "GET", "/api/table") == (200, "text/csv; charset=utf-8", "name,price\r\ncafé,3\r\n".encode())
    status, kind, body = ask(files, "POST", "/api/table", "a,b\nc,d\n", Content_Type="Text/CSV; charset=UTF-8")
    assert (status, kind, json.loads(body)) == (200, "application/json", {"lines": 2})


@pytest.mark.parametrize("headers", ({"Content_Type": "application/json"}, {"Content_Type": "text/plain"}, {},
                                     {"Content_Type": "text/csv; charset=latin1"},
                                     {"Content_Type": "text/csv", "Content_Encoding": "gzip"}))
def test_another_type_is_refused(files, headers):
    before = uploads(files)
    status, kind, body = ask(files, "POST", "/api/table", b"a\n", **headers)
    assert (status, kind) == (415, "application/problem+json"), body
    assert uploads(files) == before


@pytest.mark.parametrize("accept, status", (("application/json", 406), ("text/csv;q=0", 406), ("text/*", 200),
                                            ("application/json, */*;q=0.1", 200), ("*/*", 200), ("text/csv", 200)))
def test_a_client_that_takes_none_of_it_is_told(files, accept, status):
    found = ask(files, "GET", "/api/table", Accept=accept)
    assert found[0] == status, found
    if status == 406:
        assert json.loads(found[2])["type"] == "urn:freehold:problem:answer-unacceptable"


def test_what_is_not_accepted_is_not_done(files):
    before = uploads(files)
    assert ask(files, "POST", "/api/bytes", b"x", Content_Type="application/octet-stream", Accept="text/html")[0] == 406
    assert uploads(files) == before


def test_what_is_no_text_and_what_is_missing_is_refused(files):
    assert ask(files, "POST", "/api/table", b"caf\xe9\n", Content_Type="text/csv")[0] == 400
    assert ask(files, "POST", "/api/table", b"", Content_Type="text/csv")[0] == 400


def test_a_refusal_is_a_problem(files):
    status, kind, body = ask(files, "GET", "/api/missing")
    assert (status, kind) == (404, "application/problem+json") and b"no such table" in body


def test_no_bytes_are_an_answer(files):
    assert ask(files, "GET", "/api/nothing")[0::2] == (200, b"")


@pytest.mark.parametrize("path, why", (("/api/latin", "this is not UTF-8"), ("/api/json", "use fh_reply_bytes")))
def test_a_wrong_answer_is_a_fault(files, path, why):
    assert ask(files, "GET", path)[0] == 500
    assert why in (pathlib.Path(files.state) / "files" / "log").read_text()


def test_the_documents_say_the_types(files):
    paths = json.loads(ask(files, "GET", "/openapi.json")[2])["paths"]
    post = paths["/api/bytes"]["post"]
    assert post["requestBody"]["content"]["application/octet-stream"]["schema"]["minLength"] == 1
    assert list(post["requestBody"]["content"]) == ["application/octet-stream"]
    assert list(post["responses"]["2XX"]["content"]) == ["image/x-echo"]
    assert {"406", "415"} <= set(post["responses"])
    assert list(paths["/api/table"]["get"]["responses"]["2XX"]["content"]) == ["text/csv"]
