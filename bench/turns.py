# SPDX-License-Identifier: Apache-2.0
"""Sides measured in turn, a round after the other, so that what the machine does meanwhile meets all alike."""

import statistics

import bars
import rivals
from common import show, times

OURS = "Freehold"


def in_turn(sides):
    """`sides`: {name: what measures it once}. {name: the figures of its rounds}."""
    measured = [rivals.Side(name, rate) for name, rate in sides.items()]
    rivals.in_turn(measured)
    return {side.name: side.rates for side in measured}


def show_figures(what, of, unit, *beside):
    """The median of what rounds gave, between what they lie, and what else is to be said."""
    spread = f"{min(of):,.0f} to {max(of):,.0f}" if min(of) >= 100 else f"{min(of):.1f} to {max(of):.1f}"
    show(what, statistics.median(of), unit, ", ".join((spread, *beside)))


def show_turns(what, figures, unit, least=None):
    """A row for each side, ours with the median of its ratios to each of the others. `least`: {name: the ratio to it that
    is a bar}; of who is not among the sides it is said that it could not be measured."""
    for name, of in figures.items():
        told = []
        for other, theirs in figures.items():
            if name == OURS and other != OURS:
                ratios = bars.Ratios(of, theirs)
                bar = (least or {}).get(other)
                told.append(f"{times(ratios.median)} {other}"
                            + (f" ({bars.at_least(f'{what}, times {other}', ratios, bar)})" if bar else ""))
        show_figures(name, of, unit, *told)
    for other in (least or {}).keys() - figures.keys():
        bars.missing(f"{what}, times {other}", "it could not be run here, as is said above")
