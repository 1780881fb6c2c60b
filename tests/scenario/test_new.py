# SPDX-License-Identifier: Apache-2.0
"""From nothing to a running service of one's own, as the README describes it, against the installed library; and what
the command reports, completes and prints from its own tables."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import FREEHOLD, ROOT, SANITIZED, free_port, open_folder
from test_move import SERVERS, is_installed

BUILD = pathlib.Path(FREEHOLD).resolve().parent
MESON = "/usr/bin/meson"


def run(*arguments, folder=None, code=0, environment=None):
    done = subprocess.run([*map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=300,
                          env=environment or os.environ, check=False)
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment of somebody who has installed what was built."""
    root = tmp_path_factory.mktemp("root")
    run(MESON, "install", "-C", BUILD, "--no-rebuild", "--quiet", environment=dict(os.environ, DESTDIR=str(root)))
    packages = next(root.rglob("freehold.pc")).parent
    command = next(root.rglob("bin/freehold"))
    return dict(os.environ, PKG_CONFIG_PATH=str(packages), PKG_CONFIG_SYSROOT_DIR=str(root),
                PATH=f"{command.parent}:{os.environ['PATH']}", FREEHOLD_ROOT=str(root))


def ids_by_pages(url, path):
    """What the pages list, each found by the `Link` of the one before."""
    found = []
    while path:
        head, body = run("curl", "-sS", "-i", url + path).replace("\r", "").split("\n\n", 1)
        found += [row["id"] for row in json.loads(body)]
        link = re.search(r'(?mi)^link: <(/[^>]*)>; rel="next"$', head)
        path = link and link[1]
    return found


def ids_by_calls(folder, environment, path):
    """The same, by an operator who has only the command."""
    found = []
    while path:
        answer = json.loads(run("freehold", "call", "notes", "GET", path, "--json", folder=folder,
                                environment=environment))
        found += [row["id"] for row in answer["body"]]
        path = answer.get("next")
    return found


@pytest.fixture(scope="module")
def diary(installed, tmp_path_factory):
    """A new system with one new service, built."""
    parent = tmp_path_factory.mktemp("new")
    said = run("freehold", "new", "system", "diary", folder=parent, environment=installed)
    assert "cd diary" in said
    folder = parent / "diary"
    said = run("freehold", "new", "service", "notes", folder=folder, environment=installed)
    assert "meson setup build" in said
    sanitize = ["-Db_sanitize=address,undefined", "-Db_lundef=false"] if SANITIZED else []
    run(MESON, "setup", "build", "-Dwerror=true", *sanitize, folder=folder, environment=installed)
    run("ninja", "-C", "build", folder=folder, environment=installed)
    return folder


def test_a_new_service_is_built_with_the_installed_library_and_its_test_passes(diary, installed):
    run(MESON, "test", "-C", "build", folder=diary, environment=installed)
    log = (diary / "build" / "meson-logs" / "testlog.txt").read_text()
    assert "ok     notes.a_change_is_told_once_whenever_the_service_dies" in log and "4 passed, 0 failed" in log
    assert "4 passed, 0 failed" in run("freehold", "test", folder=diary, environment=installed)


def test_without_meson_pkg_config_is_enough(diary, installed, tmp_path):
    flags = run("pkg-config", "--cflags", "--libs", "freehold", environment=installed).split()
    sanitize = ["-fsanitize=address,undefined"] if SANITIZED else []
    run("cc", *sanitize, "-o", tmp_path / "notes", diary / "notes" / "notes.c", *flags)
    found = dict(os.environ, LD_LIBRARY_PATH=str(next(pathlib.Path(installed["FREEHOLD_ROOT"]).rglob("libfreehold.a")).parent))
    assert json.loads(run(tmp_path / "notes", "--describe", environment=found))["name"] == "notes"


