# SPDX-License-Identifier: Apache-2.0
"""The system file's JSON Schema: it accepts what the reader accepts, and refuses what the reader refuses."""

import copy
import json
import re
import subprocess

import pytest
import yaml

from conftest import FREEHOLD, ROOT

# What a value has to be besides its type, so that nothing else is wrong with the file.
SOUND = {"listen": "127.0.0.1:8080", "path": "/one", "get": "one /api/one", "engine": "sqlite", "system": "one",
         "certificate": "/dev/null", "key": "/dev/null", "ca": str(ROOT / "LICENSE"), "revoked": str(ROOT / "LICENSE"),
         "inside": "127.0.0.1:8081", "endpoint": "https://one.example/introspect"}


@pytest.fixture(scope="module")
def schema():
    printed = subprocess.run([FREEHOLD, "config", "schema"], capture_output=True, text=True, check=True).stdout
    one_line = subprocess.run([FREEHOLD, "config", "schema", "--json"], capture_output=True, text=True, check=True)
    assert json.loads(one_line.stdout) == json.loads(printed) and one_line.stdout.count("\n") == 1
    return json.loads(printed)


TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
         "null": type(None)}


def is_of(value, name):
    return isinstance(value, TYPES[name]) and (name in ("boolean", "null") or not isinstance(value, bool))


def fits(schema, value):
    """As the specification has it, for the keywords that the schema uses; any other one fails the test."""
    assert set(schema) <= {"$schema", "title", "description", "default", "type", "properties", "required", "items",
                           "additionalProperties", "propertyNames", "maxProperties", "minLength", "minimum",
                           "maximum", "maxItems", "enum"}, schema
    names = schema.get("type", [])
    if names and not any(is_of(value, name) for name in ([names] if isinstance(names, str) else names)):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        pattern = schema.get("propertyNames", {}).get("pattern", "")
        return (all(name in value for name in schema.get("required", ())) and
                len(value) <= schema.get("maxProperties", len(value)) and
                all(re.search(pattern, name) and
                    (fits(known[name], one) if name in known else others is not False and fits(others, one))
                    for name, one in value.items()))
    if isinstance(value, list):
        return len(value) <= schema.get("maxItems", len(value)) and all(fits(schema.get("items", {}), one)
                                                                          for one in value)
    if isinstance(value, str):
        return len(value) >= schema.get("minLength", 0)
    if isinstance(value, int):
        return schema.get("minimum", value) <= value <= schema.get("maximum", value)
    return True


def sample(schema, name=""):
    """A value with everything in it that the schema has."""
    kind = schema.get("type")
    if isinstance(kind, list) and "object" in kind:
        kind = "object"
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "object":
        others = schema.get("additionalProperties")
        return {**{key: sample(below, key) for key, below in schema.get("properties", {}).items()},
                **({"one": sample(others)} if others else {})}
    if kind == "array":
        return [sample(schema["items"])]
    if kind == "integer":
        return schema["minimum"]
    return True if kind == "boolean" else SOUND.get(name, "one")


def places(schema, path=()):
    """Every place in such a value, with what may be there."""
    yield path, schema
    for key, below in schema.get("properties", {}).items():
        yield from places(below, path + (key,))
    if schema.get("additionalProperties"):
        yield from places(schema["additionalProperties"], path + ("one",))
    if "items" in schema:
        yield from places(schema["items"], path + (0,))


def changed(whole, path, value):
    whole = copy.deepcopy(whole)
    if not path:
        return value
    at = whole
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return whole


def told(path):
    """As findings name it."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def findings(folder, value):
    (folder / "freehold.yaml").write_text(json.dumps(value))
    return subprocess.run([FREEHOLD, "check", folder / "freehold.yaml"], capture_output=True, text=True,
                          check=False).stderr


def test_all_system_files_of_the_tree_and_a_new_one_fit(schema, tmp_path):
    subprocess.run([FREEHOLD, "new", "system", "diary"], cwd=tmp_path, check=True, capture_output=True)
    made = tmp_path / "diary"
    assert json.loads((made / "freehold.schema.json").read_text()) == schema
    assert "# yaml-language-server: $schema=freehold.schema.json\n" in (made / "freehold.yaml").read_text()
    (made / "freehold.yaml").write_text((made / "freehold.yaml").read_text() + "  notes: { program: notes }\n")
    files = [one for one in ROOT.glob("*/**/freehold*.yaml") if ".freehold" not in one.parts]
    assert len(files) >= 3
    for file in [*files, made / "freehold.yaml"]:
        assert fits(schema, yaml.safe_load(file.read_text())), file


def test_what_the_reader_refuses_the_schema_refuses(schema, tmp_path):
    whole = sample(schema)
    assert fits(schema, whole)
    said = findings(tmp_path, whole)
    assert "unknown key" not in said and "is missing in" not in said and "; expected" not in said, said
    seen = 0
    for path, below in places(schema):
        wrong = [{}] if below.get("type") == "array" else [[]]
        if "integer" in below.get("type", ()):
            wrong += [below["minimum"] - 1, below["maximum"] + 1, "many"]
        if below.get("type") == "boolean":
            wrong += ["perhaps"]
        if "enum" in below:
            wrong += ["nothing of these"]
        near = {key: whole[key] for key in ("system", "services", *path[:1])}  # findings are not shown without end
        for value in wrong:
            seen += 1
            assert not fits(schema, changed(near, path, value)), (path, value)
            said = findings(tmp_path, changed(near, path, value))
            assert re.search(rf"error: {re.escape(told(path)) or 'the file'} (is |must be )", said), (path, value, said)
        if below.get("additionalProperties") is False:
            seen += 1
            assert not fits(schema, changed(near, path + ("zzz",), 1)), path
            assert "unknown key 'zzz'" in findings(tmp_path, changed(near, path + ("zzz",), 1)), path
        for name in below.get("required", ()):
            value = {**sample(below)}
            del value[name]
            assert not fits(schema, changed(near, path, value)), (path, name)
            assert f"'{name}' is missing in" in findings(tmp_path, changed(near, path, value)), (path, name)
    assert seen > 100


def test_another_word_than_schema_is_refused():
    done = subprocess.run([FREEHOLD, "config", "shema"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "config does not know 'shema'; did you mean 'schema'?" in done.stderr
    offered = subprocess.run([FREEHOLD, "complete", "--", "config", ""], capture_output=True, text=True, check=True)
    assert offered.stdout.split() == ["schema"]
