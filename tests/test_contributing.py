"""docs/CONTRIBUTING.md does what it says: its component family, added to a clone, is measured and weighed."""

import re
from pathlib import Path

import pandas as pd

from tests.clone import Clone, ran
from vad.storage import tables

PAGE = Path(__file__).parents[1] / "docs" / "CONTRIBUTING.md"


def steps() -> dict[str, str]:
    """The page's code by the comment line that says where it goes."""
    text = "\n".join(re.findall(r"```(?:python|yaml)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    parts = re.split(r"^# (\S+\.(?:py|yaml)[^\n]*)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_a_component_family_takes_its_code_a_row_and_a_stage_and_trains_nothing(restored: Clone) -> None:
    found = steps()
    insert = {
        ("vad/registry.py", ")  # fmt: skip\nCOMPONENTS"): found["vad/registry.py, in FAMILIES"],
        ("dvc.yaml", "  aggregate:\n"): found["dvc.yaml, before aggregate"],
        ("dvc.yaml", "      - data/components/motion.npz\n      - data/components/pred"): found[
            "dvc.yaml, among the dependencies of aggregate"
        ],
    }
    for (name, before), text in insert.items():
        path = restored.folder / name
        content = path.read_text()
        assert content.count(before) == 1, before
        path.write_text(content.replace(before, text + before))
    (restored.folder / "vad/components/brightness.py").write_text(found["vad/components/brightness.py"])
    printed = restored.run("dvc", "exp", "run", "-S", "+aggregate.weights.brightness=0.1")
    assert ran(printed) == ["brightness", "aggregate", "evaluate", "submission"]
    table = tables.read_components(restored.folder / "data/components/brightness.npz")
    scores = pd.read_csv(restored.folder / "data/scores.csv")
    assert len(table) == len(scores) and table["brightness"].gt(0).any()
