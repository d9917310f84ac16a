"""Every fault ends in one line or a result, and docs/FAULTS.md shows it as it is."""

from pathlib import Path

import pytest

from faults import code_faults, fuzz, inject, stage_runner
from faults.stage_runner import PIPELINE, ROOT

TOP = Path(__file__).parents[2]


def test_the_page_of_faults_is_what_the_stages_say() -> None:
    page = (TOP / "docs" / "FAULTS.md").read_text(encoding="utf-8")
    assert inject.report() == page, "run `python -m faults.inject docs/FAULTS.md`"


def test_mutated_files_end_in_a_result_or_one_line(tmp_path: Path) -> None:
    sound = fuzz.write_sound(tmp_path)
    ends = [fuzz.run(number, 2, sound, tmp_path / "bad")["end"] for number in range(6)]
    assert set(ends) <= {"result", "one line"}


def test_a_traceback_is_told_apart_from_one_line(tmp_path: Path) -> None:
    stage_runner.write_clips(tmp_path / ROOT)
    (tmp_path / "params.yaml").write_text("")
    assert "\n" not in stage_runner.run_stages(tmp_path, ["check"]).printed
    stage_runner.set_params(tmp_path)
    ended = stage_runner.run_stages(tmp_path, ["extract"])  # without its input: a fault of whoever runs it
    assert ended.code == 1 and "Traceback" in ended.printed


@pytest.mark.parametrize("stage", code_faults.BREAKS)
def test_what_breaks_a_stage_on_purpose_is_still_in_its_code(stage: str) -> None:
    file, old, new = code_faults.BREAKS[stage]
    assert (code_faults.TOP / file).read_text(encoding="utf-8").count(old) and old != new


def test_every_stage_is_broken_on_purpose() -> None:
    assert set(code_faults.BREAKS) == set(PIPELINE)
