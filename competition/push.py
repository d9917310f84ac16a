"""Push: the pipeline, as it is committed, to Kaggle's own machines, where it runs.

python -m competition.push

A push carries one file, the notebook. The code, as a Git bundle of HEAD, and wheels of what Kaggle's image lacks travel
as a private data set, made by the first push and given a new version by the others.
"""

import json
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from competition import client
from project import workspaces
from vad import VadError
from vad.storage import files
from vad.storage.progress import progress

NOTEBOOKS = workspaces.TOP / "notebooks"
METADATA = "kernel-metadata.json"
OWNER = "OWNER"
"""Stands in kernel-metadata.json for the account of the token."""
STAGING = workspaces.TOP / ".dvc" / "tmp" / "kaggle"
BUNDLE = "code.bundle"
PYTHON = "3.12"
"""That of Kaggle's image, for which wheels are fetched."""
PLATFORMS = "manylinux_2_28_x86_64", "manylinux2014_x86_64"
ROOTS = "dvc", "lightning-fabric", "safetensors"
IN_IMAGE = {
    "torch", "torchvision", "numpy", "pandas", "scipy", "scikit-learn", "opencv-python-headless", "pillow", "h5py",
    "matplotlib", "plotly", "pydantic", "pyyaml", "kaggle",
}  # fmt: skip
"""Packages that Kaggle's image has: they and what they alone need are not sent."""
MINUTES = 15
REMEDIES = {401: client.REMEDIES[401], 403: "does the account of your token own it, and is its phone verified?"}


def kernel(api: Any) -> dict[str, Any]:
    """notebooks/kernel-metadata.json, key -> value, with the account of the token put in."""
    text = (NOTEBOOKS / METADATA).read_text(encoding="utf-8")
    return json.loads(text.replace(f"{OWNER}/", f"{api.config_values['username']}/"))


def refuse_uncommitted() -> str:
    """The hash of HEAD. Raises VadError when tracked files differ from it: Kaggle runs what is committed."""
    changed = workspaces.git(workspaces.TOP, "status", "--porcelain", "--untracked-files=no").splitlines()
    if changed:
        raise VadError(f"{changed[0][3:]}: not committed; Kaggle runs what is: commit, then push")
    return workspaces.git(workspaces.TOP, "rev-parse", "HEAD").strip()


def missing_packages() -> list[str]:
    """What ROOTS need beyond Kaggle's image, as NAME==VERSION of this environment."""
    found: dict[str, str] = {}
    waiting = list(ROOTS)
    environment = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0", "extra": ""}
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found or name in IN_IMAGE:
            continue
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # needed by another Python than this: pip will say so there
            continue
        for requirement in map(Requirement, metadata.requires(name) or []):
            if not requirement.marker or requirement.marker.evaluate(environment):
                waiting.append(requirement.name)
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def fetch_wheels(packages: list[str], folder: Path) -> None:
    """Put a wheel of each package for Kaggle's Python into `folder`, which keeps those of the last push, no others."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {
        package: f"{package.partition('==')[0].replace('-', '_')}-{package.partition('==')[2]}-" for package in packages
    }
    for path in folder.iterdir():
        if not path.name.lower().startswith(tuple(wanted.values())):
            path.unlink()
    there = [path.name.lower() for path in folder.iterdir()]
    for package in progress(packages, "wheels", len(packages)):
        if not any(name.startswith(wanted[package]) for name in there):
            _fetch_wheel(package, folder)


def _fetch_wheel(package: str, folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    target = ["--python-version", PYTHON, *(f"--platform={name}" for name in PLATFORMS)]
    download = [*pip, "download", "--no-deps", "--only-binary=:all:", *target, "--dest", str(folder), package]
    # Of some there is no wheel: where nothing is compiled, one made here serves any Python.
    build = [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), package]
    for command in (download, build):
        done = subprocess.run(command, text=True, capture_output=True, check=False)
        if done.returncode == 0:
            return
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
    raise VadError(f"{package}: no wheel of it for Python {PYTHON}: {' '.join(said)}")


def send_code(api: Any, dataset: str, revision: str) -> None:
    """Send the bundle and the wheels as the data set, new or as a new version, and wait until Kaggle has it ready.

    Raises VadError when it does not arrive: the client leaves out a file whose upload failed, and says nothing.
    """
    folder = STAGING / "dataset"
    folder.mkdir(parents=True, exist_ok=True)
    fetch_wheels(missing_packages(), folder / "wheels")
    workspaces.git(workspaces.TOP, "bundle", "create", "--quiet", str(folder / BUNDLE), "HEAD")
    slug = dataset.partition("/")[2]
    about = {"title": slug.replace("-", " "), "id": dataset, "licenses": [{"name": "other"}]}
    files.write_json(folder / "dataset-metadata.json", about)
    options: dict[str, Any] = {"quiet": True, "dir_mode": "zip", "remedies": REMEDIES, "seconds": 60.0 * MINUTES}
    if client.call(f"data set {dataset}", status, api, dataset, remedies=REMEDIES) is None:
        answer = client.call(f"data set {dataset}", api.dataset_create_new, str(folder), **options)
    else:
        answer = client.call(f"data set {dataset}", api.dataset_create_version, str(folder), revision, **options)
    if answer.status.lower() != "ok":
        raise VadError(f"Kaggle: data set {dataset}: {answer.error or 'not made'}; mend that and push again")
    for _ in range(6 * MINUTES):
        if client.call(f"data set {dataset}", status, api, dataset, remedies=REMEDIES) == "ready":
            break
        time.sleep(10)
    else:
        raise VadError(f"Kaggle: data set {dataset}: not ready after {MINUTES} minutes; push again later")
    listed = client.call(f"data set {dataset}", api.dataset_list_files, dataset, page_size=200, remedies=REMEDIES)
    names = {Path(entry.name).name for entry in listed.files}
    if BUNDLE not in names or not any(name.startswith("wheels") or name.endswith(".whl") for name in names):
        raise VadError(f"Kaggle: data set {dataset}: not all files arrived; push again")


def status(api: Any, dataset: str) -> str | None:
    """How far Kaggle is with a data set ("ready"); None when there is none of that name."""
    from requests.exceptions import HTTPError

    try:
        return api.dataset_status(dataset)
    except HTTPError as error:
        # Kaggle answers 403 for what is not there, or not to be seen.
        if error.response is not None and error.response.status_code in (403, 404):
            return None
        raise


def send_notebook(api: Any, about: dict[str, Any]) -> str:
    """Send the notebook, which Kaggle then runs; its address. Raises VadError when Kaggle doesn't take all of it."""
    folder = STAGING / "kernel"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(NOTEBOOKS / about["code_file"], folder)
    files.write_json(folder / METADATA, about)
    answer = client.call(f"notebook {about['id']}", api.kernels_push, str(folder), repeatable=False, remedies=REMEDIES)
    refused = [*answer.invalid_competition_sources, *answer.invalid_dataset_sources]
    if answer.error or refused:
        said = answer.error or f"it may not use {', '.join(refused)}; are the competition's rules accepted?"
        raise VadError(f"Kaggle: notebook {about['id']}: {said}")
    return f"{answer.url}, version {answer.version_number}"


def main() -> None:
    try:
        revision = refuse_uncommitted()
        api = client.connect()
        about = kernel(api)
        send_code(api, about["dataset_sources"][0], revision)
        address = send_notebook(api, about)
    except VadError as error:
        sys.exit(str(error))
    print(f"{revision[:10]} runs on {about['machine_shape']}: {address}")
    print("`make kaggle-pull` brings it back when it is done")


if __name__ == "__main__":
    main()
