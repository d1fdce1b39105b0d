"""The command line: one subcommand per step, thin. `sanrec --help` imports neither torch nor pandas."""

import argparse
import logging
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from sanrec import __version__, artifacts
from sanrec.config import Config
from sanrec.errors import SanrecError
from sanrec.load import load_config

Step = Callable[[Config, argparse.Namespace], None]


def demo_world(config: Config, args: argparse.Namespace) -> None:
    """Make the demo's media and interactions, in the folder layout of MicroLens."""
    from sanrec.config import validate
    from sanrec.demo.media import make_world
    from sanrec.demo.world import World
    from sanrec.files import write_json

    corpus = config.find("corpus", args.corpus)
    world = validate(World, corpus.world, f"corpora.{args.corpus}.world")
    make_world(Path(corpus.folder), world, moving=bool(corpus.videos or corpus.audios))
    write_json(artifacts.raw(args.corpus), {"folder": corpus.folder, "source": "demo"})


def demo_backbone(config: Config, args: argparse.Namespace) -> None:
    """Train one of the demo's small backbones."""
    from sanrec.demo.backbones import make_backbone
    from sanrec.media.download import write_checkpoint_manifest

    manifest = artifacts.checkpoint(args.backbone)
    folder = Path(artifacts.store_of(manifest))
    make_backbone(config.find("backbone", args.backbone).checkpoint, folder)
    write_checkpoint_manifest(manifest, folder, {"source": "demo"})


def demo_captioner(config: Config, args: argparse.Namespace) -> None:
    """Train the demo's captioner."""
    from sanrec.demo.captioner import make_captioner
    from sanrec.media.download import write_checkpoint_manifest

    manifest = artifacts.checkpoint(args.captioner)
    folder = Path(artifacts.store_of(manifest))
    make_captioner(config.find("captioner", args.captioner).checkpoint, folder)
    write_checkpoint_manifest(manifest, folder, {"source": "demo"})


def download(config: Config, args: argparse.Namespace) -> None:
    """Fetch a corpus' raw files, or check that they are where the config says."""
    from sanrec.media.download import fetch_corpus

    fetch_corpus(config.find("corpus", args.corpus), artifacts.raw(args.corpus), args.corpus)


def checkpoint(config: Config, args: argparse.Namespace) -> None:
    """Fetch the checkpoint of a backbone or captioner at its pinned revision, or check the local folder of it."""
    from sanrec.media.download import fetch_checkpoint

    manifest = artifacts.checkpoint(args.backbone)
    fetch_checkpoint(config.find_checkpoint(args.backbone), args.backbone, manifest)


def prepare_corpus(config: Config, args: argparse.Namespace) -> None:
    """Read a corpus' titles and look up its media."""
    from sanrec.data import prepare

    prepare.prepare_corpus(config, args.corpus, artifacts.items(args.corpus))


def prepare_dataset(config: Config, args: argparse.Namespace) -> None:
    """Read a data set's interactions, cut and split them, and count them."""
    from sanrec.data import prepare

    items = artifacts.items(config.find("dataset", args.dataset).corpus)
    outputs = artifacts.interactions(args.dataset), artifacts.statistics(args.dataset)
    prepare.prepare_dataset(config, args.dataset, items, *outputs)


def caption(config: Config, args: argparse.Namespace) -> None:
    """Have a vision-language model put a corpus' covers or videos into words."""
    from sanrec.captions.caption import caption_corpus

    caption_corpus(config, args.corpus, args.medium)


def extract(config: Config, args: argparse.Namespace) -> None:
    """Run a backbone over a corpus' channel and store all its hidden states."""
    from sanrec.backbones.extract import extract as run_extraction

    names = args.corpus, args.channel, args.backbone
    needs = artifacts.items(args.corpus), artifacts.checkpoint(args.backbone)
    run_extraction(config, *names, *needs, artifacts.hidden(*names), config.threads.extract, config.device)


def inputs(config: Config, args: argparse.Namespace) -> None:
    """Decode a corpus' channel into a store of model-ready integers."""
    from sanrec.backbones.inputs import build_input_store

    names = args.corpus, args.channel, args.backbone
    needs = artifacts.items(args.corpus), artifacts.checkpoint(args.backbone)
    build_input_store(config, *names, *needs, artifacts.inputs(*names), config.threads.extract)


def media_report(config: Config, args: argparse.Namespace) -> None:
    """List every item whose medium is missing or broken, over all channels."""
    from sanrec.backbones.report import write_media_report
    from sanrec.snakefile import media_needs

    write_media_report(media_needs(config, args.corpus), artifacts.media_report(args.corpus))


