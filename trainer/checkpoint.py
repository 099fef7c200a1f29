"""A run's folder: `weights.safetensors` (what is shipped) and `state.pt` (what it takes to go on)."""

import json
import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from vmfm.trainer.config import NetConfig
from vmfm.trainer.errors import TrainerError
from vmfm.trainer.files import write_whole
from vmfm.trainer.model import VMFM

WEIGHTS, STATE, SPOILED = "weights.safetensors", "state.pt", "spoiled_batch.pt"
VERSION = 4  # of what a state holds
FRESH_START = "begin anew in another --out, from the weights beside it if you name them as `start` in the recipe"


def save_weights(folder: Path, model: VMFM, trained: dict[str, Any]) -> Path:
    """Writes the model's weights and how they came to be; whole or not at all."""
    metadata = {"config": json.dumps(model.config.to_json()), "trained": json.dumps(trained)}
    # the two CL branches share one decoder: save every storage once
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in unique_state(model).items()}
    write_whole(folder / WEIGHTS, to_bytes(tensors, metadata))
    return folder / WEIGHTS


def load_model(path: Path | str) -> tuple[VMFM, dict[str, Any]]:
    """The model in eval mode and how it was trained, from a run's folder or a `.safetensors` file.

    Raises TrainerError where there is none, it is damaged, or it is from another version.
    """
    file = Path(path) / WEIGHTS if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise TrainerError(f"no weights at {file}; name a folder that `vmfm train` wrote or a .safetensors file")
    try:
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata() or {}
        tensors = load_file(file)
    except SafetensorError as error:
        raise TrainerError(f"{file} is damaged ({error}); take another copy or train again") from error
    if "config" not in metadata:
        raise TrainerError(f"{file} holds no net config; it was not written by `vmfm train`")
    model = VMFM(NetConfig.from_json(json.loads(metadata["config"])))
    load_unique_state(model, tensors, str(file))
    return model.eval(), json.loads(metadata["trained"])


def unique_state(model: VMFM) -> dict[str, torch.Tensor]:
    """The state dict without the second name of what is shared and without step counters of BatchNorm."""
    return {
        name: value
        for name, value in model.state_dict().items()
        if not name.startswith("complementary.d.decoder") and not name.endswith("num_batches_tracked")
    }


def load_unique_state(model: VMFM, tensors: dict[str, torch.Tensor], origin: str) -> None:
    """Fills the model from what `unique_state` gave. Raises TrainerError on a missing, foreign or misshapen tensor."""
    own = unique_state(model)
    if wrong := sorted(own.keys() ^ tensors.keys()):
        raise TrainerError(f"{origin} does not fit this version's nets: {wrong[0]} and {len(wrong) - 1} more differ")
    if bad := [k for k in own if own[k].shape != tensors[k].shape]:
        raise TrainerError(f"{origin}: {bad[0]} is {tuple(tensors[bad[0]].shape)}, wanted {tuple(own[bad[0]].shape)}")
    model.load_state_dict(tensors, strict=False)


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Everything a resumed run needs; whole or not at all."""
    _save(folder / STATE, {"version": VERSION} | state)


def save_batch(folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """The batch on which a training went wrong, for inspection with torch.load."""
    return _save(folder / SPOILED, {name: tensor.cpu() for name, tensor in tensors.items()})


def _save(file: Path, values: dict[str, Any]) -> Path:
    content = BytesIO()
    torch.save(values, content)
    write_whole(file, content.getbuffer())
    return file


def load_state(folder: Path, device: torch.device) -> dict[str, Any]:
    """What `save_state` wrote. Raises TrainerError where there is nothing to resume, or it is damaged."""
    file = folder / STATE
    if not file.is_file():
        raise TrainerError(f"nothing to resume in {folder}: no {STATE}; leave out --resume to begin anew")
    try:
        state = torch.load(file, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise TrainerError(f"{file} is damaged; {FRESH_START}") from error
    if state.get("version") != VERSION:
        raise TrainerError(f"{file} was written by another version of VMFM; {FRESH_START}")
    return state
