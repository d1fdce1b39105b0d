"""Unpack downloaded zip and tar archives without letting them write anywhere but into their folder.

Names that lead out of the folder, links and devices are refused, and so is more than a share of the free disk, or more
members than anybody means: all are looked at before the first is written, and no further than to the first that is
refused.
"""

import errno
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

from tqdm import tqdm

from sanrec.errors import DataError
from sanrec.files import atomic
from sanrec.progress import bar

FREE_SHARE = 0.9  # of the free disk, what an archive may take at most
MOST_MEMBERS = 2_000_000  # files and folders in an archive: each costs memory, and next to nothing in the archive
PIECE = 1 << 20  # bytes copied at a time
FULL = (errno.ENOSPC, errno.EDQUOT)
# what the readers raise: plain OSError for broken gz and bz2, RuntimeError where a password is needed
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError)

T = TypeVar("T")


@dataclass(frozen=True)
class Member:
    """A regular file in an archive: its checked path below the folder, its size in bytes, and how to open it."""

    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path, limit: int | None = None) -> int:
    """Unpack a zip or tar archive (also gz, bz2, xz) into `folder`; the number of files in it.

    `limit`: most bytes to write, FREE_SHARE of the free disk where None. A file that is there in full size already is
    left, so a killed unpacking goes on where it was. Raises DataError for an archive that is broken or of another
    kind, for member names that lead elsewhere, links and devices, for one that is too large or has too many members,
    and where a file of another size is in the way; of such an archive nothing is written, a broken one may show late.
    Raises OSError where the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    limit = int(FREE_SHARE * shutil.disk_usage(folder).free) if limit is None else limit
    try:
        with _members(archive) as members:
            files, total, wanted = 0, 0, []
            for member in members:
                files += 1
                if _is_there(folder / member.path, member.size, archive):
                    continue
                wanted.append(member)
                total += member.size
                if total > limit:
                    raise DataError(
                        f"{archive}: unpacks to {total:,} bytes by '{member.path}' already, more than the {limit:,} "
                        f"that may be written in {folder}. Make room on the disk, or unpack it by hand elsewhere and "
                        "name that folder in config"
                    )
            with bar(total=total, unit="B", unit_scale=True, desc=f"unpack {archive.name}") as progress:
                for member in wanted:
                    _write(member, folder / member.path, archive, progress)
            return files
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        why = str(error).split(":", 1)[0] or type(error).__name__  # tarfile goes on to list each format's complaint
        raise DataError(
            f"{archive}: cannot be unpacked ({why}). If it is damaged, delete it to have it fetched again; if it is no "
            "zip or tar archive, take `unpack: true` from its download"
        ) from None


def _is_there(path: Path, size: int, archive: Path) -> bool:
    """Whether a member was written before. Raises DataError where something else has its place."""
    if not path.exists():
        return False
    if not path.is_file() or path.stat().st_size != size:
        raise DataError(f"{path}: is there already, but not as {archive} has it; move it away, or the archive")
    return True


def _write(member: Member, path: Path, archive: Path, progress: tqdm) -> None:
    """Write a member, whole or not at all, and never more than the size it was counted with."""
    left = member.size
    with member.open() as source, atomic(path) as temporary, temporary.open("wb") as target:
        while piece := source.read(min(PIECE, left + 1)):
            left -= len(piece)
            if left < 0:
                break
            target.write(piece)
            progress.update(len(piece))
        if left:
            raise DataError(f"{archive}: '{member.path}' is not of the size that the archive states; it is damaged")


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[Member]]:
    """The regular files of an archive, found one by one, every name and kind in it checked."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield _in_zip(archive, file)
    else:
        with tarfile.open(archive) as file:
            yield _in_tar(archive, file)


def _in_zip(archive: Path, file: zipfile.ZipFile) -> Iterator[Member]:
    for info in _counted(archive, file.infolist()):
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive was not made on Unix
        path = _check(archive, info.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR))
        if not info.is_dir():
            yield Member(path, info.file_size, lambda info=info: file.open(info))


def _in_tar(archive: Path, file: tarfile.TarFile) -> Iterator[Member]:
    for info in _counted(archive, file):  # `getmembers` would decompress all of it first
        path = _check(archive, info.name, info.isreg() or info.isdir())
        if info.isreg():
            yield Member(path, info.size, lambda info=info: file.extractfile(info))


def _counted(archive: Path, members: Iterable[T]) -> Iterator[T]:
    """All members of an archive. Raises DataError where they are too many."""
    for number, member in enumerate(members, start=1):
        if number > MOST_MEMBERS:
            raise DataError(
                f"{archive}: holds more than {MOST_MEMBERS:,} files and folders. If you trust it, unpack it by hand "
                "beside itself and take `unpack: true` from its download"
            )
        yield member


def _check(archive: Path, name: str, plain: bool) -> PurePosixPath:
    """A member's path. Raises DataError where it leads out of the folder or is no plain file or folder."""
    path = PurePosixPath(name)
    why = ""
    if not plain:
        why = "is a link or a device"
    elif path.is_absolute() or ".." in path.parts or "\\" in name or re.match("[A-Za-z]:", name):
        why = "leads out of the folder"
    elif not name.isprintable():
        why = "has unprintable characters"
    if why:
        raise DataError(
            f"{archive}: member {name!r} {why}, so nothing of the archive is unpacked. If you trust it, unpack it by "
            "hand beside itself and take `unpack: true` from its download"
        )
    return path
