"""Make a table: gather its frame once, and write it as csv, md and html."""

from pathlib import Path

from sanrec.config import Config
from sanrec.errors import ConfigError
from sanrec.files import write_text
from sanrec.reporting.backbones import backbones_table
from sanrec.reporting.beyond_table import beyond_accuracy_table
from sanrec.reporting.cold_start import cold_start_table
from sanrec.reporting.comparison import comparison_table
from sanrec.reporting.efficiency import efficiency_table
from sanrec.reporting.frame import Table, flat
from sanrec.reporting.reference import no_reference, read_reference
from sanrec.reporting.specs import TableSpec
from sanrec.reporting.stand_ins import as_studied
from sanrec.reporting.statistics import statistics_table
from sanrec.reporting.styles import to_html, to_markdown


def gather(config: Config, table: TableSpec, reference_csv: str | Path | None, root: str | Path = ".") -> Table:
    """The table's frame and legend.

    `root` is the working folder, below which `results/` lies; `reference_csv` holds the paper's figures, None for a
    table of no paper. Raises DataError, naming the file, where a run, a data set's counts or the reference is missing,
    malformed, or does not fit the others; ConfigError where a reference is given to a table of no paper, or none to a
    paper's.
    """
    if reference_csv is None and table.reference:
        raise ConfigError(f"table '{table.title}' stands beside the paper's figures: give {table.reference}")
    if reference_csv is not None and not table.reference:
        raise ConfigError(f"table '{table.title}' is no paper's: it takes no figures from {reference_csv}")
    own = {"cold-start": cold_start_table, "beyond-accuracy": beyond_accuracy_table}
    if table.kind in own:
        return own[table.kind](config, as_studied(config, table), root)
    reference = no_reference() if reference_csv is None else read_reference(reference_csv, table)
    kinds = {
        "statistics": statistics_table,
        "comparison": comparison_table,
        "efficiency": efficiency_table,
        "backbones": backbones_table,
    }
    return kinds[table.kind](config, as_studied(config, table), reference, root)


def make_table(
    config: Config, table: TableSpec, reference_csv: str | Path | None, out_stem: str | Path, root: str | Path = "."
) -> list[Path]:
    """Write `{out_stem}.csv`, `.md` and `.html` from one frame; their paths. Errors as of `gather`.

    The csv has one header row and full precision: `pandas.read_csv` reads it as it is. All is put together before
    anything is written, so that an error leaves earlier files as they were.
    """
    made = gather(config, table, reference_csv, root)
    tidy = made.frame.set_axis([flat(column) for column in made.frame.columns], axis=1)
    texts = {"csv": tidy.to_csv(index=False, lineterminator="\n"), "md": to_markdown(made), "html": to_html(made)}
    paths = [Path(f"{out_stem}.{suffix}") for suffix in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_text(path, text)
    return paths
