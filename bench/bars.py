# SPDX-License-Identifier: Apache-2.0
"""What each figure has to reach, in one place: whoever measures says it here, and gets the words for his line of the
table; at the end all of it is told once more, with what was missed, what could not be measured, and the exit status."""

import statistics

from common import not_measured, title

_reached = []   # (name, value, spread or None, bar, whether it was met), in the order they were measured


class Ratios:
    """One figure against another, measured in turn: the median of what each round gave, and between what they lie."""

    def __init__(self, ours, theirs):
        self.each = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        self.median = statistics.median(self.each)

    def spread(self):
        return f"{min(self.each):.2f} to {max(self.each):.2f}"


def _number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _register(name, value, unit, bar, word, met):
    spread = value.spread() if isinstance(value, Ratios) else ""
    value = value.median if isinstance(value, Ratios) else value
    _reached.append((name, f"{_number(value)}{unit}", spread, f"{word} {_number(bar)}{unit}", met(value)))
    return f"bar: {word} {_number(bar)}{unit}"


def at_least(name, value, bar, unit=" x"):
    """`value`: a number or Ratios. Returns what its line of the table says of the bar."""
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
