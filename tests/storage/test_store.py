"""What single clips gave is kept: made once, whole, by whoever comes first, and never taken for something else."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vad import VadError
from vad.storage import files, store
from vad.storage.store import Job, Share, ShareDone, Store


class Made:
    """Jobs that note what is computed."""

    def __init__(self) -> None:
        self.computed: list[int] = []

    def jobs(self, count: int) -> list[Job]:
        return [Job(number, lambda number=number: self.make(number)) for number in range(count)]

    def make(self, number: int) -> store.Arrays:
        self.computed.append(number)
        return {"values": np.full((3, 2), number / 3), "names": np.array(["a/b", "c"])}


def values(found: list[store.Arrays]) -> list[float]:
    return [float(arrays["values"][0, 0]) for arrays in found]


def test_a_result_is_made_once_and_is_the_same_to_the_bit_ever_after(tmp_path: Path) -> None:
    made = Made()
    expected = Store().all(made.jobs(3), "")
    for _ in range(2):
        found = Store(tmp_path).all(made.jobs(3), "")
        assert all((a[key] == b[key]).all() for a, b in zip(found, expected, strict=True) for key in a)
    assert made.computed == [0, 1, 2, 0, 1, 2]


def test_shares_in_any_order_make_every_result_once_and_leave_nothing_to_do(tmp_path: Path) -> None:
    made = Made()
    for number in (3, 1, 2):
        with pytest.raises(ShareDone, match=f"share {number} of 3, . of 7 clips"):
            Store(tmp_path, share=Share(number, 3)).all(made.jobs(7), "motion")
    assert sorted(made.computed) == list(range(7))
    assert values(Store(tmp_path).all(made.jobs(7), "")) == [number / 3 for number in range(7)]
    assert len(made.computed) == 7


def test_a_killed_run_makes_only_what_was_not_done(tmp_path: Path) -> None:
    made = Made()
    cut = [*made.jobs(3), Job(3, lambda: (_ for _ in ()).throw(KeyboardInterrupt))]
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).all(cut, "")
    Store(tmp_path).all(made.jobs(5), "")
    assert made.computed == [0, 1, 2, 3, 4]


def test_other_code_other_settings_and_other_clips_are_other_results(tmp_path: Path) -> None:
    made = Made()
    for made_of in ({"code": "a"}, {"code": "b"}):
        Store(tmp_path, made_of).all(made.jobs(1), "")
    Store(tmp_path, {"code": "a"}).one(Job(1, lambda: made.make(1)))
    assert made.computed == [0, 0, 1]


@pytest.mark.parametrize("damage", [lambda data: data[:-40], lambda data: data[:90] + b"\xff" * 9 + data[99:]])
def test_a_damaged_result_is_made_anew(tmp_path: Path, damage: object) -> None:
    made = Made()
    (expected,) = Store(tmp_path).all(made.jobs(1), "")
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    (found,) = Store(tmp_path).all(made.jobs(1), "")
    assert made.computed == [0, 0] and (found["values"] == expected["values"]).all()


def test_a_file_is_made_once_copied_afterwards_and_made_anew_where_its_copy_is_damaged(tmp_path: Path) -> None:
    written: list[Path] = []

    def write(path: Path) -> None:
        written.append(path)
        path.write_bytes(b"frames")

    for target in ("a.npy", "b.npy"):
        Store(tmp_path / "kept").file("clip", tmp_path / target, write)
    (kept,) = (tmp_path / "kept").iterdir()
    kept.write_bytes(b"damage")
    Store(tmp_path / "kept").file("clip", tmp_path / "c.npy", write)
    assert written == [tmp_path / "a.npy", tmp_path / "c.npy"]
    assert {(tmp_path / name).read_bytes() for name in ("a.npy", "b.npy", "c.npy")} == {b"frames"}


def test_a_folder_is_not_listed_for_every_file_that_is_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[Path] = []

    def iterdir(path: Path) -> Iterator[Path]:
        listed.append(path)
        return iter([])

    def glob(path: Path, _: str) -> Iterator[Path]:
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    monkeypatch.setattr(Path, "glob", glob)
    kept = Store(tmp_path / "kept")
    for number in range(20):
        kept.file(number, tmp_path / "new" / f"{number}.npy", lambda path: files.write_text(path, "frames"))
        kept.one(Job(number, lambda: {"value": np.zeros(1)}))
    assert len(listed) == 3


def test_the_folder_stays_below_its_limit_and_loses_what_was_longest_not_used(tmp_path: Path) -> None:
    made = Made()
    Store(tmp_path).all(made.jobs(4), "")
    size = max(path.stat().st_size for path in tmp_path.iterdir())
    for path in tmp_path.iterdir():
        os.utime(path, (1, 1))
    Store(tmp_path).all(made.jobs(2), "")
    Store(tmp_path, limit=2 * size).tidy()
    assert len(list(tmp_path.iterdir())) == 2
    made.computed.clear()
    Store(tmp_path).all(made.jobs(4), "")
    assert made.computed == [2, 3]


def test_a_table_comes_back_as_it_was() -> None:
    table = pd.DataFrame({"pixel_l1/hflip": [0.1, np.nan], "layer3": [1 / 3, 2.0]})
    pd.testing.assert_frame_equal(store.to_table(store.of_table(table)), table)


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "a/b", "1/4/2", "-1/4"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(VadError, match=r"must be NUMBER/OF, as 2/8 is the second of eight shares"):
        Share.parse(text)
    assert Share.parse("2/8") == (2, 8)
