"""The training loop: one function from a fresh model to its best weights, early stopped on validation.

Shapes: U users, S positions, n items, E recommender width.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sanrec.config import Settings
from sanrec.errors import SanrecError
from sanrec.models.registry import Recommender
from sanrec.progress import bar
from sanrec.training.batches import Batch, epoch_batches
from sanrec.training.checkpoint import Progress, load_progress, save_progress, trained_weights
from sanrec.training.loss import debiased_loss
from sanrec.training.machine import peak_memory
from sanrec.training.sources import ItemSource

USER_ROWS = 4096  # users per forward pass of evaluation


def autocast(settings: Settings, device: torch.device) -> torch.autocast:
    """The arithmetic of the forward pass: bfloat16 where asked for, or by default on a GPU."""
    half = settings.precision == "bfloat16" or (settings.precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, torch.bfloat16, enabled=half)


def training_loss(model: Recommender, source: ItemSource, batch: Batch, log_popularity: Tensor) -> Tensor:
    """The loss of one batch; `log_popularity` [items + 1] is indexed by item."""
    items_nE = model.item_encoder(source.gather(batch.items))
    vectors_BSE = functional.embedding(batch.places[:, :-1], items_nE)
    states_BSE = model.encode_users(vectors_BSE, batch.present[:, :-1])
    return debiased_loss(states_BSE, items_nE, batch, log_popularity[batch.items])


@torch.inference_mode()
def encode_items(model: Recommender, source: ItemSource, settings: Settings, device: torch.device) -> Tensor:
    """All item vectors [items + 1, E] in float32; row 0, the padding, is zero."""
    model.eval()
    rows = []
    with autocast(settings, device):
        for start in range(1, source.items + 1, source.at_once):
            wanted = torch.arange(start, min(start + source.at_once, source.items + 1), device=device)
            rows.append(model.item_encoder(source.gather(wanted)).float())
    vectors = torch.cat(rows)
    return functional.pad(vectors, (0, 0, 1, 0))


@torch.inference_mode()
def encode_histories(
    model: Recommender, items: Tensor, histories: np.ndarray, settings: Settings, device: torch.device
) -> Tensor:
    """The state [U, E] of each user after a left-padded history [U, S] of item indices."""
    model.eval()
    states = []
    with autocast(settings, device):
        for start in range(0, len(histories), USER_ROWS):
            places = torch.from_numpy(histories[start : start + USER_ROWS].astype(np.int64)).to(device)
            states.append(model.encode_users(items[places], places > 0)[:, -1].float())
    return torch.cat(states)


def adam(model: Recommender, settings: Settings) -> torch.optim.Adam:
    """Adam without weight decay, as both papers have it, in one fused pass over the parameters."""
    return torch.optim.Adam(model.parameter_groups(settings), fused=True)


def seed_epoch(seed: int, epoch: int) -> None:
    """Seed what an epoch draws, so that the dropout of a resumed run is that of an undisturbed one."""
    torch.manual_seed(seed * 1_000_003 + epoch)


def train_step(
    model: Recommender,
    source: ItemSource,
    batch: Batch,
    log_popularity: Tensor,
    optimizer: torch.optim.Optimizer,
    settings: Settings,
    device: torch.device,
) -> Tensor:
    """Train on one batch; its loss, on the device, which may still be at work on it."""
    batch = batch.to(device)
    with autocast(settings, device):
        loss = training_loss(model, source, batch, log_popularity)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()


def train_epoch(
    model: Recommender,
    source: ItemSource,
    sequences: np.ndarray,
    log_popularity: Tensor,
    optimizer: torch.optim.Optimizer,
    settings: Settings,
    seed: int,
    epoch: int,
    device: torch.device,
) -> tuple[float, float]:
    """Every user once, in the order of `seed` and `epoch`: the mean loss over steps, and the seconds it took.

    `sequences` [U, S + 1] are left-padded training sequences, `log_popularity` [items + 1] lies on the device. Raises
    SanrecError for a loss that is no number.
    """
    seed_epoch(seed, epoch)
    model.train()
    steps = -(-len(sequences) // settings.batch_size)
    started, total = time.perf_counter(), torch.zeros((), device=device)
    for batch in epoch_batches(sequences, settings.batch_size, seed, epoch):
        total += train_step(model, source, batch, log_popularity, optimizer, settings, device)
    mean_loss = total.item() / steps  # waits for the device, so that the time is the whole epoch's
    seconds = time.perf_counter() - started
    if not np.isfinite(mean_loss):
        raise SanrecError(f"the loss is {mean_loss} in epoch {epoch}: try a smaller learning rate")
    return mean_loss, seconds


def fit(
    model: Recommender,
    source: ItemSource,
    sequences: np.ndarray,
    log_popularity: np.ndarray,
    validate: Callable[[], dict[str, float]],
    settings: Settings,
    seed: int,
    device: torch.device,
    state_file: Path,
    fingerprint: str,
) -> Progress:
    """Train until validation HR@10 has not risen for `patience` epochs, and give the best epoch's weights.

    `sequences` [U, S + 1] are left-padded training sequences, `log_popularity` [items + 1] those of training shares,
    `validate` scores the model as it is. State is written after every epoch; a run that was killed goes on
    from there and ends with the same weights as one that was not.
    """
    optimizer = adam(model, settings)
    progress = load_progress(state_file, model, optimizer, fingerprint) or Progress()
    log_p = torch.from_numpy(log_popularity).float().to(device)
    with bar(total=settings.max_epochs, initial=len(progress.epochs), unit="epoch", desc="training") as shown:
        while not stopped(progress, settings):
            epoch = len(progress.epochs) + 1
            loss, seconds = train_epoch(model, source, sequences, log_p, optimizer, settings, seed, epoch, device)
            scores = validate()
            progress.epochs.append({"epoch": epoch, "loss": loss, "seconds": seconds, **scores})
            if scores["HR@10"] > progress.best_score:
                progress.best_score, progress.best_epoch = scores["HR@10"], epoch
                progress.best_weights = trained_weights(model)
            progress.peak_memory = max(progress.peak_memory, peak_memory(device))
            save_progress(state_file, model, optimizer, progress, fingerprint)
            shown.set_postfix(
                loss=f"{loss:.4f}", HR10=f"{scores['HR@10']:.4f}", best=progress.best_epoch, refresh=False
            )
            shown.update()
    return progress


def stopped(progress: Progress, settings: Settings) -> bool:
    """Whether training is over: out of patience, or out of epochs."""
    done = len(progress.epochs)
    return done >= settings.max_epochs or done - progress.best_epoch >= settings.patience
