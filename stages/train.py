"""Train: resized training frames -> the autoencoder's weights and its loss per epoch."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd

from stages import PARAMS, run
from vad import autoencoder, clips, files, params, runtime, tables, training

CHECKPOINTS = Path(".dvc/tmp/checkpoints")
"""State of interrupted trainings: outside DVC's outputs, since it must never be taken for a result."""


def main(resized: Path, weights: Path, metrics: Path, curve: Path) -> None:
    settings = params.load(PARAMS)
    train = training.Frames(clips.open_resized(resized, "train"))
    holdout = training.Frames(clips.open_resized(resized, "holdout"))
    fabric = runtime.fabric(settings.train.precision)
    if settings.train.weights:
        origin: dict[str, Any] = {"weights": str(settings.train.weights)}
        model = autoencoder.load(settings.train.weights)
        network = fabric.setup_module(model)
        parts = {"train_eval": train, "holdout": holdout}
        losses = {part: training.evaluation_loss(fabric, network, parts[part], settings.train) for part in parts}
        history = pd.DataFrame([{"epoch": 0, **losses}])
    else:
        origin = {"train": settings.train.model_dump(mode="json"), "seed": settings.seed, "data": train.digest()}
        key = hashlib.blake2b(json.dumps(origin, sort_keys=True).encode(), digest_size=16).hexdigest()
        # The seed is set again for the weights, as the reference does.
        runtime.seed(settings.seed)
        model = autoencoder.Autoencoder(settings.train.pretrained)
        history = training.fit(fabric, model, train, holdout, settings.train, CHECKPOINTS / f"{key}.pt")
    autoencoder.save(model, weights, origin)
    tables.write_csv(curve, history)
    files.write_json(metrics, {"frames": len(train), **history.iloc[-1].dropna().to_dict()})


if __name__ == "__main__":
    run(main)
