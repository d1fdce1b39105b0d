"""The language of the setting `layers`: one rule per tower, saying which transformer blocks of its backbone feed it.

    even        as many as the setting `blocks` says, evenly spread, from the last down
    evenN       N of them, evenly spread          topN, downN    the N uppermost, the N lowest
    evenN_topM  N evenly spread out of the upper M; evenN_downM out of the lower M
    full        all                               2-4-6          the second, fourth and sixth

Where towers differ, their rules are joined by `+` in the inputs' order. Ground floor: paths are checked against it,
stores may keep only such layers, and `models.layerdrop` feeds them to the towers.
"""

import re

from sanrec.errors import ConfigError

RULE = r"even|full|(?:even|top|down)[1-9]\d*|even[1-9]\d*_(?:top|down)[1-9]\d*|[1-9]\d*(?:-[1-9]\d*)*"
PATTERN = rf"^(?:{RULE})(?:\+(?:{RULE}))*$"
VALID = "even, evenN, topN, downN, evenN_topM, evenN_downM, full, or blocks in rising order as 2-4-6"


def split_rules(layers: str) -> list[str]:
    """The rules joined in `layers`, one or one per tower. Raises ConfigError for what is no rule."""
    rules = layers.split("+")
    for rule in rules:
        if not re.fullmatch(RULE, rule):
            raise ConfigError(f"layers={layers}: '{rule}' is no rule; valid are {VALID} (N and M whole numbers from 1)")
        if "-" in rule or rule[0].isdigit():
            numbers = [int(number) for number in rule.split("-")]
            if sorted(set(numbers)) != numbers:
                raise ConfigError(f"layers={layers}: give blocks in rising order, each once")
        if "_" in rule:
            taken, group = (int(number) for number in re.findall(r"\d+", rule))
            if taken > group:
                raise ConfigError(f"layers={layers}: '{rule}' takes {taken} blocks out of {group}")
    return rules


def rules_of_towers(layers: str, towers: int) -> list[str]:
    """One rule per tower. Raises ConfigError where `layers` names another number of them."""
    rules = split_rules(layers)
    if len(rules) == 1:
        return rules * towers
    if len(rules) != towers:
        raise ConfigError(
            f"layers={layers} has {len(rules)} rules for {towers} towers: give one for all, or one per input in the "
            "inputs' order"
        )
    return rules


def canonical(layers: str, blocks: int, usual: int) -> tuple[str, int]:
    """The one spelling of `layers` and `blocks` together, where `usual` is the number of blocks by default.

    Equal rules are written once. One even spread for all towers is `even` and its number is `blocks`; beside other
    rules `blocks` has no effect, and an even spread over the usual number of blocks is `even`.

    >>> canonical("even12+even12", 6, 6), canonical("even6+down6", 3, 6), canonical("even+down6", 12, 6)
    (('even', 12), ('even+down6', 6), ('even12+down6', 6))
    """
    rules = [_plain(rule, blocks) for rule in split_rules(layers)]
    if len(set(rules)) > 1:
        return "+".join("even" if rule == f"even{usual}" else rule for rule in rules), usual
    if match := re.fullmatch(r"even(\d+)", rules[0]):
        return "even", int(match[1])
    return rules[0], usual


def _plain(rule: str, blocks: int) -> str:
    """A rule with its number written out; N evenly out of the upper N are the upper N."""
    if rule == "even":
        return f"even{blocks}"
    match = re.fullmatch(r"even(\d+)_(top|down)(\d+)", rule)
    return f"{match[2]}{match[3]}" if match and match[1] == match[3] else rule


def kept_layers(blocks: int, rule: str = "even", kept: int = 6) -> tuple[int, ...]:
    """Indices into a backbone's `blocks` + 1 hidden states, ascending; 0 is the embedding output and always there.

    `even` takes `kept` blocks in steps of floor((blocks - 1) / (kept - 1)), counted down from the last one: of 12
    blocks 2, 4, ..., 12; of 24 blocks 4, 8, ..., 24 (CROSSAN, 5; IISAN-Versa, III-E, whose Eq. 5 gives steps of 14
    instead of 15 for 80 blocks; its published list has 15, as here). The other rules take the N uppermost or
    lowest blocks, spread N in the same way over all blocks, the upper M or the lower M, take all, or name the blocks,
    counted from 1.

    Raises ConfigError where the backbone has too few blocks, and for what is no rule.

    >>> kept_layers(28), kept_layers(24, "even6_top12")
    ((0, 3, 8, 13, 18, 23, 28), (0, 14, 16, 18, 20, 22, 24))
    """
    split_rules(rule)
    numbers = [int(number) for number in re.findall(r"\d+", rule)]
    most = max(numbers) if numbers else kept if rule == "even" else 0
    if most > blocks:
        said = f"blocks={kept}" if rule == "even" else f"layers={rule}"
        raise ConfigError(f"{said}: the backbone has only {blocks} blocks")
    if rule == "full":
        return tuple(range(blocks + 1))
    if rule.startswith("top"):
        return (0, *range(blocks - numbers[0] + 1, blocks + 1))
    if rule.startswith("down"):
        return tuple(range(numbers[0] + 1))
    if rule.startswith("even"):
        count, group = (numbers or [kept])[0], numbers[1] if len(numbers) > 1 else blocks
        below = blocks - group if "_top" in rule else 0  # blocks under the group that is spread over
        return (0, *(below + block for block in _spread(group, count)))
    return (0, *numbers)


def _spread(blocks: int, count: int) -> list[int]:
    """`count` blocks out of 1 to `blocks`, evenly, from the last down."""
    step = (blocks - 1) // (count - 1) if count > 1 else 1
    return [blocks - step * i for i in reversed(range(count))]
