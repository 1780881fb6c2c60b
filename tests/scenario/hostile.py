# SPDX-License-Identifier: Apache-2.0
"""What hostile clients send, made from the services' own descriptions, so that a new route or field is
attacked as soon as it is declared. Every case says which statuses may answer it."""

import collections
import contextlib
import http.client
import json
import re
import socket
import subprocess
import urllib.parse

ANSWER_S_MAX = 120
BODY_SIZE_MAX = 1 << 20  # of the server
# These store what they get under any name: no name is hostile to them.
ANY_NAME = {("PUT", "/api/carts/{user_id:int}/items/{product_id}")}
HEAD_SIZE_MAX = 16 << 10
# These answer "try again" for names of which the service may just not have learned yet.
UNHEARD = {("POST", "/api/products/{id}/reserve")}

# `statuses`: those that are right. `pointer`: where the problem must say that it is.
Case = collections.namedtuple("Case", "name method target headers body statuses pointer")


class Reply:
    """An answer, or that there was none: status 0."""

    def __init__(self, status=0, headers=None, body=b""):
        self.status, self.headers, self.body = status, headers or {}, body

    def problem(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


def read_reply(connection, method="GET"):
    answer = http.client.HTTPResponse(connection, method=method)
    try:
        answer.begin()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    except (http.client.HTTPException, ConnectionError):
        return Reply()


def connect(port, seconds=ANSWER_S_MAX):
    return socket.create_connection(("127.0.0.1", port), timeout=seconds)


def exchange(port, data, method="GET", half_close=False):
    """Sends these very bytes on a connection of its own. What is left when the other side closes is not sent."""
    with connect(port) as connection:
        with contextlib.suppress(ConnectionError):
            for piece in (data,) if isinstance(data, bytes) else data:
                connection.sendall(piece)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        return read_reply(connection, method)


def raw(method, target, headers=(), body=b"", version="HTTP/1.1"):
    """A request as bytes; a Host and the body's length are added where no header of theirs is given.
    Text may hold any byte as a character up to U+00FF."""
    lines = [f"{method} {target} {version}"]
    names = {name.lower() for name, _ in headers}
    if "host" not in names:
        lines.append("Host: localhost")
    lines += [f"{name}: {value}" for name, value in headers]
    if body and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


# ---- What the services are -------------------------------------------------------------------------


class Route:
    """A declared route, with what fits it. `sample` is the values for its path."""

    def __init__(self, service, declared, sample):
        self.service, self.method, self.pattern = service, declared["method"], declared["path"]
        self.audience = declared["audience"]
        self.body, self.query = declared.get("body"), declared.get("query")
        self.parts = [part for part in self.pattern.split("/") if part.startswith("{")]
        self.sample = sample

    def __str__(self):
        return f"{self.service}-{self.method}-{self.pattern}"

    def path(self, **other):
        """With its names filled in; `other` replaces some, raw."""
        path = self.pattern
        for part in self.parts:
            name, _, kind = part[1:-1].partition(":")
            value = other.get(name, self.sample["int" if kind == "int" else self.service])
            path = path.replace(part, str(value))
        return path

    def fits(self, path):
        pattern = re.sub(r"\{\w+:int\}", r"[0-9]+", self.pattern)
        return re.fullmatch(re.sub(r"\{\w+\}", r"[^/]+", pattern), path)

    def target(self, query=None, **other):
        query = sample_of(self.query) if query is None and self.query else query or {}
        if isinstance(query, dict):
            query = urllib.parse.urlencode(query)
        return self.path(**other) + ("?" + query if query else "")


def described(program):
    done = subprocess.run([program, "--describe"], capture_output=True, check=True, timeout=120)
    return json.loads(done.stdout)


def kinds_of(schema):
    kinds = schema.get("type", [])
    return kinds if isinstance(kinds, list) else [kinds]


def sample_of(schema, path=()):
    """A value that fits, of the required fields alone."""
    kind = (kinds_of(schema) or ["object"])[0]
    if kind == "object":
        return {name: sample_of(schema["properties"][name]) for name in schema.get("required", ())}
    if kind == "array":
        return [sample_of(schema["items"]) for _ in range(schema.get("minItems", 1))]
    if kind == "string":
        return schema.get("enum", ["some text"])[0]
    return {"integer": max(schema.get("minimum", 0), 1), "boolean": True}[kind]


# ---- Bodies ------------------------------------------------------------------------------------------

JSON_TYPE = ("Content-Type", "application/json")
INJECTIONS = ("1 OR 1=1", "'; DROP TABLE users; --", "1); DELETE FROM orders; --", "\" OR \"\"=\"",
              "1 UNION SELECT value FROM fh_meta", "$where", "%27%20OR%201=1", "{\"$gt\": \"\"}")
OPERATORS = ({"$gt": ""}, {"$ne": None}, {"$where": "1"}, {"$regex": ".*"}, {"$in": [1]}, {})
NO_INTEGERS = (1.5, 1e300, True, "1", [1], *INJECTIONS, *OPERATORS)
NO_STRINGS = (5, True, ["text"], 0.5, *OPERATORS)


def spoiled(text):
    """Texts made of a good one that are no JSON, or not the strict JSON that is accepted: 400."""
    inner = text[1:-1]
    yield "truncated", text[:-1]
    yield "truncated in a string", text[:text.find('"') + 2] if '"' in text else "\""
    yield "trailing garbage", text + "x"
    yield "two documents", text + text
    yield "trailing comma", text[:-1] + ",}"
    yield "comment", "/* */" + text
    yield "single quotes", text.replace('"', "'") if '"' in text else "{'a':1}"
    yield "byte order mark", "\xef\xbb\xbf" + text
    yield "not a number", '{"a":NaN}'
    yield "duplicate key", '{"a":1,"a":1' + ("," + inner if inner else "") + "}"
    yield "duplicate key, escaped", '{"a":1,"\\u0061":1' + ("," + inner if inner else "") + "}"
    yield "NUL inside", text[:1] + "\0" + text[1:]
    yield "NUL behind", text + "\0"
    yield "NUL in a key", '{"a\\u0000b":1' + ("," + inner if inner else "") + "}"
    yield "control character in a string", '{"a":"\n"}'
    yield "overlong UTF-8", '{"a":"\xc0\xaf"}'
    yield "cut UTF-8", '{"a":"\xe2\x82"}'
    yield "UTF-8 of a surrogate", '{"a":"\xed\xa0\x80"}'
    yield "lone surrogate", '{"a":"\\ud800"}'
    yield "beyond Unicode", '{"a":"\xf4\x90\x80\x80"}'
    yield "UTF-16", text.encode("utf-16").decode("latin-1")
    yield "only space", " \r\n\t "
    yield "deep arrays", "[" * 65 + "]" * 65
    yield "deep objects", '{"a":' * 65 + "1" + "}" * 65
    yield "depth bomb", "[" * 500000
    yield "depth bomb of objects", '{"a":' * 100000
    yield "number too large", '{"a":1e999}'
    yield "integer too large", '{"a":' + "9" * 400 + "}"


def bodies(route):
    """Of one route that takes a body. No answer but a refusal is right."""
    good = json.dumps(sample_of(route.body)).replace(": ", ":")

    def case(name, body, statuses, headers=(JSON_TYPE,), pointer=None):
        return Case(f"body: {name}", route.method, route.target(), tuple(headers),
                    body.encode("latin-1") if isinstance(body, str) else body, statuses, pointer)

    for name, text in spoiled(good):
        yield case(name, text, {400})
    yield case("empty", "", {400})
    yield case("1 MiB and a byte", "[" + " " * BODY_SIZE_MAX, {413})
    for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "json",
                 "multipart/form-data; boundary=x", "application/jsonx", "", "application/"):
        yield case(f"as {kind or 'nothing'}", good, {415}, (("Content-Type", kind),))
    yield case("without a type", good, {415}, ())
    for text in ("null", "true", "1", '"text"', "[]", "[{}]", "-0", "1.0"):
        yield case(f"root {text}", text, {422})
    if route.body.get("required"):
        yield case("{}", "{}", {422})
    for pointer, value in unfit_fields(route.body):
        yield case(f"{pointer} = {value!r:.60}", json.dumps(put(sample_of(route.body), pointer, value)),
                   {422}, pointer=pointer)
    if route.body.get("additionalProperties") is False:
        for name in ("$where", "a.b", "__proto__", "'; DROP TABLE users; --", ""):
            yield case(f"further field {name!r}", json.dumps({**sample_of(route.body), name: 1}), {422},
                       pointer="/" + name)


