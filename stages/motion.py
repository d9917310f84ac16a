"""Motion: consecutive frames at full size, repaired -> residual to the background, change, flow and its direction."""

from pathlib import Path

import pandas as pd

from stages import PARAMS, run
from vad import params
from vad.components import motion
from vad.data import clips
from vad.quality import repair
from vad.storage import tables
from vad.storage.progress import progress

SCORED = ("holdout", "validation", "test")


def main(frames: Path, validation: Path, diagnosis: Path, components: Path) -> None:
    settings = params.load(PARAMS)
    diagnosed = tables.read_csv(diagnosis, repair.COLUMNS)
    wanted = settings.motion.components
    normality = motion.Normality(clips.open_zips(frames / "train"), wanted) if wanted else None
    folders = {"holdout": frames / "holdout", "validation": validation / "clips", "test": frames / "test"}
    rows = []
    for split in SCORED:
        for clip in progress(clips.open_zips(folders[split]), f"motion of {split}"):
            keys = clips.keys(split, [clip])
            if normality:
                found = repair.found_in(diagnosed, split, clip)
                undo = settings.repair
                righted = repair.repaired(clip, found, unflip=undo.unflip, denoise=undo.denoise != "none")
                keys = pd.concat([keys, pd.DataFrame(normality.score(righted))], axis=1)
            rows.append(keys)
    tables.write_components(components, pd.concat(rows))


if __name__ == "__main__":
    run(main)
