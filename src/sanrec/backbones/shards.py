"""Which part of a large set is one job's, where several jobs share it."""

import re
from dataclasses import dataclass

from sanrec.errors import ConfigError


@dataclass(frozen=True)
class Shard:
    """Job `number`, from 1, of `count`: every count-th unit is its own, so that units added later are shared too."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"

    def owns(self, unit: int) -> bool:
        """Whether a unit, by its place from 0, is this job's."""
        return unit % self.count == self.number - 1


WHOLE = Shard(1, 1)


def shards(count: int) -> list[Shard]:
    """All jobs that share a set; none where one does it alone."""
    return [Shard(number, count) for number in range(1, count + 1)] if count > 1 else []


def parse_shard(text: str) -> Shard:
    """The shard that `2-of-7` names. Raises ConfigError."""
    match = re.fullmatch(r"([1-9]\d*)-of-([1-9]\d*)", text)
    if not match or int(match[1]) > int(match[2]):
        raise ConfigError(f"'{text}' is no shard: expected a number and how many there are, as 2-of-7")
    return Shard(int(match[1]), int(match[2]))
