#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the compilers do not see: the tree's own rules, each as one TAP case.

Called with the source folder and the build folder. Every violation is one line, FILE:LINE, what is
wrong and what to do. The allowances below are a ratchet: an entry may be lowered or removed, and one
that is no longer needed fails until it is removed. Nothing is added without a reason beside it.
"""

import collections
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

# A layer includes itself and the layers before it. Each line says what the layer may stand on.
LAYERS = (
    "base",     # knows no domain: errors, memory, text, JSON
    "shape",    # what a JSON value must look like
    "world",    # time, randomness, timers, requests, fibers: the seam a simulation takes over
    "http",     # server and client; the client sends what world asks for
    "store",    # the contract of each model, and of an engine
    "engine",   # a folder for each engine; nobody but tests and the simulator's servers looks into one
    "broker",   # the contract of brokers, and a folder for each; nobody looks into one
    "work",     # one handler's unit of work in a store
    "timer",    # what is done at a time, in works
    "event",    # outbox, feed and subscriptions, written and applied in works
    "carrier",  # brings what is derived to servers, and asks them
    "call",     # asking and commanding other services, from works
    "saga",     # steps are calls, their progress is works
    "service",  # from a declaration to a running process: puts the layers together
    "gateway",  # the public door: no store, it stands on http and world
    "system",   # many services: provisioning, supervision, check
    "simulate", # a whole system in one process, on virtual time
    "cli",      # the command
)

# What a folder of a layer must not know, so that something else can stand there.
SEAMS = {
    "src/event/subscribe/": ("event/carried/", "event/feed/", "http/"),  # a bus brings events: event/bus.h
    "src/event/outbox/": ("event/feed/", "event/relay/", "event/subscribe/", "event/resync/", "http/"),  # its readers
}

FILE_LINES = 500
FILE_LINES_MAX = 800  # no allowance of a source file goes beyond; a suite of tests may go up to it
FILE_ALLOWANCES = {}
TEST_FILE_ALLOWANCES = {}

# What C++ keeps for itself: such a name misleads clang-format, and could not go into a header.
RESERVED_IN_CXX = ("and", "bitand", "bitor", "catch", "class", "compl", "concept", "const_cast", "constexpr", "decltype",
                   "delete", "dynamic_cast", "explicit", "export", "friend", "mutable", "namespace", "new", "noexcept",
                   "not", "operator", "or", "private", "protected", "public", "reinterpret_cast", "requires", "static_cast",
                   "template", "this", "throw", "try", "typeid", "typename", "using", "virtual", "xor")

FUNCTION_LINES = 60
FUNCTION_ALLOWANCES = {}

UNSAFE = "has no bound: use snprintf, memcpy or struct text"
HIDDEN_STATE = "keeps hidden state or hides failure: parse with a check of the whole text"
WORLD_ONLY = "reaches past the world seam: ask src/world for time and randomness"
BLOCKING = "blocks the loop: park the fiber (fiber_sleep_until, world_blocking)"
BANNED_CALLS = {
    "strcpy": UNSAFE, "strcat": UNSAFE, "sprintf": UNSAFE, "vsprintf": UNSAFE, "gets": UNSAFE,
    "alloca": UNSAFE,
    "strtok": HIDDEN_STATE, "atoi": HIDDEN_STATE, "atol": HIDDEN_STATE, "atoll": HIDDEN_STATE,
    "atof": HIDDEN_STATE, "localtime": HIDDEN_STATE, "gmtime": HIDDEN_STATE,
    "ctime": HIDDEN_STATE,
    "time": WORLD_ONLY, "gettimeofday": WORLD_ONLY, "clock_gettime": WORLD_ONLY,
    "uv_now": WORLD_ONLY, "uv_hrtime": WORLD_ONLY, "uv_random": WORLD_ONLY,
    "rand": WORLD_ONLY, "srand": WORLD_ONLY, "random": WORLD_ONLY, "srandom": WORLD_ONLY,
    "drand48": WORLD_ONLY, "getrandom": WORLD_ONLY, "arc4random": WORLD_ONLY,
    "randombytes_buf": WORLD_ONLY, "randombytes_random": WORLD_ONLY,
    "sqlite3_randomness": WORLD_ONLY,
    "sleep": BLOCKING, "usleep": BLOCKING, "nanosleep": BLOCKING,
    "system": "starts a shell: use uv_spawn", "popen": "starts a shell: use uv_spawn",
    "skip": "says no reason: use SKIP_BECAUSE (tests/support/skip.h)",
    "assert": "vanishes from release builds: use FH_ASSERT",
}
# Under these paths a call may be made after all.
BANNED_CALLS_ALLOWED = {
    "src/world/": {"clock_gettime", "getrandom", "uv_now", "uv_hrtime", "nanosleep"},
    "src/base/map.c": {"getrandom"},      # no order of entries depends on it
    "src/base/log.c": {"clock_gettime"},  # the time of a log line decides nothing
    "src/base/progress.c": {"clock_gettime"},  # how fast something goes, for people
    "src/http/lists.c": {"uv_now"},       # idle connections of the real loop; no handler sees it
    "src/broker/kafka/client.c": {"clock_gettime"},  # of threads that may outlive their world
    "src/broker/rabbitmq/link.c": {"clock_gettime"},  # of threads that may outlive their world
    "src/service/watchdog.c": {"uv_hrtime"},  # of its own thread: whether it was stopped
    "src/system/provision/provision.c": {"time"},  # when keys were replaced is the calendar's, too
    "src/system/provision/certificates.c": {"time"},  # a certificate's ends are the calendar's
    "src/system/audit/audit.c": {"clock_gettime"},  # the time of an entry decides nothing
    "src/cli/speak.c": {"clock_gettime"},  # how long ago something was, for people
    "src/simulate/main.c": {"clock_gettime"},  # how long all runs took, for people
    # A test may wait between two looks at a condition; it knows the texts that it reads and writes,
    # and where it is mistaken AddressSanitizer says so.
    "tests/": {"sleep", "usleep", "nanosleep", "clock_gettime", "uv_now", "uv_hrtime", "atoi",
               "atol", "atoll", "atof", "system", "strcpy", "strcat", "sprintf"},
    "tests/support/skip.h": {"skip"},
    "bench/": {"clock_gettime", "uv_now", "uv_hrtime", "nanosleep"},
}

# Rooms that decide what a failure means, and so log it; the others return it.
LOGGING_LAYERS = {"work", "timer", "event", "call", "saga", "service", "gateway", "system", "cli"}
LOGGING_ALLOWED = {
    "src/base/log.c", "src/base/log.h",  # the log itself
    "src/world/real.c",                  # the last words of a process that must end at once
    # Opening and settling may wait long for a server that is not there; nobody above could say for what.
    "src/store/relational/mark.c",
    "src/engine/postgresql/connection.c",
    "src/engine/sqlite/log.c",  # or for a large log that a killed process has left
}

SPDX = "SPDX-License-Identifier: Apache-2.0"
# These carry no SPDX line: prose, data without comments, and the licence itself.
WITHOUT_SPDX = re.compile(r"(\.(md|json|jsonl|txt|csv|svg|png|html|css)|LICENSE|\.gitignore|"
                          r"\.clang-format|\.gitattributes|\.editorconfig|Cargo\.lock|go\.sum)$")
MACHINE_PATH = re.compile(r"(?<![\w.}/~-])/(?:work|root|home|Users|mnt)/[\w.]")
MARKS = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK|TB" r"D)\b|\b[Ii]ssue #?\d")
NINJA_CALLED = re.compile(r'"/usr/bin/ninja",')
NINJA_ALLOWED = {
    "tools/build_folder.py",        # the one place
    "tests/scenario/test_lean.py",  # these build in folders of their own
    "tests/fuzz/run",
    "tests/tidy/rules_test.py",     # tries the rule
    "tests/tidy/tidy.py",           # and this is it
}

Violation = collections.namedtuple("Violation", "path line text")


class Tree:
    """The source files, read once."""

    def __init__(self, source, build):
        self.source, self.build = source, build
        self.texts = {}
        for path in files_of(source):
            try:
                with open(os.path.join(source, path), encoding="utf-8") as file:
                    self.texts[path] = file.read()
            except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
                pass  # pictures; what was removed and not yet committed; folders linked in
        self.code = {path: without_comments(text) for path, text in self.texts.items()
                     if path.endswith((".c", ".h"))}

    def c_files(self, *starts):
        return [path for path in self.code if path.startswith(starts or "")]


def files_of(source):
    """What git tracks or would; in a tree without git, whatever was not built."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", source, "ls-files", "-z", "--cached", "--others",
         "--exclude-standard"], capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return sorted(set(listed.stdout.split("\0")) - {""})
    found = []
    for folder, folders, names in os.walk(source):
        folders[:] = [name for name in folders
                      if name not in (".git", ".freehold", "__pycache__")
                      and not name.startswith("build")]
        found += [os.path.relpath(os.path.join(folder, name), source) for name in names]
    return sorted(found)


