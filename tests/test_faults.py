"""Every fault ends in one line or a result, and docs/FAULTS.md shows it as it is."""

from pathlib import Path

from experiments import damage, faults, mutants, rehearsal
from experiments.rehearsal import ROOT

TOP = Path(__file__).parents[1]


def test_the_page_of_faults_is_what_the_stages_say() -> None:
    page = (TOP / "docs" / "FAULTS.md").read_text(encoding="utf-8")
    assert faults.report() == page, "run `python -m experiments.faults docs/FAULTS.md`"


def test_mutated_files_end_in_a_result_or_one_line(tmp_path: Path) -> None:
    sound = {}
    for name in ("folder", "zip"):
        sound[name] = tmp_path / name
        mutants.write_every_kind(sound[name] / ROOT)
    damage.pack(sound["zip"])
    ends = [mutants.run(number, 2, sound, tmp_path / "bad")["end"] for number in range(6)]
    assert set(ends) <= {"result", "one line"}


def test_a_traceback_is_told_apart_from_one_line(tmp_path: Path) -> None:
    rehearsal.write_clips(tmp_path / ROOT)
    (tmp_path / "params.yaml").write_text("")
    assert "\n" not in rehearsal.rehearse(tmp_path, ["check"]).printed
    rehearsal.set_params(tmp_path)
    ended = rehearsal.rehearse(tmp_path, ["extract"])  # without its input: a fault of whoever runs it
    assert ended.code == 1 and "Traceback" in ended.printed
