"""From raw media to stores.

Heavy libraries are imported where a step needs them, so that `sanrec --help` is quick.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sanrec.config import Config


def demo_world(config: "Config", args: argparse.Namespace) -> None:
    """Make the demo's media and interactions, in the folder layout of MicroLens."""
    from sanrec import artifacts
    from sanrec.config import validate
    from sanrec.demo.media import make_world
    from sanrec.demo.world import World
    from sanrec.files import write_json

    corpus = config.find("corpus", args.corpus)
    world = validate(World, corpus.world, f"corpora.{args.corpus}.world")
    make_world(Path(corpus.folder), world, moving=bool(corpus.videos or corpus.audios))
    write_json(artifacts.raw(args.corpus), {"folder": corpus.folder, "source": "demo"})


def demo_backbone(config: "Config", args: argparse.Namespace) -> None:
    """Train one of the demo's small backbones."""
    from sanrec import artifacts
    from sanrec.demo.backbones import make_backbone
    from sanrec.media.download import write_checkpoint_manifest

    manifest = artifacts.checkpoint(args.backbone)
    folder = Path(artifacts.store_of(manifest))
    make_backbone(config.find("backbone", args.backbone).checkpoint, folder)
    write_checkpoint_manifest(manifest, folder, {"source": "demo"})


def demo_captioner(config: "Config", args: argparse.Namespace) -> None:
    """Train the demo's captioner."""
    from sanrec import artifacts
    from sanrec.demo.captioner import make_captioner
    from sanrec.media.download import write_checkpoint_manifest

    manifest = artifacts.checkpoint(args.captioner)
    folder = Path(artifacts.store_of(manifest))
    make_captioner(config.find("captioner", args.captioner).checkpoint, folder)
    write_checkpoint_manifest(manifest, folder, {"source": "demo"})


def download(config: "Config", args: argparse.Namespace) -> None:
    """Fetch a corpus' raw files, or check that they are where the config says."""
    from sanrec import artifacts
    from sanrec.media.download import fetch_corpus

    fetch_corpus(config.find("corpus", args.corpus), artifacts.raw(args.corpus), args.corpus)


def checkpoint(config: "Config", args: argparse.Namespace) -> None:
    """Fetch the checkpoint of a backbone or captioner at its pinned revision, or check the local folder of it."""
    from sanrec import artifacts
    from sanrec.media.download import fetch_checkpoint

    manifest = artifacts.checkpoint(args.backbone)
    fetch_checkpoint(config.find_checkpoint(args.backbone), args.backbone, manifest)


def prepare_corpus(config: "Config", args: argparse.Namespace) -> None:
    """Read a corpus' titles and look up its media."""
    from sanrec import artifacts
    from sanrec.data import prepare

    prepare.prepare_corpus(config, args.corpus, artifacts.items(args.corpus))


def prepare_dataset(config: "Config", args: argparse.Namespace) -> None:
    """Read a data set's interactions, cut and split them, and count them."""
    from sanrec import artifacts
    from sanrec.data import prepare

    items = artifacts.items(config.find("dataset", args.dataset).corpus)
    outputs = artifacts.interactions(args.dataset), artifacts.statistics(args.dataset)
    prepare.prepare_dataset(config, args.dataset, items, *outputs)


def caption(config: "Config", args: argparse.Namespace) -> None:
    """Have a vision-language model put a corpus' covers or videos into words."""
    from sanrec.backbones.shards import WHOLE, parse_shard
    from sanrec.captions.caption import caption_corpus

    caption_corpus(config, args.corpus, args.medium, shard=parse_shard(args.shard) if args.shard else WHOLE)


def extract(config: "Config", args: argparse.Namespace) -> None:
    """Run a backbone over a corpus' channel and store all its hidden states.

    Where several jobs share it: `begin` makes the empty store, 2-of-7 fills a part of it, and without a shard it is
    finished.
    """
    from sanrec import artifacts
    from sanrec.backbones.extract import extract as run_extraction
    from sanrec.backbones.shards import parse_shard
    from sanrec.files import write_json

    names = args.corpus, args.channel, args.backbone
    if args.shard == "begin":
        run_extraction(config, *names, begin_only=True)
        write_json(artifacts.hidden_begun(*names), {"begun": artifacts.store_of(artifacts.hidden(*names))})
    elif args.shard:
        run_extraction(config, *names, shard=parse_shard(args.shard))
        write_json(artifacts.hidden_shard(*names, args.shard), {"filled": args.shard})
    else:
        run_extraction(config, *names)


def inputs(config: "Config", args: argparse.Namespace) -> None:
    """Decode a corpus' channel into a store of model-ready integers."""
    from sanrec import artifacts
    from sanrec.backbones.inputs import build_input_store

    names = args.corpus, args.channel, args.backbone
    needs = artifacts.items(args.corpus), artifacts.checkpoint(args.backbone)
    build_input_store(config, *names, *needs, artifacts.inputs(*names), config.threads.extract)


def media_report(config: "Config", args: argparse.Namespace) -> None:
    """List every item whose medium is missing or broken, over all channels."""
    from sanrec import artifacts
    from sanrec.backbones.report import write_media_report
    from sanrec.snakefile import media_needs

    write_media_report(media_needs(config, args.corpus), artifacts.media_report(args.corpus))
