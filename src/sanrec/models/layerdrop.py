"""LayerDrop: which hidden states feed a tower (CROSSAN, 4 and 5; IISAN-Versa, III-E and Eq. 5)."""

from sanrec.errors import ConfigError


def kept_layers(blocks: int, rule: str = "even", kept: int = 6) -> tuple[int, ...]:
    """Indices into a backbone's `blocks` + 1 hidden states, ascending; 0 is the embedding output and always there.

    `even` keeps `kept` blocks in steps of floor((blocks - 1) / (kept - 1)), counted down from the last one: of 12
    blocks 2, 4, ..., 12; of 24 blocks 4, 8, ..., 24. A list such as `2-4-6` names the blocks, counted from 1.
    (Versa's Eq. 5 gives 14 instead of 15 for 80 blocks; its published list has 15, as here.)

    Raises ConfigError where the backbone has too few blocks.

    >>> kept_layers(28)
    (0, 3, 8, 13, 18, 23, 28)
    """
    if rule != "even":
        chosen = tuple(int(part) for part in rule.split("-"))
        if sorted(set(chosen)) != list(chosen) or chosen[0] < 1 or chosen[-1] > blocks:
            raise ConfigError(f"layers={rule}: give blocks of 1 to {blocks} in rising order, each once")
        return (0, *chosen)
    if kept > blocks:
        raise ConfigError(f"blocks={kept}: the backbone has only {blocks} blocks")
    step = (blocks - 1) // (kept - 1) if kept > 1 else 1
    return (0, *(blocks - step * i for i in reversed(range(kept))))
