# SPDX-License-Identifier: Apache-2.0
"""Schemathesis' own check of refused requests, with the reasons that docs/reference/openapi.md gives: a request that fits
the schema may be refused for one of these, and for no other. SCHEMATHESIS_HOOKS names this file.

And what makes requests that fit the schema do something. An id that is drawn names nothing, so no order would ever be
placed: SCHEMATHESIS_KNOWN has a JSON object of ids that there are, by a field's or parameter's name (`user_id`) or by
the path that it ends (`/api/users/{id}`). And a key that is drawn was drawn before."""

import json
import os
import pathlib
import random
import re
import time

import requests
import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.generation.meta import TestPhase

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent.parent
PAGE = ROOT / "docs" / "reference" / "openapi.md"
# Who is asking, what there is, what others did meanwhile: no schema can say these, and each route documents them.
ABOUT_MORE_THAN_THE_REQUEST = (401, 403, 404, 409, 412, 429)


def documented_reasons():
    """[(problem type, what its text has)] of the table in the documents."""
    rows = re.findall(r"^\| `([a-z-]+)` \| `([^`]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows, f"{PAGE} has no table of reasons"
    return [(f"urn:freehold:problem:{name}", words) for name, words in rows]


REASONS = documented_reasons()
KNOWN = json.loads(os.environ.get("SCHEMATHESIS_KNOWN", "{}"))
KEY = "Idempotency-Key"
MOSTLY = 0.8
CHANCE = random.Random(1)  # not the generator of whoever draws

# Of what one service deletes another may keep a part, by events: it is there until that one has heard of the deletion.
KEPT_BY_ANOTHER = {"/api/products/{id}/stock": "/stock"}
HEARD_S_MAX = 60
DELETED = set()


def is_there(case, path):
    return requests.get(case.operation.base_url.rstrip("/") + path, timeout=HEARD_S_MAX,
                        headers=dict(case.headers)).status_code == 200


def wait_until_heard(case):
    """If it never goes, the check of what is deleted will say so."""
    part = KEPT_BY_ANOTHER.get(case.operation.path)
    whole = case.formatted_path.removesuffix(part) if part else None
    until = time.monotonic() + HEARD_S_MAX
    while whole in DELETED and time.monotonic() < until:
        if is_there(case, whole) or not is_there(case, case.formatted_path):
            DELETED.discard(whole)
        else:
            time.sleep(0.05)


@schemathesis.hook
def after_call(context, case, response):
    if case.method.upper() == "DELETE" and response.status_code == 204:
        DELETED.add(case.formatted_path)


def with_known(name, value):
    return KNOWN[name] if name in KNOWN and CHANCE.random() < MOSTLY else value


def with_known_inside(value):
    if isinstance(value, dict):
        return {name: with_known(name, with_known_inside(inside)) for name, inside in value.items()}
    return [with_known_inside(one) for one in value] if isinstance(value, list) else value


def with_known_place(path, name, value):
    place = path.partition("{" + name + "}")[0] + "{" + name + "}"
    return with_known(place if place in KNOWN else name, value)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Not where one request follows another, to look for what was created or deleted; and nothing known is deleted."""
    if case.method.upper() == "GET":
        wait_until_heard(case)
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if KEY in case.headers and CHANCE.random() < MOSTLY:
        case.headers[KEY] = f"key-{CHANCE.getrandbits(64):x}"
    if case.meta.phase.name == TestPhase.STATEFUL or case.method.upper() == "DELETE":
        return
    case.body = with_known_inside(case.body)
    case.query = with_known_inside(case.query)
    case.path_parameters = {name: with_known_place(case.operation.path, name, value)
                            for name, value in (case.path_parameters or {}).items()}


@schemathesis.hook
def filter_case(context, case):
    """Not what violates the schema only until it is written: a query has nothing for {}, and a text for false."""
    if case.meta is None or case.meta.generation.mode.is_positive:
        return True
    return not any(value == {} or isinstance(value, bool) for value in (case.query or {}).values())


@schemathesis.check
def refused_for_a_documented_reason(ctx, response, case):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code < 400 or response.status_code >= 500:
        return
    if response.status_code in ABOUT_MORE_THAN_THE_REQUEST:
        return
    problem = response.json()
    if problem.get("type") == "about:blank":  # the route's handler says so, by what it knows
        return
    if any(problem.get("type") == name and words in response.text for name, words in REASONS):
        return
    raise Failure(operation=case.operation.label, title="Refused without a documented reason",
                  message=f"{response.status_code}: {response.text}")
