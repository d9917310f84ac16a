"""The supply chain: what is installed is locked by hash or named as not locked, and no secret is committed."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).parents[1]
LOCK = (TOP / "requirements.lock").read_text(encoding="utf-8")
ENTRIES = [line for line in LOCK.replace(" \\\n", "").splitlines() if re.match(r"\w", line)]
LOCKED = [Requirement(entry.split("    --hash=")[0]) for entry in ENTRIES]
KEY = hashlib.md5(b"of nobody").hexdigest()


def pinned(requirement: Requirement) -> tuple[str, str]:
    """Name and the one version that a requirement admits."""
    (only,) = requirement.specifier
    assert only.operator == "==", str(requirement)
    return canonicalize_name(requirement.name), only.version


def direct() -> dict[str, str]:
    """Every direct dependency and its version."""
    text = "".join((TOP / name).read_text(encoding="utf-8") for name in ("requirements.txt", "requirements-dev.txt"))
    return dict(pinned(Requirement(line.split("#")[0])) for line in text.splitlines() if re.match(r"\w", line))


def not_locked() -> set[str]:
    """What the Makefile leaves out of the lock."""
    names = re.search(r"^BY_PLATFORM := ((?:.*\\\n)*.*)", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert names is not None
    return set(names[1].replace("\\", "").split())


def test_every_locked_package_has_one_version_and_a_hash() -> None:
    assert [entry for entry in ENTRIES if not re.search(r" --hash=sha256:[0-9a-f]{64}$", entry)] == []
    # Several versions of a package only where markers part them.
    unmarked = [pinned(requirement)[0] for requirement in LOCKED if not requirement.marker]
    assert len(unmarked) == len(set(unmarked)) > 100


def test_lock_holds_every_direct_dependency_at_its_pinned_version() -> None:
    locked = dict(pinned(requirement) for requirement in LOCKED)
    wanted = {name: version for name, version in direct().items() if name not in not_locked()}
    assert {name: locked.get(name) for name in wanted} == wanted, "run `make lock`"


def test_packages_without_hashes_are_those_that_the_makefile_names() -> None:
    left_out = LOCK.split("# The following packages were excluded from the output:\n")[1]
    assert set(left_out.replace("#", "").split()) == not_locked()
    assert not_locked() & set(direct()) == {"torch", "torchvision"}
    # A release of torch may bring packages of new names: in the lock, they would be installed on every machine.
    by_platform = re.compile(r"torch|torchvision|triton|(cuda|nvidia)-.*")
    assert [name for name in not_locked() if not by_platform.fullmatch(name)] == []
    assert [entry.name for entry in LOCKED if by_platform.fullmatch(entry.name)] == []


def test_environment_lacks_nothing_that_an_installed_package_needs() -> None:
    """The lock is installed with --no-deps: what it forgot would be missing."""
    result = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder with the Makefile and, in programs/, stand-ins for python3 and uv that note what they are to install."""
    for name in ("Makefile", "requirements.txt", "requirements.lock"):
        shutil.copy(TOP / name, tmp_path / name)
    (tmp_path / "programs").mkdir()
    for name in ("python3", "uv"):
        (tmp_path / "programs" / name).write_text(STAND_IN)
        (tmp_path / "programs" / name).chmod(0o755)
    return tmp_path


STAND_IN = """#!/bin/sh
case "$*" in
    "-c "*) exit ;;
    "-m venv "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python && exit ;;
esac
echo "${0##*/} $*" >> noted
test "${0##*/}" != "$BROKEN"
"""


def make_env(machine: Path, broken: str = "") -> tuple[int, list[str]]:
    """Exit status, and who installed what: `python` is pip, of the environment."""
    noted = machine / "noted"
    noted.write_text("")
    environment = os.environ | {"PATH": f"{machine / 'programs'}:/usr/bin:/bin", "BROKEN": broken}
    status = subprocess.run(["make", "env"], cwd=machine, env=environment, capture_output=True).returncode
    return status, [re.sub(r" .*(--require-hashes -r|--disable-pip-version-check)", "", line) for line in noted.open()]


def test_uv_installs_the_lock_and_pip_torch_and_only_once(machine: Path) -> None:
    torch = f"python torch=={direct()['torch']} torchvision=={direct()['torchvision']}\n"
    assert make_env(machine) == (0, ["uv requirements.lock\n", torch])
    assert make_env(machine) == (0, [])


def test_pip_installs_the_lock_where_uv_fails(machine: Path) -> None:
    status, noted = make_env(machine, broken="uv")
    assert status == 0 and noted[:2] == ["uv requirements.lock\n", "python requirements.lock\n"]


def test_interrupted_installation_is_taken_up_again(machine: Path) -> None:
    assert make_env(machine, broken="python")[0] != 0
    status, noted = make_env(machine)
    assert status == 0 and len(noted) == 2


def test_actions_of_the_workflow_are_fixed_by_commit() -> None:
    used = re.findall(r"uses: (.*)", (TOP / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    assert used and [line for line in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", line)] == []


def find_secrets(*paths: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "detect_secrets.pre_commit_hook", "--baseline", ".secrets.baseline", *paths]
    return subprocess.run(command, cwd=TOP, capture_output=True, text=True)


def test_no_secret_is_committed() -> None:
    tracked = subprocess.check_output(["git", "ls-files"], cwd=TOP, text=True).splitlines()
    result = find_secrets(*(name for name in tracked if (TOP / name).is_file()))
    assert result.returncode == 0, result.stdout + result.stderr


TOKENS = {
    "kaggle.json": json.dumps({"username": "nobody", "key": KEY}),
    "access_token": f"KGAT_{KEY}",
    "notes.md": f"    export KAGGLE_API_TOKEN=KGAT_{KEY}",
    "config.local": f"['remote \"storage\"']\n    access_key_id = AKIA{KEY[:16].upper()}",
}


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_is_found_before_it_is_committed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(TOKENS[name] + "\n")
    result = find_secrets(str(tmp_path / name))
    assert result.returncode == 1 and name in result.stdout