def unfit_fields(schema, base=""):
    """(pointer, value that does not fit) for every field of an object's schema."""
    for name, field in schema.get("properties", {}).items():
        pointer, kinds = f"{base}/{name}", kinds_of(field)
        unfit = [] if "null" in kinds else [None]
        if "integer" in kinds:
            unfit += NO_INTEGERS
            unfit += [field["minimum"] - 1] if "minimum" in field else []
            unfit += [field["maximum"] + 1] if "maximum" in field else []
        if "string" in kinds:
            unfit += NO_STRINGS
            unfit += ["x" * (field["maxLength"] + 1)] if "maxLength" in field else []
            unfit += [""] if field.get("minLength") else []
        if "array" in kinds:
            unfit += ["text", {"0": {}}, 5]
            unfit += [[]] if field.get("minItems") else []
            if "maxItems" in field:
                unfit += [[sample_of(field["items"])] * (field["maxItems"] + 1)]
        for value in unfit:
            yield pointer, value
        if "array" in kinds:
            yield from unfit_fields(field["items"], pointer + "/0")
        if "object" in kinds:
            yield from unfit_fields(field, pointer)


def put(value, pointer, what):
    """`value` with `what` at the pointer."""
    at, *way = value, *pointer.split("/")[1:]
    for part in way[:-1]:
        at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
    at[way[-1]] = what
    return value


