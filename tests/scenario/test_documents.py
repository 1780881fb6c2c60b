# SPDX-License-Identifier: Apache-2.0
"""The documents of the shop: OpenAPI and AsyncAPI of every service and of the gateway, judged by their official
schemas, and obeyed: random requests made from them meet no server error.

The validators come from the packages' own registries into the cache that all builds share, once; without a
registry those tests are skipped, loudly. FREEHOLD_SEED chooses other requests, FREEHOLD_REQUESTS how many a
route."""

import functools
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

import pytest
from conftest import FREEHOLD, ROOT, SHOP_FILE, SHOP_SERVICES, free_port, wait_for
from generated import Generator
from installed import cached

OPENAPI_VALIDATOR = "openapi-spec-validator==0.9.0"
ASYNCAPI_SCHEMAS = "@asyncapi/specs@6.11.1"
INSTALL_S_MAX = 100  # of each of the two: a test has 300 s
PROGRAMS = pathlib.Path(FREEHOLD).parent / "examples" / "shop"
SEED = int(os.environ.get("FREEHOLD_SEED", "1"))
REQUESTS = int(os.environ.get("FREEHOLD_REQUESTS", "40"))
PAGE = ROOT / "src" / "gateway" / "page"
WANTS_A_URL = {("POST", "/api/webhooks")}  # which no shape can say: none of the requests has one
# To a reservation, and no fault: the product was created, and the inventory has yet to hear of it. A saga tries again.
STILL_TO_HEAR = re.compile("its stock is still to be heard of")
KNOWN = {}  # ids from answers, for all later requests


def installed(name, *command, content=b""):
    """The folder that the command filled, once for this `content`; or why it could not."""
    if not shutil.which(command[0]):
        pytest.skip(f"NOT VALIDATED: there is no {command[0]}")
    with cached(name, content + sys.version.encode()) as folder:
        if folder.exists():
            return folder
        making = pathlib.Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            done = subprocess.run([*command, str(making)], capture_output=True, text=True, timeout=INSTALL_S_MAX)
            if done.returncode:
                pytest.skip(f"NOT VALIDATED: {command[0]} could not install: {done.stderr.strip()[-300:]}")
            making.rename(folder)
        except subprocess.TimeoutExpired:
            pytest.skip(f"NOT VALIDATED: {command[0]} did not end in {INSTALL_S_MAX} s")
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return folder


@pytest.fixture(scope="module", name="validators")
def validators_fixture():
    """{"openapi": document -> what is wrong with it, "asyncapi": ...}"""
    python = installed(OPENAPI_VALIDATOR, sys.executable, "-m", "pip", "install", "--quiet",
                       "--disable-pip-version-check", OPENAPI_VALIDATOR, "--target")
    schemas = installed(ASYNCAPI_SCHEMAS.replace("/", "-"), "npm", "install", "--ignore-scripts", "--no-audit",
                        "--no-fund", ASYNCAPI_SCHEMAS, "--prefix")
    sys.path.append(str(python))
    try:
        import jsonschema
        import openapi_spec_validator
    finally:
        sys.path.remove(str(python))
    schema = json.loads((schemas / "node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json").read_text())
    asyncapi = jsonschema.Draft7Validator(schema)
    return {"openapi": lambda document: [error.message for error in
                                         openapi_spec_validator.OpenAPIV31SpecValidator(document).iter_errors()],
            "asyncapi": lambda document: [error.message for error in asyncapi.iter_errors(document)]}


@pytest.fixture(scope="module", name="shop")
def shop_fixture(start):
    return start(SHOP_FILE)


def documents_of(shop, kind):
    """{who: document}"""
    found = {name: shop.call(name, "GET", f"/{kind}.json").body for name in SHOP_SERVICES}
    return {**found, "gateway": shop.http("GET", f"/{kind}.json").body}


def written_out(document):
    """The same with each component where it is referred to. The shop has no shape within itself."""
    def within(value):
        if isinstance(value, list):
            return [within(one) for one in value]
        if not isinstance(value, dict):
            return value
        beside = {name: within(inside) for name, inside in value.items() if name != "$ref"}
        if "$ref" not in value:
            return beside
        name = value["$ref"].removeprefix("#/components/schemas/")
        return {**within(document["components"]["schemas"][name]), **beside}
    return within(document)


@functools.cache
def described(name):
    return json.loads(subprocess.run([str(PROGRAMS / name), "--describe"], capture_output=True, check=True).stdout)


def operations(document):
    return {(method.upper(), path) for path, item in document["paths"].items() for method in item}


@pytest.mark.parametrize("kind", ["openapi", "asyncapi"])
def test_documents_are_valid_by_their_official_schemas(shop, validators, kind):
    for who, document in documents_of(shop, kind).items():
        assert validators[kind](document) == [], who


def test_the_validators_refuse_what_is_wrong(shop, validators):
    document = shop.http("GET", "/openapi.json").body
    operation = document["paths"]["/api/users/{id}"]["get"]
    operation["parameters"][0]["in"] = "nowhere"
    assert validators["openapi"](document)
    document = shop.http("GET", "/asyncapi.json").body
    next(iter(document["operations"].values()))["action"] = "shout"
    assert validators["asyncapi"](document)


