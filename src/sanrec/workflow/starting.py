"""A folder to begin with: config, a Snakefile that takes sanrec's rules as a module, and small sample data."""

from collections.abc import Mapping
from pathlib import Path

from sanrec.errors import SanrecError
from sanrec.files import write_text
from sanrec.workflow.source import own_snakefile

TEMPLATES = Path(__file__).with_name("templates")
WRITTEN = ("config.yaml", "Snakefile")


def start_folder(folder: str | Path, samples: Mapping[str, str]) -> str:
    """Write the folder's files; what to do next, as text. `samples` are the texts of data files by their path in it.

    Raises SanrecError where a file is there already, before anything is written, and where sanrec's own Snakefile,
    which the folder's refers to, is not to be found.
    """
    folder = Path(folder)
    own_snakefile()
    texts = {name: (TEMPLATES / name).read_text(encoding="utf-8") for name in WRITTEN} | dict(samples)
    there = [name for name in texts if (folder / name).exists()]
    if folder.exists() and not folder.is_dir():
        raise SanrecError(f"{folder}: is a file; name a folder that is not there yet, or an empty one")
    if there:
        raise SanrecError(
            f"{folder}: holds {', '.join(there)} already. No file is ever overwritten, so nothing was written: name "
            "another folder, or move them away"
        )
    for name, text in texts.items():
        write_text(folder / name, text)
    listed = "\n".join(f"  {folder / name}" for name in texts)
    return f"Written:\n{listed}\nNext:\n  cd {folder}\n  sanrec plan\n  snakemake --cores\n"
