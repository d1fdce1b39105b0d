"""What people read: tables, figures, counts and the config's page.

Heavy libraries are imported where a step needs them, so that `sanrec --help` is quick.
"""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sanrec.config import Config


def tuned(config: "Config", args: argparse.Namespace) -> None:
    """Print the best values of every search on a data set, with lines for config.yaml, and write them as csv."""
    from sanrec.reporting.tuned import make_tuned

    print(make_tuned(config, args.dataset), end="")


def table(config: "Config", args: argparse.Namespace) -> None:
    """Make a table, as csv, md and html, from its runs or counts; a paper's, with the paper's figures beside."""
    from sanrec.reporting.specs import load_table
    from sanrec.reporting.tables import make_table

    make_table(config, load_table(args.spec), args.reference, args.output.removesuffix(".csv"))


def figure(config: "Config", args: argparse.Namespace) -> None:
    """Draw a figure, as svg and png with its numbers as csv, from its runs."""
    from sanrec.reporting.figure_kinds import load_figure
    from sanrec.reporting.figures import make_figure

    make_figure(config, load_figure(args.spec), args.output.removesuffix(".svg"))


def report(config: "Config", args: argparse.Namespace) -> None:
    """Write one page of all tables, figures and runs made so far: what two folders declare, and tables of one's own."""
    from sanrec.reporting.report.build import write_report
    from sanrec.snakefile import figures, own_tables, tables, tables_of

    declared, drawn = tables(args.tables), figures(args.figures)
    own = tables_of(own_tables(config, [*declared, *drawn]))
    write_report(config, declared | own, drawn, args.output)


def schema(config: "Config", args: argparse.Namespace) -> None:
    """Print the JSON Schema of config.yaml."""
    from sanrec.schema import config_schema

    print(config_schema())


def config_page(config: "Config", args: argparse.Namespace) -> None:
    """Print the page of the documentation that explains every key."""
    from sanrec.schema import config_page as page

    print(page(), end="")


def targets_page(config: "Config", args: argparse.Namespace) -> None:
    """Print the page of the documentation that lists every target, from the declarations below a folder."""
    from sanrec.snakefile.targets import targets_page as page

    print(page(args.workflow), end="")


def count(config: "Config", args: argparse.Namespace) -> None:
    """Print the trainable parameters of runs by part; nothing need be made or downloaded before."""
    from sanrec import artifacts
    from sanrec.training.count import describe_count

    print("\n".join(describe_count(config, artifacts.parse_run(config, path)) for path in args.runs))


def count_backbones(config: "Config", args: argparse.Namespace) -> None:
    """Count the parameters of backbones from their architecture or checkpoint, without their weights."""
    from sanrec.backbones.counting import write_counts

    write_counts(config, args.backbones, args.output)