def without_comments(text):
    """Comments and what stands in quotes become spaces; lines stay where they are. What is
    included keeps its name."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)

    def blank(match):
        start = text.rfind("\n", 0, match.start()) + 1
        if text[start:match.start()].strip() == "#include":
            return match.group(0)
        return re.sub(r"[^\n]", " ", match.group(0))

    return pattern.sub(blank, text)


def lines_matching(text, pattern):
    for number, line in enumerate(text.splitlines(), 1):
        for match in pattern.finditer(line):
            yield number, match


# ---- The checks: each yields violations ------------------------------------------------------

def layers_include_only_layers_before_them(tree):
    include = re.compile(r'^\s*#include\s+"([^"]+)"')
    for path in tree.c_files("src/", "examples/"):
        own = path.split("/")[1] if path.startswith("src/") else None
        for line, match in lines_matching(tree.code[path], include):
            name = match.group(1)
            layer = name.split("/")[0] if "/" in name else None
            if name == "freehold.h" or name.startswith("freehold/"):
                continue
            if own is None and layer in LAYERS:
                yield Violation(path, line, f'a service includes "{name}": <freehold.h> is all it '
                                            "may know")
            elif own is not None and layer not in LAYERS:
                yield Violation(path, line, f'"{name}" is not of the form "layer/file.h"')
            elif own is not None and own not in LAYERS:
                yield Violation(path, line, f"src/{own} is no layer yet: give it its place in LAYERS")
                break
            elif own is not None and LAYERS.index(layer) > LAYERS.index(own):
                yield Violation(path, line, f"layer {own} includes \"{name}\", but {layer} stands on "
                                            f"{own}: pass a function down instead")


def seams_are_kept(tree):
    include = re.compile(r'^\s*#include\s+"([^"]+)"')
    for folder, unknown in SEAMS.items():
        for path in tree.c_files(folder):
            for line, match in lines_matching(tree.code[path], include):
                if match.group(1).startswith(unknown):
                    yield Violation(path, line, f'"{match.group(1)}" is on the other side of a seam: see SEAMS in tidy.py')


def engines_are_named_in_their_folders_alone(tree):
    """What is built in is asked for its abilities and parts; who it is is nobody's business. A model of a server stands in a
    folder of the engine's name, too; so does a driver of the same kind of server (carrier), which uses the engine's link.h."""
    engines = sorted({path.split("/")[2] for path in tree.code if path.startswith("src/engine/") and path.count("/") == 3})
    either = "|".join(engines)
    kinds = {
        re.compile(rf'"[^"\n]*\b(?:{either})\b[^"\n]*"'): "an engine's name in a string",
        re.compile(rf"[=!]=\s*&engine_\w+|&engine_\w+\s*[=!]="): "an engine is compared",
        re.compile(rf"FREEHOLD_(?:{either.upper()})\b"): "whether an engine is built in",
        re.compile(r'#include\s+"engine/\w+/(?!link\.h)'): "a look into an engine's folder",
    }
    for path in tree.c_files("src/"):
        own = path.split("/")
        if own[1] == "engine" or (own[1] == "simulate" and own[2] in engines):
            continue
        for pattern, what in list(kinds.items())[3 if own[1] == "carrier" and own[2] in engines else 0:]:
            for line, match in lines_matching(tree.code[path], pattern):
                yield Violation(path, line, f"{what}: {match.group(0)}; ask for what differs (store/engine.h)")


def every_source_file_names_its_licence(tree):
    for path, text in tree.texts.items():
        if text and not WITHOUT_SPDX.search(path) and SPDX not in "\n".join(text.split("\n", 2)[:2]):
            yield Violation(path, 1, f"put `{SPDX}` into a comment on the first line")


def every_c_file_begins_with_what_it_owns(tree):
    for path in tree.c_files():
        head = tree.texts[path].split("\n", 1)[-1].lstrip()
        if path.endswith(".h"):
            comment = re.search(r"/\*.*?\*/", head, re.DOTALL)
        else:
            comment = re.match(r"/\*.*?\*/", head, re.DOTALL)
        if not comment or len(comment.group(0).split()) < 4:
            yield Violation(path, 2, "say in a comment at the top what this file owns and why so")


def ratchet(found, limit, allowances, what):
    """found: (key, path, line, lines). Over its allowance, or an allowance without need."""
    needed = set()
    for key, path, line, lines in found:
        if lines > limit:
            needed.add(key)
            allowed = allowances.get(key, limit)
            if lines > allowed:
                yield Violation(path, line, f"{what} has {lines} lines, {allowed} are the most: "
                                            "take an idea out of it")
    for key in sorted(set(allowances) - needed):
        yield Violation("tests/tidy/tidy.py", 1, f"the allowance for {key} is no longer needed: "
                                                 "remove it")


def files_are_no_longer_than_one_idea(tree):
    sources, tests = [], []
    for path, text in tree.texts.items():
        if path.endswith((".c", ".h", ".py")):
            lines = text.count("\n")
            (tests if path.startswith("tests/") else sources).append((path, path, 1, lines))
    allowances = {path: min(lines, FILE_LINES_MAX) for path, lines in FILE_ALLOWANCES.items()}
    yield from ratchet(sources, FILE_LINES, allowances, "the file")
    yield from ratchet(tests, FILE_LINES_MAX, TEST_FILE_ALLOWANCES, "the suite")


ATTRIBUTE = re.compile(r"\b__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)\s*")


def functions_of(code):
    """(name, line, lines of code) of each function; blank lines and comments do not count."""
    lines = code.splitlines()
    begin = None
    for number, line in enumerate(lines):
        if line.rstrip() == "{":
            begin = number
        elif begin is not None and line.startswith("}"):
            first = begin
            while first > 0 and lines[first - 1].strip() and lines[first - 1][0] not in "}#":
                first -= 1
            names = re.findall(r"\b(\w+)\s*\(", ATTRIBUTE.sub("", " ".join(lines[first:begin]))) or ["?"]
            body = [one for one in lines[begin + 1:number] if one.strip()]
            yield names[0], first + 1, len(body)
            begin = None


def functions_fit_on_a_screen(tree):
    found = []
    for path in tree.c_files():
        for name, line, lines in functions_of(tree.code[path]):
            if path.startswith("tests/") and name == "main":
                continue  # the table of a suite's tests
            found.append((f"{path}:{name}", path, line, lines))
    yield from ratchet(found, FUNCTION_LINES, FUNCTION_ALLOWANCES, "the function")


def symbols_of(tree):
    """{object: (what it defines, what it needs of others)} of the library and the command."""
    found = {}
    for folder in ("libfreehold.a.p", "freehold.p"):
        for path in sorted(pathlib.Path(tree.build, folder).glob("*.c.o")):
            listed = subprocess.run(["nm", "--format=posix", path], capture_output=True, text=True, check=True)
            kinds = [line.split()[:2] for line in listed.stdout.splitlines()]
            found[path.name.removesuffix(".o")] = ({name for name, kind in kinds if kind in "TDRB"},
                                                   {name for name, kind in kinds if kind == "U"})
    return found


def rings_of(calls):
    """The groups of files that call each other, over however many others: Tarjan's strongly connected components."""
    number, lowest, waiting, rings = {}, {}, [], []

    def visit(file):
        number[file] = lowest[file] = len(number)
        waiting.append(file)
        for called in sorted(calls.get(file, ())):
            if called not in number:
                visit(called)
                lowest[file] = min(lowest[file], lowest[called])
            elif called in waiting:
                lowest[file] = min(lowest[file], number[called])
        if lowest[file] == number[file]:
            at = waiting.index(file)
            ring, waiting[at:] = sorted(waiting[at:]), []
            if len(ring) > 1:
                rings.append(ring)

    for file in sorted(calls):
        if file not in number:
            visit(file)
    return rings


