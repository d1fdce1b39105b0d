"""Errors meant for people: what was wrong, where, and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class SanrecError(Exception):
    """Something the user can mend. The command line prints its message alone, without a traceback."""


class ConfigError(SanrecError):
    """A key, name or value in the configuration or in a path is not a valid one."""


class DataError(SanrecError):
    """A file that the user gave is missing, malformed or contradicts itself."""


class DivergenceError(SanrecError):
    """A training has run away: its loss or its scores are no numbers."""


class StoreError(SanrecError):
    """A store of hidden states or inputs is damaged, unfinished, or made by other settings."""


def unknown(kind: str, name: str, valid: Iterable[str], where: str = "") -> ConfigError:
    """An error for a name that is none of `valid`, with the nearest valid one where there is one near.

    >>> str(unknown("model", "crosan", ["crossan", "iisan"]))
    "unknown model 'crosan': did you mean 'crossan'? Valid: crossan, iisan"
    """
    valid = [str(v) for v in valid]
    near = get_close_matches(str(name), valid, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    place = f" in {where}" if where else ""
    return ConfigError(f"unknown {kind} '{name}'{place}: {hint}Valid: {', '.join(valid) or 'none'}")
