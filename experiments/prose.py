"""Sentences about results, whose figures come from the results: what stands in braces is looked up.

{ped2-replica l1_top}                       the change in AP at .2456 against what it is compared with
{ped2-replica l1_top ap}                    its AP at .2456
{sample noise_alone chance}                 that AP over a random ranking
{sample unflip noisy}                       the change among noisy frames alone; flipped and clean likewise
{ped2-replica vit_b_16 effective_rank 75}   of its training, after so many steps
{span features_x3 features_x10}             the least and the largest change, over all data sets and experiments
"""

import re
from typing import Any

from experiments.effects import FIGURE, Results
from experiments.results import CURVE
from vad import VadError

GROUPS = ("flipped", "noisy", "clean")


def filled(text: str, found: dict[str, Results]) -> str:
    """A text with figures in place of what stands in braces. Raises VadError for one that no result gives."""
    return re.sub(r"\{([^{}]+)\}", lambda match: _figure(match[1], found), text).strip()


def _figure(words: str, found: dict[str, Results]) -> str:
    data, experiment, *rest = words.split()
    try:
        if data == "span":
            changes = [
                results[name]["difference"]["benchmark"][FIGURE]["difference"]
                for results in found.values()
                for name in (experiment, *rest)
                if name in results
            ]
            return f"{_change(min(changes))} to {_change(max(changes))}"
        return _of(found[data][experiment], rest)
    except (LookupError, ValueError):
        raise VadError(f"{{{words}}}: no result gives that figure; see experiments/prose.py") from None


def _of(result: dict[str, Any], what: list[str]) -> str:
    if not what:
        return _change(result["difference"]["benchmark"][FIGURE]["difference"])
    own = result["figures"]["benchmark"]
    if what == ["ap"]:
        return f"{own[FIGURE]:.3f}".replace("0.", ".", 1)
    if what == ["chance"]:
        return _change(own[FIGURE] - own["prevalence"])
    if what[0] in GROUPS:
        return _change(result["groups"][what[0]][FIGURE]["difference"])
    column, steps = what
    curve = result["curve"]
    value = curve[CURVE[CURVE.index(column)]][curve["steps"].index(int(steps))]
    return f"{value:.0f}" if value >= 1 else f"{value:.5f}".replace("0.", ".", 1)


def _change(value: float) -> str:
    """A change in AP: sign and three decimals, four where three would hide it, and a plain 0 where there is none."""
    decimals = 3 if abs(value) >= 0.0005 else 4
    return f"{value:+.{decimals}f}".replace("0.", ".", 1) if value else "0"