def files_call_each_other_one_way(tree):
    symbols = symbols_of(tree)
    home = {name: file for file, (defined, _) in symbols.items() for name in defined}
    calls = {file: {home[name] for name in needed if name in home} - {file} for file, (_, needed) in symbols.items()}
    for ring in rings_of(calls):
        inside = [f"{one} calls {home[name]}: {name}" for one in ring for name in sorted(symbols[one][1])
                  if home.get(name) in ring and home[name] != one]
        yield Violation("tests/tidy/tidy.py", 1, f"{len(ring)} files call each other in a ring ({'; '.join(inside[:12])}): "
                                                 "move what both need into a lower file, or pass a function down")


def no_name_is_reserved_in_cxx(tree):
    reserved = re.compile(r"\b(" + "|".join(RESERVED_IN_CXX) + r")\b")
    for path in tree.c_files("src/", "examples/", "bench/"):
        code = re.sub(r"(?m)^[ \t]*#.*$", "", tree.code[path])
        for line, match in lines_matching(code, reserved):
            yield Violation(path, line, f"`{match.group(1)}` is reserved in C++, and clang-format reads it so: another name")


def static_functions_of(code):
    """(name, line) of each static function that is defined there, and not in a header."""
    lines = code.splitlines()
    for name, line, _ in functions_of(code):
        text = ATTRIBUTE.sub("", " ".join(lines[line - 1:line + 1])).lstrip()
        if text.startswith("static ") and not text.startswith("static inline"):
            yield name, line


