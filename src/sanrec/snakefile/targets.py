"""The documentation's page of all that can be asked for: tables, figures, and what rules make on the way.

Made from the declarations below workflow/ themselves, so that the page cannot say anything else.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sanrec.config import Config
from sanrec.load import load_config
from sanrec.snakefile.reports import figure_needs, figures, shown, table_needs, tables

RULE = re.compile(r"^(?:use rule \w+ as|rule) (\w+)(?: with)?:\n((?: {4}.*\n|\n)*)", re.M)
PAGE_HEAD = """# Every target

`snakemake PATH --cores` makes any of these and, before it, all that it needs and that is not there yet.
`snakemake --cores` alone makes every table and figure of the study, `snakemake -n PATH` tells what would be done. This
page is made from the declarations by `sanrec targets-page workflow`.
"""
PLURALS = {
    "run": "runs",
    "search": "searches",
    "measurement": "measurements",
    "estimate": "estimates of information",
    "file": "files",
}
FOLDERS = {"run": "runs", "search": "tuning", "measurement": "efficiency"}  # of what tables are made from
STUDIES = ("demo", "paper")


@dataclass(frozen=True)
class Rule:
    """A rule of the workflow: what it says of itself, what it makes, and the subcommand that it calls."""

    name: str
    what: str
    outputs: tuple[str, ...]
    command: str


def rules(folder: str | Path) -> dict[str, list[Rule]]:
    """The rules declared in a folder's .smk files that have outputs of their own, by the file's name."""
    return {path.stem: _rules_in(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).glob("*.smk"))}


def _rules_in(text: str) -> list[Rule]:
    found, command = [], ""
    for name, body in RULE.findall(text):
        comment = re.match(r"(?: {4}#.*\n)*", body)
        what = " ".join(line.strip(" #") for line in (comment[0] if comment else "").splitlines())
        made = re.search(r"^ {4}output:\n((?: {8}.*\n)+)", body, re.M)
        called = re.search(r"python -m sanrec --log \{log:q\} ([\w-]+)", body)
        command = called[1] if called else command  # a rule that is another's variant has its line
        if made:
            found.append(Rule(name, what, tuple(re.findall(r'"(results/[^"]+)"', made[1])), command))
    return found


def targets_page(workflow: str | Path) -> str:
    """The page as Markdown: tables and figures with what each study makes them from, then the rules in order.

    `workflow` is the folder that holds `tables`, `figures` and `rules`. Studies are the built-in ones.
    """
    configs = [load_config({"study": study}) for study in STUDIES]
    parts = [PAGE_HEAD, *_reports(Path(workflow), configs), "## What is made on the way\n"]
    parts.append(
        "`{...}` stands for a name: of a corpus, data set, channel, backbone or method in [config.md](config.md); "
        "`{inputs}` and `{variant}` are explained in [quick-start.md](quick-start.md). The last column is the same "
        "step by hand; each log's first line is the whole command.\n"
    )
    parts += ["| path | what | by hand |", "|---|---|---|"]
    found = rules(Path(workflow, "rules"))
    for rule in [rule for name in _in_order(Path(workflow).parent / "Snakefile") for rule in found[name]]:
        if rule.name.split("_")[0] not in ("table", "figure"):
            paths = "<br>".join(f"`{path}`" for path in rule.outputs)
            parts.append(f"| {paths} | {rule.what} | `sanrec {rule.command}` |")
    return "\n".join(parts) + "\n"


def _in_order(snakefile: Path) -> list[str]:
    """The names of the files of rules, as the Snakefile includes them."""
    return re.findall(r'^include: "workflow/rules/(\w+)\.smk"', snakefile.read_text(encoding="utf-8"), re.M)


def _reports(workflow: Path, configs: Sequence[Config]) -> list[str]:
    heads = [f"made from, `study={config.study}`" for config in configs]
    lines = [
        "## Tables and figures\n",
        "Beside each table's `.csv` stand `.md` and `.html`, beside each figure's `.svg` stand `.png` and the `.csv` "
        "that it is drawn from. A run that several of them show is trained once.\n",
        f"| path | what | {' | '.join(heads)} |",
        f"|---|---|{'---|' * len(heads)}",
    ]
    declared = (
        (tables(workflow / "tables"), table_needs, "csv"),
        (figures(workflow / "figures"), figure_needs, "svg"),
    )
    for specs, needs, suffix in declared:
        asked = [set(shown(config, specs)) for config in configs]
        for name, spec in specs.items():
            made = [
                _spell(needs(config, spec)) if name in names else "no data set"
                for config, names in zip(configs, asked, strict=True)
            ]
            lines.append(f"| `results/{name}.{suffix}` | {spec.title} | {' | '.join(made)} |")
    return [*lines, ""]


def _spell(needs: Sequence[str]) -> str:
    """What paths are, counted by kind: `22 runs`. A run's files count as one."""
    distinct = {path.rsplit("/", 1)[0] if _kind(path) == "run" else path: _kind(path) for path in needs}
    kinds = Counter(distinct.values())
    return ", ".join(f"{number} {PLURALS[kind] if number > 1 else kind}" for kind, number in kinds.items())


def _kind(path: str) -> str:
    parts = path.split("/")
    if parts[-1] == "information.json":
        return "estimate"
    return next((kind for kind, folder in FOLDERS.items() if folder in parts), "file")
