"""Train: resized training frames -> the autoencoder's weights, its loss and its collapse per epoch."""

from pathlib import Path
from typing import Any

import pandas as pd
from lightning_fabric import Fabric

from project import imports, launch
from stages import CHECKPOINTS, PARAMS, run
from vad import params
from vad.components import out_of_fold
from vad.components.out_of_fold import Fit
from vad.models import autoencoder, checkpoint, processes, runtime, saving, training
from vad.models.checkpoint import Checkpoints
from vad.params import Params
from vad.storage import files, needs, tables

Made = tuple[pd.DataFrame, Checkpoints | None]
"""The history of a training, and its checkpoints, if it has any."""


def main(needed: Path, resized: Path, weights: Path, halves: Path, metrics: Path, curve: Path) -> None:
    """Write the autoencoder's weights, and how its training went; no weights where it is not needed.

    `weights`: fitted on all training clips. Where there are folds, 0.safetensors and 1.safetensors in `halves` are
    fitted without the half of the folds that they score, else they hold none. `curve`: what `training.fit` gives, a row
    an epoch; losses are in the unit of the pixels, 0..1, squared for mse. `metrics`: `needed`; the number of training
    `frames`; the last row of `curve`; under `untrained` the collapse figures before training; under `halves` the same
    figures of each half's training, `holdout` being the loss on the clips that it leaves out. Raises VadError for
    weights that can't be used, and for a loss that is not finite.
    """
    networks = out_of_fold.Weights(weights, halves)
    if not needs.read(needed):
        needs.write_no_weights(*networks.paths())
        tables.write_csv(curve, pd.DataFrame(columns=training.COLUMNS))
        files.write_json(metrics, {"needed": False})
        return
    settings = params.load(PARAMS)
    if not settings.train.weights and launch.again():
        return
    fabric = runtime.fabric(settings.train.precision, "train.precision", processes.launched())
    fits = out_of_fold.fits(networks, resized)
    if settings.train.weights:
        made: list[Made] = [(given(fabric, settings, fits[0], settings.train.weights), None)]
    else:
        made = [trained(fabric, settings, fit) for fit in fits]
    if not fabric.is_global_zero:
        return
    needs.write_no_weights(*networks.paths()[len(fits) :])
    # DVC's plots leave nan out; an empty cell they draw as 0.
    tables.write_csv(curve, made[0][0], missing="nan")
    whole, *others = [figures(fit, history) for fit, (history, _) in zip(fits, made, strict=True)]
    files.write_json(metrics, {"needed": True, **whole, **({"halves": others} if others else {})})
    for _, checkpoints in made:
        if checkpoints:
            checkpoints.remove()


def trained(fabric: Fabric, settings: Params, fit: Fit) -> Made:
    """Train the autoencoder and write its weights; what `training.fit` gives, and the checkpoints to be removed."""
    train, unseen = training.Frames(fit.training), training.Frames(fit.unseen)
    origin = {"train": settings.train.model_dump(mode="json"), "seed": settings.seed, "data": train.digest()}
    made_of = origin | {"holdout": unseen.digest(), "code": checkpoint.digest_of_files(imports.code_of("train"))}
    checkpoints = Checkpoints(CHECKPOINTS / "autoencoder", made_of)
    # The seed is set again for the weights, as the reference does.
    runtime.seed(settings.seed)
    model = autoencoder.Autoencoder(settings.train.encoder, settings.train.pretrained)
    history = training.fit(fabric, model, train, unseen, settings.train, checkpoints)
    if fabric.is_global_zero:
        saving.save(model, fit.weights, origin)
    return history, checkpoints


def given(fabric: Fabric, settings: Params, fit: Fit, weights: Path) -> pd.DataFrame:
    """Write weights that were trained elsewhere; what `training.fit` would give of them, in a row."""
    model = autoencoder.load(weights, settings.train.encoder)
    network = fabric.setup_module(model)
    parts = {"train_eval": training.Frames(fit.training), "holdout": training.Frames(fit.unseen)}
    losses = {part: training.evaluation_loss(fabric, network, parts[part], settings.train) for part in parts}
    judged = parts["holdout"] if fit.unseen else parts["train_eval"]
    found = training.collapse_figures(fabric, model, judged, settings.train)
    saving.save(model, fit.weights, {"weights": str(weights), "encoder": settings.train.encoder})
    return pd.DataFrame([{"epoch": 0, **losses, "steps": 0, **found}])


def figures(fit: Fit, history: pd.DataFrame) -> dict[str, Any]:
    """Of a training: its `frames`, the last row of its history, and under `untrained` the collapse figures before."""
    last: dict[Any, Any] = history.iloc[-1].dropna().to_dict() | {"epoch": int(history["epoch"].iloc[-1])}
    untrained = {"untrained": history.loc[0, training.COLLAPSE].to_dict()} if len(history) > 1 else {}
    return {"frames": sum(map(len, fit.training)), **last, **untrained}


if __name__ == "__main__":
    run(main)
