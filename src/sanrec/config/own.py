"""Records of encoders of one's own: a file of the user's, and what sanrec must know of it before it is read."""

from typing import Any, Literal

from pydantic import Field

from sanrec.config.base import Frozen

Code = r"^[^:\s][^:]*:[A-Za-z_]\w*$"


class OwnMethod(Frozen):
    """An item encoder of one's own under sanrec's user encoder and training: a method, in paths by its name."""

    title: str
    """Name as printed."""
    code: str = Field(pattern=Code)
    """`my_encoders.py:MyTower`, a file from the working folder and a class or function in it, or
    `my_package.towers:MyTower`, a module that can be imported. Called with the shape of what it reads and the run's
    settings, it gives a torch module (docs: own/item-encoder)."""
    reads: Literal["hidden", "final"] = "final"
    """What of the inputs' backbones it reads: the hidden states of the kept layers, or the final state alone, which is
    also what ready-made features are."""
    ids: bool = False
    """Whether it reads items' numbers beside (inputs `ID+T`) or alone (`ID`)."""
    fewest_channels: int = Field(1, ge=0)
    """Fewest inputs, ids not counted."""
    most_channels: int | None = Field(None, ge=0)
    """Most inputs, ids not counted; without it any number."""
    settings: tuple[str, ...] = ()
    """The settings that it has beside those of every method on sequences and those of reading, by their names under
    Settings: they may then stand in a run's path, and tuning searches for those that have a range."""
    defaults: dict[str, Any] = {}
    """Values of settings where they differ from sanrec's. A `user_encoder` given here is the method's own and fixed;
    `missing: masked` has it told which items lack a medium, where it else sees zeros."""
    options: dict[str, Any] = {}
    """Further arguments by name that the code is called with."""


class OwnUserEncoder(Frozen):
    """A user encoder of one's own: a value of the setting `user_encoder`, by its name."""

    code: str = Field(pattern=Code)
    """`my_encoders.py:MyEncoder` or `my_package.users:MyEncoder`, as of a method; called with the run's settings, it
    gives a torch module (docs: own/user-encoder)."""
    options: dict[str, Any] = {}
    """Further arguments by name that the code is called with."""