def test_each_document_has_the_routes_that_its_reader_may_use(shop):
    routes = {name: described(name)["routes"] for name in SHOP_SERVICES}

    def told(name, audiences):
        return {(route["method"], re.sub(":int}", "}", route["path"]))
                for route in routes[name] if route["audience"] in audiences}

    documents = documents_of(shop, "openapi")
    for name in SHOP_SERVICES:
        assert operations(documents[name]) == told(name, ("public", "services", "operators"))
    public = set().union(*(told(name, ("public",)) for name in SHOP_SERVICES))
    composed = set(("GET", re.sub(":int}", "}", path))
                   for path in re.findall(r"- path: (\S+)", SHOP_FILE.read_text()))
    assert composed and operations(documents["gateway"]) == public | composed
    named = set(re.findall(r"Freehold-[\w-]+", json.dumps(documents["gateway"])))
    assert named == {"Freehold-At", "Freehold-As-Of", "Freehold-Wait", "Freehold-Max-Age"}  # of views, and sealed


def test_the_events_of_all_services_are_in_the_gateways_document_once(shop):
    document = shop.http("GET", "/asyncapi.json").body
    published = {f"{name}.{event['type']}" for name in SHOP_SERVICES for event in described(name).get("publishes", ())}
    assert set(document["channels"]) == published
    updated = document["channels"]["users.UserUpdated"]["messages"]["UserUpdated"]["payload"]["properties"]["data"]
    assert updated == {"$ref": "#/components/schemas/User"} and "User" in document["components"]["schemas"]
    assert "x-freehold-of" not in json.dumps(document)
    heard = {f"{name}.receive.{one['service']}.{one['type']}"
             for name in SHOP_SERVICES for one in described(name).get("hears", ())}
    assert {name for name in document["operations"] if ".receive." in name} == heard


def test_a_composed_answer_is_described_by_its_parts(shop):
    operation = shop.http("GET", "/openapi.json").body["paths"]["/api/orders/{id}/details"]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["order"]
    assert schema["properties"]["order"] == {"$ref": "#/components/schemas/Order"}
    assert schema["properties"]["user"]["anyOf"][0] == {"$ref": "#/components/schemas/User"}


def test_named_shapes_are_components_and_operations_have_short_ids(shop):
    document = shop.http("GET", "/openapi.json").body
    schemas = document["components"]["schemas"]
    assert {"Order", "OrderItem", "NewOrder", "User", "Product", "Cart", "Problem"} <= set(schemas)
    assert schemas["Order"]["properties"]["items"]["items"] == {"$ref": "#/components/schemas/OrderItem"}
    assert "x-freehold-of" not in json.dumps(document)
    place = document["paths"]["/api/orders"]["post"]
    assert (place["operationId"], place["summary"]) == ("place_order", "Places an order")
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids)) and "get_orders_by_id_details" in ids


def test_a_route_says_whether_a_client_may_wait_and_for_what(shop):
    document = shop.http("GET", "/openapi.json").body
    waits = {operation["operationId"] for item in document["paths"].values() for operation in item.values()
             if "Prefer" in [one["name"] for one in operation["parameters"]]}
    assert waits == {"place_order", "check_out"}
    answers = document["paths"]["/api/orders"]["post"]["responses"]
    assert answers["200"]["content"] == answers["202"]["content"]
    assert "Preference-Applied" in answers["200"]["headers"]


def test_only_operators_read_a_services_documents(shop):
    port = int(shop.services()["users"]["address"].rsplit(":", 1)[1])
    for headers, status in (({}, 401), ({"Freehold-Token": shop.token("orders", "users"),
                                         "Freehold-From": f"orders/{'0' * 36}"}, 403)):
        assert ask(port, "GET", "/openapi.json", headers).status == status


def test_they_are_for_the_inside_unless_the_system_file_says_otherwise(start, tmp_path):
    inside = free_port()
    said = "exposure:\n  gateway: { docs: public, openapi: public, asyncapi: public }\n"
    text = SHOP_FILE.read_text()
    assert said in text
    text = text.replace(said, "exposure:\n  services: { metrics: public, asyncapi: off }\n", 1)
    text = text.replace("gateway:\n", f"gateway:\n  inside: 127.0.0.1:{inside}\n", 1)
    folder = tmp_path / "shop"
    shutil.copytree(SHOP_FILE.parent, folder)
    (folder / "freehold.yaml").write_text(re.sub(r"program: (\w+)", rf"program: {PROGRAMS}/\1", text))
    closed = start(folder / "freehold.yaml")
    try:
        paths = ["/openapi.json", "/asyncapi.json", "/docs", "/metrics"]
        assert [closed.http("GET", path).status for path in paths] == [404] * 4
        assert [ask(inside, "GET", path, {}).status for path in paths] == [200] * 4
        assert ask(inside, "GET", "/api/products", {}).status == 404
        assert closed.call("gateway", "GET", "/openapi.json").body["info"]["title"] == "shop"
        port = int(closed.services()["users"]["address"].rsplit(":", 1)[1])
        operator = {"Freehold-Token": closed.token("operator", "users")}
        assert ask(port, "GET", "/metrics", {}).status == 200
        assert ask(port, "GET", "/openapi.json", {}).status == 401
        assert ask(port, "GET", "/openapi.json", operator).status == 200
        assert ask(port, "GET", "/asyncapi.json", operator).status == 404
    finally:
        closed.stop()


