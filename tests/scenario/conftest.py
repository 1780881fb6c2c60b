# SPDX-License-Identifier: Apache-2.0
"""Whole systems, run through the command as a person would. Tests wait for conditions."""

import base64
import contextlib
import functools
import hmac
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "examples" / "shop")]
import build_folder  # noqa: E402
from issuer import Issuer  # noqa: E402
from ports import free_port  # noqa: E402

FREEHOLD = os.environ.get("FREEHOLD", str(ROOT / "build" / "freehold"))
CONDITION_S_MAX = 120
LOOK_S_MIN, LOOK_S_MAX = 0.02, 0.1  # between two checks of a condition
SANITIZED = b"__asan_init" in pathlib.Path(FREEHOLD).read_bytes()
STACK_SHOWN_MAX = 8
SANITIZER_REPORT = re.compile(r"ERROR: \w+Sanitizer|: runtime error: ")
# tools/test looks for its beginning; where it is raised stands nothing that begins so, as pytest shows those lines, too.
REPORTED = "SUMMARY: {what} in {process}: {names}\n{log}:\n{text}"


def wait_for(what, condition, seconds=CONDITION_S_MAX):
    """What `condition()` returns once it is true; the test fails with `what` otherwise."""
    began = time.monotonic()
    while True:
        found = condition()
        if found:
            return found
        waited = time.monotonic() - began
        assert waited < seconds, f"{what}: not within {seconds} s"
        time.sleep(min(max(LOOK_S_MIN, waited / 20), LOOK_S_MAX))  # checking takes processor time, too


def build_crash_programs():
    """The services and the command with crash points in them."""
    build_folder.make(pathlib.Path(FREEHOLD).parent, "crash-programs")


def assert_unreported(folder):
    """No sanitized process has found anything to report. A report ends the process, but `up` restarts it, and nobody
    else would notice."""
    for log in sorted(pathlib.Path(folder).rglob("*log*")) if SANITIZED else ():
        text = log.read_text(errors="replace") if log.is_file() else ""
        found = SANITIZER_REPORT.search(text)
        if found:  # its first stack, from the inside out, in the one line that everybody sees
            stack = re.search(r"(?:^ +#\d+ .*\n)+", text[found.start():], re.MULTILINE)
            names = re.findall(r" in (\w+)", stack.group(0))[:STACK_SHOWN_MAX] if stack else []
            raise AssertionError(REPORTED.format(
                what=found.group(0).strip(": "), process=log.parent.name, names=" < ".join(names), log=log,
                text=text[max(0, found.start() - 1000):found.start() + 6000]))


def assert_unrefused(folder):
    """No process was refused a system call: it would need one that src/service/system_calls.c lacks."""
    for log in pathlib.Path(folder).glob("*/log"):
        refused = re.search(r".* \[call-refused\]: .*", log.read_text(errors="replace"))
        assert not refused, f"{log}: {refused.group(0)}"


TOKEN_LIFE_MS = 300_000


def token(key, caller, audience, expires_ms=None):
    """What docs/operate/security.md says of tokens, made without the runtime's code."""
    if expires_ms is None:
        expires_ms = time.time_ns() // 1_000_000 + TOKEN_LIFE_MS
    text = f"1.{caller}.{audience}.{expires_ms}"
    mac = hmac.new(bytes.fromhex(key), text.encode(), "sha512").digest()[:32]
    return f"{text}.{mac.hex()}"


def text64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def stated(identity, seed, system):
    """The header Freehold-User, made without the runtime's code, by a seed in hex."""
    text = "1." + text64(json.dumps(identity, separators=(",", ":")).encode())
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    return text + "." + text64(key.sign(f"Freehold-User\n{system}\n{text}".encode()))


class Answer:
    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text
        self.body = json.loads(text) if text else None

    def __repr__(self):
        return f"{self.status} {self.text[:500]}"