def static_functions_carry_their_noun(tree):
    """In a backtrace `run` says nothing, and the same name in two files says it twice."""
    homes = collections.defaultdict(list)
    for path in tree.c_files("src/"):
        if path.endswith(".c"):
            for name, line in static_functions_of(tree.code[path]):
                homes[name].append((path, line))
    for name, places in sorted(homes.items()):
        for path, line in places:
            if "_" not in name:
                yield Violation(path, line, f"a backtrace shows `{name}` alone: give it its noun")
            elif len(places) > 1:
                others = ", ".join(other for other, _ in places if other != path)
                yield Violation(path, line, f"`{name}` is a static function of {others}, too: a backtrace can't tell them apart")


def banned_calls_are_not_made(tree):
    call = re.compile(r"(?<![\w>.])(" + "|".join(BANNED_CALLS) + r")\s*\(")
    for path in tree.c_files():
        allowed = set()
        for start, names in BANNED_CALLS_ALLOWED.items():
            if path.startswith(start):
                allowed |= names
        for line, match in lines_matching(tree.code[path], call):
            name = match.group(1)
            if name not in allowed:
                yield Violation(path, line, f"{name}() {BANNED_CALLS[name]}")


def only_handlers_fail_by_fh_fail(tree):
    """What fh_fail says is for the client, and a fault that the library finds in a handler is not."""
    for path in tree.c_files("src/"):
        for line, match in lines_matching(tree.code[path], re.compile(r"(?<![\w>.])(?<!void )fh_fail(?:_at)?\s*\(")):
            yield Violation(path, line, f"{match.group(0)}...) tells the client what is for the log: use work_fault for a "
                                        "fault of the handler, work_fail_as for a problem that has a type")


