"""Records of what is recommended and to whom: corpora and data sets."""

from typing import Annotated, Any, Literal

from pydantic import (
    ByteSize,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic import PositiveInt as Count

from sanrec.config.base import Frozen, Label, Medium, Moment


class Download(Frozen):
    """A file to fetch from the first of its URLs that answers."""

    file: str
    """Path below the corpus' folder at which it is stored."""
    urls: tuple[str, ...] = ()
    """Where to fetch it: the address and its mirrors, tried in order."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Checksum; a file that differs is refused."""
    bytes: Annotated[ByteSize, Field(gt=0), WithJsonSchema({"type": ["string", "integer"]})] | None = None
    """Its size, as 1.5GB: what `sanrec plan` says of it before it is there. Nothing is checked by it."""
    unpack: bool = False
    """Whether it is a zip or tar archive to be unpacked beside itself."""


class Corpus(Frozen):
    """Items with their media."""

    title: str
    """Name as printed."""
    layout: Literal["microlens", "amazon", "inter"]
    """How its files are laid out (docs: own/data)."""
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
    time: str | None = None
    """When it was: numbers, or dates as 2024-05-31 or 2024-05-31T18:00:00. With split time `timestamp` unless given;
    with leave-one-out, where it is given, users' interactions are put in its order, else they stand in the file's."""


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


class Periods(Frozen):
    """Where a split by time cuts: the same moments for all users (docs: own/data)."""

    validation_share: float = Field(0.1, gt=0, lt=1)
    """Share of the table's interactions, the last before those that test, that validate."""
    test_share: float = Field(0.1, gt=0, lt=1)
    """Share of the table's interactions, the last of all, that test."""
    validation_from: Moment | None = None
    """In place of shares: the moment from which interactions validate, in the table's own units."""
    test_from: Moment | None = None
    """In place of shares: the moment from which interactions test."""
    targets: Literal["last", "first", "all"] = "last"
    """What is ranked of a user's interactions in a period: the last one, with all before it as history; the first one;
    or each of them, from the history before the period."""

    @model_validator(mode="after")
    def _moments_or_shares(self) -> "Periods":
        if (self.validation_from is None) != (self.test_from is None):
            raise ValueError("moments come in twos: give 'validation_from' and 'test_from', or neither")
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share leave nothing to train on: together they are below 1")
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
    split: Literal["leave-one-out", "given", "time"] = "leave-one-out"
    """`leave-one-out`: each user's last item tests, the one before validates; `given`: by the table's label column,
    with any number of targets per user, for methods that read no order; `time`: what was before a moment trains, the
    same moment for all users, and what came later validates and tests."""
    columns: Columns = Columns()
    """With layout `inter`: the names of the table's columns."""
    labels: Labels = Labels()
    """With a given split: what the labels mean."""
    periods: Periods = Periods()
    """With a split by time: where it cuts."""
    min_interactions: int = Field(5, ge=1)
    """Users with fewer are dropped, with a split by time those with fewer that train; at least 3 with leave-one-out. A
    given split is taken whole."""
    keep_last: int = Field(13, ge=3)
    """Each user's last so many interactions are kept, with a split by time of those that train; a given split is taken
    whole."""
    watched_metric: str | None = Field(None, pattern=r"^(HR|NDCG|MRR|Recall)@(5|10|20)$")
    """The validation metric that early stopping and tuning go by: HR@10 unless given; Recall@20 where users have
    several targets, with a given split or with all targets of a period."""
    backbones: dict[str, str]
    """The backbone of each channel, for inputs that name none."""
    settings: dict[str, dict[str, Any]] = {}
    """Default settings that differ from the method's: under `all`, or under one method's name. A data set that is not
    built in has `recipe: modern` under `all`, unless it says `recipe: papers`."""

    @property
    def watched(self) -> str:
        """The validation metric that early stopping and tuning go by."""
        several = self.split == "given" or (self.split == "time" and self.periods.targets == "all")
        return self.watched_metric or ("Recall@20" if several else "HR@10")

    @model_validator(mode="after")
    def _leave_one_out_needs_three(self) -> "Dataset":
        if self.split == "leave-one-out" and self.min_interactions < 3:
            raise ValueError("min_interactions is 3 at least with leave-one-out: one trains, one validates, one tests")
        return self
