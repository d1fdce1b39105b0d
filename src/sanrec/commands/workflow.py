"""What people ask about a workflow as a whole.

Heavy libraries are imported where a step needs them, so that `sanrec --help` is quick.
"""

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sanrec.config import Config

FORMATS = ("table", "json")


def status(config: "Config", args: argparse.Namespace) -> None:
    """Show how targets stand: which jobs behind them are done, running, failed, to be made anew or missing.

    --study NAME and --set KEY=VALUE, which may be given again: as behind snakemake's --config.
    """
    from sanrec.workflow.jobs import list_jobs
    from sanrec.workflow.status import as_record, as_text, standings

    form = _format(args)
    found = standings(list_jobs(args.targets, args.config, args.study, _settings(args)))
    print(_json(as_record(found)) if form == "json" else as_text(found))


def plan(config: "Config", args: argparse.Namespace) -> None:
    """Say what targets will take: jobs, downloads, disk, GPU memory, hours, licences to accept, missing media.

    --study NAME and --set KEY=VALUE, which may be given again: as behind snakemake's --config.
    """
    from sanrec.demo.world import World
    from sanrec.workflow.jobs import list_jobs
    from sanrec.workflow.plan import as_record, make_plan
    from sanrec.workflow.plan_text import as_text

    form = _format(args)
    jobs = list_jobs(args.targets, args.config, args.study, _settings(args))
    found = make_plan(jobs, lambda numbers: World(**numbers).items)
    print(_json(as_record(found)) if form == "json" else as_text(found))


def init(config: "Config", args: argparse.Namespace) -> None:
    """Write a folder to begin with: config, a Snakefile that takes all of sanrec's rules, and small sample data."""
    from sanrec.demo.sample import sample_files
    from sanrec.workflow.starting import start_folder

    print(start_folder(args.folder, sample_files()), end="")


def _format(args: argparse.Namespace) -> str:
    from sanrec.errors import unknown

    form = args.format or FORMATS[0]
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    return form


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """Config keys with their values, which are yaml. Raises ConfigError for what is no key with a value."""
    import yaml

    from sanrec.errors import ConfigError

    found = {}
    for text in args.set:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise ConfigError(f"--set '{text}': expected KEY=VALUE, as in 'seeds=[0,1,2]'")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set '{text}': its value is no yaml; in 'seeds=[0,1,2]' it is a list") from None
    return found


def _json(value: object) -> str:
    import json

    return json.dumps(value, indent=2, ensure_ascii=False)
