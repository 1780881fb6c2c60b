#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The patches that bring deliberate bugs into copies of the sources; docs/internals/simulation.md tells of them.

    patches.py apply PATCH SOURCE COPY    writes the copy of a source, with its bugs; the build does
    patches.py record SOURCE COPY         writes the patch that makes this copy of its source
    patches.py rebase FOLDER              brings every patch up to its source as that is now

A hunk applies where the patch says, or at the only place of the source that reads as it does; to
nothing that only resembles it. Where a patch does not apply any more, `rebase` looks in git for the
newest version of the source that it does apply to, and merges what was changed since. What it can't
merge it leaves in FOLDER for somebody to mend and to record.
"""

import collections
import pathlib
import re
import subprocess
import sys

PATCHES = pathlib.Path(__file__).resolve().parent
ROOT = PATCHES.parent.parent
HEAD = "SPDX-License-Identifier: Apache-2.0\nDeliberate bugs in a copy of {source}; docs/internals/simulation.md tells of each.\n"

Hunk = collections.namedtuple("Hunk", "line old new")


class Stale(Exception):
    """A patch that does not apply; its text says to whom and where."""


def lines_of(text):
    return re.findall(r".*\n|.+", text)


def name_of(source):
    """The patch of src/event/apply.c is event_apply.c.patch."""
    return "_".join(pathlib.PurePath(source).parts[1:]) + ".patch"


def parse(name, text):
    """What stands above the patch, the source that it is for, and its hunks."""
    parts = re.fullmatch(r"(.*?)^--- a/(\S+)\n\+\+\+ b/\2\n(.*)", text, re.DOTALL | re.MULTILINE)
    if not parts:
        raise Stale(f"tests/mutations/{name} is no patch of one source")
    hunks, olds, news = [], 0, 0
    for line in lines_of(parts.group(3)):
        begins = re.match(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@", line)
        kind, content = (line[0], line[1:]) if line != "\n" else (" ", line)
        if begins and not olds and not news:
            hunks.append(Hunk(int(begins.group(1)), [], []))
            olds, news = (int(count or 1) for count in begins.groups()[1:])
        elif kind in " +-" and hunks and olds >= (kind != "+") and news >= (kind != "-"):
            olds, news = olds - (kind != "+"), news - (kind != "-")
            if kind != "+":
                hunks[-1].old.append(content)
            if kind != "-":
                hunks[-1].new.append(content)
        else:
            raise Stale(f"tests/mutations/{name} is no patch: its line {line!r} can't stand where it does")
    if olds or news or not hunks:
        raise Stale(f"tests/mutations/{name} is no patch: it ends too early")
    return parts.group(1), parts.group(2), hunks


def place_of(hunk, lines, floor):
    """Where in the lines the hunk applies, not above `floor`; None: nowhere, or who knows where."""
    def reads_so(at):
        return at >= 0 and lines[at:at + len(hunk.old)] == hunk.old

    if hunk.line - 1 >= floor and reads_so(hunk.line - 1):
        return hunk.line - 1
    places = [at for at in range(len(lines)) if reads_so(at)]
    return places[0] if len(places) == 1 and places[0] >= floor else None


def applied(name, source, hunks, lines):
    copy, floor = [], 0
    for hunk in hunks:
        at = place_of(hunk, lines, floor)
        if at is None:
            raise Stale(f"tests/mutations/{name} no longer applies to {source}: hunk at line {hunk.line}; "
                        "run ninja -C build rebase-mutations")
        copy += lines[floor:at] + hunk.new
        floor = at + len(hunk.old)
    return copy + lines[floor:]


def apply(patch, source, copy):
    _, of, hunks = parse(patch.name, patch.read_text(encoding="utf-8"))
    lines = lines_of(source.read_text(encoding="utf-8"))
    copy.write_text("".join(applied(patch.name, of, hunks, lines)), encoding="utf-8")


def record(source, copy):
    """Whether the patch is another one now. What stands above it stays."""
    patch = PATCHES / name_of(source)
    before = patch.read_text(encoding="utf-8") if patch.exists() else ""
    head = parse(patch.name, before)[0] if before else HEAD.format(source=source)
    made = subprocess.run(["diff", "--unified", "--show-c-function", "--label", f"a/{source}", "--label", f"b/{source}",
                           ROOT / source, "-"], input=copy, capture_output=True, text=True, check=False)
    if made.returncode != 1:
        sys.exit(made.stderr or f"The copy is {source} as it is: there is nothing to record.")
    patch.write_text(head + made.stdout, encoding="utf-8")
    return head + made.stdout != before


def git(*words):
    ran = subprocess.run(["git", "-c", "safe.directory=*", "-C", ROOT, *words], capture_output=True, text=True, check=False)
    return ran.stdout if ran.returncode == 0 else ""


def base_of(name, source, hunks):
    """The newest version of the source that the patch applies to, and its copy with the bugs."""
    for commit in git("log", "--format=%H", "--", source).split():
        lines = lines_of(git("show", f"{commit}:{source}"))
        try:
            return lines, applied(name, source, hunks, lines)
        except Stale:
            pass
    return None, None


def merge(name, source, hunks, folder):
    """The copy of the source as it is now; None: somebody has to look at what is left in the folder."""
    base, copy = base_of(name, source, hunks)
    if not base:
        print(f"{name} needs a hand: git knows no version of {source} that it applies to")
        return None
    files = [folder / f"{name[:-len('.patch')]}.{what}" for what in ("merged", "base", "copy")]
    for file, text in zip(files, ((ROOT / source).read_text(encoding="utf-8"), "".join(base), "".join(copy))):
        file.write_text(text, encoding="utf-8")
    conflicts = subprocess.run(["git", "merge-file", "--diff3", "-L", "the source now", "-L", "the source before",
                                "-L", "its deliberate bugs", *files], check=False).returncode
    for file in files[1:]:
        file.unlink()
    if conflicts:
        print(f"{name} needs a hand: mend {files[0]}, then run\n"
              f"    tests/mutations/patches.py record {source} {files[0]}")
        return None
    merged = files[0].read_text(encoding="utf-8")
    files[0].unlink()
    return merged


def rebase(folder):
    left = 0
    for patch in sorted(PATCHES.glob("*.patch")):
        _, source, hunks = parse(patch.name, patch.read_text(encoding="utf-8"))
        try:
            copy = "".join(applied(patch.name, source, hunks, lines_of((ROOT / source).read_text(encoding="utf-8"))))
        except Stale:
            copy = merge(patch.name, source, hunks, folder)
        left += copy is None
        if copy and record(source, copy):
            print(f"{patch.name} is up to {source} again")
    print(f"{left} need a hand" if left else "every patch applies")
    return left


def main():
    verb, *words = sys.argv[1:] or [""]
    try:
        if verb == "apply" and len(words) == 3:
            apply(*map(pathlib.Path, words))
        elif verb == "record" and len(words) == 2:
            record(words[0], pathlib.Path(words[1]).read_text(encoding="utf-8"))
        elif verb == "rebase" and len(words) == 1:
            sys.exit(rebase(pathlib.Path(words[0])) > 0)
        else:
            sys.exit(__doc__)
    except Stale as stale:
        sys.exit(str(stale))


main()
