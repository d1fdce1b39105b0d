"""The JSON Schema of config.yaml, exported from the pydantic models for editors and for Snakemake."""

import json
from typing import Any

from pydantic import BaseModel

from sanrec.config import (
    Backbone,
    Captioner,
    Columns,
    Config,
    Corpus,
    Dataset,
    Download,
    Labels,
    OwnMethod,
    OwnUserEncoder,
    Periods,
    Resources,
    Settings,
    Study,
    Threads,
    Timing,
    Tuning,
)

RECORDS = (
    Config, Threads, Resources, Timing, Tuning, Study, Corpus, Download, Dataset, Columns, Labels, Periods, Settings,
    Backbone, Captioner, OwnMethod, OwnUserEncoder,
)  # fmt: skip


def config_schema() -> str:
    """The schema as JSON text, the same bytes every time."""
    schema = Config.model_json_schema()
    # An entry under a built-in's name overrides single keys: nothing is required of an entry by itself.
    for name in ("Study", "Corpus", "Dataset", "Backbone", "Captioner"):
        schema["$defs"][name].pop("required", None)
    ordered: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(ordered, indent=2, ensure_ascii=False)


PAGE_HEAD = """# Configuration

`config.yaml` holds what is listed under Config. The records below it stand in the built-in registries
(`src/sanrec/data/registry.py`, `src/sanrec/backbones/registry.py`); an entry of `config.yaml` under a built-in's name
overrides single keys of it, a new name adds a record. Settings go into a data set's `settings`, under `all` or a
method's name, and into a run's path (`adapter_width=64,fusion=concat`). This page is made by `sanrec config-page`.
"""


def config_page() -> str:
    """Every key of every record as a Markdown page, from the models' own docstrings."""
    parts = [PAGE_HEAD]
    for model in RECORDS:
        rows = []
        for name, field in model.model_fields.items():
            default = "required" if field.is_required() else f"`{_plain(field.get_default(call_default_factory=True))}`"
            rows.append(f"| `{name}` | {default} | {' '.join((field.description or '').split())} |")
        summary = (model.__doc__ or "").strip().splitlines()[0]
        head = [f"## {model.__name__}", "", summary, "", "| key | default | |", "|---|---|---|"]
        parts.append("\n".join([*head, *rows, ""]))
    return "\n".join(parts)


def _plain(value: Any) -> str:
    return json.dumps(value.model_dump() if isinstance(value, BaseModel) else value)
