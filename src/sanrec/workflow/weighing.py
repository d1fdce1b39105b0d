"""How much there is of what is not made yet: items of a corpus, weights of a backbone, parameters of a run."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from sanrec import artifacts
from sanrec.config import Config
from sanrec.disk import BYTES
from sanrec.errors import SanrecError
from sanrec.workflow.rates import Rates, load_rates

HALF = {"bfloat16": BYTES["float16"], **BYTES}  # bytes of a number


class Weighing:
    """Counts what it can; what it cannot is None. `world_items` has the items of a demo's world from its numbers."""

    def __init__(self, config: Config, world_items: Callable[[Mapping[str, Any]], int]) -> None:
        self.config, self._world_items = config, world_items
        self._parameters: dict[str, int | None] = {}

    @cached_property
    def rates(self) -> Rates:
        """What was counted by others."""
        return load_rates()

    def items(self, corpus: str) -> tuple[int | None, str]:
        """The items of a corpus, and who says so: its table, the config, or a paper; else why they are unknown."""
        record, table = self.config.find("corpus", corpus), Path(artifacts.items(corpus))
        if table.is_file():
            import pyarrow.parquet as pq

            return pq.read_metadata(table).num_rows, str(table)
        if record.item_count:
            return record.item_count, "config"
        if record.source == "demo":
            return self._world_items(record.world), "config"
        if corpus in self.rates.items:
            found = self.rates.items[corpus]
            return found.items, self.rates.sources[found.source]
        return None, "its items are not counted yet"

    def weights(self, name: str) -> tuple[int | None, str]:
        """Bytes of the weights of a backbone or captioner, without task head, and who says so."""
        record = self.config.find_checkpoint(name)
        if record.checkpoint in self.rates.weights:
            found = self.rates.weights[record.checkpoint]
            return found.bytes, self.rates.sources[found.source]
        if not getattr(record, "architecture", None):
            return None, "its architecture is not in the config"
        from sanrec.backbones.counting import count_backbone

        counted = count_backbone(self.config, name)["parameters"]
        return counted and counted * HALF[record.dtype], f"{counted or 0:,} parameters in {record.dtype}, counted"

    def parameters(self, run: artifacts.Run) -> int | None:
        """The parameters that a run trains; None where something it takes is yet to be made."""
        if run.search:
            return None  # its settings are not found yet, or are to be found anew
        if run.folder not in self._parameters:
            from sanrec.training.count import count_parameters

            try:
                self._parameters[run.folder] = sum(count_parameters(self.config, run).values())
            except SanrecError:
                self._parameters[run.folder] = None
        return self._parameters[run.folder]
