"""The command line: one subcommand per step, thin. `sanrec --help` imports neither torch nor the config's models."""

import argparse
import errno
import logging
import os
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sanrec import __version__
from sanrec.commands import data, reporting, serving, training, workflow
from sanrec.errors import SanrecError

if TYPE_CHECKING:
    from sanrec.config import Config

Step = Callable[["Config", argparse.Namespace], None]

COMMANDS: dict[str, tuple[Step, tuple[str, ...]]] = {
    "demo-world": (data.demo_world, ("corpus",)),
    "demo-backbone": (data.demo_backbone, ("backbone",)),
    "demo-captioner": (data.demo_captioner, ("captioner",)),
    "download": (data.download, ("corpus",)),
    "checkpoint": (data.checkpoint, ("backbone",)),
    "prepare-corpus": (data.prepare_corpus, ("corpus",)),
    "prepare-dataset": (data.prepare_dataset, ("dataset",)),
    "caption": (data.caption, ("corpus", "medium", "shard?")),
    "extract": (data.extract, ("corpus", "channel", "backbone", "shard?")),
    "inputs": (data.inputs, ("corpus", "channel", "backbone")),
    "media-report": (data.media_report, ("corpus",)),
    "train": (training.train, ("runs+",)),
    "tune": (training.tune, ("output",)),
    "tuned": (reporting.tuned, ("dataset",)),
    "information": (training.information, ("run",)),
    "count": (reporting.count, ("runs+",)),
    "count-backbones": (reporting.count_backbones, ("output", "backbones+")),
    "efficiency": (training.efficiency, ("output", "specs+")),
    "measure": (training.measure, ("run", "output")),
    "costs": (training.costs, ("output", "specs+")),
    "measure-steps": (training.measure_steps, ("reads", "runs_and_files+")),
    "popularity": (training.popularity, ("dataset",)),
    "recommend": (serving.recommend, ("run", "--user", "--history", "--k", "--format", "--out")),
    "export": (serving.export, ("run", "folder")),
    "table": (reporting.table, ("spec", "reference?", "output")),
    "figure": (reporting.figure, ("spec", "output")),
    "report": (reporting.report, ("tables", "figures", "output")),
    "status": (workflow.status, ("targets*", "--study", "--set*", "--format")),
    "plan": (workflow.plan, ("targets*", "--study", "--set*", "--format")),
    "init": (workflow.init, ("folder",)),
    "schema": (reporting.schema, ()),
    "config-page": (reporting.config_page, ()),
    "targets-page": (reporting.targets_page, ("workflow",)),
}
NO_SPACE = "No space left on device"  # what is left of the system's error where a library of Rust or C met it
WITH_NETWORK = ("download", "checkpoint")  # every other step runs with the hub switched off
WITHOUT_CONFIG = ("init",)  # a config.yaml in the folder may be another program's


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
        for argument in arguments:  # those that begin with -- are options with one value; with a * several times
            if argument.startswith("--") and argument.endswith("*"):
                sub.add_argument(argument.rstrip("*"), action="append", default=[])
            else:
                sub.add_argument(argument.rstrip("+?*"), nargs=argument[-1] if argument[-1] in "+?*" else None)
    return main_parser


def done_line(command: str, seconds: float) -> str:
    """The last line of a log whose step went well; where it is lacking, the step failed or is still at work."""
    return f"sanrec {command}: done in {timedelta(seconds=round(seconds))}"


def full_disk(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, is that nothing more could be written."""
    while error is not None:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or NO_SPACE in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand. Errors that the user can mend are printed without a traceback; the exit status is then 1."""
    started = time.monotonic()
    argv = list(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(argv)  # --help ends here
    from sanrec.load import load_config

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
            config = load_config(None if args.command in WITHOUT_CONFIG else args.config)
            COMMANDS[args.command][0](config, args)
            if args.log:
                print(done_line(args.command, time.monotonic() - started), file=log)
            return 0
        except SanrecError as error:
            for stream in {terminal, log}:
                print(f"sanrec {args.command}: {error}", file=stream)
            return 1
        except Exception as error:
            if full_disk(error):
                for stream in {terminal, log}:
                    what = "the disk is full, or the quota on it used up. What was finished stays: make room, then run"
                    print(f"sanrec {args.command}: {what} the same again. ({error})", file=stream)
                return 1
            if args.log:
                print(f"sanrec {args.command} failed; the whole message is in {args.log}", file=terminal)
            traceback.print_exc(file=log)
            return 1
        finally:
            sys.stderr = terminal