def test_all_is_installed_where_debian_looks_for_it(installed):
    root = pathlib.Path(installed["FREEHOLD_ROOT"])
    packages = next(root.rglob("freehold.pc")).parent
    prefix = next(root.rglob("bin/freehold")).parent.parent
    for part in ("include/freehold.h", "include/freehold/test.h", "include/freehold/simulate.h",
                 "share/man/man1/freehold.1"):
        assert (prefix / part).is_file(), part
    assert ((prefix / "share/bash-completion/completions/freehold").read_text() ==
            (ROOT / "src" / "cli" / "freehold.bash").read_text())
    assert {one.name for one in packages.iterdir()} == {"freehold.pc", "freehold-simulation.pc", "freehold-tests.pc"}
    if prefix == root / "usr" / "local":
        looked = run("pkg-config", "--variable", "pc_path", "pkg-config").strip().split(":")
        assert f"/{packages.relative_to(root)}" in looked, looked
    assert not [path for path in prefix.rglob("*") if path.is_file() and path.stat().st_mode & 0o022]


def test_its_test_finds_a_mistake_in_it(diary, installed):
    """A test that can't fail would be of no use: with one event missing, a run must report it."""
    other = diary.parent / "broken"
    shutil.copytree(diary, other, ignore=shutil.ignore_patterns("build", ".freehold"))
    page = other / "notes" / "notes.c"
    page.write_text(page.read_text().replace('    fh_publish(w, "NoteChanged", note);\n', ""))
    sanitize = ["-Db_sanitize=address,undefined", "-Db_lundef=false"] if SANITIZED else []
    run(MESON, "setup", "build", *sanitize, folder=other, environment=installed)
    run("ninja", "-C", "build", folder=other, environment=installed)
    said = run("freehold", "test", "--seed", "1", folder=other, code=1, environment=installed)
    assert "expected NoteChanged of notes, which has published none" in said and "3 passed, 1 failed" in said


def test_a_new_service_runs(diary, installed):
    run("freehold", "check", folder=diary, environment=installed)
    up = json.loads(run("freehold", "up", "--detach", "--json", "--listen", f"127.0.0.1:{free_port()}", folder=diary,
                        environment=installed))
    try:
        assert up["system"] == "diary" and up["url"].startswith("http://127.0.0.1:")
        said = run("freehold", "call", "notes", "POST", "/api/notes", "--data", '{"text": "first"}', folder=diary,
                   environment=installed)
        assert json.loads(said)["text"] == "first"
        answer = run("curl", "-sS", "-X", "PUT", "-H", "Content-Type: application/json", "-d", '{"text": "second"}',
                     f"{up['url']}/api/notes/1")
        assert json.loads(answer)["text"] == "second"
        assert json.loads(run("curl", "-sS", f"{up['url']}/api/notes"))[0]["id"] == 1
        run("freehold", "call", "notes", "POST", "/api/notes", "--data", '{"text": "third"}', folder=diary,
            environment=installed)
        assert ids_by_pages(up["url"], "/api/notes?limit=1") == [2, 1]
        assert ids_by_calls(diary, installed, "/api/notes?limit=1") == [2, 1]
        refused = json.loads(run("curl", "-sS", f"{up['url']}/api/notes?cursor=AAAAAAAAAAAAW10"))
        assert refused["status"] == 400 and refused["errors"][0]["parameter"] == "cursor"
        said = run("freehold", "complete", "--", "call", "no", folder=diary, environment=installed)
        assert said.split() == ["notes"]
    finally:
        run("freehold", "stop", folder=diary, environment=installed)


@pytest.mark.parametrize("engine", sorted(SERVERS))
def test_a_new_service_moves_to_a_server(diary, installed, engine):
    if not is_installed(engine):
        pytest.skip(f"{engine.upper()} IS NOT INSTALLED")
    state = open_folder() / "state"

    def freehold(*words):  # not the installed one, which servers' users can't reach
        return run(FREEHOLD, *words, "--state", state, folder=diary)

    url = json.loads(freehold("up", "--detach", "--json", "--listen", f"127.0.0.1:{free_port()}"))["url"]
    try:
        freehold("call", "notes", "POST", "/api/notes", "--data", '{"text": "first"}')
        freehold("move", "notes", "--to", engine)
        freehold("call", "notes", "POST", "/api/notes", "--data", '{"text": "second"}')
        freehold("call", "notes", "PUT", "/api/notes/1", "--data", '{"text": "changed"}')
        rows = json.loads(freehold("call", "notes", "GET", "/api/notes"))
        assert [(row["id"], row["text"]) for row in rows] == [(2, "second"), (1, "changed")]
        assert ids_by_pages(url, "/api/notes?limit=1") == [2, 1]
    finally:
        freehold("stop")
        shutil.rmtree(state.parent)


