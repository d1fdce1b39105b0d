"""Backbones, captions and stores: what their rules need, and the part of the config that they depend on."""

import json
from collections.abc import Iterable
from pathlib import Path

from sanrec import artifacts
from sanrec.backbones.shards import shards
from sanrec.captions.prompts import load_prompt
from sanrec.config import CAPTIONED, CHANNELS, Config
from sanrec.errors import ConfigError, unknown


def demo_backbones(config: Config) -> list[str]:
    """The backbones that a rule of the workflow trains."""
    return [name for name, backbone in config.backbones.items() if backbone.source == "demo"]


def demo_captioners(config: Config) -> list[str]:
    """The captioners that a rule of the workflow trains."""
    return [name for name, captioner in config.captioners.items() if captioner.source == "demo"]


def store_needs(config: Config, corpus: str, channel: str, backbone: str) -> dict[str, str | list[str]]:
    """What extraction (of hidden states or of model-ready inputs) reads, checked for sense.

    Ready-made features are read from their file, an input where it is there; else the step says what is missing.
    """
    config.find("corpus", corpus)
    if channel not in CHANNELS:
        raise unknown("channel", channel, CHANNELS)
    record = config.find("backbone", backbone)
    if record.modality != CHANNELS[channel]:
        reads, wanted = record.modality, CHANNELS[channel]
        raise ConfigError(f"backbone '{backbone}' reads {reads}, but channel '{channel}' is {wanted}")
    if record.source == "features":
        file = [record.checkpoint] if Path(record.checkpoint).is_file() else []
        return {"item_table": artifacts.items(corpus), "features": file}
    needs = {"item_table": artifacts.items(corpus), "checkpoint": artifacts.checkpoint(backbone)}
    return needs | ({"captions": artifacts.captions(corpus, CAPTIONED[channel])} if channel in CAPTIONED else {})


def shard_files(config: Config, corpus: str, channel: str, backbone: str) -> list[str]:
    """What the jobs leave that share a store's extraction; nothing where one does it alone."""
    record = config.find("backbone", backbone)
    count = 1 if record.source == "features" else record.shards
    return [artifacts.hidden_shard(corpus, channel, backbone, str(shard)) for shard in shards(count)]


def caption_shard_files(config: Config, corpus: str, medium: str) -> list[str]:
    """What the jobs leave that share a corpus' captioning; nothing where one does it alone."""
    count = config.captioners[config.find_captioner(corpus, medium)].shards
    return [artifacts.caption_shard(corpus, medium, str(shard)) for shard in shards(count)]


def caption_needs(config: Config, corpus: str, medium: str) -> dict[str, str]:
    """What captioning reads: the item table, and the checkpoint of the captioner that the corpus has for the medium."""
    captioner = config.find_captioner(corpus, medium)
    return {"item_table": artifacts.items(corpus), "checkpoint": artifacts.checkpoint(captioner)}


def caption_record(config: Config, corpus: str, medium: str) -> str:
    """What captions depend on beside that: the captioner's name and record, and the prompt's very words."""
    name = config.find_captioner(corpus, medium)
    record = config.captioners[name]
    told = record.model_dump(exclude={"license", "gated", "device_map", "prompts", "shards"})
    return json.dumps([name, told, load_prompt(record.prompts[medium]).digest])


def checkpoint_record(config: Config, backbone: str) -> str:
    """The part of a backbone's or captioner's record that its checkpoint depends on. Unpinned: ConfigError."""
    record = config.find_checkpoint(backbone).pinned(backbone)
    return record.model_dump_json(include={"source", "checkpoint", "revision"})


def backbone_record(config: Config, backbone: str) -> str:
    """The part of a backbone's record that its stores depend on: all but descriptions (batch size: in last bits).

    Keys that came later count only where they are set, so that no store is made anew for their sake.
    """
    record = config.find("backbone", backbone)
    later = ("kept_layers", "dtype", "store_dtype", "quantization")
    usual = {name for name in later if getattr(record, name) == type(record).model_fields[name].default}
    return record.model_dump_json(exclude={"license", "architecture", "gated", "device_map", "shards"} | usual)


def counted_backbones(config: Config) -> list[str]:
    """The backbones whose parameters follow from the config."""
    return [name for name, record in config.backbones.items() if record.architecture]


def count_record(config: Config, backbones: Iterable[str]) -> str:
    """The part of backbones' records that their numbers of parameters depend on."""
    keys = {"blocks", "width", "architecture"}
    return json.dumps({name: config.find("backbone", name).model_dump(include=keys) for name in backbones})