# What handlers call: what has effects beyond the service's own store, and in which file; without their fh_, the others.
REACHES_OUT = {"fh_publish": "event/outbox/publish.c", "fh_saga_start": "saga/start.c", "fh_at": "timer/set.c",
               "fh_cancel": "timer/set.c", "fh_count": "work/meters.c", "fh_observe": "work/meters.c"}
STAYS_INSIDE = """array_of body body_bytes bool caller column columns defer delay_ms derive derive_gone doc doc_delete
doc_insert doc_update docs event event_data exec exec_count fact fail fail_at fetch format get get_each header id_new int kv
kv_add kv_count kv_delete kv_expire_at kv_expires_at kv_field kv_field_add kv_field_delete kv_field_set kv_fields
kv_highest kv_lowest kv_member_delete kv_near kv_place kv_place_set kv_score kv_score_add kv_score_set kv_set log
must_own nest now now_ms object_of page_docs page_rows path peek peek_doc peek_kv peek_kv_fields pointer query real
reply reply_bytes reply_header report row rows saga_answer saga_input saga_reason search series service_name settings text
timer_data timer_due_ms try_doc try_doc_update try_fetch try_get try_kv try_row undone_answer undone_request url_refusal user
user_claim user_has_role user_has_scope""".split()


def calls_of_handlers_say_whether_they_reach_out(tree):
    """Where an event is applied again, what reaches out must not happen again: it asks work_reaches_out."""
    called = re.compile(r"\bFH_API\b[^;(]*?\b(fh_\w+)\s*\(fh_work \*")
    for header in tree.c_files("include/"):
        for line, match in lines_matching(tree.code[header], called):
            if match.group(1)[3:] not in STAYS_INSIDE and match.group(1) not in REACHES_OUT:
                yield Violation(header, line, f"{match.group(1)}: name it in tidy.py, by whether it reaches out")
    for name, path in REACHES_OUT.items():
        if "work_reaches_out(" not in tree.code[f"src/{path}"]:
            yield Violation(f"src/{path}", 1, f"{name} does not ask work_reaches_out")


def only_layers_that_decide_log(tree):
    call = re.compile(r"\blog_(?:error|warning|info|debug|line)\s*\(|\bv?fprintf\s*\(\s*stderr\b|"
                      r"\bperror\s*\(")
    for path in tree.c_files("src/"):
        layer = path.split("/")[1]
        if layer in LOGGING_LAYERS or path in LOGGING_ALLOWED:
            continue
        for line, match in lines_matching(tree.code[path], call):
            if layer == "base" and path == "src/base/error.c":
                continue  # the last words of a broken invariant
            yield Violation(path, line, f"layer {layer} logs ({match.group(0).strip()}): return the "
                                        "error, the layer that decides logs it")


def the_command_says_all_in_one_place(tree):
    """What writes to standard error past cli/say.c is no JSON under --json, and wider than the terminal."""
    for path in tree.c_files("src/cli/"):
        if path == "src/cli/say.c":
            continue
        for line, match in lines_matching(tree.code[path], re.compile(r"\bstderr\b|\bperror\s*\(")):
            yield Violation(path, line, f"{match.group(0)}: cli_fail, cli_note and cli_confirms say it")


def nothing_knows_one_machine(tree):
    for path, text in tree.texts.items():
        for line, match in lines_matching(text, MACHINE_PATH):
            yield Violation(path, line, f"{match.group(0)}... is a path of one machine")


def the_build_folder_is_built_in_one_place(tree):
    """Suites share it, and Ninja can't be run in it twice: a call past the lock fails another suite, some day."""
    for path, text in tree.texts.items():
        if path.startswith(("tests/", "tools/", "bench/")) and path not in NINJA_ALLOWED:
            for line, match in lines_matching(text, NINJA_CALLED):
                yield Violation(path, line, f"{match.group(0)}: build_folder.make takes the folder's lock")


def nothing_is_left_for_later(tree):
    for path, text in tree.texts.items():
        for line, match in lines_matching(text, MARKS):
            yield Violation(path, line, f"{match.group(0)}: do it, or leave no mark in the tree")


def every_c_file_is_built(tree):
    with open(os.path.join(tree.build, "compile_commands.json"), encoding="utf-8") as file:
        built = {os.path.realpath(os.path.join(one["directory"], one["file"]))
                 for one in json.load(file)}
    for path in tree.c_files("src/", "examples/", "tests/unit/", "tests/conformance/"):
        if path.endswith(".c") and os.path.realpath(os.path.join(tree.source, path)) not in built:
            yield Violation(path, 1, "is not built: add it to the meson.build of its folder")


