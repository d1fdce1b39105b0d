"""Readers of the layouts in which corpora and data sets are published: MicroLens, IISAN's Amazon sets, and `inter`.

    MicroLens   pairs `user<TAB>item item ...`, titles csv `item,title`, folders of covers, videos and sounds
    Amazon      pairs `user<TAB>asin asin ...`, items tsv `asin<TAB>title`, a folder of images
    inter       a table of interactions (`data.inter`), items tsv `item<TAB>title` or none

Media are named by item id. Ids stay text, exactly as they stand in the files. All files here come from users: whatever
is wrong with one is a DataError that says in which file and line, and what to do.
"""

import csv
import io
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import scandir
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sanrec.errors import DataError

# Where an item has files of several kinds, the kind named first here is taken.
SUFFIXES = {
    "cover": (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    "video": (".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".flv"),
    "audio": (".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus"),
}
HEADER_IDS = {"item", "itemid", "id", "video", "videoid"}  # first column's name, where a titles csv has a header
LONGEST_FIELD = 2**31 - 1  # what a C long holds everywhere
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
QUOTED = re.compile(r'"(?:[^"]|"")*"')  # a whole csv field in quotes, those inside it doubled

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pairs:
    """Users and what each took, oldest first; user i stands in line i + 1 of the file.

    users: string array [U]; names: string array of the distinct items [N]; items: int32 positions in `names`, all
    users' sequences one after the other; offsets: int64 [U + 1], user i has items[offsets[i]:offsets[i + 1]].
    """

    users: pa.Array
    names: pa.Array
    items: np.ndarray
    offsets: np.ndarray


def read_titles(path: str | Path, layout: str, key: str = "titles") -> dict[str, str]:
    """Item ids and their titles, in the order of the file; "" where an item has none.

    `layout` is a name in LAYOUTS, `key` the config key that names the file, for the error message. Entities such as
    `&amp;` stay as they stand, as in the published code. Bytes of a title that are not UTF-8 become the replacement
    character, with a warning. Raises DataError for a file that is missing, empty or in another encoding altogether, for
    a malformed line, and for an item id that is empty, holds white space or such bytes, or was there before.
    """
    path = Path(path)
    text = _read_text(path, "one line per item, with its id and title", key, lenient=True)
    titles: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, item, title in LAYOUTS[layout](path, text):
        item = item.strip()
        if not item or len(item.split()) > 1:
            _fail(path, number, f"{item!r} is no item id: an id is neither empty nor holds white space")
        if REPLACEMENT in item:
            _fail(path, number, f"item id '{item}' holds bytes that are not UTF-8; save the file as UTF-8")
        if item in titles:
            _fail(path, number, f"item '{item}' was there before, in line {lines[item]}; keep one of the two lines")
        titles[item] = title.strip()
        lines[item] = number
    if not titles:
        raise DataError(f"{path}: holds no items; expected one line per item, with its id and title")
    return titles


def _csv_lines(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, id and title of each item of a titles csv, which comes in two kinds.

    With the header `item,title` it is true csv. Without one (the published MicroLens-100k_title_en.csv) a line is cut
    at its first comma, as the published code does, since titles with commas may stand there without quotes.
    """
    if not text.strip():
        return
    with _fields_up_to(len(text)):
        yield from _csv_fields(path, text)


@contextmanager
def _fields_up_to(length: int) -> Iterator[None]:
    """Have csv readers take fields of so many characters; by themselves they refuse those above 131,072."""
    before = csv.field_size_limit()
    csv.field_size_limit(max(before, min(length, LONGEST_FIELD)))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _csv_fields(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    first = next(csv.reader([text.split("\n", 1)[0].strip()]), [])
    names = [name.strip().lower().replace("_", "") for name in first]
    if len(names) >= 2 and names[0] in HEADER_IDS and names[1] == "title":
        if len(names) > 2:
            _fail(path, 1, f"expected the columns item,title and no more, not {','.join(first)}")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        next(reader)
        number = reader.line_num + 1
        try:
            for row in reader:
                if row:
                    if len(row) < 2:
                        _fail(path, number, f"expected item,title, found {_show(row[0])}")
                    yield number, row[0], ",".join(row[1:])
                number = reader.line_num + 1
        except csv.Error as error:
            _fail(path, number, f"{error}; a title with quotes stands in quotes, and those inside it are doubled")
        return
    for number, line in _lines(text):
        item, comma, title = line.partition(",")
        if not comma:
            _fail(path, number, f"expected item,title, found {_show(line)}")
        title = title.strip()
        yield number, item, title[1:-1].replace('""', '"') if QUOTED.fullmatch(title) else title


def _tsv_lines(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, id and title of each item of an items tsv; quotes are a part of the title."""
    for number, line in _lines(text):
        parts = line.split("\t")
        if len(parts) != 2:
            _fail(path, number, f"expected item<TAB>title, found {len(parts) - 1} tabs in {_show(line)}")
        yield number, parts[0], parts[1]


LAYOUTS: dict[str, Callable[[Path, str], Iterator[tuple[int, str, str]]]] = {
    "microlens": _csv_lines,
    "amazon": _tsv_lines,
    "inter": _tsv_lines,
}


def read_pairs(path: str | Path, key: str = "pairs") -> Pairs:
    """The interactions of a pairs file, a line per user: `user<TAB>item item ...`, oldest first.

    Line ends may be those of Unix or Windows. Raises DataError for a file that is missing, empty or not UTF-8, and,
    with the line's number, for a line of another form and for a user who has a line already.
    """
    path = Path(path)
    text = _read_text(path, "one line per user, user<TAB>item item ..., oldest first", key).rstrip()
    if not text:
        raise DataError(f"{path}: holds no users; expected one line per user, user<TAB>item item ..., oldest first")
    # 64-bit offsets: the file may be larger than the 2 GiB that arrow's plain strings can hold
    lines = pa.array(text.split("\n"), type=pa.large_string())
    tabs = pc.count_substring(lines, "\t").to_numpy(zero_copy_only=False)
    _check_pairs(path, lines, tabs == 1)
    parts = pc.split_pattern(lines, "\t").flatten()
    users = pc.utf8_trim_whitespace(parts.take(pa.array(np.arange(0, len(parts), 2))))
    sequences = pc.ascii_trim_whitespace(parts.take(pa.array(np.arange(1, len(parts), 2))))
    empty = pc.or_(pc.equal(users, ""), pc.equal(sequences, ""))
    _check_pairs(path, lines, ~empty.to_numpy(zero_copy_only=False))
    # codes count up in order of first appearance, so the first that is not its own position is the first repetition
    codes = users.dictionary_encode().indices.to_numpy()
    repeated = np.flatnonzero(codes != np.arange(len(codes)))
    if len(repeated):
        line = int(repeated[0])
        user = users[line].as_py()
        _fail(path, line + 1, f"user '{user}' has line {codes[line] + 1} already; put all items of a user in one line")
    split = pc.ascii_split_whitespace(sequences)
    encoded = split.flatten().dictionary_encode()
    return Pairs(users, encoded.dictionary, encoded.indices.to_numpy(), split.offsets.to_numpy().astype(np.int64))


def _check_pairs(path: Path, lines: pa.Array, good: np.ndarray) -> None:
    """Raise DataError for the first line that is not good."""
    if not good.all():
        line = int(np.argmin(good))
        _fail(path, line + 1, f"expected user<TAB>item item ..., found {_show(lines[line].as_py())}")


def find_media(folder: str | Path, kind: str) -> dict[str, str]:
    """File names in `folder` by item id, for `kind` cover, video or audio; empty where there is no such folder.

    The folder is listed once and ids are looked up in the listing. A path is never built from an id, so that an id
    such as `../x` finds no file rather than one outside. Suffixes count in either case.
    """
    order = {suffix: rank for rank, suffix in enumerate(SUFFIXES[kind])}
    found: dict[str, tuple[int, str]] = {}
    if not Path(folder).is_dir():
        return {}
    with scandir(folder) as entries:
        for entry in entries:
            stem, dot, suffix = entry.name.rpartition(".")
            rank = order.get(dot + suffix.lower())
            if stem and rank is not None and entry.is_file() and (rank, entry.name) < found.get(stem, (len(order), "")):
                found[stem] = (rank, entry.name)
    return {item: name for item, (_, name) in found.items()}


def _read_text(path: Path, holds: str, key: str, lenient: bool = False) -> str:
    """The text of a user's file, a byte order mark taken off; `lenient` about single bytes that are not UTF-8."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(
            f"{path}: no such file. It should hold {holds}: put it there, or name another file by config key '{key}'"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); config key '{key}' names it") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        if lenient and b"\0" not in data:  # else it is UTF-16 or no text
            text = data.decode("utf-8-sig", "replace")
            found = sum(REPLACEMENT in one for one in text.split("\n"))
            log.warning(
                "%s: %d lines are not UTF-8, the first is line %d: these bytes become %s",
                path,
                found,
                line,
                REPLACEMENT,
            )
            return text
        _fail(path, line, f"byte {error.start} (0x{data[error.start]:02x}) is not UTF-8; save the file as UTF-8")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that hold something, with their number. Only a line feed ends one: titles may hold other line ends."""
    return ((number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _show(line: str) -> str:
    """A line for an error message: tabs and the like made visible, cut where long."""
    return repr(line if len(line) <= 60 else f"{line[:57]}...")


def _fail(path: Path, line: int, what: str) -> NoReturn:
    """Raise a DataError about a line of a file."""
    raise DataError(f"{path}, line {line}: {what}")
