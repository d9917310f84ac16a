"""A folder of clips that grows costs what is new in it."""

import shutil
from collections import Counter

from tests.clone import Clone, ran
from tests.tiny_clips import walking_square, write_frames


def test_a_test_clip_that_is_added_is_the_only_one_that_is_computed(restored: Clone) -> None:
    kept = restored.folder / ".dvc/tmp/clips"
    before = set(kept.rglob("*.np?"))
    stored = {path: path.stat().st_mtime_ns for path in (restored.folder / "data/frames").rglob("*.zip")}
    added = restored.root / "testing" / "09"
    write_frames(added, walking_square(12, seed=99))
    try:
        printed = restored.run("dvc", "repro", "submission")
    finally:
        shutil.rmtree(added)
    assert {"fetch", "extract", "resize", "infer", "motion"} <= set(ran(printed)) and "train" not in ran(printed)
    computed = Counter(path.parent.name for path in set(kept.rglob("*.np?")) - before)
    assert computed == {"diagnose": 1, "resize": 1, "infer": 1, "motion": 1}
    assert stored.items() <= {path: path.stat().st_mtime_ns for path in stored}.items()
    rows = (restored.folder / "submission.csv").read_text().splitlines()
    assert sum(row.startswith("9_") for row in rows) == 12 and len(rows) == 1 + 90 + 12