def listed_in(tree, path, name):
    names = re.search(rf"^{name} = \[(.*?)\]", tree.texts[path], re.DOTALL | re.MULTILINE)
    return set(re.findall(r"'([^']+)'", names.group(1)))


def what_only_tests_want_is_built_for_them(tree):
    """Files with points to die at are compiled again for tests/crash: those that tests/meson.build names. Deliberate bugs
    come into copies, by the patches of tests/mutations, of which tests/mutations/meson.build names the sources."""
    named = listed_in(tree, "tests/meson.build", "crash_points")
    having = {path for path in tree.c_files("src/")
              if re.search(r"\bCRASH_POINT\(|#ifdef FREEHOLD_CRASH_POINTS\b", tree.code[path])} - {"src/base/crash.h"}
    for path in sorted(having - named):
        yield Violation(path, 1, "has CRASH_POINT: name it in tests/meson.build, below crash_points")
    for path in sorted(named - having):
        yield Violation("tests/meson.build", 1, f"{path} has no CRASH_POINT: remove it below crash_points")
    for path in tree.c_files("src/"):
        for line, _ in lines_matching(tree.texts[path], re.compile(r"MUTATION")):
            yield Violation(path, line, "a deliberate bug stands in a patch of tests/mutations, not in the source")


def every_patch_of_deliberate_bugs_is_built(tree):
    listed = "tests/mutations/meson.build"
    named = {f"tests/mutations/{path[len('src/'):].replace('/', '_')}.patch": path
             for path in listed_in(tree, listed, "mutated_sources")}
    patches = {path for path in tree.texts if path.startswith("tests/mutations/") and path.endswith(".patch")}
    for path in sorted(patches - set(named)):
        yield Violation(path, 1, f"is not built: name its source in {listed}, or name it after its source")
    for path in sorted(set(named) - patches):
        yield Violation(listed, 1, f"{named[path]} has no {path}: remove it, or record the patch")
    for path in sorted(patches & set(named)):
        if not re.search(rf"^--- a/{named[path]}\n\+\+\+ b/{named[path]}\n", tree.texts[path], re.MULTILINE):
            yield Violation(path, 1, f"is not of {named[path]}, as its name says")
        if not re.search(r"^\+.*\bMUTATION\(\w+\)", tree.texts[path], re.MULTILINE):
            yield Violation(path, 1, "adds no MUTATION: remove it")


def declared_in(tree, headers):
    """{function that is FH_API there: where}."""
    return {match.group(1): (header, tree.code[header].count("\n", 0, match.start(1)) + 1) for header in headers
            for match in re.finditer(r"\bFH_API\b[^;(]*?\b(fh_\w+)\s*\(", tree.code[header])}


