"""The state of an unfinished training run, as one safetensors file written atomically: nothing is ever unpickled."""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sanrec.files import atomic
from sanrec.versions import STEPS

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far a run has come: the epochs done and the best of them."""

    epochs: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = -1.0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    peak_memory: int = 0


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """Copies on the CPU of what training changes; frozen backbones come from their checkpoint again."""
    return {n: p.detach().to("cpu", copy=True).contiguous() for n, p in model.named_parameters() if p.requires_grad}


def load_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Put trained weights back. Raises ValueError where names or shapes differ from the model's."""
    own = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if own.keys() != weights.keys():
        raise ValueError(f"weights do not fit the model: {sorted(own.keys() ^ weights.keys())[:5]}")
    with torch.no_grad():
        for name, parameter in own.items():
            if parameter.shape != weights[name].shape:
                raise ValueError(
                    f"{name}: shape {tuple(weights[name].shape)} in the file, {tuple(parameter.shape)} here"
                )
            parameter.copy_(weights[name])


def save_progress(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, fingerprint: str
) -> None:
    """Write everything that the next epoch depends on."""
    tensors = {f"model.{n}": t for n, t in trained_weights(model).items()}
    tensors |= {f"best.{n}": t for n, t in progress.best_weights.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value.cpu().contiguous() for key, value in state.items()}
    numbers = {k: getattr(progress, k) for k in ("epochs", "best_epoch", "best_score", "peak_memory")}
    with atomic(path) as temporary:
        about = {"fingerprint": fingerprint, "version": str(STEPS["train"]), "progress": json.dumps(numbers)}
        save_file(tensors, temporary, about)


def load_progress(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str) -> Progress | None:
    """Put model and optimizer where they were; None, saying why, where there is no such file or another run's."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, Any] = file.metadata() or {}
            if metadata.get("fingerprint") != fingerprint:
                version = metadata.get("version", "an earlier one")
                was = "other settings or inputs"
                if version != str(STEPS["train"]):
                    was = f"another version of the training step ({version}; here {STEPS['train']})"
                log.warning("%s: an unfinished run, begun with %s, is not taken up; it begins anew", path, was)
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        return None
    except SafetensorError as error:
        log.warning("%s: an unfinished run that cannot be read (%s); it begins anew", path, error)
        return None
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        parts[kind][rest] = tensor
    load_weights(model, parts["model"])
    state = optimizer.state_dict()
    for name, tensor in parts["optimizer"].items():
        index, _, key = name.partition(".")
        state["state"].setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict(state)
    return Progress(**json.loads(metadata["progress"]), best_weights=parts["best"])
