"""Where the workflow itself lies: the Snakefile with workflow/ and envs/ beside it."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from sanrec.errors import SanrecError

USUAL = ("Snakefile", "snakefile", "workflow/Snakefile", "workflow/snakefile")  # where Snakemake itself looks


def own_snakefile() -> Path:
    """The Snakefile of sanrec: of the checkout that the package is imported from, or what its wheel brought along.

    Raises SanrecError where there is neither.
    """
    beside = Path(__file__).resolve().parents[3] / "Snakefile"
    if beside.is_file() and (beside.parent / "workflow" / "rules").is_dir():
        return beside
    try:
        files = distribution("sanrec").files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.as_posix().endswith("share/sanrec/Snakefile") and (found := Path(file.locate()).resolve()).is_file():
            return found
    raise SanrecError(
        f"sanrec's Snakefile is neither beside the package ({beside.parent}) nor among what was installed with it: "
        "install sanrec from a checkout (pip install -e CHECKOUT), or its wheel anew"
    )


def snakefile_here() -> Path:
    """The Snakefile of the working folder, else sanrec's own."""
    return next((Path(name) for name in USUAL if Path(name).is_file()), None) or own_snakefile()
