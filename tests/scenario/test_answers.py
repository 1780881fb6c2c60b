# SPDX-License-Identifier: Apache-2.0
"""What the command says, whatever it is asked: in JSON where that is wanted, within 80 columns, each name whole. Over
all commands of the one table."""

import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import tempfile
import time

import pytest

from conftest import FREEHOLD
from terminal import assert_fits, on_terminal
from test_command import USERS, Mini, mini  # noqa: F401 a fixture

COMMANDS = json.loads(subprocess.run([FREEHOLD, "help", "--json"], capture_output=True, check=True).stdout)["commands"]
HIDDEN = [json.loads(subprocess.run([FREEHOLD, "help", name, "--json"], capture_output=True, check=True).stdout)
          for name in ("gateway", "keep", "complete")]
NAMES = [command["name"] for command in COMMANDS + HIDDEN]
# What a person might give for a word of the table that is no choice.
GIVEN = {"SERVICE": "users", "FILE": "no-such-file.yaml", "METHOD": "GET", "PATH": "/x", "ID": "1", "DIR": "nowhere",
         "N": "2", "COUNT": "2", "COMMAND": "up"}


def forms():
    """(name, words) for each command, and for each of its choices."""
    for command in COMMANDS:
        words = [form for form in re.findall(r"[^\s\[\]]+", command["words"]) if form != "..."]
        first = words[0].split("|") if words and words[0][0].islower() else [None]
        for choice in first:
            rest = words[1:] if choice else words
            yield command["name"], [*([choice] if choice else []),
                                    *(form.split("|")[0] if form[0].islower() else GIVEN.get(form, "word")
                                      for form in rest)]


def run(*words, folder=None, **how):
    return subprocess.run([FREEHOLD, *words], capture_output=True, text=True, timeout=120, check=False, cwd=folder,
                          stdin=subprocess.DEVNULL, **how)


def error_in(done):
    """The one object of a command that has failed; nothing else may be on standard error."""
    assert done.stderr.count("\n") == 1 and done.stderr.endswith("\n"), (done.args, done.stderr)
    error = json.loads(done.stderr)["error"]
    assert error["exit"] == done.returncode and error["message"] and not error["message"].startswith("freehold"), done
    return error


@pytest.mark.parametrize("name", NAMES)
def test_wrong_usage_is_told_in_json(name, tmp_path):
    wrong = run(name, "--no-such-option", "--json", folder=tmp_path)
    assert wrong.returncode == 2 and not wrong.stdout
    assert error_in(wrong)["message"].startswith(f"{name} has no option '--no-such-option'")
    many = run(name, "--json", *["word"] * 40, folder=tmp_path)
    assert many.returncode == 2
    error_in(many)


@pytest.mark.parametrize("name, words", [form for form in forms() if form[0] not in ("version", "help", "new")],
                         ids=lambda value: "-".join(value) if isinstance(value, list) else value)
def test_every_failure_is_one_object_under_json(name, words, tmp_path):
    """In a folder where nothing is: most fail for that, some in other ways; none in plain text."""
    done = run(name, *words, "--json", folder=tmp_path)
    if done.stdout:  # `check` answers with its findings
        json.loads(done.stdout)
    if done.returncode and not done.stdout:
        error_in(done)
    elif done.stderr:
        json.loads(done.stderr)


def test_a_word_that_is_no_command_is_answered_in_json():
    done = run("statsu", "--json")
    assert done.returncode == 2 and error_in(done)["message"] == "there is no command 'statsu'; did you mean 'status'?"
    assert "did you mean" not in run("help", "nope").stderr


def test_findings_are_in_the_object(mini):  # noqa: F811
    mini.write("  users: {progam: users}\n  orders: {engine: nosuch}\n")
    done = run("up", str(mini.file), "--json", folder=mini.folder)
    assert done.returncode == 1 and not done.stdout
    assert "not started: 2 errors" in error_in(done)["message"]
    places = [(one["line"], one["column"]) for one in json.loads(done.stderr)["findings"]["errors"]]
    assert places == [(4, 11), (5, 20)]


def test_nobody_is_asked_under_json(mini):  # noqa: F811
    """A question that nobody sees would wait for ever."""
    mini.up()
    terminal, theirs = pty.openpty()
    done = subprocess.run([FREEHOLD, "parked", "drop", "users", "orders", "1", "--json", "--state", str(mini.state)],
                          stdin=theirs, capture_output=True, text=True, timeout=60, check=False)
    os.close(theirs)
    os.close(terminal)
    assert done.returncode == 2 and "--yes" in error_in(done)["message"]


def test_what_a_running_service_has_is_completed(mini):  # noqa: F811
    """Sagas and what is parked; nothing, and no message, where nobody answers."""
    mini.describe("users", USERS, answers={
        "/_freehold/sagas": {"sagas": [{"id": "3f9a.12"}, {"id": "3f9a.7"}, {"id": "b1.1"}]},
        "/_freehold/parked": {"keys": [{"source": "orders", "key": "a-1"}, {"source": "orders", "key": "a-2"},
                                       {"source": "carts", "key": "a-3"}]},
        "/_freehold/timers?state=parked": {"timers": [{"id": "t1.1"}, {"id": "t1.2"}]}})
    mini.up()
    for words, expected in ((("saga", "show", "users", "3f"), ["3f9a.12", "3f9a.7"]),
                            (("saga", "retry", "--state", str(mini.state), "users", ""), ["3f9a.12", "3f9a.7", "b1.1"]),
                            (("timers", "drop", "users", ""), ["t1.1", "t1.2"]),
                            (("logs", "--level", ""), ["error", "warning", "info", "debug"]),
                            (("backup", "--to", ""), ["@folders"]),
                            (("parked", "retry", "users", ""), ["orders", "carts"]),
                            (("parked", "retry", "users", "orders", "a"), ["a-1", "a-2"])):
        done = run("complete", "--", *words, folder=mini.folder)
        assert done.stdout.split() == expected and not done.stderr, (words, done)
    hung = mini.service("users")["pid"]
    os.kill(hung, signal.SIGSTOP)
    began = time.monotonic()
    assert not run("complete", "--", "saga", "show", "users", "", folder=mini.folder).stdout
    os.kill(hung, signal.SIGCONT)
    assert time.monotonic() - began < 20, "as long as an operator would have waited"
    mini.run("stop")
    done = run("complete", "--", "saga", "show", "users", "", folder=mini.folder)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


