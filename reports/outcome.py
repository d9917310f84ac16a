"""The result of a run in a few lines for a terminal: the figures, where the files are, what to try next.

python -m reports.outcome
"""

import json
import sys
from pathlib import Path
from typing import Any

from vad import VadError

EVALUATION, SUBMISSION, REPORT = Path("metrics/evaluation.json"), Path("submission.csv"), Path("metrics/report.html")
PARTS = {"validation": "validation, synthetic events", "benchmark": "test clips"}
FIGURES = {"ap": "AP", "ap_at_prevalence": "AP at {:g}", "auroc": "AUROC"}
NEXT = (
    ("make demo NAME=best", "the best recipe beside this run, on a page"),
    ("dvc exp run -S gamma_on=view", "an experiment; then `dvc metrics diff`"),
    ("make help", "what else there is"),
)


def describe(evaluation: dict[str, Any], rows: int, page: bool) -> str:
    """The outcome as text: figures with their 95 % intervals by part, what they can't judge, files, commands."""
    lines = []
    for part, about in PARTS.items():
        if figures := evaluation.get(part):
            lines.append(f"{about}: {figures['frames']} frames, {figures['clips']} clips")
            for name, title in FIGURES.items():
                low, high = (figures[f"{name}_{end}"] for end in ("low", "high"))
                interval = "no interval: too few clips" if low is None else f"95 % interval {low:.3f} to {high:.3f}"
                lines.append(f"  {title.format(figures['prevalence']):12} {_number(figures[name])}   {interval}")
            lines.append(f"  {'alarm':12} {_alarm(figures['alarm'])}")
            if blind := figures["unjudged"]:
                lines.append(f"  {', '.join(blind)} can't be judged here: data.scores has no such frames")
    lines.append(f"{SUBMISSION}: {rows} rows, ready for Kaggle")
    lines += [f"{REPORT}: the page of this run; it opens in any browser"] if page else []
    width = max(len(command) for command, _ in NEXT)
    return "\n".join([*lines, "Next (after `source .venv/bin/activate`):", *(f"  {c:{width}}  {w}" for c, w in NEXT)])


def _alarm(figures: dict[str, Any]) -> str:
    """What an alarm is worth, in half a line."""
    if figures["threshold"] is None:
        return "  -     no normal frames to set a threshold by"
    delay = "" if figures["delay"] is None else f" after {figures['delay']:.1f} s"
    rate = figures["false_alarms_per_hour"]
    false = "" if rate is None else f", {rate:.1f} false an hour"
    learned = f"{figures['allowed_per_hour']:g} allowed on {figures['learned_from_hours']:.3f} h of normal frames"
    return f"{figures['found']} of {figures['events']} events{delay}{false} ({learned})"


def _number(value: float | None) -> str:
    return "  -  " if value is None else f"{value:.3f}"


def main() -> None:
    for path in (EVALUATION, SUBMISSION):
        if not path.is_file():
            raise VadError(f"{path}: no such file; make it with `make repro`")
    rows = len(SUBMISSION.read_text(encoding="utf-8").splitlines()) - 1
    print(describe(json.loads(EVALUATION.read_text(encoding="utf-8")), rows, REPORT.is_file()))


if __name__ == "__main__":
    try:
        main()
    except VadError as error:
        sys.exit(str(error))