# ---- Paths, queries, methods, headers -----------------------------------------------------------------

PATH_PIECES = ("%00", "1%00", "%2F", "1%2F2", "%2e%2e", "..", ".", "%", "%zz", "%f", "%ff", "%c0%af",
               "%ed%a0%80", "1%0d%0aX:%201", "", "1%20OR%201=1", "1';--", "1%27%3B--", "%24where",
               "%7B%22%24gt%22%3A%22%22%7D", "+1", "01", "1e3", "0x1", "-1", "9" * 19, "9" * 400, "1;a=b",
               "x" * 3000, "%F0%9F%A6%86", "{id}", "fh_meta")


def paths(route):
    """Each name in the path replaced. Nothing has such a name, so it is 404, or 400 where the path is invalid; a route
    that takes any name and needs nothing to exist may succeed, and do nothing."""
    body = json.dumps(sample_of(route.body)).encode() if route.body else b""
    headers = (JSON_TYPE,) if body else ()
    for part in route.parts:
        name, _, kind = part[1:-1].partition(":")
        for piece in PATH_PIECES:
            if (route.method, route.pattern) in ANY_NAME and kind != "int" and plain(piece):
                continue
            fits_nothing = piece != "-1" and kind == "int" or not plain(piece)
            statuses = {400, 404} if fits_nothing else {400, 404, 409, 422, 204}
            if (route.method, route.pattern) in UNHEARD and not fits_nothing:
                statuses |= {503}
            if piece == "" and route.pattern.endswith(part):
                statuses |= {405}  # the collection itself, with a slash after it
            yield Case(f"path: {piece:.60}", route.method, route.target(**{name: piece}), headers, body,
                       statuses, None)
    for change in (route.pattern + "/", "/" + route.pattern, route.pattern.replace("/", "%2f"),
                   route.pattern.replace("/api", "/API"), "/.." + route.pattern):
        target = change
        for part in route.parts:
            target = target.replace(part, "1")
        yield Case(f"path: {change}", route.method, target, headers, body, {400, 404}, None)


def plain(piece):
    """A path segment that a name accepts."""
    try:
        text = urllib.parse.unquote(piece, errors="strict")
        broken = any(len(part) < 2 or not all(c in "0123456789abcdefABCDEF" for c in part[:2])
                     for part in piece.split("%")[1:])
        return text not in ("", ".", "..") and "\0" not in text and not broken
    except UnicodeDecodeError:
        return False


def queries(route):
    """What does not fit the declared query, or any query where none is declared: 400."""
    body = json.dumps(sample_of(route.body)).encode() if route.body else b""
    headers = (JSON_TYPE,) if body else ()

    def case(name, query, parameter=None):
        return Case(f"query: {name}", route.method, route.path() + "?" + query, headers, body, {400},
                    parameter)

    good = urllib.parse.urlencode(sample_of(route.query)) if route.query else ""
    for name, more in (("unknown", "unknown=1"), ("an operator", "%24where=1"), ("bad escape", "a=%zz"),
                       ("NUL", "a=%00"), ("NUL in a name", "%00=1"), ("no UTF-8", "a=%ff"),
                       ("a nested filter", "category[$ne]=x"), ("twice", "a=1&a=1"),
                       ("too many", "&".join(f"a{i}=1" for i in range(100))), ("long", "a=" + "x" * 8000),
                       ("injected", "id=1%20OR%201=1"), ("without a name", "=1")):
        yield case(name, good + ("&" if good else "") + more)
    for name, field in (route.query or {}).get("properties", {}).items():
        others = {k: v for k, v in sample_of(route.query).items() if k != name}
        start = urllib.parse.urlencode(others) + ("&" if others else "") + name + "="
        if "integer" in kinds_of(field):
            values = ["", "x", "1.0", "+1", "0x1", "1e3", " 1", "9" * 30, *map(str, INJECTIONS)]
            values += [str(field[bound] + by) for bound, by in (("minimum", -1), ("maximum", 1))
                       if bound in field]
        elif "array" in kinds_of(field):
            values = ["", ",".join(["1"] * (field.get("maxItems", 1 << 12) + 1))]
        else:
            values = []
        for value in values:
            yield case(f"{name}={value:.40}", start + urllib.parse.quote(value), name)
        yield case(f"{name} twice", start + "1&" + name + "=1")


