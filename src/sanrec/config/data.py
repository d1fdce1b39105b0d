"""Records of what is recommended and to whom: corpora and data sets."""

from typing import Any, Literal

from pydantic import (
    Field,
    field_validator,
    model_validator,
)
from pydantic import PositiveInt as Count

from sanrec.config.base import Frozen, Label, Medium


class Download(Frozen):
    """A file to fetch from the first of its URLs that answers."""

    file: str
    """Path below the corpus' folder at which it is stored."""
    urls: tuple[str, ...] = ()
    """Where to fetch it: the address and its mirrors, tried in order."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Checksum; a file that differs is refused."""
    unpack: bool = False
    """Whether it is a zip or tar archive to be unpacked beside itself."""


class Corpus(Frozen):
    """Items with their media."""

    title: str
    """Name as printed."""
    layout: Literal["microlens", "amazon", "inter"]
    """How its files are laid out (docs: data-own)."""
    source: Literal["demo", "files"] = "files"
    """`demo`: made by sanrec's generator; `files`: found below `folder`, or downloaded into it."""
    folder: str
    """Folder of the raw files; a relative path starts at the working folder."""
    titles: str | None = None
    """The titles file, below `folder`. Layout `inter` may do without: then `item_count` says which items there are."""
    item_count: Count | None = None
    """With layout `inter` and no titles: how many items; their ids are 0, 1, ..., the rows of the feature files."""
    covers: str | None = None
    """Folder of cover images, below `folder`; files are named by item id."""
    videos: str | None = None
    """Folder of videos, below `folder`."""
    audios: str | None = None
    """Folder of sound files, below `folder`; where there is none, the sound comes from the video."""
    downloads: tuple[Download, ...] = ()
    """What the download rule fetches into `folder`."""
    world: dict[str, int | float] = {}
    """With source `demo`: numbers of the generated world that differ from its own (docs: demo)."""
    missing_limit: float = Field(0.05, ge=0, le=1)
    """Largest share of items whose medium may be missing or broken before extraction is an error."""
    seconds_per_item: float = Field(60, gt=0)
    """Longest time to decode one cover, video or sound: what takes longer counts as missing."""
    captioners: dict[Medium, str] = {}
    """The captioner of covers and that of videos, where they are not the usual ones: those of IISAN-Versa, and in a
    demo's corpus the demo's."""

    @model_validator(mode="after")
    def _its_items_are_listed_once(self) -> "Corpus":
        if self.titles is None and (self.layout != "inter" or self.item_count is None):
            raise ValueError("needs 'titles', the file that lists its items; with layout inter, 'item_count' will do")
        if self.titles is not None and self.item_count is not None:
            raise ValueError("its items are listed by 'titles', so leave out 'item_count'")
        return self


class Columns(Frozen):
    """The names of an interaction table's columns (layout `inter`)."""

    user: str = "userID"
    """Users' ids."""
    item: str = "itemID"
    """Items' ids."""
    label: str = "x_label"
    """Which split an interaction belongs to; read where the data set's split is given."""


class Labels(Frozen):
    """What the label column holds for each split, as it stands in the file."""

    train: Label = "0"
    """Interactions that train."""
    validation: Label = "1"
    """Interactions that early stopping and tuning watch."""
    test: Label = "2"
    """Interactions that are scored once, at the end."""

    @field_validator("*", mode="before")
    @classmethod
    def _labels_are_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _labels_differ(self) -> "Labels":
        if len({self.train, self.validation, self.test}) < 3:
            raise ValueError("train, validation and test need three different labels")
        return self


class Dataset(Frozen):
    """Interactions over a corpus, with the backbones and default settings that go with them."""

    title: str
    """Name as printed in tables."""
    corpus: str
    """The corpus its items are from."""
    pairs: str
    """The interactions file, below the corpus' folder: `user<TAB>item item ...`, oldest first; with layout `inter` a
    table with a header, one interaction a line, columns parted by tabs."""
    split: Literal["leave-one-out", "given"] = "leave-one-out"
    """`leave-one-out`: each user's last item tests, the one before validates; `given`: by the table's label column,
    with any number of targets per user, for methods that read no order."""
    columns: Columns = Columns()
    """With layout `inter`: the names of the table's columns."""
    labels: Labels = Labels()
    """With a given split: what the labels mean."""
    min_interactions: int = Field(5, ge=3)
    """Users with fewer are dropped; a given split is taken whole."""
    keep_last: int = Field(13, ge=3)
    """Each user's last so many interactions are kept; a given split is taken whole."""
    watched_metric: str | None = Field(None, pattern=r"^(HR|NDCG|MRR|Recall)@(5|10|20)$")
    """The validation metric that early stopping and tuning go by: HR@10 unless given, Recall@20 with a given split."""
    backbones: dict[str, str]
    """The backbone of each channel, for inputs that name none."""
    settings: dict[str, dict[str, Any]] = {}
    """Default settings that differ from the method's: under `all`, or under one method's name."""

    @property
    def watched(self) -> str:
        """The validation metric that early stopping and tuning go by."""
        return self.watched_metric or {"leave-one-out": "HR@10", "given": "Recall@20"}[self.split]
