"""Train_predictor: resized training frames -> the weights of a network that predicts a frame from those before it."""

from pathlib import Path
from typing import Any

from stages import PARAMS, run
from vad import params
from vad.data import clips
from vad.storage import files, needs


def main(needed: Path, resized: Path, weights: Path, metrics: Path) -> None:
    """Write the predictor's weights, and into `metrics` what `trained` returns; neither where it is not needed."""
    if not needs.read(needed):
        needs.write_no_weights(weights)
        files.write_json(metrics, {"needed": False})
        return
    files.write_json(metrics, {"needed": True, **trained(resized, params.load(PARAMS), weights)})


def trained(resized: Path, settings: params.Params, weights: Path) -> dict[str, Any]:
    """Train the network, write it to `weights`, and return the figures of its training.

    `parameters` and `windows`, counts; `epochs`, `steps` and `best_epoch`; `holdout`, the loss of the best epoch, and
    `holdout_of_copying`, that of repeating the last frame; `loss`, by part the loss of each epoch.
    """
    from vad.models import predictor, runtime

    train, holdout = clips.open_resized(resized, "train"), clips.open_resized(resized, "holdout")
    runtime.seed(settings.seed)
    model = predictor.make(settings.predict.network, settings.predict.history)
    fabric = runtime.fabric(settings.predict.precision)
    history = predictor.fit(fabric, model, train, holdout, settings.predict)
    predictor.save(model, weights, {"predict": settings.predict.model_dump(mode="json"), "seed": settings.seed})
    best = predictor.best_epoch(history)
    return {
        "parameters": sum(tensor.numel() for tensor in model.parameters()),
        "windows": len(predictor.windows(train, settings.predict.history, "train")),
        "epochs": int(history["epoch"].iloc[-1]),
        "steps": int(history["steps"].iloc[-1]),
        "best_epoch": best,
        "holdout": round(history["holdout"].iloc[best], 6),
        "holdout_of_copying": round(history["holdout"].iloc[0], 6),
        "loss": {part: history[part].iloc[1:].round(6).tolist() for part in ("train", "holdout")},
    }


if __name__ == "__main__":
    run(main)
