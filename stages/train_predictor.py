"""Train_predictor: resized training frames -> the weights of a network that predicts a frame from those before it."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from project import imports, launch
from stages import CHECKPOINTS, PARAMS, run
from vad import params
from vad.components import out_of_fold
from vad.components.out_of_fold import Fit
from vad.data import folds
from vad.storage import files, needs

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from vad.models.checkpoint import Checkpoints


def main(needed: Path, resized: Path, weights: Path, halves: Path, metrics: Path) -> None:
    """Write the predictor's weights, and into `metrics` what `trained` returns; neither where it is not needed.

    `weights`: fitted on all training clips. Where there are folds, 0.safetensors and 1.safetensors in `halves` are
    fitted without the half of the folds that they score, else they hold none; `metrics` has the figures of their
    trainings under `halves`.
    """
    networks = out_of_fold.Weights(weights, halves)
    if not needs.read(needed):
        needs.write_no_weights(*networks.paths())
        files.write_json(metrics, {"needed": False})
        return
    if launch.again():
        return
    from vad.models import processes, runtime

    settings = params.load(PARAMS)
    fabric = runtime.fabric(settings.predict.precision, "predict.precision", processes.launched())
    made = [trained(fabric, settings, fit) for fit in out_of_fold.fits(networks, resized)]
    if not fabric.is_global_zero:
        return
    needs.write_no_weights(*networks.paths()[len(made) :])
    whole, *others = [figures for figures, _ in made]
    files.write_json(metrics, {"needed": True, **whole, **({"halves": others} if others else {})})
    for _, checkpoints in made:
        checkpoints.remove()


def trained(fabric: "Fabric", settings: params.Params, fit: Fit) -> tuple[dict[str, Any], "Checkpoints"]:
    """Train the network and write its weights; the figures of its training, and the checkpoints to be removed.

    `parameters` and `windows`, counts; `epochs`, `steps` and `best_epoch`; `inner_split`, by training clip how many
    frames of it say when training ends; `inner`, their loss in the best epoch, and `inner_of_copying`, that of
    repeating the last frame; `holdout`, the loss of the clips that it never sees, None where there are none; `loss`, by
    part the loss of each epoch.
    """
    from vad.models import checkpoint, predictor, predictor_training, runtime, saving

    chosen = settings.predict
    origin = {"predict": chosen.model_dump(mode="json"), "seed": settings.seed}
    code = checkpoint.digest_of_files(imports.code_of("train_predictor"))
    made_of = origin | {"data": checkpoint.digest_of_clips(fit.training), "code": code}
    checkpoints = checkpoint.Checkpoints(CHECKPOINTS / "predictor", made_of)
    train, inner = folds.inner(fit.training)
    runtime.seed(settings.seed)
    model = predictor.make(chosen.network, chosen.history)
    history = predictor_training.fit(fabric, model, train, inner, chosen, checkpoints)
    if fabric.is_global_zero:
        saving.save(model, fit.weights, origin)
    best = predictor_training.best_epoch(history)
    windows = predictor_training.windows(fit.unseen, chosen.history)
    unseen = predictor_training.loss_over(fabric, model, fit.unseen, windows, chosen)
    figures = {
        "parameters": sum(tensor.numel() for tensor in model.parameters()),
        "windows": len(predictor_training.windows(train, chosen.history)),
        "epochs": int(history["epoch"].iloc[-1]),
        "steps": int(history["steps"].iloc[-1]),
        "best_epoch": best,
        "inner_split": {clip.video: len(clip) for clip in inner},
        "inner": round(history["inner"].iloc[best], 6),
        "inner_of_copying": round(history["inner"].iloc[0], 6),
        "holdout": round(unseen, 6) if math.isfinite(unseen) else None,
        "loss": {part: history[part].iloc[1:].round(6).tolist() for part in ("train", "inner")},
    }
    return figures, checkpoints


if __name__ == "__main__":
    run(main)
