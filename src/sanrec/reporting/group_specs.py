"""How tables group test targets and users: by popularity, and by length of history.

Light: the Snakefile reads this, so nothing heavy is imported here.
"""

from pydantic import Field, model_validator

from sanrec.config import Frozen


class Span(Frozen):
    """Whole numbers from a least to a most."""

    least: int = Field(0, ge=0)
    """The least."""
    most: int | None = Field(None, ge=0)
    """The most; without it any number."""

    @model_validator(mode="after")
    def _in_order(self) -> "Span":
        if self.most is not None and self.most < self.least:
            raise ValueError(f"a group from {self.least} to {self.most} occurrences holds nothing")
        return self

    @property
    def text(self) -> str:
        """The bounds: `1-4`, `5+`, `3`; nothing where there is none."""
        if self.most is None:
            return f"{self.least}+" if self.least else ""
        return f"{self.least}" if self.least == self.most else f"{self.least}-{self.most}"


class Group(Span):
    """Test targets by how often their item occurs in the training part of the interactions."""

    @property
    def label(self) -> str:
        """Its name in a column, from the bounds: `unseen`, `seen 1-4`, `seen 5+`, `all`."""
        if self.most == 0:
            return "unseen"
        return f"seen {self.text}" if self.text else "all"


class Length(Span):
    """Users by how many items they took before the test target."""

    @property
    def label(self) -> str:
        """Its name in a column, from the bounds: `history 1-5`, `history 9+`, `any history`."""
        return f"history {self.text}" if self.text else "any history"


class Parts(Frozen):
    """Items by popularity, as shares of the training interactions; what never occurs is cold."""

    head: float = Field(gt=0, lt=1)
    """What the most popular items, the head, make up."""
    tail: float = Field(gt=0, lt=1)
    """What the least popular items, the tail, make up; between both is mid."""

    @model_validator(mode="after")
    def _leaves_something(self) -> "Parts":
        if self.head + self.tail > 1:
            raise ValueError(f"head and tail, {self.head:g} and {self.tail:g}, add up to more than 1")
        return self
