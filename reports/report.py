"""The report: everything about a run in one page that needs neither network nor server.

    python -m reports.report
    python -m reports.report --against sharper --output sharper.html

Shows what the workspace's outputs say, and compares them with another revision or experiment.
"""

import argparse
import base64
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from plotly.offline import get_plotlyjs

from competition import leaderboard
from experiments import compare
from project import lifetime, revisions
from reports import component_maps, content, film, images, provenance
from stages.evaluate import ABOUT
from vad import VadError, params, registry
from vad.data import clips
from vad.evaluation import metrics, plots
from vad.models import autoencoder
from vad.quality import reading, repair
from vad.storage import files, tables

PAGE = Path(__file__).with_name("page")
OUTPUT = Path("metrics/report.html")
RESIZED, WEIGHTS, SHARES = Path("data/resized"), Path("models/autoencoder.safetensors"), Path("metrics/shares.csv")
NEEDED = [
    content.SCORES,
    content.LABELLED,
    content.DIAGNOSIS,
    RESIZED / "test" / clips.INDEX,
    WEIGHTS,
    SHARES,
    *(component_maps.COMPONENTS / f"{family.name}.npz" for family in registry.FAMILIES if family.code),
    *(provenance.METRICS / f"{name}.json" for name in ("evaluation", "data", "diagnosis", "train")),
]
AGAINST = "HEAD"
COLOURS = {
    "normal": plots.NORMAL,
    "anomalous": plots.ANOMALOUS,
    "flipped": plots.FLIPPED,
    "both": plots.BOTH,
}


def collect(against: str, folder: Path = OUTPUT.parent) -> dict[str, Any]:
    """All that a page in `folder` shows, ready for JSON.

    - `parts`: part -> `about`, `figures`, `curve`, `shares`, `clips`, `worst`: see reports/content.py;
    - `comparison`: what `differences` gives; `provenance`; `leaderboard`: what `submitted` gives;
    - `without_components`: why components are not shown, empty where they are;
    - `size`, pixels of resized frames, 0 where there are none; `names`, figure -> its title; `few_clips`, a note;
      `colours`, what -> its colour.

    Raises VadError when an output is missing or doesn't fit the others.
    """
    content.require(NEEDED)
    settings = params.load(Path(revisions.PARAMS))
    frames = dict(list(content.read_frames().groupby("split")))
    splits = {part: split for part, split in tables.PARTS.items() if split in frames}
    stored = {part: open_clips(split, frames[split], settings) for part, split in splits.items()}
    shares = tables.read_csv(SHARES, ["part", "scope", "name", "frames", "positives", "ap_share"])
    evaluation = provenance.read_metrics("evaluation")
    worst = {part: content.worst(frames[split]) for part, split in splits.items()}
    shown = {part: content.shown(frames[split], worst[part]) for part, split in splits.items()}
    parts = {
        part: {
            "about": ABOUT[part] + left_out(len(shown[part]), len(stored[part])),
            "figures": evaluation.get(part),
            "curve": content.curve(frames[split], settings.evaluate.bootstrap, settings.seed),
            "shares": content.describe_shares(shares, part),
            "clips": content.describe_clips(frames[split], shown[part]),
            "axis": plots.score_axis(frames[split]["score"].to_numpy()),
            "worst": worst[part],
        }
        for part, split in splits.items()
    }
    for part, split in splits.items():
        by_clip = dict(list(frames[split].groupby("video")))
        for clip in parts[part]["clips"]:
            clip["film"] = film.link(by_clip[clip["video"]], folder)
    without_components = ""
    try:
        add_components(parts, settings)
    except VadError as error:
        without_components = f"Not shown: {error}"
    add_pictures(parts, stored, settings, with_maps=not without_components)
    return {
        "parts": parts,
        "comparison": differences(against, list(parts), settings.evaluate.bootstrap),
        "provenance": provenance.provenance(WEIGHTS),
        "leaderboard": submitted(),
        "without_components": without_components,
        "size": settings.resize.size if registry.needs(settings)["resize"] else 0,
        "names": {name: title.format(settings.evaluate.prevalence) for name, title in compare.FIGURES.items()},
        "few_clips": " ".join(compare.FEW_CLIPS.split()),
        "colours": COLOURS,
    }


def left_out(shown: int, clips: int) -> str:
    """A sentence that says of how many clips the page has no curve; empty where it shows all."""
    if shown == clips:
        return ""
    return f". Here are {shown} of {clips} clips: those of the worst false alarms and misses, then the highest scores"


def open_clips(split: str, frames: pd.DataFrame, settings: params.Params) -> dict[str, clips.Clip]:
    """Name -> clip of a split, cleaned as `repair` says: resized, or at full size where no network looked at them.

    Raises VadError when they are not those that were scored.
    """
    found: Sequence[clips.Clip]
    if registry.needs(settings)["resize"]:
        folder, found = RESIZED, clips.open_resized(RESIZED, split)
    else:
        folder, cleaned = component_maps.FRAMES, settings.repair.model_copy(update={"unflip": False})
        diagnosed = repair.Diagnosis(tables.read_csv(component_maps.DIAGNOSIS, repair.COLUMNS))
        found = reading.at_full_size(folder, component_maps.VALIDATION, split, diagnosed, cleaned)
    opened = {clip.video: clip for clip in found}
    if opened.keys() != set(frames["video"]):
        raise VadError(f"{folder}: other clips than in {content.SCORES}; run `dvc repro`")
    return opened