def methods(route, others):
    """`others`: the methods that the path has."""
    for method in ("TRACE", "OPTIONS", "PROPFIND", "PUT", "PATCH", "DELETE", "POST", "GET", "BREW",
                   route.method.lower(), "X" * 1000):
        if method not in others:
            yield Case(f"method {method:.20}", method, route.path(), (), b"", {405}, None)
    for method in ("G@T", "GE:T", "G\xe9T", "\x01", "G\"T"):
        yield Case(f"method {method!r}", method, route.path(), (), b"", {400}, None)


def framings(route):
    """Requests about whose end two readers could disagree, and oversized heads."""
    def case(name, headers, body=b"", statuses=frozenset({400})):
        return Case(f"framing: {name}", route.method, route.target(), headers, body, statuses, None)

    yield case("two lengths", (("Content-Length", 2), ("Content-Length", 2)), b"{}")
    yield case("two different lengths", (("Content-Length", 2), ("Content-Length", 3)), b"{} ")
    yield case("length and chunks", (("Content-Length", 2), ("Transfer-Encoding", "chunked")),
               b"0\r\n\r\n")
    yield case("chunks and length", (("Transfer-Encoding", "chunked"), ("Content-Length", 5)),
               b"0\r\n\r\n")
    yield case("two encodings", (("Transfer-Encoding", "chunked"),) * 2, b"0\r\n\r\n")
    yield case("an unknown encoding", (("Transfer-Encoding", "gzip"),), b"", {501})
    yield case("encodings in a list", (("Transfer-Encoding", "gzip, chunked"),), b"0\r\n\r\n", {501})
    yield case("a length in words", (("Content-Length", "two"),))
    yield case("a negative length", (("Content-Length", "-1"),))
    yield case("a signed length", (("Content-Length", "+2"),), b"{}")
    yield case("a length in a list", (("Content-Length", "2, 2"),), b"{}")
    yield case("an endless length", (("Content-Length", "9" * 40),), b"", {400, 413})
    yield case("a huge length", (("Content-Length", 1 << 40),), b"", {413})
    yield case("a chunk without a size", (("Transfer-Encoding", "chunked"),), b"xyz\r\n")
    yield case("a chunk of a huge size", (("Transfer-Encoding", "chunked"),), b"f" * 17 + b"\r\n",
               {400, 413})
    yield case("two hosts", (("Host", "a"), ("Host", "b")))
    yield case("many headers", tuple((f"X-{i}", "1") for i in range(200)), b"", {431})
    yield case("a large header", (("X", "x" * (2 * HEAD_SIZE_MAX)),), b"", {431})
    yield case("a head beyond the limit", tuple((f"X-{i}", "x" * 900) for i in range(20)), b"", {431})
    yield case("a header that is no token", (("X Y", "1"),))
    yield case("a control character in a header", (("X", "a\x01b"),))


def commands(route):
    """Invalid keys: refused before anything is done."""
    body = json.dumps(sample_of(route.body)).encode() if route.body else b""
    headers = (JSON_TYPE,) if body else ()
    for name, key in (("empty", ""), ("too long", "k" * 256), ("with a space", "a b"),
                      ("with a tab", "a\tb"), ("beyond ASCII", "caf\xe9"), ("with DEL", "a\x7f")):
        yield Case(f"key {name}", route.method, route.target(), headers + (("Idempotency-Key", key),),
                   body, {400}, None)
    yield Case("two keys", route.method, route.target(),
               headers + (("Idempotency-Key", "one"), ("Idempotency-Key", "two")), body, {400}, None)


def cases(route, known):
    """All of the above for one route."""
    if route.body:
        yield from bodies(route)
    else:
        yield Case("a body where none is taken", route.method, route.target(), (JSON_TYPE,), b"{}",
                   {400}, None)
    yield from paths(route)
    yield from queries(route)
    yield from methods(route, known)
    yield from framings(route)
    if route.method not in ("GET", "HEAD"):
        yield from commands(route)