def train(config: Config, args: argparse.Namespace) -> None:
    """Train the runs that the paths name, one after the other."""
    from sanrec.training.run import train_run

    for path in args.runs:
        metrics = train_run(config, artifacts.parse_run(config, path))
        print(f"{path}: test " + ", ".join(f"{k} {v:.4f}" for k, v in metrics["test"].items() if k.endswith("@10")))


def tune(config: Config, args: argparse.Namespace) -> None:
    """Search for a method's settings on a data set's validation split; the path names the search."""
    from sanrec.training.search import tune as search

    found = search(config, *artifacts.parse_tuning(args.output))
    best = ", ".join(f"{name}={value}" for name, value in found["best"].items())
    print(f"{args.output}: validation {found['metric']} {found['value']:.4f} with {best}")


def tuned(config: Config, args: argparse.Namespace) -> None:
    """Print the best values of every search on a data set, with lines for config.yaml, and write them as csv."""
    from sanrec.reporting.tuned import make_tuned

    print(make_tuned(config, args.dataset), end="")


def information(config: Config, args: argparse.Namespace) -> None:
    """Estimate the mutual information between the towers of a finished run."""
    from sanrec.training.information import measure_information

    found = measure_information(config, artifacts.parse_run(config, args.run))
    for pair, estimates in found["pairs"].items():
        print(f"{args.run}: {pair} " + ", ".join(f"{name} {e['value']:.4f} nats" for name, e in estimates.items()))


def count(config: Config, args: argparse.Namespace) -> None:
    """Print the trainable parameters of runs by part; nothing need be made or downloaded before."""
    from sanrec.training.count import describe_count

    print("\n".join(describe_count(config, artifacts.parse_run(config, path)) for path in args.runs))


def count_backbones(config: Config, args: argparse.Namespace) -> None:
    """Count the parameters of backbones from their architecture or checkpoint, without their weights."""
    from sanrec.backbones.counting import write_counts

    write_counts(config, args.backbones, args.output)


def efficiency(config: Config, args: argparse.Namespace) -> None:
    """Measure time, memory and parameters of every row of the tables given, on this machine, one process per row."""
    from sanrec.reporting.specs import load_table
    from sanrec.reporting.table_runs import measured_runs
    from sanrec.training.efficiency import measure_efficiency

    dataset, machine = artifacts.parse_efficiency(args.output)
    runs = measured_runs(config, dataset, [load_table(path) for path in args.specs])
    measure_efficiency(config, dataset, runs, machine)


def measure(config: Config, args: argparse.Namespace) -> None:
    """Time some epochs of one run in this very process; `efficiency` calls it for each row."""
    from sanrec.files import write_json
    from sanrec.training.efficiency import measure_run

    write_json(args.output, measure_run(config, artifacts.parse_run(config, args.run)))


def costs(config: Config, args: argparse.Namespace) -> None:
    """Measure time and memory at the points of figures, on this machine, with nothing beside."""
    from sanrec.reporting.cost_specs import measured_points
    from sanrec.reporting.figure_kinds import load_figure
    from sanrec.training.costs import measure_costs

    dataset, machine, measurement = artifacts.parse_costs(args.output)
    points = measured_points(config, dataset, measurement, [load_figure(path) for path in args.specs])
    measure_costs(config, dataset, points, machine, measurement)


def measure_steps(config: Config, args: argparse.Namespace) -> None:
    """Time some steps of runs in this very process, each followed by its file; `costs` calls it."""
    from sanrec.training.costs import measure_steps as measure

    pairs = zip(args.runs_and_files[::2], args.runs_and_files[1::2], strict=True)
    measure(config, args.reads, [(artifacts.parse_run(config, run), file) for run, file in pairs])


def popularity(config: Config, args: argparse.Namespace) -> None:
    """Score a data set by popularity alone: the floor that every method must beat."""
    from sanrec.data.interactions import load_sequences
    from sanrec.files import write_json
    from sanrec.training.popularity import popularity_metrics

    config.find("dataset", args.dataset)
    sequences = load_sequences(artifacts.interactions(args.dataset))
    scores = {split: popularity_metrics(sequences, split) for split in ("validation", "test")}
    write_json(artifacts.popularity(args.dataset), {"dataset": args.dataset, "users": sequences.user_count, **scores})


def table(config: Config, args: argparse.Namespace) -> None:
    """Make a table, as csv, md and html, from its runs or counts; a paper's, with the paper's figures beside."""
    from sanrec.reporting.specs import load_table
    from sanrec.reporting.tables import make_table

    make_table(config, load_table(args.spec), args.reference, args.output.removesuffix(".csv"))


