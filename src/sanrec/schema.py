"""The JSON Schema of config.yaml, exported from the pydantic models for editors and for Snakemake."""

import json
from typing import Any

from sanrec.config import Config


def config_schema() -> str:
    """The schema as JSON text, the same bytes every time."""
    schema = Config.model_json_schema()
    # An entry under a built-in's name overrides single keys: nothing is required of an entry by itself.
    for name in ("Study", "Corpus", "Dataset", "Backbone"):
        schema["$defs"][name].pop("required", None)
    ordered: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(ordered, indent=2, ensure_ascii=False)
