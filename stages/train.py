"""Train: resized training frames -> the autoencoder's weights, its loss and its collapse per epoch."""

from pathlib import Path
from typing import Any

import pandas as pd

from project import launch
from stages import CHECKPOINTS, PARAMS, code_of, run
from vad import params
from vad.data import clips
from vad.models import autoencoder, checkpoint, processes, runtime, saving, training
from vad.storage import files, needs, tables


def main(needed: Path, resized: Path, weights: Path, metrics: Path, curve: Path) -> None:
    """Write the autoencoder's weights, and how its training went; no weights where it is not needed.

    `curve`: what `training.fit` gives, a row an epoch; losses are in the unit of the pixels, 0..1, squared for mse.
    `metrics`: `needed`; the number of training `frames`; the last row of `curve`; under `untrained` the collapse
    figures before training. Raises VadError for weights that can't be used, and for a loss that is not finite.
    """
    if not needs.read(needed):
        needs.write_no_weights(weights)
        tables.write_csv(curve, pd.DataFrame(columns=training.COLUMNS))
        files.write_json(metrics, {"needed": False})
        return
    settings = params.load(PARAMS)
    if not settings.train.weights and launch.again():
        return
    train = training.Frames(clips.open_resized(resized, "train"))
    holdout = training.Frames(clips.open_resized(resized, "holdout"))
    fabric = runtime.fabric(settings.train.precision, "train.precision", processes.launched())
    checkpoints = None
    if settings.train.weights:
        untrained = {}
        origin: dict[str, Any] = {"weights": str(settings.train.weights), "encoder": settings.train.encoder}
        model = autoencoder.load(settings.train.weights, settings.train.encoder)
        network = fabric.setup_module(model)
        parts = {"train_eval": train, "holdout": holdout}
        losses = {part: training.evaluation_loss(fabric, network, parts[part], settings.train) for part in parts}
        judged = holdout if len(holdout) else train
        figures = training.collapse_figures(fabric, model, judged, settings.train)
        history = pd.DataFrame([{"epoch": 0, **losses, "steps": 0, **figures}])
    else:
        origin = {"train": settings.train.model_dump(mode="json"), "seed": settings.seed, "data": train.digest()}
        made_of = origin | {"holdout": holdout.digest(), "code": checkpoint.digest_of_files(code_of("train"))}
        checkpoints = checkpoint.Checkpoints(CHECKPOINTS / "autoencoder", made_of)
        # The seed is set again for the weights, as the reference does.
        runtime.seed(settings.seed)
        model = autoencoder.Autoencoder(settings.train.encoder, settings.train.pretrained)
        history = training.fit(fabric, model, train, holdout, settings.train, checkpoints)
        untrained = {"untrained": history.loc[0, training.COLLAPSE].to_dict()}
    if not fabric.is_global_zero:
        return
    saving.save(model, weights, origin)
    # DVC's plots leave nan out; an empty cell they draw as 0.
    tables.write_csv(curve, history, missing="nan")
    last = history.iloc[-1].dropna().to_dict() | {"epoch": int(history["epoch"].iloc[-1])}
    files.write_json(metrics, {"needed": True, "frames": len(train), **last, **untrained})
    if checkpoints:
        checkpoints.remove()


if __name__ == "__main__":
    run(main)