def add_components(parts: dict[str, Any], settings: params.Params) -> None:
    """Put into each clip of all parts what every weighted component adds to the score of its frames, by name.

    And into each part `most`, where the axis of these ends. Raises VadError when a component is missing.
    """
    added = component_maps.parts(settings)
    names = [name for name in added if name not in tables.KEYS]
    by_clip = dict(list(added.groupby(["split", "video"])))
    for part, contents in parts.items():
        values = added.loc[added["split"] == tables.PARTS[part], names].to_numpy()
        contents["most"] = plots.score_axis(values.ravel())[1]
        for clip in contents["clips"]:
            rows = by_clip[tables.PARTS[part], clip["video"]].sort_values("frame")
            clip["components"] = {name: content.shorten(rows[name]) for name in names}


def add_pictures(
    parts: dict[str, Any], stored: dict[str, dict[str, clips.Clip]], settings: params.Params, with_maps: bool
) -> None:
    """Put thumbnails into the clips of all parts, within one budget, and pictures of their errors by the worst frames.

    Those are reconstructions, and the heat maps of the weighted components that have some.
    """
    model = autoencoder.load(WEIGHTS) if provenance.read_metrics("train")["needed"] else None
    described = [(clip, stored[part][clip["video"]]) for part in parts for clip in parts[part]["clips"]]
    thumbnails = images.thumbnails([found for _, found in described])
    for (clip, _), pictures in zip(described, thumbnails, strict=True):
        clip["thumbnails"] = pictures
    for part, contents in parts.items():
        for row in (row for group in contents["worst"] for row in group["frames"]):
            row |= images.explain(model, stored[part][row["video"]].frame(row["frame"]))
    weighted = [name for name, weight in settings.aggregate.weights.items() if weight and with_maps]
    every = component_maps.Maps(settings, {name.rpartition("_")[0] for name in weighted})
    for part, contents in parts.items():
        rows = [row for group in contents["worst"] for row in group["frames"]]
        found = [every.maps(tables.PARTS[part], row["video"], row["frame"]) for row in rows]
        for row, maps in zip(rows, found, strict=True):
            row["maps"] = [
                {"name": name, "highest": float(cells.max()), "picture": images.heat(cells, highest)}
                for name, cells in maps.items()
                for highest in [max(float(others[name].max()) for others in found)]
            ]


def submitted() -> dict[str, Any] | None:
    """AP here beside the leaderboard: `lines` of text, `picture`, a PNG in base64. None before any submission."""
    entries = leaderboard.read()
    if not entries or not leaderboard.PICTURE.is_file():
        return None
    picture = base64.b64encode(leaderboard.PICTURE.read_bytes()).decode()
    return {"lines": leaderboard.describe(entries), "picture": picture}


def differences(against: str, parts: list[str], draws: int) -> dict[str, Any]:
    """How the workspace differs from a revision.

    `against`, its name; `parameters`, dotted key -> `a` and `b`; `parts`, part -> what `comparison.compare` gives,
    without frames, or a `message` that says why there is nothing.
    """
    found: dict[str, Any] = {"against": against, "parameters": {}, "parts": {}}
    for part in parts:
        try:
            result, _ = compare.compare((against, revisions.WORKSPACE), [part], draws)
        except VadError as error:
            found["parts"][part] = {"message": str(error).replace(f"{Path.cwd()}/", "")}
            continue
        found["parameters"] = {key: provenance.portable(sides) for key, sides in result["parameters"].items()}
        found["parts"][part] = {key: value for key, value in result["parts"][part].items() if key != "by_frame"}
    return found


def render(data: dict[str, Any]) -> str:
    """The page that shows `data`."""
    text = json.dumps(metrics.without_nan(data), allow_nan=False, separators=(",", ":"))
    # A clip's name may be anything: it must not end the element that the data stand in.
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    page, style, charts, script = (
        (PAGE / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", "charts.js", "page.js")
    )
    filled = {"STYLE": style, "PLOTLY": get_plotlyjs(), "DATA": text, "SCRIPT": charts + script}
    return re.sub("@@([A-Z]+)@@", lambda match: filled[match[1]], page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--against", metavar="REV", help=f"revision or experiment to compare with, {AGAINST} if not given"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FILE", help=f"the page, {OUTPUT} if not given")
    arguments = parser.parse_args()
    lifetime.allow_open_files()
    try:
        if arguments.against:
            revisions.read(arguments.against)  # what was asked for must be there; the default may be absent
        files.write_text(arguments.output, render(collect(arguments.against or AGAINST, arguments.output.parent)))
    except VadError as error:
        sys.exit(str(error))
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.1f} MB, opens in any browser")


if __name__ == "__main__":
    main()
