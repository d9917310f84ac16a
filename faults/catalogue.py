"""What may be wrong with people's data, and how to make it so."""

import os
import stat
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from faults.damage import (
    CLIP,
    FRAME,
    TRUTH,
    VIDEO,
    Break,
    all_of,
    copy,
    cut,
    edit,
    edit_rows,
    huge_mask,
    labels,
    lock,
    masks,
    move,
    official_masks,
    opaque,
    overwrite,
    pack,
    pack_and_edit,
    pack_with,
    pages,
    redraw,
    remove,
    see_through,
    shorten,
    shrink,
    sixteen_bits,
    write,
)
from faults.stage_runner import ROOT

EXTRACT = "fetch", "extract"
READY = "check", "fetch", "extract", "validation", "diagnose"
SUBMITTED = ROOT / "sample_submission.csv"
TRAINED = ROOT / "training" / "01"
HELD_OUT = ROOT / "training" / "04"


@dataclass(frozen=True)
class Fault:
    """Something wrong with data: `breaks` does it to a sound data set, which `stages` then work on.

    Before that the stages `before` have run. `params` go to the section data of params.yaml. `limit` is what the
    machine lacks.
    """

    title: str
    breaks: Break
    stages: tuple[str, ...] = EXTRACT
    before: tuple[str, ...] = ()
    params: dict[str, Any] = field(default_factory=dict)
    limit: str = ""


def nothing(folder: Path) -> None:
    """The data are sound."""