def test_keywords_of_c_may_be_in_a_services_name(installed, tmp_path):
    """One of "returns" is a "return", and no variable can be named so."""
    run("freehold", "new", "system", "words", folder=tmp_path, environment=installed)
    folder = tmp_path / "words"
    for name in ("returns", "texts", "int"):
        run("freehold", "new", "service", name, folder=folder, environment=installed)
    assert '"ReturnCreated"' in (folder / "returns" / "returns.c").read_text()
    sanitize = ["-Db_sanitize=address,undefined", "-Db_lundef=false"] if SANITIZED else []
    run(MESON, "setup", "build", "-Dwerror=true", *sanitize, folder=folder, environment=installed)
    run("ninja", "-C", "build", folder=folder, environment=installed)
    assert "12 passed, 0 failed" in run("freehold", "test", "--seeds", "1", folder=folder, environment=installed)


def test_a_second_service_is_added_beside_the_first(diary, installed):
    made = json.loads(run("freehold", "new", "service", "order_lines", "--json", folder=diary, environment=installed))
    assert made == {"made": ["order_lines/order_lines.c", "order_lines/order_lines_test.c",
                             "order_lines/migrations/0001_create_order_lines.sql",
                             "order_lines/migrations/postgresql/0001_create_order_lines.sql",
                             "order_lines/migrations/mariadb/0001_create_order_lines.sql"],
                    "changed": ["meson.build", "freehold.yaml"]}
    assert '"OrderLineCreated"' in (diary / "order_lines" / "order_lines.c").read_text()
    run("ninja", "-C", "build", folder=diary, environment=installed)
    run("freehold", "test", "--only", "order_lines.", "--seeds", "2", folder=diary, environment=installed)
    assert "2 services" in run("freehold", "check", folder=diary, environment=installed)


def test_nothing_that_is_there_is_written_over(diary):
    before = (diary / "freehold.yaml").read_text()
    assert "notes/notes.c is there already; nothing was written" in run(FREEHOLD, "new", "service", "notes",
                                                                        folder=diary, code=1)
    assert "diary is there already" in run(FREEHOLD, "new", "system", "diary", folder=diary.parent, code=1)
    assert (diary / "freehold.yaml").read_text() == before


@pytest.mark.parametrize("words, expected", [
    (("service", "Notes"), "'Notes' is not a name for a service; expected a lower-case letter"),
    (("service", "../x"), "'../x' is not a name for a service"),
    (("service", "order"), "'order' is a word of SQL"),
    (("service", "user"), "'user' is a word of SQL"),
    (("service", "values"), "take another, such as 'my_values'"),
    (("service", "test"), "that name is taken"),
    (("service", "two-words"), "write '_' where '-' stands"),
    (("service", "gateway"), "that name is taken"),
    (("servce", "x"), "new does not know 'servce'; did you mean 'service'?"),
])
def test_a_wrong_name_is_refused(diary, words, expected):
    assert expected in run(FREEHOLD, "new", *words, folder=diary, code=2)


def test_a_file_that_has_no_list_to_add_to_is_left_as_it_is(tmp_path):
    (tmp_path / "freehold.yaml").write_text("system: a\nservices: {b: {}}\n")
    (tmp_path / "meson.build").write_text("services = [\n]\n")
    said = run(FREEHOLD, "new", "service", "notes", folder=tmp_path, code=1)
    assert "freehold.yaml has no line 'services:' with a list below it to add 'notes: { program: build/notes }'" in said
    assert sorted(one.name for one in tmp_path.iterdir()) == ["freehold.yaml", "meson.build"]
    said = run(FREEHOLD, "new", "service", "notes", folder=tmp_path / "..", code=2)
    assert "there is no freehold.yaml here" in said


