"""What a run reads: its inputs, from text and back."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sanrec.config import CHANNELS, LETTERS, Config
from sanrec.errors import ConfigError, unknown


@dataclass(frozen=True)
class Input:
    """One tower's source: a channel of the corpus, seen through a backbone; or `IDS`."""

    channel: str
    backbone: str


IDS = Input("ID", "")  # an item is known by its number alone: it needs no store


def parse_inputs(config: Config, dataset: str, text: str) -> tuple[Input, ...]:
    """The towers' sources that `text` names: letters (`TIVA`) or channels joined by + (`title@bert-base+cover`).

    Ids stand before both, alone (`ID`) or joined by + (`ID+V`, `ID+video@x`). Raises ConfigError for an unknown letter,
    channel or backbone, for a backbone of another modality, for a channel that the data set has no backbone for, and
    for a spelling that is not the canonical one.
    """
    own = config.find("dataset", dataset).backbones
    where = f"inputs '{text}' of data set '{dataset}'"
    found = []
    parts = text.split("+")
    if IDS.channel in parts:
        found.append(IDS)
        parts = [part for part in parts if part != IDS.channel]
    letters = len(parts) == 1 and bool(re.fullmatch("[A-Z]+", parts[0]))
    for part in parts[0] if letters else parts:
        if letters and part not in LETTERS:
            raise unknown("letter", part, LETTERS, where)
        channel, at, backbone = (LETTERS[part] if letters else part).partition("@")
        if channel not in CHANNELS:
            raise unknown("channel", channel, CHANNELS, where)
        if not at:
            if channel not in own:
                raise ConfigError(f"{where}: it has no backbone for channel '{channel}'; write {channel}@NAME")
            backbone = own[channel]
        record = config.find("backbone", backbone, where)
        if record.modality != CHANNELS[channel]:
            reads, wanted = record.modality, CHANNELS[channel]
            raise ConfigError(f"{where}: backbone '{backbone}' reads {reads}, but '{channel}' is {wanted}")
        found.append(Input(channel, backbone))
    canonical = format_inputs(config, dataset, found)
    if canonical != text:
        raise ConfigError(f"{where} are written '{canonical}': one run has one path")
    return tuple(found)


def format_inputs(config: Config, dataset: str, sources: Sequence[Input]) -> str:
    """The canonical spelling: letters in the papers' order where every source is the data set's own, else channels.

    Ids come first.
    """
    if IDS in sources:
        rest = [source for source in sources if source != IDS]
        return "+".join([IDS.channel, *([format_inputs(config, dataset, rest)] if rest else [])])
    own = config.find("dataset", dataset).backbones
    letter = {channel: name for name, channel in LETTERS.items()}
    names = [s.channel for s in sources]
    if len(set(names)) == len(names) and all(own.get(s.channel) == s.backbone and s.channel in letter for s in sources):
        return "".join(name for name, channel in LETTERS.items() if channel in names)
    order = list(CHANNELS)  # stable: two views of one channel keep theirs
    ordered = sorted(sources, key=lambda source: order.index(source.channel))
    return "+".join(s.channel if own.get(s.channel) == s.backbone else f"{s.channel}@{s.backbone}" for s in ordered)
