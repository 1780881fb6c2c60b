# SPDX-License-Identifier: Apache-2.0
"""What the gateway compresses, for whom, and what it leaves as it is."""

import ctypes
import gzip
import json

import pytest

from test_gateway import Gateway, Service, describe, started  # noqa: F401

ROWS = [{"id": number, "name": f"Lamp {number}"} for number in range(200)]
LONG = json.dumps(ROWS).encode()
SECRET = {"type": "object", "properties": {"token": {"type": "string", "x-freehold-secret": True}}}


def read_zstd(data):
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_decompress.restype = ctypes.c_size_t
    library.ZSTD_decompress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    room = ctypes.create_string_buffer(len(LONG))
    length = library.ZSTD_decompress(room, len(LONG), data, len(data))
    return room.raw[:length]


def answer(method, target, headers, body):
    more = {"/api/etag": {"ETag": '"7"'}, "/api/weak": {"ETag": 'W/"7"'}, "/api/vary": {"Vary": "Accept-Language"},
            "/api/as_it_is": {"Cache-Control": "no-transform"}, "/api/picture": {"Content-Type": "image/png"}}
    if "if-none-match" in {name.lower() for name in headers}:
        return 304, more.get(target, {}), ""
    return 200, more.get(target, {}), ROWS if target != "/api/short" else ROWS[:2]


ROUTES = [describe(method, f"/api/{name}") for method in ("GET", "POST") for name in (
    "rows", "short", "etag", "weak", "vary", "as_it_is", "picture")]
ROUTES.append({**describe("GET", "/api/secret"), "answer": {"status": 200, "schema": {"type": "array", "items": SECRET}}})


@pytest.fixture
def gateway(started):
    return started(with_door(started, None))


def with_door(started, door):
    service = started(Service(answer))
    described = {"shop": {"freehold": 1, "name": "shop", "model": "relational", "routes": ROUTES}}
    parts = [{"name": "token", "get": "shop /api/secret"}, {"name": "rows", "get": "shop /api/rows"}]
    return Gateway(started.folder, {"shop": (service.port, [])}, door=door, more={"services": described},
                   compose=[{"path": "/api/composed", "parts": parts}, {"path": "/api/open", "parts": parts[1:]}])


def ask(gateway, target, accepted, **headers):
    return gateway.get(target, headers={"Accept-Encoding": accepted,
                                        **{name.replace("_", "-"): value for name, value in headers.items()}})


def test_the_client_gets_the_coding_that_it_likes_best(gateway):
    plain = gateway.get("/api/rows")
    assert (plain.data, plain.headers["Content-Encoding"]) == (LONG, None)
    assert plain.headers["Vary"] == "Accept-Encoding"  # or a cache would give it to everybody
    zipped = ask(gateway, "/api/rows", "gzip")
    assert zipped.headers["Content-Encoding"] == "gzip" and gzip.decompress(zipped.data) == LONG
    assert int(zipped.headers["Content-Length"]) == len(zipped.data) < len(LONG) / 4
    assert zipped.headers["Vary"] == "Accept-Encoding"
    zstd = ask(gateway, "/api/rows", "gzip, deflate, br, zstd")
    assert zstd.headers["Content-Encoding"] == "zstd" and read_zstd(zstd.data) == LONG
    assert ask(gateway, "/api/rows", "zstd;q=0.1, gzip;q=0.2").headers["Content-Encoding"] == "gzip"
    assert ask(gateway, "/api/rows", "br").data == LONG
    assert ask(gateway, "/api/open", "gzip").headers["Content-Encoding"] == "gzip"
    head = gateway.ask("HEAD", "/api/rows", headers={"Accept-Encoding": "gzip"})
    assert head.headers["Content-Encoding"] == "gzip" and head.data == b""


@pytest.mark.parametrize("target", ["/api/short", "/api/etag", "/api/as_it_is", "/api/picture"])
def test_what_is_short_or_must_stay_as_it_is_stays(gateway, target):
    found = ask(gateway, target, "zstd, gzip")
    assert found.status == 200 and found.headers["Content-Encoding"] is None
    assert json.loads(found.data)[0] == ROWS[0]


def test_a_weak_etag_and_what_a_service_varies_by_stay(gateway):
    weak = ask(gateway, "/api/weak", "gzip")
    assert weak.headers["ETag"] == 'W/"7"' and weak.headers["Content-Encoding"] == "gzip"
    assert ask(gateway, "/api/vary", "gzip").headers["Vary"] == "Accept-Language, Accept-Encoding"


def test_what_has_not_changed_varies_as_what_has(gateway):
    unchanged = ask(gateway, "/api/weak", "gzip", If_None_Match='W/"7"')
    assert (unchanged.status, unchanged.data, unchanged.headers["Content-Encoding"]) == (304, b"", None)
    assert unchanged.headers["Vary"] == "Accept-Encoding" and unchanged.headers["ETag"] == 'W/"7"'


def test_lengths_tell_no_other_site_and_of_no_secret(gateway, started):
    """BREACH: what an attacker's page makes a browser ask for, and answers that hold a secret."""
    for target in ("/api/secret", "/api/composed"):
        assert ask(gateway, target, "gzip").headers["Content-Encoding"] is None
    for site in ("cross-site", "same-site"):
        assert ask(gateway, "/api/rows", "gzip", Sec_Fetch_Site=site).headers["Content-Encoding"] is None
        assert ask(gateway, "/api/rows", "gzip", Sec_Fetch_Site=site,
                   Origin="https://evil.example.net").headers["Content-Encoding"] is None
    for site in ("same-origin", "none"):
        assert ask(gateway, "/api/rows", "gzip", Sec_Fetch_Site=site).headers["Content-Encoding"] == "gzip"


def test_a_site_that_is_trusted_gets_it(started):
    gateway = started(with_door(started, {"origins": ["https://app.example.org"]}))
    found = ask(gateway, "/api/rows", "gzip", Sec_Fetch_Site="cross-site", Origin="https://app.example.org")
    assert found.headers["Content-Encoding"] == "gzip" and found.headers["Vary"] == "Origin, Accept-Encoding"
    assert ask(gateway, "/api/rows", "gzip", Sec_Fetch_Site="cross-site",
               Origin="https://evil.example.net").headers["Content-Encoding"] is None


def test_a_coded_request_is_refused(gateway):
    refused = gateway.ask("POST", "/api/rows", body="{}", headers={"Content-Encoding": "gzip"})
    assert refused.status == 415 and "without Content-Encoding" in refused.json["detail"], refused
    assert refused.headers["Accept-Encoding"] == "identity"
    assert gateway.ask("POST", "/api/rows", body="{}", headers={"Content-Encoding": "identity"}).status == 200


def test_the_root_leads_to_the_documents_where_they_are_public(gateway, started):
    found = gateway.get("/")
    assert (found.status, found.headers["Location"]) == (302, "/docs")
    assert gateway.ask("HEAD", "/").status == 302 and gateway.ask("POST", "/").status == 404
    service = started(Service(answer))
    other = started(Gateway(started.folder, {"shop": (service.port, [("GET", "/api/rows")])}, more={"exposure": {}}))
    missing = other.get("/")
    assert missing.status == 404 and "this is an API" in missing.json["detail"]
    assert "Location" not in missing.headers
