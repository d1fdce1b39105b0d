"""Hidden states of a corpus' channel through a frozen backbone, in a store that a killed job goes on with.

L hidden states of a backbone (embedding output and every block, or those kept), D its width. Texts are read in
background threads, media in processes of their own, and units written in the background, while the model works. A batch
never crosses a unit of the store, so that a killed job leaves no trace in the bytes.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sanrec import artifacts
from sanrec.backbones.features import extract_features
from sanrec.backbones.filling import HalfPrecisionError, fill
from sanrec.backbones.shards import WHOLE, Shard
from sanrec.backbones.side_by_side import at_first_use, passes_for
from sanrec.backbones.sources import Integers, MissingMedia, Reading, Sources, channel_sources
from sanrec.backbones.store import read_manifest
from sanrec.backbones.writing import create, finish, hidden_plan, open_begun, open_for_writing, unfinished
from sanrec.config import CHANNELS, Backbone, Config
from sanrec.errors import ConfigError, DataError, unknown
from sanrec.layers import kept_layers
from sanrec.versions import STEPS

if TYPE_CHECKING:
    from sanrec.backbones.checkpoints import Checkpoint
    from sanrec.backbones.conversion import ModelInput
    from sanrec.backbones.readers import ModelInputs

log = logging.getLogger(__name__)


def expected_settings(config: Config, corpus: str, channel: str, backbone: str) -> dict[str, Any]:
    """The settings that a store of hidden states made by this configuration has. Reads no checkpoint.

    `layers`, with the number of `blocks` that they are of, `dtype` and `store_dtype` stand among them only where the
    record asks for others than all layers, float32 and float16.

    Raises ConfigError for an unknown corpus, channel or backbone, or a backbone of another modality.
    """
    from sanrec.backbones.readers import max_tokens

    config.find("corpus", corpus)
    record = config.find("backbone", backbone)
    if channel not in CHANNELS:
        raise unknown("channel", channel, CHANNELS)
    if record.modality != CHANNELS[channel]:
        raise ConfigError(
            f"backbone '{backbone}' reads {record.modality}, but channel '{channel}' is {CHANNELS[channel]}"
        )
    named = {"corpus": corpus, "channel": channel, "backbone": backbone, "checkpoint": record.checkpoint}
    if record.source == "features":
        made = {"source": "features", "chunk_rows": record.chunk_rows, "step_version": STEPS["extract"]}
        return named | {"width": record.width} | made
    settings = named | {
        "revision": record.revision,
        "pooling": record.pooling,
        "chunk_rows": record.chunk_rows,
        "batch_size": record.batch_size,
        "step_version": STEPS["extract"],
    }
    if record.modality == "text":
        settings |= {"max_tokens": max_tokens(record, channel)}
    if record.kept_layers != "full":
        settings |= {"layers": list(stored_layers(record, backbone)), "blocks": record.blocks}
    usual = {"dtype": "float32", "store_dtype": "float16"}
    return settings | {key: value for key in usual if (value := getattr(record, key)) != usual[key]}


def stored_layers(record: Backbone, name: str) -> tuple[int, ...]:
    """The layers that a store of the backbone holds (0: embeddings), by its `kept_layers`. Raises ConfigError."""
    try:
        return kept_layers(record.blocks, record.kept_layers)
    except ConfigError as error:
        raise ConfigError(f"backbones.{name}.kept_layers: {error}") from None


def identity(
    settings: dict[str, Any], inputs: "ModelInputs", checkpoint: "Checkpoint", sources: Sources
) -> dict[str, Any]:
    """All that decides a store's content: settings, preprocessing, the checkpoint's files and the data."""
    return {
        "settings": settings,
        "preprocessing": inputs.settings,
        "checkpoint_files": checkpoint.digests(),
        "data": sources.fingerprint(),
    }


def extract(
    config: Config,
    corpus: str,
    channel: str,
    backbone: str,
    items_path: str | Path | None = None,
    checkpoint_manifest: str | Path | None = None,
    manifest_out: str | Path | None = None,
    threads: int | None = None,
    device: str | None = None,
    captions_path: str | Path | None = None,
    shard: Shard = WHOLE,
    begin_only: bool = False,
) -> dict[str, Any] | None:
    """Make the store of hidden states that `manifest_out` vouches for, or go on with it; returns the manifest.

    Paths, threads and device are those of the workflow and of `config` unless given. A store of the first items of the
    corpus, made by the same settings, gets the others added.

    Where several jobs share a corpus, one begins the store (`begin_only`; a finished one that was made by other
    settings gives way), each fills its `shard`, and one without a shard finishes it; the first two give no manifest
    back. The model is loaded when there is something for it to do.

    Ready-made features (source `features`) are taken from their file.

    Items whose medium cannot be used are zeros with validity MISSING, and are listed in `{backbone}.missing.csv`
    beside the manifest. The store is of the record's `store_dtype`; where a value leaves float16's range, it is made
    anew in float32.

    Raises DataError where more items are missing than `missing_limit` of the corpus allows, or where states are not
    finite; StoreError where a finished store of other settings is in the way, or where a shard has no store to fill;
    ConfigError where backbone, channel and checkpoint do not fit.
    """
    from sanrec.backbones.checkpoints import check_shape, load_backbone, open_checkpoint, recorded_config
    from sanrec.backbones.conversion import to_model_input
    from sanrec.backbones.placing import check_quantization
    from sanrec.backbones.readers import model_inputs

    settings = expected_settings(config, corpus, channel, backbone)
    record = config.find("backbone", backbone)
    if record.source == "features":
        return extract_features(config, settings, items_path, manifest_out)
    items_path = items_path or artifacts.items(corpus)
    checkpoint_manifest = checkpoint_manifest or artifacts.checkpoint(backbone)
    manifest_out = manifest_out or artifacts.hidden(corpus, channel, backbone)
    checkpoint = open_checkpoint(checkpoint_manifest)
    inputs = model_inputs(record, checkpoint, channel)
    sources = channel_sources(items_path, corpus, channel, captions_path)
    made_by = identity(settings, inputs, checkpoint, sources)
    place = chosen_device(device or config.device)
    threads = threads or config.threads.extract
    folder, items = Path(artifacts.store_of(str(manifest_out))), len(sources)
    layers = stored_layers(record, backbone)
    plan, single = (
        hidden_plan(len(layers), record.width, record.chunk_rows, t) for t in (record.store_dtype, "float32")
    )
    check_shape(recorded_config(checkpoint), record, backbone)  # before a store is touched
    check_quantization(checkpoint.quantization, record, backbone)
    if begin_only:  # the store of before is to give way: Snakemake removes its manifest only for the last of these jobs
        Path(manifest_out).unlink(missing_ok=True)
    if shard != WHOLE:
        group, resumed = open_begun(manifest_out, made_by), True
    else:
        group, resumed = open_for_writing(
            manifest_out,
            made_by,
            items,
            plan,
            record.chunk_rows,
            lambda count: made_by | {"data": sources.first(count).fingerprint()},
        )
    if begin_only:
        return None
    if not unfinished(group) and Path(manifest_out).is_file():
        log.info("%s is finished, with these settings", manifest_out)
        return read_manifest(manifest_out)
    if resumed:
        log.info("going on with %s, where %d units are left", folder, len(unfinished(group)))
    missing = missing_media(config, corpus, sources, manifest_out)
    reading = Reading(inputs.read, threads, config.find("corpus", corpus).seconds_per_item)
    with torch_threads(threads):
        model = at_first_use(lambda: load_backbone(checkpoint_manifest, place, record.dtype, record.device_map))

        def values(rows: list[int], batch: Integers) -> dict[str, np.ndarray]:
            loaded = model()  # before tensors are made: while it loads, other types may be the default
            model_input = to_model_input(record.modality, inputs.settings, batch, place)
            return forward(loaded, model_input, record.pooling, [sources.items[row] for row in rows], layers)

        by_length, passes = record.modality == "text", passes_for(place.type, threads)
        try:
            fill(group, sources, reading, missing, values, record.batch_size, by_length, passes, shard)
        except HalfPrecisionError as error:
            if shard != WHOLE:
                raise DataError(
                    f"{manifest_out}: {error}, so that the store must be float32, which one of several jobs cannot "
                    f"decide. Set backbones.{backbone}.store_dtype to float32 in config.yaml and run the same again"
                ) from error
            log.warning("%s: %s: the store is made again in float32", manifest_out, error)
            create(folder, made_by, items, single, record.chunk_rows)
            group, _ = open_for_writing(manifest_out, made_by, items, single, record.chunk_rows)
            fill(group, sources, reading, missing, values, record.batch_size, by_length, passes)
    if shard != WHOLE:
        return None
    missing.write()
    return finish(manifest_out, "hidden", {"missing_report": missing.report.name, "device": str(place)})


def missing_media(config: Config, corpus: str, sources: Sources, manifest: str | Path) -> MissingMedia:
    """An empty list of missing media, with the corpus' limit and its report beside the manifest."""
    report = Path(str(manifest).removesuffix(".json") + ".missing.csv")
    return MissingMedia(sources, corpus, config.find("corpus", corpus).missing_limit, report)


def forward(
    model: Any, model_input: "ModelInput", pooling: str, items: list[str], layers: Sequence[int]
) -> dict[str, np.ndarray]:
    """`hidden` [n, L, D] and `final` [n, D] of n items, in float32. Raises DataError for NaN or infinity."""
    import torch

    from sanrec.backbones.pooling import encode

    with torch.inference_mode():
        hidden, final = encode(model, *model_input, pooling, layers)
        found = {"hidden": hidden.cpu().numpy(), "final": final.cpu().numpy()}
    for values in found.values():
        good = np.isfinite(values.reshape(len(items), -1)).all(axis=1)
        if not good.all():
            item = items[int(np.argmin(good))]
            raise DataError(
                f"item {item}: the model's states are no finite numbers: its weights are damaged, or its states leave "
                "the range of its dtype (float16 ends at 65,504; set bfloat16)"
            )
    return found


def chosen_device(name: str) -> Any:
    """`auto` takes the first GPU where there is one. Raises ConfigError for a GPU that is not there."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"config key 'device' is '{name}', but this machine has no GPU that torch can use")
    return torch.device(name)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run with so many threads in torch's operators."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
