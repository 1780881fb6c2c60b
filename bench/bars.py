# SPDX-License-Identifier: Apache-2.0
"""What each figure has to reach, in one place: whoever measures says it here, and gets the words for his line of the
table; at the end all of it is told once more, with what was missed, what could not be measured, and the exit status.

Each part says first which bars it has. So whatever goes wrong in one ends that part alone: it counts as a failure, its
bars that were not reached are named, and the others go on."""

import contextlib
import statistics
import sys
import traceback

from common import Failed, not_measured, times, title

_reached = []   # (name, value, spread or None, bar, whether it was met), in the order they were measured
_failures = []  # (part, why)
_waited = []    # of the parts that are under way, the innermost last: the names of their bars that are still to come


def _number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


class Figures:
    """What each round gave: the median, and between what they lie."""

    def __init__(self, each):
        self.each = list(each)
        self.median = statistics.median(self.each)

    def spread(self):
        return f"{_number(min(self.each))} to {_number(max(self.each))}"


class Ratios(Figures):
    """One figure against another, measured in turn."""

    def __init__(self, ours, theirs):
        super().__init__(mine / other for mine, other in zip(ours, theirs, strict=True))

    def told(self):
        return f"{times(self.median)} ({self.spread()})"


def _take(name):
    """It has come. Its figure is kept, whether or not the part knew of it."""
    if _waited and name in _waited[-1]:
        _waited[-1].remove(name)
    elif _waited:
        _failures.append((name, "this bar is not among those of its part"))


def _register(name, value, unit, bar, word, met):
    spread = value.spread() if isinstance(value, Figures) else ""
    value = value.median if isinstance(value, Figures) else value
    _take(name)
    _reached.append((name, f"{_number(value)}{unit}", spread, f"{word} {_number(bar)}{unit}", met(value)))
    return f"bar: {word} {_number(bar)}{unit}"


def at_least(name, value, bar, unit=" x"):
    """`value`: a number or Figures. Returns what its line of the table says of the bar."""
    return _register(name, value, unit, bar, "at least", lambda value: value >= bar)


def at_most(name, value, bar, unit=""):
    return _register(name, value, unit, bar, "at most", lambda value: value <= bar)


def missing(name, why):
    """A bar that could not be measured here: it is not counted as missed, and said aloud."""
    not_measured(name, why)
    _take(name)
    _reached.append((name, "", "", why, None))


def all_missing(why):
    """The same of all bars of the part that are still to come."""
    for name in list(_waited[-1]):
        missing(name, why)


@contextlib.contextmanager
def part(name, *names):
    """What is measured in it, alone or within another part. `names`: of its own bars."""
    _waited.append(list(names))
    try:
        yield
        if _waited[-1]:
            raise Failed("it came to its end without them")
    except Exception as error:  # of whatever kind: what comes after it does not depend on it
        if not isinstance(error, Failed):
            traceback.print_exc(file=sys.stdout)
        why = f"{error}" if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
        print(f"\n{name}: FAILED, {why}", flush=True)
        _failures.append((name, why))
        _reached.extend((bar, "", "", f"{name} failed", None) for bar in _waited[-1])
    finally:
        _waited.pop()


def close():
    """The table of all bars. Returns the names of those that were not met, and of the parts that failed."""
    title("Bars")
    words = {True: "met", False: "MISSED", None: "NOT MEASURED"}
    for name, value, spread, bar, met in _reached:
        print(f"  {name:<72} {value:>11} {spread:<16} {words[met]:<7} ({bar})", flush=True)
    for name, why in _failures:
        print(f"  {name}: FAILED, {(why.strip().splitlines() or ['it did not say why'])[0]}", flush=True)
    return [name for name, *_, met in _reached if met is False], [name for name, _ in _failures]