# ---- The page --------------------------------------------------------------------------------------


def test_the_page_loads_nothing_from_elsewhere(shop):
    for path in ("/docs", "/docs/docs.css", "/docs/docs.js"):
        answer = ask(shop.port, "GET", path, {})
        policy = dict(answer.getheaders())["Content-Security-Policy"]
        assert answer.status == 200 and "default-src 'none'" in policy and "unsafe" not in policy
        assert not re.search(rb"(?:https?:)?//[a-z]", answer.body.replace(b"// ", b"")), path
    assert ask(shop.port, "POST", "/docs", {}).status == 405


def test_the_page_shows_every_route_and_event(shop, tmp_path):
    browser = shutil.which("chromium")
    if not browser:
        pytest.skip("NOT SHOWN: there is no chromium")
    done = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                           "--disable-background-networking", "--disable-component-update", "--disable-sync",
                           f"--user-data-dir={tmp_path}", "--virtual-time-budget=20000", "--dump-dom",
                           f"http://127.0.0.1:{shop.port}/docs#post-api-orders"],
                          capture_output=True, text=True, timeout=280, check=True)
    shown = set(re.findall(r'<details class="operation" id="([^"]+)"', done.stdout))
    wanted = {re.sub("[^a-z0-9]+", "-", f"{method} {path}".lower()).strip("-")
              for method, path in operations(shop.http("GET", "/openapi.json").body)}
    wanted |= {"event-" + name.lower().replace(".", "-") for name in shop.http("GET", "/asyncapi.json").body["channels"]}
    assert shown == wanted and "payment_token" in done.stdout and "[object" not in done.stdout


# ---- Random requests -------------------------------------------------------------------------------


def ask(port, method, target, headers, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, target, body.encode() if body is not None else None, headers)
        answer = connection.getresponse()
        answer.body = answer.read()
        return answer
    finally:
        connection.close()


def login(shop, who, request):
    """As the user whom it is about, and of the staff."""
    try:
        body = json.loads(request.body or "null")
    except ValueError:
        body = None
    if who == "gateway":
        return shop.logins.header(request.target, body)
    return {"Freehold-User": shop.statement(shop.logins.subject(request.target, body), roles=["staff"])}


def is_documented(operation, status):
    told = operation["responses"]
    return str(status) in told or f"{status // 100}XX" in told or (status >= 400 and "default" in told)


def judge(operation, request, answer):
    """What is wrong with the answer, or None."""
    if answer.status >= 500 and not (answer.status == 503 and STILL_TO_HEAR.search(answer.body.decode())):
        return "a fault of the server's"
    if not is_documented(operation, answer.status):
        return "a status that the document does not tell"
    if answer.status >= 400:
        if answer.getheader("Content-Type") != "application/problem+json":
            return "no problem document"
        if json.loads(answer.body)["status"] != answer.status:
            return "a problem with another status"
    return None


@pytest.mark.parametrize("who", [*SHOP_SERVICES, "gateway"])
def test_random_requests_from_the_document_meet_no_fault(shop, who):
    print(f"FREEHOLD_SEED={SEED} FREEHOLD_REQUESTS={REQUESTS}")
    port, document, own = shop.port, written_out(documents_of(shop, "openapi")[who]), {}
    if who != "gateway":
        port = int(shop.services()[who]["address"].rsplit(":", 1)[1])
        own = {"Freehold-Token": shop.token("operator", who), "Freehold-From": "operator"}
    generator = Generator(document, random.Random(f"{SEED} {who}"), KNOWN)
    taken, wrong = set(), []
    for _ in range(REQUESTS):
        for method, path, operation in generator.operations():
            request = generator.request(method, path, operation)
            answer = ask(port, method, request.target, {**request.headers, **own, **login(shop, who, request)},
                         request.body)
            fault = judge(operation, request, answer)
            if fault:
                wrong.append(f"{fault}: {request}: {answer.status} {answer.body[:300]}")
            elif answer.status < 300:
                taken.add((method, path))
                generator.learn(json.loads(answer.body) if answer.body else None)
    assert wrong == []
    # Some were as they should be. An undo does nothing without what it undoes.
    makes = {(method, path) for method, path, operation in generator.operations() if method == "POST" and
             "{" not in path and "Freehold-Undo" not in [one["name"] for one in operation["parameters"]]}
    assert taken >= makes - WANTS_A_URL, makes - taken
    wait_for("the shop is at rest", shop.at_rest)
