"""The section of each claim in the failure analysis."""

import math
from collections.abc import Sequence
from typing import Any

from experiments import effects, prose, verdicts
from experiments.effects import FIGURE, Effect, Results
from experiments.evidence import Evidence
from experiments.markdown import effect as effect_text
from experiments.markdown import p_value, table
from experiments.results import CURVE
from experiments.verdicts import OPEN, UNTESTED, Verdict

COLLAPSE = """\
What a collapsed network would show is next to no variance of its bottleneck over frames, few dimensions in use
(effective rank) and the same error for every frame (score spread): vad/models/collapse.py. By steps, from the untrained
network on; the reference trained 5,750 steps."""
COLLAPSES = ("feature variance", "effective rank", "score spread")


def section(number: int, claim: dict[str, Any], known: Evidence) -> str:
    """What is known of a claim: advice, verdicts with their effects, why, experiments, curves of training."""
    parts = [f"## {number}. {claim['claim']}", f"**{prose.filled(claim['advice'], known.found)}**"]
    if claim["tests"][0]["experiment"] == "any":
        parts.append("**On real clips: not run.** Their labels name no kinds of events.")
    else:
        parts.append(_said("On real clips", known.on_real_clips[number], claim, known.pooled[number], videos=True))
        for words, judged in known.by_seeds.items():
            if judged[number].word != UNTESTED:
                parts.append(_said(words, judged[number], claim, known.over_seeds[words][number], videos=True))
    for name, results in known.found.items():
        verdict = known.judged[name][number]
        if verdict.word != UNTESTED:
            found = known.tested[name].get(number, [])
            parts.append(_said(name, verdict, claim, found) + f" {_before(known.before[name][number])}")
        elif any(test.get("experiment") in results for test in claim["tests"]):
            parts.append(f"**{name}: decides nothing**: {_reason(claim, results)}.")
        if claim["tests"][0]["experiment"] == "any":
            parts += _opposed(results)
    if claim.get("why"):
        parts.append(prose.filled(claim["why"], known.found))
    names = [name for name, experiment in known.experiments.items() if experiment.claim == number]
    ran = [name for name in names if any(name in results for results in known.found.values())]
    if ran:
        parts.append(table(["experiment", "set", "against", *_heads(known.found)], [_row(known, n) for n in ran]))
    if curves := _curves(claim.get("curves", []), known.found):
        parts += [COLLAPSE, curves]
    return "\n\n".join(parts)


def _said(
    where: str, verdict: Verdict, claim: dict[str, Any], found: Sequence[Effect | None], videos: bool = False
) -> str:
    """A verdict and the effects it rests on, as a paragraph."""
    text = f"**{where}: {verdict}**"
    if verdict.word != OPEN and not math.isnan(verdict.p):
        text += f", p {p_value(verdict.p)}"
    if verdict.word == OPEN and verdict.videos:
        text += f"; if the effect stayed as it is, some {verdict.videos} videos would decide it"
    elif verdict.word == OPEN and any(effect and effect.lucky for effect in found):
        text += "; luck in training is part of the error, so it takes more seeds as well as more videos"
    for test, effect in zip(claim["tests"], found, strict=False):
        group = f", {test['group']} frames alone" if "group" in test else ""
        against = " over chance" if test.get("against") == "chance" else ""
        if effect:
            count = f", {effect.clips} videos" if videos else ""
            text += f". `{test['experiment']}`{group}: {effect_text(effect.times(test['sign']))}{against}{count}"
    return text + "."


def _reason(claim: dict[str, Any], results: Results) -> str:
    """Why tests that ran on a data set give no effect."""
    ran = [results[test["experiment"]]["set"] for test in claim["tests"] if test["experiment"] in results]
    trained = any(set(effects.RETRAINING) & {key.split(".")[0] for key in changes} for changes in ran)
    return "a network was trained from one seed" if trained else "it has no such frames"


def _before(verdict: Verdict) -> str:
    p = "" if math.isnan(verdict.p) or verdict.word == OPEN else f", p {p_value(verdict.p)}"
    return f"Before: {verdict}{p}."


def _curves(names: list[str], found: dict[str, Results]) -> str:
    rows = []
    for data, results in found.items():
        for name in (name for name in names if "curve" in results.get(name, {})):
            steps, *figures = (results[name]["curve"][column] for column in CURVE)
            last = len(steps) - 1
            for at in sorted({0, min(1, last), len(steps) // 2, last}):
                held_out, variance, rank, spread = (values[at] for values in figures)
                texts = [
                    "" if held_out is None else f"{held_out:.5f}",
                    f"{variance:.5f}",
                    f"{rank:.1f}",
                    f"{spread:.4f}",
                ]
                rows.append([data, f"`{name}`", str(int(steps[at])), *texts])
    return table(["data", "experiment", "steps", "held-out loss", *COLLAPSES], rows) if rows else ""


def _heads(found: dict[str, Results]) -> list[str]:
    return [head for name in found for head in (f"{name}: AP, AP at .2456", "difference, 95 %, p")]


def _row(known: Evidence, name: str) -> list[str]:
    experiment = known.experiments[name]
    changes = ", ".join(f"`{key}: {_value(value)}`" for key, value in experiment.set.items())
    cells = [f"`{name}`", changes, f"`{experiment.against}`"]
    for data, results in known.found.items():
        result = results.get(name)
        if result is None:
            cells += ["", ""]
            continue
        own, compared = result["figures"]["benchmark"], result["difference"]["benchmark"]
        effect = known.readings[data].difference(compared, own["clips"])
        cells.append(f"{own['ap']:.4f}, {own[FIGURE]:.4f}")
        if compared["ranking"]["same"]:
            cells.append("exactly 0: the same ranking")
        else:
            cells.append(f"{effect_text(effect)}, p {p_value(effect.p(0))}" if effect else "-")
    return cells


def _opposed(results: Results) -> list[str]:
    rows = verdicts.opposed(results, 0.01)[:5]
    return (
        ["; ".join(f"`{name}`: {kind} {gain:+.3f}, all {change:+.3f}" for name, kind, gain, change in rows)]
        if rows
        else []
    )


def _value(value: Any) -> str:
    return "{" + ", ".join(f"{k}: {v}" for k, v in value.items()) + "}" if isinstance(value, dict) else str(value)