def exported_by(library, symbols):
    """What others may call: a function of the library, without its version."""
    listed = subprocess.run(["readelf", symbols, "--wide", library], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return {row[7].split("@")[0] for row in rows
            if len(row) == 8 and row[4] == "GLOBAL" and row[5] == "DEFAULT" and row[6] not in ("UND", "ABS")}


def library_exports_what_its_headers_declare(tree):
    """The static library all that is declared; the shared one what services call, each function in a node of its map."""
    header = "include/freehold.h"
    parts = re.findall(r'^#include "(freehold/\w+\.h)"', tree.texts[header], re.M)
    service = declared_in(tree, [header, *(f"include/{part}" for part in parts)])
    exports = {"libfreehold.a": (declared_in(tree, tree.c_files("include/")), "--syms")}
    if os.path.exists(os.path.join(tree.build, "libfreehold.so")):
        exports["libfreehold.so"] = (service, "--dyn-syms")
    for library, (declared, symbols) in exports.items():
        exported = exported_by(os.path.join(tree.build, library), symbols)
        for name in sorted(set(declared) - exported):
            yield Violation(*declared[name], f"{name} is declared FH_API, and {library} does not export it: write it")
        for name in sorted(exported - set(declared)):
            yield Violation("include/freehold.h", 1, f"{name} is exported by {library} and not declared: make it hidden")
    mapped = re.findall(r"\b(fh_\w+);", tree.texts["src/freehold.map"])
    for name in sorted(set(service) - set(mapped)):
        yield Violation(*service[name], f"{name} stands in no node of src/freehold.map: write it into this version's")
    for name in sorted(name for name in set(mapped) if name not in service or mapped.count(name) > 1):
        yield Violation("src/freehold.map", 1, f"{name} stands there and is not declared, or twice")


def services_keep_no_state_of_their_own(tree):
    objects = []
    for folder, _, names in os.walk(os.path.join(tree.build, "examples")):
        objects += [os.path.join(folder, name) for name in names if name.endswith(".c.o")]
    if not objects:
        yield Violation("examples/meson.build", 1, "no service was built")
    for path in sorted(objects):
        sizes = subprocess.run(["size", "--format=sysv", "--radix=10", path], check=True,
                               capture_output=True, text=True).stdout
        for line in sizes.splitlines():
            columns = line.split()
            if len(columns) == 3 and re.match(r"\.(data|bss|tdata|tbss)(\.(?!rel\.ro)|$)",
                                              columns[0]) and int(columns[1]) > 0:
                yield Violation(os.path.relpath(path, tree.build), 0,
                                f"{columns[0]} holds {columns[1]} bytes: a handler can be run "
                                "again, so keep state in the store and tables const")


TEST_NAMED = re.compile(r"`(tests/[\w./]+)`|`(\w+)`")
SCHEDULE = re.compile(r"\bSchedule (\d+)\b")
TEST_BEGINS = re.compile(r"^(?:static void\s+|def )(\w+)\(", re.MULTILINE)


def paragraphs_of(text):
    """(number, text) of each paragraph, table row and item of a list, with the items below it, as one line."""
    begin, lines = 1, []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if not line.strip() or re.match(r"(?:[-*]|#+) |\|", line):
            if lines:
                yield begin, " ".join(lines)
            begin, lines = number, []
        if line.strip():
            lines.append(line.strip())


def tests_named_in(line):
    """(path, name) of each `tests/FILE`: `test`, `test` in a paragraph of a document."""
    path = None
    for match in TEST_NAMED.finditer(line[line.find("`tests/"):] if "`tests/" in line else ""):
        if match.group(1):
            path = match.group(1)
        else:
            yield path, match.group(2)


def schedules_and_promises_name_tests_that_exist(tree):
    for document in ("docs/internals/schedules.md", "docs/reference/promises.md", "docs/operate/owasp.md"):
        for number, line in paragraphs_of(tree.texts.get(document, "")):
            for path, name in tests_named_in(line):
                if name not in TEST_BEGINS.findall(tree.texts.get(path, "")):
                    yield Violation(document, number, f"{path} has no test {name}")
            for path in re.findall(r"`(tests/[\w./]+)`", line):
                if not os.path.exists(os.path.join(tree.source, path)):
                    yield Violation(document, number, f"there is no {path}")


def every_risk_has_its_tests(tree):
    document, risk, named = "docs/operate/owasp.md", None, {}
    for number, line in paragraphs_of(tree.texts[document]):
        if found := re.match(r"## (API\d+)$", line):
            risk = found[1]
            named[risk] = (number, 0)
        elif risk:
            named[risk] = (named[risk][0], named[risk][1] + len(list(tests_named_in(line))))
    for number in range(1, 11):
        line, count = named.get(f"API{number}", (1, 0))
        if not count:
            yield Violation(document, line, f"API{number} names no test")


def every_schedule_has_its_tests_and_every_mark_its_row(tree):
    rows, marks = {}, {}
    document = "docs/internals/schedules.md"
    for number, line in paragraphs_of(tree.texts[document]):
        row = re.match(r"\* \*\*(\d+)\.\*\* ", line)
        named = set(tests_named_in(line)) if row else set()
        if row and not named:
            yield Violation(document, number, f"schedule {row.group(1)} names no test")
        rows.update({(row.group(1), *one): number for one in named} if row else {})
    for path, text in tree.texts.items():
        for mark in SCHEDULE.finditer(text) if path.startswith("tests/") else ():
            test = TEST_BEGINS.search(text, mark.end())
            line = text.count("\n", 0, mark.start()) + 1
            marks[(mark.group(1), path, test.group(1) if test else None)] = line
    for schedule, path, test in sorted(marks.keys() - rows.keys()):
        yield Violation(path, marks[schedule, path, test],
                        f"{document} does not name {test} below {schedule}")
    for schedule, path, test in sorted(rows.keys() - marks.keys()):
        yield Violation(document, rows[schedule, path, test],
                        f"{path} does not say `Schedule {schedule}` above {test}")


MARKDOWN_COLUMNS = 120

FENCE = re.compile(r"^ *(```|~~~)")
MARKDOWN_LINK = re.compile(r"\]\(<?([^)\s>]*)>?(?: \"[^\"]*\")?\)")


def prose_of(text):
    """(number, line) of each line of a Markdown text that is outside fenced code; what stands in `code` is blank."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield number, re.sub(r"`[^`]*`", lambda code: " " * len(code.group(0)), line)


def anchors_of(text):
    """What GitHub calls the headings of a Markdown text."""
    anchors, fenced = collections.Counter(), False
    for line in text.splitlines():
        fenced ^= bool(FENCE.match(line))
        heading = None if fenced else re.match(r"#{1,6} +(.*?)[ #]*$", line)
        if heading:
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.group(1)).lower()
            name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
            yield f"{name}-{anchors[name]}" if anchors[name] else name
            anchors[name] += 1


def links_between_documents_lead_somewhere(tree):
    documents = {path: text for path, text in tree.texts.items() if path.endswith(".md")}
    anchors = {path: set(anchors_of(text)) for path, text in documents.items()}
    for path, text in documents.items():
        for number, line in prose_of(text):
            for link in MARKDOWN_LINK.findall(line):
                target, _, anchor = link.partition("#")
                if re.match(r"[a-z][a-z0-9+.-]*:", target):
                    continue
                to = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
                if target.startswith("/") or not os.path.exists(os.path.join(tree.source, to)):
                    yield Violation(path, number, f"{link} leads nowhere: there is no {to}")
                elif anchor and anchor not in anchors.get(to, ()):
                    yield Violation(path, number, f"{link} leads nowhere: {to} has no heading #{anchor}")
    named = re.compile(r"(?<![\w./-])docs/[\w/-]+\.md\b")
    for path, text in tree.texts.items():
        for line, match in lines_matching(text, named):
            if not os.path.exists(os.path.join(tree.source, match.group(0))):
                yield Violation(path, line, f"there is no {match.group(0)}")


def markdown_lines_have_at_most_120_columns(tree):
    for path, text in tree.texts.items():
        if path.endswith(".md"):
            for number, line in enumerate(text.splitlines(), 1):
                columns = len(re.sub(r"https?://[^\s)>]+", "", line))
                if columns > MARKDOWN_COLUMNS:
                    yield Violation(path, number, f"has {columns} columns, {MARKDOWN_COLUMNS} are the most: wrap it, or "
                                                  "make a list of the table")


def reference_of(tree):
    """tools/reference as a module."""
    loader = importlib.machinery.SourceFileLoader("reference", os.path.join(tree.source, "tools/reference"))
    sys.dont_write_bytecode = True
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("reference", loader))
    loader.exec_module(module)
    return module


def every_log_line_has_its_id(tree):
    for line in reference_of(tree).log_lines(tree.texts):
        if not line.id:
            yield Violation(line.path, line.number, "logs without an id: give it one, as a literal (src/base/log.h)")


def generated_pages_are_of_these_sources(tree):
    reference = reference_of(tree)
    for path, page in ((reference.LOGS, reference.logs_page(tree.texts)),
                       (reference.PROBLEMS, reference.problems_page(tree.texts)),
                       (reference.CALLS, reference.calls_page(tree.texts))):
        if tree.texts.get(path) != page:
            yield Violation(path, 1, "is not what the sources say now: run tools/reference")


def released_names_stay(tree):
    reference = reference_of(tree)
    for name in sorted(reference.released(tree.texts) - reference.names(tree.texts)):
        yield Violation(reference.RELEASED, 1, f"{name} was released, and is gone: others depend on it, so put it back")


def layout_is_clang_formats(tree):
    paths = tree.c_files()
    checked = subprocess.run(["clang-format", "--dry-run", *paths], cwd=tree.source,
                             capture_output=True, text=True, check=True).stderr
    first = {}
    for path, line in re.findall(r"^(\S+?):(\d+):\d+: warning: code should be", checked, re.M):
        first.setdefault(path, int(line))
    for path, line in sorted(first.items()):
        yield Violation(path, line, "from here on laid out otherwise than clang-format does: "
                                    "make format")


CHECKS = (
    layers_include_only_layers_before_them, seams_are_kept, engines_are_named_in_their_folders_alone,
    every_source_file_names_its_licence,
    every_c_file_begins_with_what_it_owns, files_are_no_longer_than_one_idea,
    functions_fit_on_a_screen, files_call_each_other_one_way, no_name_is_reserved_in_cxx,
    static_functions_carry_their_noun, banned_calls_are_not_made, only_handlers_fail_by_fh_fail, calls_of_handlers_say_whether_they_reach_out,
    only_layers_that_decide_log,
    the_command_says_all_in_one_place,
    nothing_knows_one_machine, the_build_folder_is_built_in_one_place, nothing_is_left_for_later,
    every_c_file_is_built,
    what_only_tests_want_is_built_for_them, every_patch_of_deliberate_bugs_is_built,
    library_exports_what_its_headers_declare, services_keep_no_state_of_their_own,
    schedules_and_promises_name_tests_that_exist,
    every_risk_has_its_tests,
    every_schedule_has_its_tests_and_every_mark_its_row, links_between_documents_lead_somewhere,
    markdown_lines_have_at_most_120_columns, every_log_line_has_its_id, generated_pages_are_of_these_sources,
    released_names_stay, layout_is_clang_formats,
)
NEEDS = {layout_is_clang_formats: "clang-format"}


def main():
    tree = Tree(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))
    failed = 0
    print(f"1..{len(CHECKS)}")
    for number, check in enumerate(CHECKS, 1):
        needed = NEEDS.get(check)
        if needed and not shutil.which(needed):
            print(f"ok {number} - {check.__name__} # SKIP {needed} is not installed: make deps")
            continue
        violations = list(check(tree))
        failed += bool(violations)
        print(f"{'not ok' if violations else 'ok'} {number} - {check.__name__}")
        for one in violations:
            print(f"# {one.path}:{one.line}: {one.text}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