def started_at(pid):
    """In ticks since the boot; None: it has ended."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def records(state):
    """{name: what `up` recorded of a process of its own}."""
    return {path.name: json.loads(path.read_text()) for path in pathlib.Path(state, ".run").iterdir()
            if path.suffix != ".new"}


def living(state):
    """The pids of the recorded processes that live: their files are in use."""
    return [one["pid"] for one in records(state).values() if started_at(one["pid"]) == one["start"]]


class Logins:
    """Logs in whoever a request is about, with the rights of staff: so that a test which is not about who may do what
    need not say. The owner of an order, a payment or a shipment is known once an answer has shown it."""
    issuer = Issuer()
    named = re.compile(r"/api/(?:users|carts)/(\d{1,19})\b|[?&]user_id=(\d{1,19})\b")
    owned = re.compile(r"/api/(orders|payments|shipments)/([\w-]+)")

    def __init__(self):
        self.owners = {}  # ("orders", "7") -> the id of its user

    def subject(self, path, body):
        if found := self.named.search(path):
            return found.group(1) or found.group(2)
        if isinstance(body, dict) and isinstance(body.get("user_id"), int):
            return body["user_id"]
        found = self.owned.match(path)
        return self.owners.get(found.groups(), "nobody") if found else "nobody"

    def header(self, path, body):
        return {"Authorization": f"Bearer {self.issuer.token(self.subject(path, body), 'staff')}"}

    def see(self, path, body):
        for one in body if isinstance(body, list) else [body]:
            if isinstance(one, dict) and "user_id" in one:
                for kind, name in (("orders", "id"), ("payments", "payment_id"), ("shipments", "shipment_id")):
                    self.owners[kind, str(one.get(name))] = one["user_id"]


class System:
    """One running system, in a state folder and on a port of its own. `said` is what `up` printed."""

    def __init__(self, file, state, profile=None, freehold=FREEHOLD):
        self.file, self.state, self.port = str(file), str(state), free_port()
        self.freehold = freehold  # what `up` and the gateway are
        self.profile = ["--profile", profile] if profile else []
        self.said, self.positions = "", {}  # {service: its position}, as last looked at
        self.logins = Logins()

    def command(self, *arguments, check=True, freehold=FREEHOLD):
        done = subprocess.run([freehold, *arguments], capture_output=True, text=True, timeout=300)
        assert not check or done.returncode == 0, f"freehold {arguments}: {done.stdout}{done.stderr}"
        return done

    def up(self):
        self.said = self.command("up", self.file, "--detach", "--state", self.state, *self.profile,
                                 "--listen", f"127.0.0.1:{self.port}", freehold=self.freehold).stdout
        return self

    def stop(self, check=True):
        self.command("stop", "--state", self.state, check=check)
        assert_unreported(self.state)
        assert_unrefused(self.state)

    def status(self):
        """The exit code is ignored: it says whether all are ready."""
        done = self.command("status", "--json", "--state", self.state, check=False)
        assert done.stdout, f"status tells nothing: {done.stderr}"
        return json.loads(done.stdout)

    def services(self):
        """{name: what `status` reports of it}."""
        return {one["name"]: one for one in self.status()["services"]}

    def state_of(self, service):
        """What it reports of itself: one that is busy may not have answered in time."""
        return wait_for(f"{service} tells its state", lambda: self.services()[service]["state"])

    def at_rest(self):
        """No saga is unfinished, no event unapplied. Seen twice in a row, since the services are queried one after the
        other, and instances learn of each other's events a little later."""
        looks = []
        for _ in range(2):
            if self.unrest():
                return False
            looks.append(self.positions)
        return looks[0] == looks[1]

    def unrest(self):
        """What keeps it from rest, a line each."""
        states = {name: one["state"] for name, one in self.services().items()}
        found = [f"{name} does not answer" for name, state in states.items() if state is None]
        if found:
            return found
        self.positions = {name: state["position"] for name, state in states.items()}
        for name, state in states.items():
            found += [f"{name}: sagas {kind}: {state['sagas'][kind]}"
                      for kind in ("running", "compensating", "parked") if state["sagas"][kind]]
            found += [f"{name}: {heard['source']} is at {states[heard['source']]['position']}, heard {heard}"
                      for heard in state["subscriptions"]
                      if heard["position"] != states[heard["source"]]["position"]]
        return found

    def pid(self, service):
        return self.services()[service]["pid"]

    def call(self, service, method, path, data=None, key=None):
        """An operator's call to any route, internal ones too."""
        arguments = ["call", service, method, path, "--json", "--state", self.state]
        arguments += ["--data", json.dumps(data)] if data is not None else []
        arguments += ["--key", key] if key else []
        done = self.command(*arguments, check=False)
        answer = json.loads(done.stdout)
        return Answer(answer["status"], {}, json.dumps(answer["body"]))

    def key(self, caller, receiver):
        """As the state folder's owner may read it."""
        keys = json.loads((pathlib.Path(self.state) / "keys.json").read_text())["keys"]
        return keys[caller][receiver]

    def token(self, caller, receiver):
        return token(self.key(caller, receiver), caller, receiver)

    def statement(self, user=None, **identity):
        """A Freehold-User, as the gateway of this system would state it; docs/guide/identity.md."""
        seed = json.loads((pathlib.Path(self.state) / "keys.json").read_text())["keys"]["gateway"]["_user"]
        name = re.search(r"^system: *(\S+)", pathlib.Path(self.file).read_text(), re.MULTILINE).group(1)
        return stated({"sub": str(user), "via": "jwt", "iat": 1763737200, **identity}, seed, name)

    @contextlib.contextmanager
    def held_still(self, *services):
        """They neither answer nor end. Nor does `up`, which would kill them for their silence; it is resumed last."""
        pids = [self.status()["up_pid"], *(self.pid(service) for service in services)]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in reversed(pids):
                os.kill(pid, signal.SIGCONT)

    def http(self, method, path, body=None, headers=None, seconds=CONDITION_S_MAX, user=None, roles=(), nobody=False):
        """One request through the gateway, once: as this user with these roles, as nobody, or by default as whoever it
        is about (Logins)."""
        if user is not None:
            headers = {**(headers or {}), "Authorization": f"Bearer {Logins.issuer.token(user, *roles)}"}
        elif not nobody and self.authenticates():
            headers = {**self.logins.header(path, body), **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            data = json.dumps(body) if body is not None else None
            headers = dict(headers or {}, **({"Content-Type": "application/json"} if data else {}))
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            answer = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, text)
            self.logins.see(path, answer.body)
            return answer
        finally:
            connection.close()

    def authenticates(self):
        return "shop-login" in pathlib.Path(self.file).read_text()

    def logs(self):
        folder = pathlib.Path(self.state)
        return "\n".join(f"--- {log}\n{log.read_text(errors='replace')[-4000:]}"
                         for log in (*sorted(folder.glob("*/log")), *sorted(folder.glob(".servers/*/log"))))


