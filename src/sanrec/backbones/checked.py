"""Reading a finished store's files: each is held against its checksum when a program reads it for the first time.

The bytes are those that are read anyway, so that none is read twice; files that nobody asks for are left alone.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

_sound: set[tuple[str, str, int]] = set()
"""Files that were as they should be: path, checksum, and when the file was last changed."""


def digest(data: Buffer) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    return hashlib.sha256(data.as_numpy_array()).hexdigest()


class CheckedStore(LocalStore):
    """A folder of files of known checksums, for reading; `damaged` makes the error for a file that is another."""

    def __init__(self, root: str | Path, digests: Mapping[str, str], damaged: Callable[[str], Exception]) -> None:
        super().__init__(root, read_only=True)
        self.digests, self.damaged = digests, damaged

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The bytes of a file, or None where there is none. Raises what `damaged` makes."""
        value = await super().get(key, prototype, byte_range)
        if (expected := self.digests.get(key)) is None:
            return value
        whole = value if byte_range is None else await super().get(key, prototype)
        if whole is None or not await asyncio.to_thread(self._is_sound, key, whole, expected):
            raise self.damaged(key)
        return value

    def _is_sound(self, key: str, data: Buffer, expected: str) -> bool:
        file = self.root / key
        seen = (str(file.absolute()), expected, file.stat().st_mtime_ns)
        if seen not in _sound and digest(data) != expected:
            return False
        _sound.add(seen)
        return True