def figure(config: Config, args: argparse.Namespace) -> None:
    """Draw a figure, as svg and png with its numbers as csv, from its runs."""
    from sanrec.reporting.figure_kinds import load_figure
    from sanrec.reporting.figures import make_figure

    make_figure(config, load_figure(args.spec), args.output.removesuffix(".svg"))


def schema(config: Config, args: argparse.Namespace) -> None:
    """Print the JSON Schema of config.yaml."""
    from sanrec.schema import config_schema

    print(config_schema())


def config_page(config: Config, args: argparse.Namespace) -> None:
    """Print the page of the documentation that explains every key."""
    from sanrec.schema import config_page as page

    print(page(), end="")


COMMANDS: dict[str, tuple[Step, tuple[str, ...]]] = {
    "demo-world": (demo_world, ("corpus",)),
    "demo-backbone": (demo_backbone, ("backbone",)),
    "demo-captioner": (demo_captioner, ("captioner",)),
    "download": (download, ("corpus",)),
    "checkpoint": (checkpoint, ("backbone",)),
    "prepare-corpus": (prepare_corpus, ("corpus",)),
    "prepare-dataset": (prepare_dataset, ("dataset",)),
    "caption": (caption, ("corpus", "medium")),
    "extract": (extract, ("corpus", "channel", "backbone")),
    "inputs": (inputs, ("corpus", "channel", "backbone")),
    "media-report": (media_report, ("corpus",)),
    "train": (train, ("runs+",)),
    "tune": (tune, ("output",)),
    "tuned": (tuned, ("dataset",)),
    "information": (information, ("run",)),
    "count": (count, ("runs+",)),
    "count-backbones": (count_backbones, ("output", "backbones+")),
    "efficiency": (efficiency, ("output", "specs+")),
    "measure": (measure, ("run", "output")),
    "costs": (costs, ("output", "specs+")),
    "measure-steps": (measure_steps, ("reads", "runs_and_files+")),
    "popularity": (popularity, ("dataset",)),
    "table": (table, ("spec", "reference?", "output")),
    "figure": (figure, ("spec", "output")),
    "schema": (schema, ()),
    "config-page": (config_page, ()),
}
WITH_NETWORK = ("download", "checkpoint")  # every other step runs with the hub switched off


def default_config() -> str | None:
    """The config that Snakemake's jobs are given, or the one in the working folder, or none: the built-ins alone."""
    return os.environ.get("SANREC_CONFIG") or ("config.yaml" if Path("config.yaml").exists() else None)


def parser() -> argparse.ArgumentParser:
    """The command line's parser."""
    main_parser = argparse.ArgumentParser(
        prog="sanrec", description="Adapt frozen foundation models to sequential recommendation."
    )
    main_parser.add_argument("--version", action="version", version=f"sanrec {__version__}")
    config_help = "config file (default: $SANREC_CONFIG, else config.yaml)"
    main_parser.add_argument("--config", default=default_config(), help=config_help)
    log_help = "write messages and progress to this file; errors go to both"
    main_parser.add_argument("--log", type=Path, help=log_help)
    commands = main_parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (step, arguments) in COMMANDS.items():
        sub = commands.add_parser(name, help=step.__doc__, description=step.__doc__)
        for argument in arguments:
            sub.add_argument(argument.rstrip("+?"), nargs=argument[-1] if argument[-1] in "+?" else None)
    return main_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand. Errors that the user can mend are printed without a traceback; the exit status is then 1."""
    argv = list(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(argv)
    if args.command not in WITH_NETWORK:
        os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    terminal = sys.stderr
    if args.log:
        args.log.parent.mkdir(parents=True, exist_ok=True)
    with args.log.open("w", encoding="utf-8", buffering=1) if args.log else nullcontext(terminal) as log:
        sys.stderr = log
        try:
            if args.log:
                given = ["--config", args.config] if args.config and "--config" not in argv else []
                print(f"$ sanrec {shlex.join([*given, *argv])}", file=log)
            logging.basicConfig(stream=log, level=logging.INFO, format="%(name)s: %(message)s", force=True)
            COMMANDS[args.command][0](load_config(args.config), args)
            return 0
        except SanrecError as error:
            for stream in {terminal, log}:
                print(f"sanrec {args.command}: {error}", file=stream)
            return 1
        except Exception:
            if args.log:
                print(f"sanrec {args.command} failed; the whole message is in {args.log}", file=terminal)
            traceback.print_exc(file=log)
            return 1
        finally:
            sys.stderr = terminal
