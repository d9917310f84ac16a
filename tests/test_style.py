"""Formatting, lint and types are part of the suite: the commands of `make check`."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_architecture import SOURCES

TOP = Path(__file__).parents[1]


@pytest.mark.parametrize("command", ["ruff format --check", "ruff check --output-format concise", "mypy"])
def test_code_passes(command: str) -> None:
    result = subprocess.run([sys.executable, "-m", *command.split()], cwd=TOP, capture_output=True, text=True)
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"


def test_no_page_was_left_with_a_blank_to_fill_in() -> None:
    pages = [TOP / "README.md", TOP / "CHANGELOG.md", *TOP.glob("docs/*.md"), *TOP.glob("experiments/*.md")]
    assert [page.name for page in pages if re.search(r"@@|TODO|FIXME", page.read_text(encoding="utf-8"))] == []


DICT = re.compile(r"\b(dict|Mapping)\[")


def parts_of(value: ast.expr | None) -> list[ast.expr]:
    """What a returned value is put together from: the items of a tuple, both sides of `|`."""
    if isinstance(value, ast.Tuple):
        return [part for item in value.elts for part in parts_of(item)]
    if isinstance(value, ast.BinOp):
        return [*parts_of(value.left), *parts_of(value.right)]
    return [value] if value else []


def returned_keys(function: ast.FunctionDef) -> set[str]:
    """The keys that are written out in the dicts that a function returns, directly or by name."""
    nodes = list(ast.walk(function))
    parts = [part for node in nodes if isinstance(node, ast.Return) for part in parts_of(node.value)]
    names = {part.id for part in parts if isinstance(part, ast.Name)}
    for node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id in names for target in targets):
                parts += parts_of(node.value)
    keys = [key for part in parts if isinstance(part, ast.Dict) for key in part.keys]
    return {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def undescribed(source: str) -> list[str]:
    """Public functions that return a dict and neither name its keys in backticks nor say what `key -> value` is."""
    found = []
    for parent in ast.walk(ast.parse(source)):
        if not isinstance(parent, ast.Module | ast.ClassDef):
            continue
        for node in (node for node in parent.body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"):
            if not (node.returns and DICT.search(ast.unparse(node.returns))):
                continue
            told = ast.get_docstring(node) or ""
            keys = returned_keys(node)
            if "->" not in told and not ("`" in told and all(f"`{key}`" in told for key in keys)):
                found.append(node.name)
    return found


@pytest.mark.parametrize("module", SOURCES)
def test_whoever_returns_a_dict_says_what_is_in_it(module: str) -> None:
    assert undescribed(SOURCES[module]) == []


def test_a_dict_of_which_nothing_is_said_is_seen() -> None:
    text = 'def figures() -> dict[str, float]:\n    """All that there is."""\n    return {"ap": 1.0}\n'
    assert undescribed(text) == ["figures"] and undescribed(text.replace("All that there is", "`ap`, 0..1")) == []


@pytest.mark.parametrize("stage", [name for name in SOURCES if name.startswith("stages.")])
def test_every_stage_says_what_it_writes(stage: str) -> None:
    (main,) = (
        node for node in ast.parse(SOURCES[stage]).body if isinstance(node, ast.FunctionDef) and node.name == "main"
    )
    assert "Write" in (ast.get_docstring(main) or "")


@pytest.mark.parametrize("module", [name for name in SOURCES if name.split(".")[0] in ("vad", "stages")])
def test_no_library_leaves_a_temporary_file_of_its_own_when_it_is_killed(module: str) -> None:
    """safetensors' `save_file` writes a file `.tmpXXXXXX` beside its target and renames it."""
    assert "save_file(" not in SOURCES[module]
