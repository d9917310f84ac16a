"""A recipe beside the run that is here: runs it as an experiment and writes the page that compares the two.

    python -m reports.demo best

The run that is here is saved first, as the DVC experiment before-NAME. params.yaml is the recipe's afterwards;
`git checkout params.yaml && dvc repro` goes back, and computes nothing.
"""

import argparse
import sys
from pathlib import Path

from experiments import recipe
from project import workspaces
from reports import outcome, report
from vad import VadError
from vad.storage import files


def main(name: str) -> None:
    """Run the recipe and write metrics/NAME.html. Raises VadError where nothing ran yet, or the recipe fails."""
    if stale := workspaces.stale(workspaces.TOP):
        raise VadError(f"{', '.join(stale)}: not up to date; run `make repro` first")
    before = f"before-{name}"
    list(workspaces.dvc(workspaces.TOP, "exp", "save", "--force", "--name", before))
    if recipe.main(name):
        raise VadError(f"{name}: the recipe failed, see above")
    page = Path(f"metrics/{name}.html")
    files.write_text(page, report.render(report.collect(before)))
    outcome.main()
    print(f"{page}: {name} beside the run before it (the experiment {before})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    try:
        main(parser.parse_args().recipe)
    except VadError as error:
        sys.exit(str(error))
