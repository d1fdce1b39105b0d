"""LayerDrop: which hidden states feed each tower (CROSSAN, 4 and 5; IISAN-Versa, III-E and Table VIII)."""

from collections.abc import Sequence

from sanrec.errors import ConfigError
from sanrec.layers import kept_layers, rules_of_towers


def tower_layers(
    depths: Sequence[int], layers: str = "even", kept: int = 6, names: Sequence[str] = ()
) -> list[tuple[int, ...]]:
    """`kept_layers` of each tower, whose backbone has so many blocks, by its own rule of the setting `layers`.

    Raises ConfigError where `layers` has neither one rule nor one per tower, and, with the tower's name where `names`
    are given, as `kept_layers` does.
    """
    rules = rules_of_towers(layers, len(depths))
    found = []
    for place, (depth, rule) in enumerate(zip(depths, rules, strict=True)):
        try:
            found.append(kept_layers(depth, rule, kept))
        except ConfigError as error:
            raise ConfigError(f"{names[place]}: {error}" if names else str(error)) from None
    return found
