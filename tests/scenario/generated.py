# SPDX-License-Identifier: Apache-2.0
"""Random requests from an OpenAPI document: as it says they should be, and a little different. All is drawn from one
seeded generator, so that a seed and a document give the same requests; only ids from earlier answers are added, so that
some requests find something."""

import json
import string
import urllib.parse

INTEGERS = (0, 1, -1, 2**31 - 1, 2**31, 2**53, 2**63 - 1, -2**63)
TEXTS = ("", " ", "0", "null", "é", "\U0001f600" * 3, "a\nb", "'; DROP TABLE users; --", "../..", "%00", "a,b",
         "$set", "a.b", "\x7f", "x" * 5000)
DEPTH_MAX = 5
TYPES = {"integer": int, "string": str}
KNOWN_MAX = 200


class Request:
    def __init__(self, method, target, headers, body, valid):
        self.method, self.target, self.headers, self.body, self.valid = method, target, headers, body, valid

    def __repr__(self):
        return f"{self.method} {self.target} {self.headers} {(self.body or '')[:400]}"


class Generator:
    """`known`: ids by what they identify ("user"), which generators may share."""

    def __init__(self, document, random, known):
        self.document, self.random, self.known, self.own = document, random, known, ""

    def thing(self, name):
        """What a field's ids identify: "user_id" users, "id" and "ids" what the service itself has."""
        if name in ("id", "ids"):
            return self.own
        return name.removesuffix("_id") if name.endswith("_id") else None

    def learn(self, body):
        """The ids in the answer to the last request."""
        for found in (body if isinstance(body, list) else [body])[:20]:
            for name, value in (found.items() if isinstance(found, dict) else ()):
                known = self.known.setdefault(self.thing(name), [])
                if self.thing(name) and value is not None and value not in known:
                    known[:] = (known + [value])[-KNOWN_MAX:]

    def operations(self):
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                yield method.upper(), path, operation

    # ---- values ----

    def text(self, schema):
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        low, high = schema.get("minLength", 0), schema.get("maxLength", 40)
        return "".join(self.random.choices(string.ascii_letters + string.digits + "-_",
                                           k=self.random.randint(min(max(low, 1), high), min(high, max(low, 30)))))

    def value(self, schema, name="", depth=0):
        """One that the schema accepts."""
        kind = schema.get("type", "string")
        if isinstance(kind, list):
            kind = self.random.choice(kind)
        known = [one for one in self.known.get(self.thing(name), ()) if isinstance(one, TYPES.get(kind, ()))]
        if known and self.random.random() < 0.8:
            return self.random.choice(known)
        if kind == "integer":
            low = schema.get("minimum", 0)
            return self.random.randint(low, min(schema.get("maximum", low + 50), low + 50))
        if kind == "string":
            return self.text(schema)
        if kind == "array":
            count = self.random.randint(schema.get("minItems", 0), min(schema.get("maxItems", 3), 3))
            return [self.value(schema.get("items", {}), name, depth + 1) for _ in range(count)]
        if kind == "object" and depth < DEPTH_MAX:
            required = set(schema.get("required", ()))
            return {one: self.value(inside, one, depth + 1) for one, inside in schema.get("properties", {}).items()
                    if one in required or self.random.random() < 0.6}
        return {"boolean": self.random.random() < 0.5, "object": {}}.get(kind)

    def odd(self):
        """Anything at all."""
        return self.random.choice([
            None, True, 0.5, [], {}, [[]], {"": None}, {"$inc": 1}, 1e308,
            self.random.choice(INTEGERS), self.random.choice(TEXTS), [self.random.choice(INTEGERS)] * 3])

    def bent(self, value):
        """The value with one place changed."""
        if isinstance(value, dict) and value and self.random.random() < 0.8:
            name = self.random.choice(sorted(value))
            way = self.random.randrange(4)
            if way == 0:
                return {key: kept for key, kept in value.items() if key != name}
            if way == 1:
                return {**value, self.random.choice(TEXTS): self.odd()}
            return {**value, name: self.bent(value[name])}
        if isinstance(value, list) and value and self.random.random() < 0.6:
            return [self.bent(value[0])] + value[1:]
        return self.odd()

    # ---- requests ----

    def parameter(self, schema, name, valid):
        value = self.value(schema, name) if valid else self.odd()
        if isinstance(value, list):
            return ",".join(str(one) for one in value)
        return value if isinstance(value, str) else json.dumps(value)

    def segment(self, parameter, bend):
        text = self.parameter(parameter["schema"], parameter["name"], not bend)
        return urllib.parse.quote(text[:200], safe="") or "-"

    def headers(self, parameters, bend):
        headers = {}
        for parameter in parameters:
            if parameter["in"] != "header" or self.random.random() < 0.6:
                continue
            if parameter["name"] == "Idempotency-Key":
                headers["Idempotency-Key"] = f"key-{self.random.randrange(2**40)}" if not bend else \
                    self.random.choice(["", "a b", "k" * 300, "a/b.1/c/0", "same"])
            elif parameter["name"] == "Prefer":
                headers["Prefer"] = "wait=1" if not bend else self.random.choice(["wait=-1", "wait", "wait=1e9"])
            elif parameter["name"] == "Cache-Control":
                headers["Cache-Control"] = "no-cache"
        return headers

    def request(self, method, path, operation):
        """Half of them are as the document says."""
        parameters = operation["parameters"]
        self.own = operation["tags"][0].removesuffix("s")
        bend = self.random.choice([None, None, None, "path", "query", "headers", "body"])
        target = path
        query = {}
        for parameter in parameters:
            name = parameter["name"]
            if parameter["in"] == "path":
                target = target.replace("{" + name + "}", self.segment(parameter, bend == "path"))
            elif parameter["in"] == "query" and (parameter["required"] or self.random.random() < 0.5):
                query[name] = self.parameter(parameter["schema"], name, bend != "query")
        if bend == "query":
            query[self.random.choice(["limit", "x", "", "a[]"])] = self.random.choice(TEXTS)[:300]
        headers = self.headers(parameters, bend == "headers")
        body = None
        if "requestBody" in operation:
            made = self.value(operation["requestBody"]["content"]["application/json"]["schema"])
            body = json.dumps(self.bent(made) if bend == "body" else made)
            headers["Content-Type"] = "application/json"
        elif bend == "body":
            body = json.dumps(self.odd())
        if query:
            target += "?" + urllib.parse.urlencode(query, errors="surrogatepass")
        return Request(method, target, headers, body, bend is None)
