"""Mutual information between the towers of a finished run (CROSSAN, 3 and Table 1), over all items of its data set.

Shapes: M channels, I items, D_m width of channel m's backbone.
"""

from dataclasses import asdict
from importlib.metadata import version
from itertools import combinations
from typing import Any

import numpy as np
import torch

from sanrec import artifacts
from sanrec.artifacts import Input, Run
from sanrec.backbones.store import USED, open_store, read_rows
from sanrec.config import Config
from sanrec.data.interactions import load_sequences
from sanrec.errors import DataError, SanrecError
from sanrec.evaluation.donsker_varadhan import EtaDV, cross_fitted
from sanrec.evaluation.nearest_neighbours import Neighbours, nearest_neighbours
from sanrec.files import write_json
from sanrec.methods import METHODS
from sanrec.models.registry import Recommender
from sanrec.searches import settled
from sanrec.training.machine import versions
from sanrec.training.restore import restore
from sanrec.training.sources import ItemSource
from sanrec.training.towers import tower_names
from sanrec.versions import STEPS

SEED = 0  # of the estimators, the same for every run: two runs over the same items have the same items held out


def measure_information(config: Config, run: Run) -> dict[str, Any]:
    """Estimate the information that every two towers share, in nats, and write it as the run's information.json.

    A tower's representation is the output of its last adapter [I, D_m], in float32. Of a pair, items that lack one of
    the two media are left out. IISAN's towers are its channels' own; its inter-modal tower belongs to none. Raises
    SanrecError for a method without towers or fewer than two, and for outputs that are not finite; DataError where the
    run is not trained, its weights are another's, or too few items are left.
    """
    run = settled(run)
    refuse_without_towers(run)
    sequences = load_sequences(artifacts.interactions(run.dataset))
    restored = restore(config, run, sequences, exact=True)
    training = restored.training
    towers = last_outputs(training.model, training.source, training.device)[: len(run.features)]
    if not all(np.isfinite(tower_ID).all() for tower_ID in towers):
        raise SanrecError(f"{run.weights}: its towers give values that are no numbers; train it at a smaller rate")
    used_MI = np.stack([used_items(config, run, s, sequences.item_rows[1:]) for s in run.features])
    recipes = {"eta_dv": EtaDV(), "ksg": Neighbours()}
    names = tower_names(run.features)
    pairs = {}
    for one, other in combinations(range(len(names)), 2):
        both = used_MI[one] & used_MI[other]
        name = f"{names[one]}+{names[other]}"
        check_items(run, name, int(both.sum()), max(recipe.fewest_items for recipe in recipes.values()))
        sides = towers[one][both], towers[other][both]
        found = {
            "eta_dv": cross_fitted(*sides, recipes["eta_dv"], SEED),
            "ksg": nearest_neighbours(*sides, recipes["ksg"], SEED),
        }
        pairs[name] = {estimate: asdict(information) for estimate, information in found.items()}
    record = {
        "run": run.folder,
        "unit": "nats",
        "items": len(towers[0]),
        "widths": [tower_ID.shape[1] for tower_ID in towers],
        "missing": {name: int((~used).sum()) for name, used in zip(names, used_MI, strict=True)},
        "pairs": pairs,
        "estimators": {name: {**asdict(recipe), "seed": SEED} for name, recipe in recipes.items()},
        "config_hash": restored.fingerprint,
        "step_version": STEPS["information"],
        "versions": {**versions(), "scikit-learn": version("scikit-learn")},
    }
    write_json(run.information, record)
    return record


def refuse_without_towers(run: Run) -> None:
    """Raise SanrecError for a method that has no tower per channel, or a run with one channel."""
    if run.model not in METHODS or run.spec.reads != "hidden":
        having = ", ".join(name for name, method in METHODS.items() if method.reads == "hidden")
        raise SanrecError(f"{run.folder}: {run.spec.title} has no side adapter towers; these have: {having}")
    if not run.settings.intra:
        raise SanrecError(f"{run.folder}: with intra=false no channel has a tower of its own")
    if len(run.features) < 2:
        raise SanrecError(f"{run.folder}: mutual information is between two towers, and it has one: ask for TI, say")


@torch.inference_mode()
def last_outputs(model: Recommender, source: ItemSource, device: torch.device) -> list[np.ndarray]:
    """What the last adapter of each tower gives for every item [I, D_m], in float32 also on a GPU."""
    model.eval()
    items = torch.arange(1, source.items + 1, device=device)
    parts = [
        [z_nD.float().cpu() for z_nD in model.item_encoder.towers(model.media(source.gather(some)))]
        for some in items.split(source.at_once)
    ]
    return [torch.cat(of_tower).numpy() for of_tower in zip(*parts, strict=True)]


def used_items(config: Config, run: Run, source: Input, rows: np.ndarray) -> np.ndarray:
    """Which items [I] have the medium of a source: the others' states are zeros, which is no content."""
    place = artifacts.inputs if artifacts.reads_inputs(run) else artifacts.hidden
    store = open_store(place(config.datasets[run.dataset].corpus, source.channel, source.backbone))
    return read_rows(store["valid"], rows) == USED


def check_items(run: Run, pair: str, items: int, fewest: int) -> None:
    """Raise DataError where too few items have both media."""
    if items < fewest:
        raise DataError(f"{run.folder}: {items} items have both media of {pair}; at least {fewest} are needed")