# ---- Profiles: the same shop on other engines -------------------------------------------------------

SHOP_FILE = ROOT / "examples" / "shop" / "freehold.yaml"
SHOP_SERVICES = tuple(re.findall(r"^  (\w+): \{ program:", SHOP_FILE.read_text(), re.MULTILINE))
PROFILES = ("embedded", "postgresql", "schemas", "servers")
# The shop with its events by a broker. Its whole suites by each of them take too long for `make test`: `make test-buses`.
BUSES = ("nats", "rabbitmq", "kafka")
EVERY_BUS = BUSES if os.environ.get("FREEHOLD_EVERY_BUS") else ()


def with_programs(text, folder=pathlib.Path(FREEHOLD).parent / "examples" / "shop"):
    """A copy of the shop's file, for another folder: it names programs and keys by their paths."""
    return with_keys(re.sub(r"program: (\w+)", rf"program: {folder}/\1", text))


def with_keys(text):
    return text.replace("keys: .login/", f"keys: {SHOP_FILE.parent}/.login/")


# The lines of the shop's file that have its gateway log users in, for other systems' files.
AUTH = with_keys(re.search(r"^  auth:\n(?:    .*\n)+", SHOP_FILE.read_text(), re.MULTILINE).group())


@functools.cache
def why_not(profile):
    """Why the shop can't run with it on this machine; "": it can."""
    done = subprocess.run([FREEHOLD, "check", str(SHOP_FILE), "--profile", profile, "--json"],
                          capture_output=True, text=True, timeout=120, check=False)
    errors = json.loads(done.stdout)["errors"] if done.returncode else []
    lacking = [error["message"] for error in errors
               if "is not installed" in error["message"] or "is not built in" in error["message"]]
    assert len(lacking) == len(errors), errors
    return "; ".join(lacking)


def named(profile):
    """The `--profile` for `up`, after checking that it can run here: None is the embedded default."""
    if profile == "embedded":
        return None
    if why_not(profile):
        pytest.skip(f"NOT RUN ON THE PROFILE {profile}: {why_not(profile)}")
    return profile


def pytest_configure(config):
    config.addinivalue_line("markers", "on(*profiles): slow, and the same on every other one: with these profiles alone")


def pytest_collection_modifyitems(items):
    def has_to(item):
        mark = item.get_closest_marker("on")
        profiles = (*mark.args, *EVERY_BUS) if mark else ()
        return not mark or not hasattr(item, "callspec") or item.callspec.params.get("shop", "embedded") in profiles
    items[:] = [item for item in items if has_to(item)]


def open_folder():
    """A new folder that other users can enter: as root, servers run as users of their own."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="freehold-test-"))
    folder.chmod(0o711)
    return folder


def folder_for(request):
    """Such a folder for one test, removed after it."""
    folder = open_folder()
    request.addfinalizer(lambda: shutil.rmtree(folder, ignore_errors=True))
    return folder


@pytest.fixture(scope="module", autouse=True)
def unreported(tmp_path_factory):
    """For processes that tests start in other ways than System."""
    yield
    assert_unreported(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """start(file) brings a system up; all are stopped after the module's tests."""
    systems = []

    def begin(file, profile=None):
        state = (open_folder() if profile else tmp_path_factory.mktemp("state")) / "s"
        systems.append(System(file, state, profile))
        return systems[-1].up()

    yield begin
    for system in systems:
        system.stop(check=False)
        shutil.rmtree(pathlib.Path(system.state).parent, ignore_errors=True)