FOLDERS = [
    Fault("`data.root` does not exist", remove(ROOT), ("check",)),
    Fault("No folder of test clips", move(ROOT / "testing", ROOT / "tests")),
    Fault(
        "The grayscale volumes without the videos",
        all_of(remove(ROOT / "testing"), remove(ROOT / "training"), write(ROOT / "testing_vol" / "vol01.mat", "")),
    ),
    Fault(
        "Two data sets in one folder",
        all_of(*(copy(ROOT / split, ROOT / "copy" / split) for split in ("training", "testing")),
               *(move(ROOT / split, ROOT / "mine" / split) for split in ("training", "testing"))),
    ),
    Fault("A split without clips", all_of(remove(ROOT / "testing"), write(ROOT / "testing" / "notes.txt", ""))),
    Fault("A clip without frames", all_of(remove(CLIP), write(CLIP / "notes.txt", ""))),
    Fault("A frame number that occurs twice", copy(FRAME, CLIP / "frame_944.png")),
    Fault("A frame's name without a number", copy(FRAME, CLIP / "cover.jpg")),
    Fault("Two clips of one number", copy(CLIP, ROOT / "testing" / "1")),
    Fault("A clip's name with a line break in it", move(CLIP, ROOT / "testing" / "one\ntwo")),
    Fault("A frame's name with a line break in it", copy(FRAME, CLIP / "99\nframe_99.jpg")),
    Fault("A frame number beyond all clips", copy(FRAME, CLIP / "frame_99999999999999999999.jpg")),
    Fault("Frames numbered by time", copy(FRAME, CLIP / "frame_1700000000000.jpg")),
    Fault("A pipe", lambda folder: os.mkfifo(folder / CLIP / "frame_00960.jpg")),
    Fault("A link that leads nowhere", all_of(remove(FRAME), lambda folder: (folder / FRAME).symlink_to("gone.jpg"))),
    Fault("An unfinished download of a clip", move(VIDEO, VIDEO.with_suffix(".avi.part"))),
    Fault("An archive among the clips", write(ROOT / "testing" / "03.rar", "Rar!")),
    Fault("A format that is not read among the frames", copy(FRAME, CLIP / "frame_00960.heic")),
    Fault("Files that are none of frames and videos", all_of(write(CLIP / "notes.txt", ""), write(ROOT / "a.m", ""))),
    Fault("Documents and what systems leave", all_of(write(ROOT / "README", ""), write(CLIP / "Thumbs.db", ""))),
    Fault("Training clips of one frame each", shorten("01", "02")),
    Fault("Too few training frames", all_of(*(remove(ROOT / "training" / clip) for clip in ("02", "03", "04")))),
    Fault("The same clip in training and test", all_of(remove(CLIP), copy(TRAINED, CLIP))),
    Fault("The same frame in training and test", copy(TRAINED / "frame_00003.jpg", FRAME)),
    Fault("Two training clips of the same content", copy(TRAINED, ROOT / "training" / "05")),
    Fault("A held-out frame that training has too", copy(TRAINED / "frame_00003.jpg", HELD_OUT / "frame_00002.jpg")),
    Fault("A folder that may not be read", lock(CLIP), limit="permission"),
    Fault("A frame that may not be read", lock(FRAME), limit="permission"),
]  # fmt: skip
FRAMES = [
    Fault("Not an image", write(FRAME, "404: not found")),
    Fault("Empty", write(FRAME, "")),
    Fault("Truncated", edit(FRAME, cut(0.7))),
    Fault("A header that claims 4 gigapixels", edit(FRAME, overwrite(b"\xff\xc0", 0, 5, b"\xff\xdc\xff\xdc"))),
    Fault("Another size than most of its clip", redraw(lambda image: image.resize((32, 24)))),
    Fault("Every frame of a clip 8 pixels small", shrink),
    Fault("16 bits a channel", redraw(sixteen_bits, ".png")),
    Fault("CMYK", redraw(lambda image: image.convert("CMYK"))),
    Fault("Transparent in part", redraw(see_through, ".png")),
    Fault("Alpha, all opaque", redraw(opaque, ".png")),
    Fault("Several images in one file", pages),
    Fault("PPM", redraw(lambda image: image, ".ppm")),
    Fault("Grayscale", redraw(lambda image: image.convert("L"))),
    Fault("Palette", redraw(lambda image: image.quantize(64), ".png")),
    Fault("Every frame of a clip bad", lambda folder: [path.write_bytes(b"") for path in (folder / CLIP).iterdir()]),
]
VIDEOS = [
    Fault("Ends early", edit(VIDEO, cut(0.75))),
    Fault("A damaged frame in its middle", edit(VIDEO, overwrite(b"\xff\xd8\xff", 5, 0, bytes(700)))),
    Fault("Most of it lost", edit(VIDEO, cut(0.4))),
    Fault("Not a video", write(VIDEO, "404: not found")),
    Fault("Empty", write(VIDEO, "")),
]
ARCHIVES = [
    Fault("Sound", pack),
    Fault("Cut off", pack_and_edit(cut(0.8))),
    Fault("A damaged byte", pack_and_edit(overwrite(b"\xff\xd8\xff", 3, 200, b"\0\0\0"))),
    Fault("A path that leads out of the folder", pack_with("../../escaped.txt", b"x")),
    Fault("A link", pack_with("link.jpg", b"/etc/passwd", stat.S_IFLNK | 0o777)),
    Fault("A zip bomb", pack_with("bomb.mat", bytes(20_000_000), method=zipfile.ZIP_DEFLATED)),
    Fault("Compressed by bzip2", pack_with("notes.txt", b"x" * 1000, method=zipfile.ZIP_BZIP2)),
    Fault("Encrypted", pack_and_edit(overwrite(b"PK\1\2", 0, 8, b"\1"))),
    Fault("Without clips", all_of(remove(ROOT / "training"), remove(ROOT / "testing"), pack)),
]
LABELS = [
    Fault("None", remove(ROOT / "labels.csv")),
    Fault("A test frame has none", labels("video,frame,label", "01,939,0", "01,940,1")),
    Fault("Of frames that are not there", labels("01,500,1", "7,0,0")),
    Fault("Neither 0 nor 1", labels("01,951,2")),
    Fault("Two of one frame", labels("1,939,1")),
    Fault("A frame that is no number", labels("01,last,1")),
    Fault("A frame number beyond all clips", labels("01,1e30,1")),
    Fault("No column of that name", labels("clip,frame,label", "1,939,0")),
    Fault("An Id that is none", labels("Id,label", "1-939,0")),
    Fault("An empty table", labels()),
    Fault("Masks and a table", all_of(labels("01,951,0"), masks({1: 1000}))),
    Fault("Other files", write(TRUTH / "labels.xlsx", "PK")),
    Fault("A clip has no mask", masks({2: 12})),
    Fault("A mask that ends before its clip", masks({1: 950, 2: 12})),
    Fault("A mask of another length than its whole clip", official_masks({1: 951, 2: 12}), params={"source": "avenue"}),
    Fault("A mask that is no MATLAB file", all_of(masks({1: 960}), write(TRUTH / "1_label.mat", "404: not found"))),
    Fault("A mask that is cut off", all_of(masks({1: 960}), edit(TRUTH / "1_label.mat", cut(0.7)))),
    Fault("A mask of 2 kB that claims gigapixels", all_of(masks({1: 960, 2: 12}), huge_mask)),
    Fault("A MATLAB file of something else", masks({1: 960}, key="vol")),
]
SUBMISSION = [
    Fault("None", remove(SUBMITTED)),
    Fault("An Id that is no test frame's", edit_rows(SUBMITTED, lambda rows: [*rows, "1_951,0.0"])),
    Fault("A test frame without an Id", edit_rows(SUBMITTED, lambda rows: rows[:-2])),
    Fault("An Id that occurs twice", edit_rows(SUBMITTED, lambda rows: [*rows, rows[-1]])),
    Fault("No column Id", edit_rows(SUBMITTED, lambda rows: ["name,score", *rows[1:]])),
    Fault("Empty", write(SUBMITTED, "")),
]
MACHINE = [
    Fault("The disk is full (here: a quota) while clips are extracted", nothing, limit="disk"),
    Fault("The disk is full (here: a quota) while frames are resized", nothing, ("resize",), READY, limit="disk"),
    Fault(
        "A bit of `data/frames` flipped on the disk",
        edit(Path("data/frames/test/01.zip"), overwrite(b"\xff\xd8\xff", 3, 200, b"\0\0\0")), ("resize",), READY,
    ),
]  # fmt: skip


GROUPS = {
    "Folders and clips": FOLDERS,
    "Frames": FRAMES,
    "Videos": VIDEOS,
    "Archives": [replace(fault, params={"source": "pixel-play-26"}) for fault in ARCHIVES],
    "Labels": [replace(fault, stages=("fetch", "evaluate"), before=READY) for fault in LABELS],
    "Sample submission": [replace(fault, stages=("fetch", "submission"), before=READY) for fault in SUBMISSION],
    "The machine": MACHINE,
}
