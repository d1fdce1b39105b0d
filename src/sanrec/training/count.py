"""Trainable parameters of a run by part, without its stores, and without allocating a weight."""

from pathlib import Path

import torch

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.backbones.checkpoints import empty_backbone
from sanrec.config import CHANNELS, Config
from sanrec.errors import DataError
from sanrec.files import read_json
from sanrec.models.pairs.graph import Interactions
from sanrec.models.pairs.registry import build_pair_model
from sanrec.models.registry import Shape, on_meta
from sanrec.searches import settled
from sanrec.training.loading import kept_of_towers
from sanrec.training.sequences import recommender

PAPERS_CROSSAN = 24_741_456  # trainable parameters of CROSSAN (T+I+V+A), its Table 4
PARTS = {
    "intra_logits": "gates",
    "inter_logits": "gates",
    "read_out.heads": "heads",
    "read_out.fusion": "fusion",
    "weight": "embedding",
    "item_ids": "embedding",
}  # parts of an item encoder that are not called by their module's name


def count_parameters(config: Config, run: Run) -> dict[str, int]:
    """How many numbers training changes in each part of the run's model, item encoder first, user encoder last.

    The backbones' depth and width are the registry's. Raises ConfigError where a tuned backbone's architecture is not
    known (see `empty_backbone`), or has other than the registry's; DataError where a tuned run's search is missing.
    """
    run = settled(run)
    if run.spec.trains == "pairs":
        return _of_pairs(config, run)
    model = on_meta(lambda: recommender(config, run, planned_shape(config, run)))
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = _part(name, run)
            counts[part] = counts.get(part, 0) + parameter.numel()
    return counts


def _of_pairs(config: Config, run: Run) -> dict[str, int]:
    """The same of a method on pairs: each parameter grows by so much with a user and with an item, from what is fixed.

    Its graphs need not be there, so it is built for a handful of users and items, and for one more of each.
    """
    widths = [config.find("backbone", source.backbone).width for source in run.features]
    one = torch.zeros(1, dtype=torch.int64)

    def sizes(users: int, items: int) -> dict[str, int]:
        features = [torch.ones(items, width) for width in widths]
        model = build_pair_model(run.model, Interactions(users, items, one, one), features, run.settings)
        return {name: parameter.numel() for name, parameter in model.named_parameters() if parameter.requires_grad}

    few = 2
    least, one_user, one_item = sizes(few, few), sizes(few + 1, few), sizes(few, few + 1)
    more_users, more_items = counted(run, "users") - few, counted(run, "items") - few
    counts: dict[str, int] = {}
    for name, size in least.items():
        whole = size + more_users * (one_user[name] - size) + more_items * (one_item[name] - size)
        part = name.partition(".")[0]
        counts[part] = counts.get(part, 0) + whole
    return counts


def planned_shape(config: Config, run: Run) -> Shape:
    """What the run's item encoder will be built for, its tuned backbones on the meta device."""
    records = [config.find("backbone", source.backbone) for source in run.features]
    modalities = tuple(CHANNELS[source.channel] for source in run.features)
    widths = tuple(record.width for record in records)
    reads, ids = run.spec.reads, run.spec.ids
    if ids:
        return Shape(modalities, widths, 1, items=counted(run, "items"))
    if reads == "inputs":
        pairs = zip(run.features, records, strict=True)
        backbones = [empty_backbone(artifacts.checkpoint(s.backbone), record, s.backbone) for s, record in pairs]
        return Shape(modalities, widths, 1, tuple(record.pooling for record in records), backbones)
    if reads == "final":
        return Shape(modalities, widths, 1)
    kept = kept_of_towers(run, [record.blocks for record in records])
    beside = artifacts.IDS in run.inputs
    return Shape(modalities, widths, tuple(map(len, kept)), items=counted(run, "items") if beside else 0, beside=beside)


def counted(run: Run, what: str) -> int:
    """How many users or items the run's data set has. Raises DataError where its statistics are not made yet."""
    path = artifacts.statistics(run.dataset)
    if not Path(path).is_file():
        raise DataError(
            f"{run.folder}: each item has a vector, but nobody has counted the {what}: snakemake {path} --cores"
        )
    return read_json(path)[what]


def describe_count(config: Config, run: Run) -> str:
    """The counts as lines of text, with their sum, and what the paper counts beyond it."""
    counts = count_parameters(config, run)
    lines = [(part, f"{count:,}") for part, count in [*counts.items(), ("trainable", sum(counts.values()))]]
    first, second = (max(len(line[place]) for line in lines) for place in (0, 1))
    text = [run.folder, *(f"  {part:<{first}}  {count:>{second}}" for part, count in lines)]
    return "\n".join([*text, *(f"  {note}" for note in notes(run, sum(counts.values())))])


def notes(run: Run, trainable: int) -> list[str]:
    """Where the count is not the paper's, and why; for other systems than the paper's own there is nothing to say."""
    e = run.settings.recommender_width
    unused = 2 * e * e + e
    if run.model != "crossan" or trainable + unused != PAPERS_CROSSAN:
        return []
    return [
        f"The paper's count is {unused:,} higher: exactly one Linear({2 * e}, {e}), which its Eq. 6 has no use for."
    ]


def _part(name: str, run: Run) -> str:
    """The part of the model that a parameter is in, as `adapters` or `title@bert-base`."""
    owner, _, rest = name.partition(".")
    if owner == "user_encoder":
        return "user encoder"
    child, _, below = rest.partition(".")
    if child == "backbones":
        source = run.features[int(below.partition(".")[0])]
        return f"{source.channel}@{source.backbone}"
    if child == "read_out":
        child = f"read_out.{below.partition('.')[0]}"
    return PARTS.get(owner, PARTS.get(child, child))
