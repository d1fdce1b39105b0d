"""How many parameters backbones have (IISAN-Versa, Table II), without their weights.

Counted is the encoder as sanrec runs it: without pooler and task head, and of a language model without the layer that
turns states into words. Of quantised weights it is the number of weights that were quantised.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sanrec import __version__, artifacts
from sanrec.backbones.checkpoints import empty_backbone, open_checkpoint
from sanrec.config import Config
from sanrec.errors import ConfigError
from sanrec.files import write_json


def write_counts(config: Config, names: Sequence[str], output: str | Path) -> dict[str, Any]:
    """Count these backbones and write the file; its content. Raises ConfigError for an unknown one.

    One with an `architecture` in the config is counted from it alone, whatever lies on disk: the same config gives the
    same numbers. The others need their checkpoint (DataError where it is missing).
    """
    import transformers

    versions = {"sanrec": __version__, "transformers": transformers.__version__}
    record = {"backbones": {name: count_backbone(config, name) for name in names}, "versions": versions}
    write_json(output, record)
    return record


def count_backbone(config: Config, name: str) -> dict[str, Any]:
    """A backbone's `blocks`, `width` and `parameters`, and what they are `counted_from`.

    `parameters` is None where transformers does not know the architecture, or it has another depth or width than the
    config gives: `why` says which.
    """
    record = config.find("backbone", name)
    shape = {"blocks": record.blocks, "width": record.width}
    if not record.architecture:
        manifest = artifacts.checkpoint(name)
        open_checkpoint(manifest)  # if it is not there, this says so
        parameters = empty_backbone(manifest, record, name).num_parameters()
        return {**shape, "parameters": parameters, "counted_from": "checkpoint", "why": ""}
    try:
        if "model_type" not in record.architecture:
            raise ConfigError(f"backbones.{name}.architecture has no key 'model_type'")
        parameters, why = empty_backbone(None, record, name).num_parameters(), ""
    except (ConfigError, ValueError, KeyError, TypeError) as error:  # what transformers has for what it does not know
        parameters, why = None, str(error).split("\n", 1)[0]
    return {**shape, "parameters": parameters, "counted_from": "architecture", "why": why}
