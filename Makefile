# Needs git, make and a Python >= 3.11; the environment in .venv needs no activation.
# Another interpreter: make repro PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.stamp
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
# The stages are run as `python -m stages.NAME`: that python must be the environment's.
IN_VENV := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"

# Torch, and what it brings on Linux alone: the files differ by platform (CPU, CUDA), so they are not locked.
BY_PLATFORM := torch torchvision triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti \
    nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver \
    nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx
TORCH_PINS := grep -oE '^torch(vision)?==[^ ;\#]+' requirements.txt
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
LOCKED := --no-deps --require-hashes -r requirements.lock
# A tool of PyPI that is no part of the environment: needs uv or pipx.
RUN_TOOL := $$(command -v uvx || echo pipx run)

DATA ?= sample

.PHONY: help env repro report film demo recipe ablation ablations sweep fan-out test test-all check benchmark \
        lock audit \
        submit leaderboard kaggle-push kaggle-pull

help:  ## list these targets
	@awk -F ':.*## ' '/^## / {print "\n" substr($$0, 4)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## Run
repro: $(STAMP)  ## the whole pipeline, as far as it is not up to date, and the page that shows it
	@$(IN_VENV) python -m dvc repro
	@$(IN_VENV) python -m reports.report
	@$(IN_VENV) python -m reports.outcome

demo: $(STAMP)  ## a recipe beside the run that is here, on a page: NAME=best
	@$(IN_VENV) python -m reports.demo $(or $(NAME),best)

recipe: $(STAMP)  ## a complete setting of experiments/recipes.yaml on your data, as an experiment: NAME=best
	@$(IN_VENV) python -m experiments.recipe $(or $(NAME),$(error name one: make recipe NAME=best))

## Look
report: $(STAMP)  ## metrics/report.html, a page that shows the run; AGAINST=REV: compared with that, not HEAD
	@$(IN_VENV) python -m reports.report $(if $(AGAINST),--against $(AGAINST))

film: $(STAMP)  ## metrics/films, a video of each test clip, its heat map and score: CLIP=04 for one, SPLIT=validation
	@$(IN_VENV) python -m reports.film $(CLIP) $(if $(SPLIT),--split $(SPLIT))

## Find out what matters
ablation: $(STAMP)  ## one experiment of experiments/ablations.yaml: NAME=per_video DATA=sample
	@$(IN_VENV) python -m experiments.ablations $(DATA) --only $(or $(NAME),$(error name one: make ablation NAME=per_video))

ablations: $(STAMP)  ## test every claim of the failure analysis: DATA="sample ped2", see experiments/datasets.yaml
	@# What did run is evaluated even where an experiment failed.
	@failed=0; for module in "ablations $(DATA)" "oracle $(DATA)" failure_analysis past_the_ceiling; do \
	    $(IN_VENV) python -m experiments.$$module || failed=1; done; exit $$failed

sweep: $(STAMP)  ## thousands of settings of fusion in one process, judged on validation: COUNT=2000, SAVE=3 keeps the best
	@$(IN_VENV) python -m experiments.sweep $(if $(COUNT),--count $(COUNT)) $(if $(SAVE),--save $(SAVE))

fan-out: $(STAMP)  ## what cluster/job does on many machines, on tiny clips: JOBS=4, two at once, one of them killed
	@$(IN_VENV) JOBS=$(or $(JOBS),4) python -m pytest -q -s -rs -m slow tests/cluster/test_fan_out.py

## Kaggle
submit: $(STAMP)  ## check submission.csv, hand it in and record its score (FORCE=1: once more; KAGGLE=1: the pulled run's)
	@$(IN_VENV) python -m competition.submit $(if $(FORCE),--force) $(if $(KAGGLE),--kaggle) $(if $(MESSAGE),--message "$(MESSAGE)")

leaderboard: $(STAMP)  ## bring metrics/leaderboard.csv and its plot up to date with Kaggle's list of submissions
	@$(IN_VENV) python -m competition.leaderboard

kaggle-push: $(STAMP)  ## run the pipeline, as committed, on Kaggle's own GPUs
	@$(IN_VENV) python -m competition.push

kaggle-pull: $(STAMP)  ## bring that run back, as an experiment
	@$(IN_VENV) python -m competition.pull

## Change the code
env: $(STAMP)  ## make .venv and install what requirements.lock names; again only when that changed

test: $(STAMP)  ## every fast test, style and types included, and the coverage of vad/
	@$(IN_VENV) python -m pytest --cov --numprocesses auto --dist loadfile --no-loadscope-reorder

test-all: $(STAMP)  ## the slow tests, too, and all trials of docs/PROMISES.md: an hour or more
	@$(IN_VENV) python -m pytest --cov --numprocesses auto --dist loadfile --no-loadscope-reorder -m "slow or not slow"
	@failed=0; for harness in kills disks mutants; do \
	    $(IN_VENV) OMP_NUM_THREADS=1 python -m faults.$$harness --write docs/PROMISES.md || failed=1; done; exit $$failed

benchmark: $(STAMP)  ## docs/PERFORMANCE.md: our speed beside the notebook's and what the machine could do (8 minutes)
	@$(IN_VENV) python -m benchmarks.performance

check: $(STAMP)  ## formatting, lint, types and the search for secrets alone
	@$(IN_VENV) python -m ruff format --check
	@$(IN_VENV) python -m ruff check
	@$(IN_VENV) python -m mypy
	@git ls-files -z | $(IN_VENV) xargs -0 detect-secrets-hook --baseline .secrets.baseline

lock:  ## requirements.lock anew after a change of requirements*.txt (UPGRADE=1: newer versions of what those bring)
	@$(RUN_TOOL) uv==0.13.9 pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    $(addprefix --no-emit-package ,$(BY_PLATFORM)) $(if $(UPGRADE),--upgrade) --custom-compile-command 'make lock' \
	    --output-file requirements.lock requirements-dev.txt

# --strict: without it pip-audit passes where its service knows no package at all.
audit:  ## known vulnerabilities of what is installed, as PyPI lists them
	@$(RUN_TOOL) pip-audit==2.10.1 --strict --disable-pip --require-hashes --requirement requirements.lock
	@$(TORCH_PINS) | $(RUN_TOOL) pip-audit==2.10.1 --strict --disable-pip --no-deps --requirement /dev/stdin

# An interrupted run leaves no stamp: the next one keeps a sound .venv and starts a broken one afresh.
# The lock is complete, hence --no-deps. Torch comes by pip even beside uv, which reads no settings of pip: a build for
# CPUs alone, in a folder or an index that pip knows, would be passed over for the one with CUDA, gigabytes.
$(STAMP): requirements.txt requirements.lock
	@$(PYTHON) -c '$(NEW_ENOUGH)' 2>/dev/null || { \
	    echo "$(PYTHON): Python 3.11 or newer is needed; name one, as in \`make $(or $(MAKECMDGOALS),env) PYTHON=python3.12\`" >&2; exit 1; }
	@$(VENV)/bin/python -c 'import pip; $(NEW_ENOUGH)' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing requirements.lock and torch into $(VENV): the first time takes a few minutes"
	@{ command -v uv >/dev/null && uv pip install --quiet --compile-bytecode --python $(VENV) $(LOCKED); } \
	    || $(PIP) $(LOCKED)
	@$(PIP) $$($(TORCH_PINS))
	@touch $@
