# SPDX-License-Identifier: Apache-2.0
"""Schemathesis' own check of refused requests, with the reasons that docs/reference/openapi.md gives: a request that fits
the schema may be refused for one of these, and for no other. SCHEMATHESIS_HOOKS names this file."""

import pathlib
import re

import schemathesis
from schemathesis.core.failures import Failure

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
