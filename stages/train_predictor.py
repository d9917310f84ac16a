"""Train_predictor: resized training frames -> the weights of a network that predicts a frame from those before it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from project import launch
from stages import CHECKPOINTS, PARAMS, code_of, run
from vad import params
from vad.data import clips
from vad.storage import files, needs

if TYPE_CHECKING:
    from vad.models.checkpoint import Checkpoints


def main(needed: Path, resized: Path, weights: Path, metrics: Path) -> None:
    """Write the predictor's weights, and into `metrics` what `trained` returns; neither where it is not needed."""
    if not needs.read(needed):
        needs.write_no_weights(weights)
        files.write_json(metrics, {"needed": False})
        return
    if launch.again():
        return
    figures, checkpoints = trained(resized, params.load(PARAMS), weights)
    if checkpoints:
        files.write_json(metrics, {"needed": True, **figures})
        checkpoints.remove()


def trained(resized: Path, settings: params.Params, weights: Path) -> tuple[dict[str, Any], "Checkpoints | None"]:
    """Train the network and write it to `weights`; returns the figures of its training, and its checkpoints.

    Of several processes one writes; the others return no checkpoints.

    `parameters` and `windows`, counts; `epochs`, `steps` and `best_epoch`; `holdout`, the loss of the best epoch, and
    `holdout_of_copying`, that of repeating the last frame; `loss`, by part the loss of each epoch.
    """
    from vad.models import checkpoint, predictor, predictor_training, processes, runtime, saving

    train, holdout = clips.open_resized(resized, "train"), clips.open_resized(resized, "holdout")
    origin = {"predict": settings.predict.model_dump(mode="json"), "seed": settings.seed}
    data = {"data": checkpoint.digest_of_clips(train), "holdout": checkpoint.digest_of_clips(holdout)}
    code = {"code": checkpoint.digest_of_files(code_of("train_predictor"))}
    checkpoints = checkpoint.Checkpoints(CHECKPOINTS / "predictor", origin | data | code)
    fabric = runtime.fabric(settings.predict.precision, "predict.precision", processes.launched())
    runtime.seed(settings.seed)
    model = predictor.make(settings.predict.network, settings.predict.history)
    history = predictor_training.fit(fabric, model, train, holdout, settings.predict, checkpoints)
    if not fabric.is_global_zero:
        return {}, None
    saving.save(model, weights, origin)
    best = predictor_training.best_epoch(history)
    figures = {
        "parameters": sum(tensor.numel() for tensor in model.parameters()),
        "windows": len(predictor_training.windows(train, settings.predict.history, "train")),
        "epochs": int(history["epoch"].iloc[-1]),
        "steps": int(history["steps"].iloc[-1]),
        "best_epoch": best,
        "holdout": round(history["holdout"].iloc[best], 6),
        "holdout_of_copying": round(history["holdout"].iloc[0], 6),
        "loss": {part: history[part].iloc[1:].round(6).tolist() for part in ("train", "holdout")},
    }
    return figures, checkpoints


if __name__ == "__main__":
    run(main)