def test_the_list_goes_on_as_far_in_as_it_began(tmp_path):
    (tmp_path / "freehold.yaml").write_text("system: a\nservices: # ours\n\n    b: {}\nprofiles: {p: {}}\n")
    (tmp_path / "meson.build").write_text("services = [")
    run(FREEHOLD, "new", "service", "notes", folder=tmp_path)
    assert (tmp_path / "freehold.yaml").read_text() == (
        "system: a\nservices: # ours\n    notes: { program: build/notes }\n\n    b: {}\nprofiles: {p: {}}\n")


# ---- What the command reports of itself --------------------------------------------------------


def commands():
    return json.loads(run(FREEHOLD, "help", "--json"))["commands"]


def test_every_command_answers_in_json_and_has_help():
    for command in commands():
        assert "--json" in [option["name"] for option in command["options"]], command["name"]
        said = run(FREEHOLD, command["name"], "--help")
        assert said.startswith(f"{command['summary']}.\n") and f"freehold {command['name']}" in said
        assert max(map(len, said.splitlines())) <= 100, command["name"]


@pytest.mark.parametrize("words, expected", [
    (("restored",), "'restored' is called 'restore-report' now"),
    (("stauts",), "there is no command 'stauts'; did you mean 'status'?"),
    (("frobnicate",), "there is no command 'frobnicate'; see freehold help"),
    (("saga", "lsit"), "saga does not know 'lsit'; did you mean 'list'?"),
    (("status", "--jsn"), "status has no option '--jsn'; did you mean '--json'?"),
    (("help", "chek"), "did you mean 'check'?"),
    (("stop", "now"), "stop does not expect 'now'"),
])
def test_a_misspelled_word_suggests_a_similar_one(words, expected):
    assert expected in run(FREEHOLD, *words, code=2)


def test_the_manual_has_every_command_and_no_mistake(installed):
    page = next(pathlib.Path(installed["FREEHOLD_ROOT"]).rglob("man1/freehold.1"))
    assert page.read_text() == run(FREEHOLD, "help", "--man")
    for command in commands():
        assert f".SS {command['name']}\n".replace("-", "\\-") in page.read_text()
    if not shutil.which("groff"):
        pytest.skip("NOT CHECKED BY groff, WHICH IS NOT INSTALLED")
    assert run("groff", "-man", "-ww", "-Tutf8", "-z", page) == ""


def completed(folder, *words):
    """What bash offers at the last of the words, by the file that is installed."""
    listed = " ".join(f"'{word}'" for word in ("freehold", *words))
    script = (f"compopt() {{ echo \"($2)\"; }}; . '{ROOT}/src/cli/freehold.bash'; COMP_WORDS=({listed});"
              f" COMP_CWORD={len(words)}; _freehold; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    said = run("bash", "--norc", "-c", script, folder=folder,
               environment=dict(os.environ, PATH=f"{BUILD}:{os.environ['PATH']}"))
    return said.split()


def test_bash_completes_commands_options_services_and_files(tmp_path):
    (tmp_path / "freehold.yaml").write_text("system: a\nservices: {users: {}, orders: {}, payments: {}}\n")
    (tmp_path / "other.yaml").write_text("system: b\nservices: {carts: {}}\n")
    for words, expected in [(("sta",), ["status"]), (("saga", "re"), ["retry"]), (("call", ""), ["users", "orders",
                            "payments"]), (("saga", "show", "or"), ["orders"]), (("parked", "drop", "--y"), ["--yes"]),
                            (("upgrade", "--state", "x", "pay"), ["payments"]), (("up", ""), ["(default)"]),
                            (("up", "--state", ""), ["(dirnames)"]), (("move", "other.yaml", ""), ["carts"]),
                            (("new", "s"), ["system", "service"]), (("help", "par"), ["parked"]), (("no", ""), [])]:
        assert completed(tmp_path, *words) == expected, words
    (tmp_path / "freehold.yaml").write_text("system: a\nservices: {users: {}}\nprofiles: {big: {users: {}}, small: {}}\n")
    assert completed(tmp_path, "up", "--profile", "") == ["big", "small"]
    assert completed(tmp_path, "check", "freehold.yaml", "--profile", "s") == ["small"]
    assert completed(tmp_path, "move", "users", "--to", "sq") == ["sqlite"]
