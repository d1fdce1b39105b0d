"""What finished runs are for: recommendations, and artifacts that other programs serve.

Heavy libraries are imported where a step needs them, so that `sanrec --help` is quick.
"""

import argparse
import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sanrec.errors import ConfigError, unknown

if TYPE_CHECKING:
    from sanrec.config import Config

FORMATS = ("table", "json", "html")


def recommend(config: "Config", args: argparse.Namespace) -> None:
    """Show what a finished run recommends: to --user ID,… of its data set, or after --history ITEM,…, oldest first.

    --k how many (10); --format table, json or html (by the suffix of --out, else table); --out a file.
    """
    from sanrec import artifacts
    from sanrec.files import write_text
    from sanrec.serving.recommend import recommend as recommend_to

    users, history = names(args.user, "--user"), names(args.history, "--history")
    if (users is None) == (history is None):
        raise ConfigError("give --user ID of someone in the data set, or --history ITEM,… of someone unknown")
    k, shape = count(args.k or "10", "--k"), args.format or shape_of(args.out)
    if shape not in FORMATS:
        raise unknown("format", shape, FORMATS)
    found = recommend_to(config, artifacts.parse_run(config, args.run), users or (), history, k)
    if shape == "html":
        from sanrec.serving.gallery import to_html

        text = to_html(config, found, Path(args.out).parent if args.out else ".")
    else:
        from sanrec.serving import views

        text = views.to_json(found) if shape == "json" else views.to_table(found)
    if args.out:
        write_text(args.out, text)
    else:
        sys.stdout.write(text)


def export(config: "Config", args: argparse.Namespace) -> None:
    """Write a finished run's item vectors, an index of them, and its user encoder into a folder, for other programs."""
    from sanrec import artifacts
    from sanrec.serving.export import export_run

    manifest = export_run(config, artifacts.parse_run(config, args.run), args.folder)
    for name, file in manifest["files"].items():
        print(f"{args.folder}/{name}: {file['bytes']:,} bytes")


def names(text: str | None, option: str) -> list[str] | None:
    """Ids joined by commas, one that has a comma itself in double quotes. Raises ConfigError where none is given."""
    if text is None:
        return None
    found = [name.strip() for row in csv.reader([text], skipinitialspace=True) for name in row]
    if not found or not all(found):
        raise ConfigError(f"{option} '{text}': expected ids joined by commas, as in a,b,c")
    return found


def count(text: str, option: str) -> int:
    """A whole number from 1. Raises ConfigError for anything else."""
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{option} {text}: expected a whole number from 1")
    return int(text)


def shape_of(out: str | None) -> str:
    """The format that a file's suffix stands for: json, html, else table."""
    suffix = Path(out or "").suffix[1:].lower()
    return suffix if suffix in FORMATS else "table"
