"""The training loop: one function from a fresh model to its best weights, early stopped on validation.

Shapes: U users, S positions, n items, E recommender width.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sanrec.config import Settings
from sanrec.errors import DivergenceError
from sanrec.models.registry import Recommender
from sanrec.progress import bar, inner_bar
from sanrec.training.averaging import averages_in_place, update_averages
from sanrec.training.batches import Batch, epoch_batches
from sanrec.training.checkpoint import Progress, load_progress, save_progress, trained_weights
from sanrec.training.loss import debiased_loss
from sanrec.training.machine import peak_memory
from sanrec.training.precision import autocast
from sanrec.training.sources import ItemSource

T = TypeVar("T")
USER_ROWS = 4096  # most users per forward pass of evaluation
HISTORY_NUMBERS = 2**23  # most numbers of the histories in one, so that wide item vectors take no more memory


def training_loss(model: Recommender, source: ItemSource, batch: Batch, log_popularity: Tensor) -> Tensor:
    """The loss of one batch; `log_popularity` [items + 1] is indexed by item."""
    items_nE = model.encode_items(source.gather(asked_for(model, batch.items)))[: len(batch.items)]
    vectors_BSE = functional.embedding(batch.places[:, :-1], items_nE)
    states_BSE = model.encode_users(vectors_BSE, batch.present[:, :-1])
    return debiased_loss(states_BSE, items_nE, batch, log_popularity[batch.items])


def asked_for(model: Recommender, items: Tensor) -> Tensor:
    """A batch's items [n], the last one again and again up to a multiple of what the item encoder takes together.

    Nothing comes of those: no score, no gradient.
    """
    together = getattr(model.item_encoder, "together", 1)
    return torch.cat([items, items[-1:].expand(-len(items) % together)])


def looking_ahead(work: Iterable[T], source: ItemSource, items_of: Callable[[T], Tensor]) -> Iterator[T]:
    """The pieces of work in their order, each after the source was told what the one behind it will ask for."""
    waiting: list[T] = []
    for piece in work:
        source.expect(items_of(piece))
        waiting.append(piece)
        if len(waiting) > 1:
            yield waiting.pop(0)
    yield from waiting


@torch.inference_mode()
def encode_items(model: Recommender, source: ItemSource, settings: Settings, device: torch.device) -> Tensor:
    """All item vectors [items + 1, E] in float32; row 0, the padding, is zero."""
    model.eval()
    rows = []
    with autocast(settings, device):
        groups = torch.arange(1, source.items + 1, device=device).split(source.at_once)
        for wanted in looking_ahead(groups, source, lambda items: items):
            vectors = model.encode_items(source.gather(wanted))
            rows.append(vectors.to(torch.float32, copy=True))  # perhaps a part of what was gathered
            source.release()
    vectors = torch.cat(rows)
    return functional.pad(vectors, (0, 0, 1, 0))


@torch.inference_mode()
def encode_histories(
    model: Recommender, items: Tensor, histories: np.ndarray, settings: Settings, device: torch.device
) -> Tensor:
    """The state [U, E] of each user after a left-padded history [U, S] of item indices."""
    model.eval()
    states = torch.empty(len(histories), items.shape[1], device=device)
    at_once = max(1, min(USER_ROWS, HISTORY_NUMBERS // (histories.shape[1] * items.shape[1])))
    with autocast(settings, device):
        for start in range(0, len(histories), at_once):
            places = torch.from_numpy(histories[start : start + at_once].astype(np.int64)).to(device)
            # copied: the last position alone would keep all of them in memory
            states[start : start + at_once] = model.encode_users(items[places], places > 0)[:, -1]
    return states


def adam(model: Recommender, settings: Settings) -> torch.optim.Adam:
    """Adam without weight decay, as both papers have it, or with (AdamW), in one fused pass over the parameters.

    Also over the embeddings of items that are not in the batch: their moments and their decay go on, and a pass over
    the whole table is a small part of a step (docs: baselines).
    """
    groups = model.parameter_groups(settings)
    if settings.weight_decay:
        return torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)
    return torch.optim.Adam(groups, fused=True)


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
    loss.backward()
    optimizer.step()
    if settings.weight_averaging:
        update_averages(optimizer, settings.weight_averaging)
    optimizer.zero_grad(set_to_none=True)  # here, so that the next step's forward pass has their memory
    source.release()
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
    DivergenceError for a loss that is no number.
    """
    seed_epoch(seed, epoch)
    model.train()
    steps = -(-len(sequences) // settings.batch_size)
    started, total = time.perf_counter(), torch.zeros((), device=device)
    batches = epoch_batches(sequences, settings.batch_size, seed, epoch)
    ahead = looking_ahead(batches, source, lambda batch: asked_for(model, batch.items))
    for batch in inner_bar(ahead, total=steps, unit="step", desc=f"epoch {epoch}"):
        total += train_step(model, source, batch, log_popularity, optimizer, settings, device)
    mean_loss = total.item() / steps  # waits for the device, so that the time is the whole epoch's
    seconds = time.perf_counter() - started
    check_loss(mean_loss, epoch)
    return mean_loss, seconds


def check_loss(mean_loss: float, epoch: int) -> None:
    """Raise DivergenceError for a loss that is no number."""
    if not np.isfinite(mean_loss):
        raise DivergenceError(f"the loss is {mean_loss} in epoch {epoch}: try a smaller learning rate")


def fit(
    model: Recommender,
    source: ItemSource,
    sequences: np.ndarray,
    log_popularity: np.ndarray,
    validate: Callable[[], dict[str, float]],
    settings: Settings,
    seed: int,
    device: torch.device,
    state_file: Path | None,
    fingerprint: str,
    watched: str = "HR@10",
    after_epoch: Callable[[Progress], None] | None = None,
) -> Progress:
    """Train on sequences, and give the best epoch's weights (see `fit_epochs`, which explains the rest).

    `sequences` [U, S + 1] are left-padded training sequences, `log_popularity` [items + 1] those of training shares,
    `validate` scores the model as it is.
    """
    optimizer = adam(model, settings)
    log_p = torch.from_numpy(log_popularity).float().to(device)
    return fit_epochs(
        model,
        optimizer,
        lambda epoch: train_epoch(model, source, sequences, log_p, optimizer, settings, seed, epoch, device),
        validate,
        settings,
        state_file,
        fingerprint,
        watched,
        after_epoch,
    )


def fit_epochs(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    epoch_of: Callable[[int], tuple[float, float]],
    validate: Callable[[], dict[str, float]],
    settings: Settings,
    state_file: Path | None,
    fingerprint: str,
    watched: str,
    after_epoch: Callable[[Progress], None] | None = None,
    save_seconds: float = 0.0,
) -> Progress:
    """Train until the `watched` validation metric has not risen for `patience` epochs; the best epoch's weights.

    `epoch_of` trains one epoch, by its number from 1, and gives its loss and seconds; it depends on nothing but that
    number and the weights. State is written after an epoch, where the last time is `save_seconds` ago; a run that was
    killed goes on from there and ends with the same weights as one that was not. Without a `state_file` nothing is
    written. `after_epoch` is called at the end of each; what it raises ends the training.
    """
    progress = (load_progress(state_file, model, optimizer, fingerprint) if state_file else None) or Progress()
    saved = time.perf_counter()
    with bar(total=settings.max_epochs, initial=len(progress.epochs), unit="epoch", desc="training") as shown:
        while not stopped(progress, settings):
            epoch = len(progress.epochs) + 1
            loss, seconds = epoch_of(epoch)
            with averages_in_place(optimizer):
                scores = validate()
                progress.epochs.append({"epoch": epoch, "loss": loss, "seconds": seconds, **scores})
                if scores[watched] > progress.best_score:
                    progress.best_score, progress.best_epoch = scores[watched], epoch
                    progress.best_weights = trained_weights(model)
            progress.peak_memory = max(progress.peak_memory, peak_memory(model_device(model)))
            if state_file and time.perf_counter() - saved >= save_seconds:
                save_progress(state_file, model, optimizer, progress, fingerprint)
                saved = time.perf_counter()
            figures = {"loss": f"{loss:.4f}", watched: f"{scores[watched]:.4f}", "best": progress.best_epoch}
            shown.set_postfix(figures, refresh=False)
            shown.update()
            if after_epoch:
                after_epoch(progress)
    return progress


def model_device(model: nn.Module) -> torch.device:
    """Where a model's parameters are."""
    return next(model.parameters()).device


def stopped(progress: Progress, settings: Settings) -> bool:
    """Whether training is over: out of patience, or out of epochs."""
    done = len(progress.epochs)
    return done >= settings.max_epochs or done - progress.best_epoch >= settings.patience
