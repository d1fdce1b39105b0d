"""What jobs ask of a cluster: time and memory, doubled with every retry. On one machine nothing is limited by it."""

import math
from collections.abc import Callable
from typing import Any

from sanrec.config import Config

Resource = Callable[[Any, int], int]
"""Of a job's wildcards and its attempt, from 1; Snakemake passes both by these names."""


def minutes(config: Config, first: float) -> Resource:
    """The `runtime` of a rule: minutes at the first attempt, times `resources.time` of the config, up to `longest`."""
    return _growing(first * config.resources.time, config.resources.longest)


def megabytes(config: Config, first: float) -> Resource:
    """The `mem_mb` of a rule: MB at the first attempt, times the config's `resources.memory`."""
    return _growing(first * config.resources.memory)


def _growing(first: float, most: int | None = None) -> Resource:
    def resource(wildcards: Any, attempt: int) -> int:
        asked = math.ceil(first) * 2 ** (attempt - 1)
        return asked if most is None else min(asked, most)

    return resource
