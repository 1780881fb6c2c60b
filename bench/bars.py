# SPDX-License-Identifier: Apache-2.0
"""What each figure has to reach, in one place: whoever measures says it here, and gets the words for his line of the
table; at the end all of it is told once more, with what was missed, what could not be measured, and the exit status."""

import statistics

from common import not_measured, times, title

_reached = []   # (name, value, spread or None, bar, whether it was met), in the order they were measured


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


def _register(name, value, unit, bar, word, met):
    spread = value.spread() if isinstance(value, Figures) else ""
    value = value.median if isinstance(value, Figures) else value
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
    _reached.append((name, "", "", why, None))


def close():
    """The table of all bars. Returns the names of those that were not met."""
    title("Bars")
    words = {True: "met", False: "MISSED", None: "NOT MEASURED"}
    for name, value, spread, bar, met in _reached:
        print(f"  {name:<72} {value:>11} {spread:<16} {words[met]:<7} ({bar})", flush=True)
    return [name for name, *_, met in _reached if met is False]
