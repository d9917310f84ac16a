"""The report: what it says, that it is one file that asks nobody for anything, and that it works in a browser."""

import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from competition import leaderboard
from reports import content, images, outcome, provenance, report
from tests.clone import Clone
from vad import VadError
from vad.data.clips import MappedClip

LARGEST = 25_000_000
EVIL = "</script><img src=x onerror=alert(1)>&lt;b>"


class Parser(HTMLParser):
    """The elements of a page with their attributes, and the text of each script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, text: str) -> None:
        if self.elements and self.elements[-1][0] == "script" and text.strip():
            self.scripts.append(text)


def shown(page: str) -> dict[str, Any]:
    """The data in a page."""
    return json.loads(Parser(page).scripts[1])


@pytest.fixture(scope="module")
def page_file(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the clone's run, made as a user makes it."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    assert " MB, opens in any browser" in clone.run("python", "-m", "reports.report", "--output", str(path))
    return path


@pytest.fixture(scope="module")
def data(page_file: Path) -> dict[str, Any]:
    return shown(page_file.read_text())


@pytest.fixture
def inside(clone: Clone, restored: Clone, monkeypatch: pytest.MonkeyPatch) -> Clone:
    monkeypatch.chdir(clone.folder)
    return clone


def rewrite(path: Path, text: str) -> None:
    path.unlink()  # never through the link into DVC's cache
    path.write_text(text)


def change(path: Path, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    rewrite(path, edit(pd.read_csv(path, dtype={"video": str})).to_csv(index=False))


def frames(clips: int = 3, count: int = 40, seed: int = 0) -> pd.DataFrame:
    """Scored frames of made-up clips, the middle of each anomalous."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"video": [f"{clip:02d}" for clip in range(clips) for _ in range(count)]})
    table["frame"] = np.tile(np.arange(count), clips)
    table["score"] = rng.random(len(table))
    table["label"] = table["frame"].between(count // 3, count // 2).astype(float)
    return table.assign(kind="", flipped=0, noisy=0, frozen=0)


def noise_clip(video: str, count: int) -> MappedClip:
    """A clip of pure noise, which compresses worst of all."""
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    array = np.lib.stride_tricks.as_strided(noise, (count, *noise.shape), (0, *noise.strides))
    return MappedClip(video, np.arange(count), Path(video), array)


# What it says


def test_page_says_what_the_outputs_say(clone: Clone, data: dict[str, Any]) -> None:
    for part, found in data["parts"].items():
        assert found["figures"] == clone.metrics()[part]
        for rows in found["shares"].values():
            assert sum(row["ap_share"] for row in rows) == pytest.approx(clone.metrics()[part]["ap"], abs=1e-12)
            assert all(row["ap_share"] <= row["most"] + 1e-12 for row in rows)
    clips = data["parts"]["benchmark"]["clips"]
    assert [clip["video"] for clip in clips] == ["01", "02", "03"]
    assert [clip["frame"][0] for clip in clips] == [3, 3, 3]  # numbers, not positions
    assert [sum(clip["label"]) for clip in clips] == [10, 10, 0]
    assert {kind for clip in clips for kind in clip["kind"]} == {"running", ""}
    found = pd.read_csv(clone.folder / "data/diagnosis.csv", dtype={"video": str})
    for clip in data["parts"]["validation"]["clips"]:
        rows = found[(found["split"] == "validation") & (found["video"] == clip["video"])]
        assert clip["flipped"] == rows["flipped"].tolist() and clip["noisy"] == rows["noisy"].tolist()
        assert sum(last - first + 1 for first, last in clip["missing"]) == (rows["gap"] - 1).clip(lower=0).sum()
        assert not {number for run in clip["missing"] for number in run} & set(clip["frame"])


ALARM = {
    "allowed_per_hour": 10, "threshold": 1.5, "learned_from_hours": 0.25, "events": 34, "found": 12, "delay": 0.44,
    "false_alarms": 3, "false_alarms_per_hour": 23.14, "normal_in_alarm": 0.02,
}  # fmt: skip


def test_the_outcome_says_in_a_line_what_an_alarm_is_worth_and_what_can_t_be_judged() -> None:
    figures = {"frames": 90, "clips": 3, "prevalence": 0.25, "unjudged": ["given"]}
    figures |= {f"{name}{end}": 0.5 for name in outcome.FIGURES for end in ("", "_low", "_high")}

    def told(**changes: object) -> list[str]:
        return outcome.describe({"validation": figures | {"alarm": ALARM | changes}}, 90, False).splitlines()[4:6]

    line, unjudged = told()
    assert line == (
        "  alarm        12 of 34 events after 0.4 s, 23.1 false an hour (10 allowed on 0.250 h of normal frames)"
    )
    assert unjudged == "  given can't be judged here: data.scores has no such frames"
    assert told(delay=None, false_alarms_per_hour=None)[0].startswith("  alarm        12 of 34 events (10 allowed")
    assert told(threshold=None)[0].endswith("no normal frames to set a threshold by")


def test_page_says_where_it_comes_from(clone: Clone, data: dict[str, Any]) -> None:
    told = data["provenance"]
    assert told["commit"]["name"] == clone.run("git", "rev-parse", "--short", "HEAD").strip()
    assert told["commit"]["subject"] == "first run" and told["commit"]["changed"] == []
    assert told["parameters"]["gamma"] == 1.31 and told["stale"] == []
    assert told["model"]["train.encoder"] == "resnet18" and told["model"]["data"]
    assert told["data"]["test"] == {"clips": 3, "frames": 90, "imputed": 0}


def test_no_path_of_the_machine_is_told(clone: Clone, page_file: Path) -> None:
    assert str(clone.folder) not in page_file.read_text()
    told = provenance.portable({"root": "/home/jane doe/clips", "windows": r"C:\clips\mine", "in": "data/raw"})
    assert told == {"root": ".../clips", "windows": ".../mine", "in": "data/raw"}


def test_each_clip_has_its_frames_as_thumbnails_and_the_worst_their_reconstructions(data: dict[str, Any]) -> None:
    for part in data["parts"].values():
        for clip in part["clips"]:
            assert [number for number, _ in clip["thumbnails"]] == clip["frame"]
    false_alarms, misses = data["parts"]["benchmark"]["worst"]
    assert (false_alarms["title"], misses["title"]) == ("False alarms", "Misses")
    for row in (*false_alarms["frames"], *misses["frames"]):
        assert len({row["input"], row["reconstruction"], row["error"]}) == 3 and 0 < row["mean_error"] < 1
        assert row["maps"] == []  # of the reference's components, which are the autoencoder's


def test_parameters_changed_after_the_scores_were_made_are_named(inside: Clone) -> None:
    inside.set(gamma=2.0, **{"train.epochs": 3})
    told = provenance.provenance(report.WEIGHTS)
    assert told["stale"] == ["gamma", "train.epochs"] and "params.yaml" in told["commit"]["changed"]


def test_scores_that_do_not_fit_each_other_are_refused(inside: Clone) -> None:
    change(inside.folder / "data/scores.csv", lambda table: table.assign(score=table["score"] * 2))
    with pytest.raises(VadError, match=r"^data/labelled_scores.csv: made of other scores than .*; run `dvc repro`$"):
        content.read_frames()


def test_what_is_missing_is_named_with_the_remedy(inside: Clone) -> None:
    for path in report.NEEDED:
        hidden = path.rename(path.with_suffix(".hidden"))
        with pytest.raises(VadError, match=f"^{path}: no such file; make it with `dvc repro`$"):
            report.collect("HEAD")
        hidden.rename(path)


def test_numbers_that_are_missing_inside_a_clip_are_told_as_runs() -> None:
    table = frames(clips=1)
    (clip,) = content.describe_clips(table[~table["frame"].isin([0, 5, 6, 7, 20])])
    assert clip["missing"] == [[5, 7], [20, 20]] and clip["frame"][:5] == [1, 2, 3, 4, 8]
    assert [clip["rank"][at] for at in np.argsort(clip["score"])[::-1]] == list(range(1, 36))


def test_of_more_frames_than_a_page_holds_the_clips_of_the_worst_and_of_the_highest_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = frames(clips=30, count=40)
    groups = content.worst(table)
    assert content.shown(table, groups) == [f"{clip:02d}" for clip in range(30)]
    monkeypatch.setattr(content, "MOST", 15 * 40)
    shown = content.shown(table, groups)
    worst = {row["video"] for group in groups for row in group["frames"]}
    highest = table[~table["video"].isin(worst)].groupby("video")["score"].max().nlargest(15 - len(worst))
    assert shown == sorted(worst | set(highest.index)) and len(shown) == 15
    some = content.describe_clips(table, shown)
    assert [clip["video"] for clip in some] == shown
    assert some == [clip for clip in content.describe_clips(table) if clip["video"] in shown]  # ranks are among all
    assert report.left_out(15, 30).startswith(". Here are 15 of 30 clips") and report.left_out(30, 30) == ""


# The worst frames and the curve


def test_worst_frames_are_the_extremes_and_lie_apart() -> None:
    table = frames(clips=2, count=200)
    false_alarms, misses = content.worst(table)
    indexed = table.set_index(["video", "frame"])
    rows = [indexed.loc[(row["video"], row["frame"])] for row in false_alarms["frames"]]
    assert rows[0]["score"] == table[table["label"] == 0]["score"].max()
    assert all(row["label"] == 0 for row in rows) and len(rows) == content.WORST
    first = misses["frames"][0]
    assert indexed.loc[(first["video"], first["frame"]), "score"] == table[table["label"] == 1]["score"].min()
    for group in (false_alarms, misses):
        for video in ("00", "01"):
            numbers = sorted(row["frame"] for row in group["frames"] if row["video"] == video)
            assert all(np.diff(numbers) > content.APART)


def test_band_has_no_width_where_all_clips_are_alike_and_is_left_out_for_one() -> None:
    one = frames(clips=1)
    alike = pd.concat([one, one.assign(video="01"), one.assign(video="02")])
    found = content.curve(alike, draws=50, seed=1)
    assert found is not None and found["low"] == found["high"]
    reached = [np.flatnonzero(np.array(found["recall"]) >= recall - 1e-9)[0] for recall in found["band"]]
    assert found["low"] == [found["precision"][at] for at in reached]
    alone = content.curve(one, draws=50, seed=1)
    assert alone is not None and alone["low"] == alone["high"] == alone["band"] == []


def test_band_lies_around_the_curve() -> None:
    found = content.curve(frames(clips=12), draws=200, seed=1)
    assert found is not None
    reached = [np.flatnonzero(np.array(found["recall"]) >= recall - 1e-9)[0] for recall in found["band"]]
    precision = np.array(found["precision"])[reached]
    inside = (np.array(found["low"]) <= precision) & (precision <= np.array(found["high"]))
    assert inside.mean() > 0.9 and (np.array(found["low"]) < np.array(found["high"])).mean() > 0.9


def test_one_class_has_no_curve() -> None:
    assert content.curve(frames().assign(label=1.0), draws=5, seed=1) is None


# The comparison


def test_the_same_scores_are_said_to_rank_alike(data: dict[str, Any]) -> None:
    assert data["comparison"]["against"] == "HEAD" and data["comparison"]["parameters"] == {}
    for part in data["comparison"]["parts"].values():
        assert part["ranking"]["same"] and part["ap"]["difference"] == 0


def test_comparison_says_what_changed(inside: Clone) -> None:
    inside.set(gamma=2.0)
    change(inside.folder / "data/labelled_scores.csv", lambda table: table.assign(score=-table["score"]))
    found = report.differences("HEAD", ["benchmark"], draws=20)
    assert found["parameters"] == {"gamma": {"a": 1.31, "b": 2.0}}
    part = found["parts"]["benchmark"]
    assert part["ap"]["difference"] != 0
    assert sum(row["difference"] for row in part["by_clip"]) == pytest.approx(part["ap"]["difference"], abs=1e-12)


def test_nothing_to_compare_with_is_said_and_is_no_reason_to_stop(inside: Clone) -> None:
    found = report.differences("HEAD~1", ["benchmark"], draws=5)["parts"]
    assert found["benchmark"]["message"].startswith("HEAD~1: data/labelled_scores.csv is not in DVC's cache")


def test_a_revision_that_was_asked_for_must_be_there(inside: Clone) -> None:
    printed = inside.run("python", "-m", "reports.report", "--against", "nowhere", fails=True)
    assert printed.startswith("nowhere: unknown Git revision") and printed.count("\n") == 1


def test_submissions_are_on_the_page_once_there_are_some(
    data: dict[str, Any], inside: Clone, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    assert data["leaderboard"] is None and report.submitted() is None
    rows = [("01", ".50", ".61"), ("02", ".55", ".64"), ("03", ".60", ".70")]
    leaderboard.write(
        [leaderboard.Entry(f"2026-01-{day}", "abc", "", day * 8, ap, ap, ap, public) for day, ap, public in rows]
    )
    found = report.submitted()
    assert found and found["lines"][0] == "validation AP and public score: rank correlation +1.00, 3 submissions"
    path = tmp_path / "report.html"
    path.write_text(report.render(data | {"leaderboard": found}))
    page = open_page(path)
    assert page.is_visible("#leaderboard") and "rank correlation +1.00" in page.inner_text("#leaderboard")
    assert page.evaluate("document.querySelector('#leaderboard img').naturalWidth") > 100
    path.write_text(report.render(data))
    assert not open_page(path).is_visible("#leaderboard")


# One file


def test_page_asks_nobody_for_anything(page_file: Path) -> None:
    page = Parser(page_file.read_text())
    policy = next(attributes for _, attributes in page.elements if "http-equiv" in attributes)
    assert "default-src 'none'" in str(policy["content"])
    assert not [tag for tag, _ in page.elements if tag in ("link", "iframe", "object", "embed", "base")]
    assert not [attributes for _, attributes in page.elements if {"src", "href"} & attributes.keys()]
    for path in report.PAGE.iterdir():
        assert not re.search(r"https?://|//cdn|@import|url\(|fetch\(|XMLHttpRequest|import\(", path.read_text()), path


def test_12000_frames_of_the_worst_kind_fit_into_25_megabytes(data: dict[str, Any]) -> None:
    table = frames(clips=21, count=572)
    clips = content.describe_clips(table)
    thumbnails = images.thumbnails([noise_clip(clip["video"], len(clip["frame"])) for clip in clips])
    for clip, pictures in zip(clips, thumbnails, strict=True):
        assert max(np.diff([number for number, _ in pictures])) <= 5 and pictures[0][0] == 0
        clip["thumbnails"] = pictures
    full = data["parts"]["benchmark"] | {"clips": clips}
    assert len(table) > 12_000
    assert 15_000_000 < len(report.render(data | {"parts": data["parts"] | {"benchmark": full}})) < LARGEST


def test_a_name_cannot_leave_its_place_in_the_page(data: dict[str, Any]) -> None:
    page = report.render(data | {"size": EVIL})
    assert shown(page)["size"] == EVIL
    assert EVIL not in page and [tag for tag, _ in Parser(page).elements].count("img") == 1
    assert shown(report.render(data | {"size": "@@DATA@@"}))["size"] == "@@DATA@@"


# In a browser


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a file offline; at the end no page has complained, asked for anything else, or raised a dialog."""
    asked, heard, opened = [], [], []

    def open_page(path: Path, width: int = 1280) -> Page:
        phone = width < 600
        context = browser.new_context(
            viewport={"width": width, "height": 900}, offline=True, is_mobile=phone, has_touch=phone
        )
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("dialog", lambda dialog: (heard.append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri())
        opened.append((context, path.as_uri()))
        return page

    yield open_page
    for context, _ in opened:
        context.close()
    assert heard == [] and asked == [url for _, url in opened]


def timeline(page: Page) -> list[float]:
    """The scores that are drawn."""
    return page.evaluate("document.getElementById('timeline').data[0].y")


def fact(page: Page, name: str) -> str:
    return page.inner_text(f"#facts [data-fact={name}]")


def hover(page: Page, share: float) -> None:
    """Put the mouse over the timeline, `share` of its width from the left."""
    box = page.locator("#timeline .nsewdrag").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)


def test_hovering_shows_the_frame_with_its_number_score_and_truth(
    page_file: Path, data: dict[str, Any], open_page: Callable[..., Page]
) -> None:
    page = open_page(page_file)
    clip = data["parts"]["benchmark"]["clips"][0]
    for share, number in ((0.02, clip["frame"][0]), (0.5, None), (0.98, clip["frame"][-1])):
        before = page.get_attribute("#thumbnail", "src")
        hover(page, share)
        page.wait_for_function("src => document.getElementById('thumbnail').src !== src", arg=before)
        position = clip["frame"].index(int(fact(page, "Frame")))
        assert number is None or fact(page, "Frame") == str(number)
        assert fact(page, "Score") == f"{clip['score'][position]:.4f}"
        assert fact(page, "Truth") == ("anomalous: running" if clip["label"][position] else "normal")
        assert page.get_attribute("#thumbnail", "src") == f"data:image/jpeg;base64,{clip['thumbnails'][position][1]}"
        assert page.evaluate("document.getElementById('thumbnail').naturalWidth") == 32


def test_choosing_a_clip_changes_the_timeline(
    page_file: Path, data: dict[str, Any], open_page: Callable[..., Page]
) -> None:
    page = open_page(page_file)
    clips = data["parts"]["benchmark"]["clips"]
    assert timeline(page) == clips[0]["score"]
    page.select_option("#clip", label="Clip 03")
    assert timeline(page) == clips[2]["score"] and "clip 03" in page.inner_text("#timeline")
    page.click("#next")
    assert timeline(page) == clips[0]["score"]
    page.keyboard.press("Tab")
    page.focus("#scrub")
    page.keyboard.press("Home")
    assert fact(page, "Frame") == "3"


def test_clip_that_was_filmed_has_a_link_to_its_film_and_others_have_none(
    data: dict[str, Any], open_page: Callable[..., Page], tmp_path: Path
) -> None:
    filmed = json.loads(json.dumps(data))
    first, second, third = filmed["parts"]["benchmark"]["clips"]
    first["film"], second["film"] = ({"address": f"films/{old}.mp4", "outdated": old} for old in (False, True))
    third["film"] = None
    path = tmp_path / "filmed.html"
    path.write_text(report.render(filmed))
    page = open_page(path)
    assert page.is_visible("#film") and page.inner_text("#film") == "watch the film"
    assert page.get_attribute("#film", "href") == "films/False.mp4"
    page.click("#next")
    assert page.get_attribute("#film", "href") == "films/True.mp4" and "other scores" in page.inner_text("#film")
    page.click("#next")
    assert not page.is_visible("#film")


def test_validation_and_benchmark_are_chosen_apart_and_named(
    page_file: Path, data: dict[str, Any], open_page: Callable[..., Page]
) -> None:
    page = open_page(page_file)
    assert set(page.locator(".part").all_inner_texts()) == {"Benchmark"}
    page.click("#cards [data-part=validation]")
    assert set(page.locator(".part").all_inner_texts()) == {"Validation"}
    found = data["parts"]["validation"]["figures"]["alarm"]
    assert f"{found['found']} of {found['events']}" in page.inner_text("#alarm")
    drawn = [score for score in timeline(page) if score is not None]
    assert drawn in [clip["score"] for clip in data["parts"]["validation"]["clips"]]
    row = data["parts"]["validation"]["worst"][0]["frames"][0]
    page.locator(".case button").first.click()
    assert fact(page, "Frame") == str(row["frame"]) and page.input_value("#clip") is not None


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_is_wider_than_the_screen(page_file: Path, open_page: Callable[..., Page], width: int) -> None:
    page = open_page(page_file, width)
    for part in ("benchmark", "validation"):
        page.click(f"#cards [data-part={part}]")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#timeline .main-svg").first.bounding_box()["width"] <= width


def test_without_labels_of_the_test_frames_the_page_still_works(
    inside: Clone, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    # What `evaluate` leaves where there are none.
    change(inside.folder / "data/labelled_scores.csv", lambda table: table[table["split"] != "test"])
    change(inside.folder / "metrics/shares.csv", lambda table: table[table["part"] != "benchmark"])
    rewrite(inside.folder / "metrics/evaluation.json", json.dumps({"validation": inside.metrics()["validation"]}))
    found = report.collect("HEAD")
    assert found["parts"]["benchmark"]["curve"] is None and "label" not in found["parts"]["benchmark"]["clips"][0]
    assert [group["title"] for group in found["parts"]["benchmark"]["worst"]] == ["Highest scores"]
    path = tmp_path / "unlabelled.html"
    path.write_text(report.render(found))
    page = open_page(path)
    assert "no labels" in page.inner_text("#cards [data-part=benchmark]") and fact(page, "Truth") == "unknown"
    assert "Nothing to compare with" in page.inner_text("#comparison")
    page.click("#cards [data-part=validation]")
    assert fact(page, "Truth") in ("normal", "anomalous: running") or fact(page, "Truth").startswith("anomalous")


def test_markup_in_names_stays_text(data: dict[str, Any], open_page: Callable[..., Page], tmp_path: Path) -> None:
    evil = json.loads(json.dumps(data))
    part = evil["parts"]["benchmark"]
    part["clips"][0]["video"] = EVIL
    part["clips"][0]["kind"] = [kind and EVIL for kind in part["clips"][0]["kind"]]
    for group in part["worst"]:
        for row in group["frames"]:
            row["video"] = EVIL if row["video"] == "01" else row["video"]
    for row in (*part["shares"]["clip"], *part["shares"]["kind"]):
        row["name"] = EVIL
    evil["provenance"]["commit"]["subject"] = evil["comparison"]["against"] = EVIL
    path = tmp_path / "evil.html"
    path.write_text(report.render(evil))
    page = open_page(path)
    assert page.inner_text("#clip option >> nth=0") == f"Clip {EVIL}" and EVIL in page.inner_text("#origin")
    assert f"clip {EVIL}" in page.inner_text("#timeline") and EVIL in page.inner_text("#by-clip")
    assert page.locator("img[src=x]").count() == 0