# ---- What is not permitted ------------------------------------------------------------------------


def setpriv(*how):
    return ["setpriv", *how, FREEHOLD]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give rights up")
def test_root_without_its_rights_is_told_once_and_what_to_do(mini):  # noqa: F811
    """As in a container that drops capabilities: each program, each folder failed by itself."""
    for command in ("check", "up"):
        done = subprocess.run([*setpriv("--bounding-set", "-chown,-setuid", "--inh-caps", "-chown,-setuid"), command,
                               str(mini.file)], capture_output=True, text=True, timeout=60, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 1 and "1 error" in said and "Operation not permitted" not in said, said
        assert "it lacks CAP_CHOWN, CAP_SETUID" in said and "docker run --user" in said, said
        assert not mini.state.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give rights up")
def test_who_is_root_of_nothing_else_is_told_to_be_themselves(mini):  # noqa: F811
    alone = subprocess.run(["unshare", "--user", "--map-root-user", FREEHOLD, "check", str(mini.file)],
                           capture_output=True, text=True, timeout=60, check=False)
    if "unshare failed" in alone.stderr:
        pytest.skip("THIS KERNEL LETS NOBODY MAKE A NAMESPACE OF USERS")
    assert "as yourself" in alone.stderr and "Operation not permitted" not in alone.stderr, alone


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_whose_a_state_folder_is_is_told_to_others():
    with tempfile.TemporaryDirectory(prefix="freehold-test-") as folder:  # pytest closes its own, for each run anew
        mini = Mini(pathlib.Path(folder))
        mini.up()
        mini.run("stop")
        nobody = setpriv("--reuid=65534", "--regid=65534", "--clear-groups")
        # The whole way is open to others, then not even the folder above it can be looked into.
        for mode, owner in ((0o755, "sudo -u root"), (0o700, "as the user who started the system")):
            mini.folder.chmod(mode)
            for command in (["up", "freehold.yaml"], ["status"], ["stop"]):
                done = subprocess.run([*nobody, *command, "--state", str(mini.state)], capture_output=True, text=True,
                                      cwd=mini.folder, timeout=60, check=False)
                assert done.returncode in (1, 3) and "denied" in done.stderr, done
                assert command[0] == "up" or owner in done.stderr, done
                assert command[0] != "up" or mode == 0o700 or "the user who did before" in done.stderr, done


# ---- On a terminal -------------------------------------------------------------------------------


def test_help_and_errors_fit_into_80_columns(tmp_path):
    assert_fits(on_terminal(["help"], tmp_path))
    for name in NAMES:
        assert_fits(on_terminal(["help", name], tmp_path))
        assert_fits(on_terminal([name, "--no-such-option"], tmp_path))
        assert_fits(on_terminal([name, *["word"] * 40], tmp_path))
    for name, words in forms():
        if name not in ("new", "config"):  # the one makes files, the other prints one
            assert_fits(on_terminal([name, *words], tmp_path))
    narrow = on_terminal(["help", "saga"], tmp_path, 60)
    assert_fits(narrow, 60)
    assert any("--ended" in line for line in narrow)


LONG = "accounts-of-customers-abroad-too"  # the longest name there may be


def test_findings_and_long_names_fit_into_80_columns(mini):  # noqa: F811
    parked = {"keys": [{"source": "orders-of-customers-abroad-too", "key": "user-of-the-other-hemisphere-7",
                        "events": 3, "age_s": 500000, "attempts": 12, "type": "UserOfTheOtherHemisphereUpdated",
                        "position": 123456789, "error": "There is no user of this number, and " * 4}]}
    mini.describe(LONG, {"asks": [{"service": "users", "path": "/api/users/{id}"}]},
                  answers={"/_freehold/parked": parked})
    mini.write(f"  users: {{}}\n  {LONG}: {{}}\n")
    check = on_terminal(["check", "freehold.yaml"], mini.folder)
    assert_fits(check)
    assert f"{LONG} GET /api/users/{{id:int}}" in " ".join(" ".join(check).split()), "\n".join(check)
    mini.up()
    shown = on_terminal(["parked", "list"], mini.folder)
    assert_fits(shown)
    text = " ".join(" ".join(shown).split())
    assert LONG in text and "orders-of-customers-abroad-too" in text and "There is no user of this number" in text
    status = on_terminal(["status", "--once"], mini.folder)
    assert_fits(status)
    assert any(line.startswith(LONG) for line in status), "\n".join(status)
    mini.write(f"  users: {{}}\n  {LONG}: {{progam: {LONG}, engine: nosuchengine}}\n")
    wrong = on_terminal(["check", "freehold.yaml"], mini.folder)
    assert_fits(wrong)
    assert "did you mean 'program'?" in " ".join(" ".join(wrong).split())
