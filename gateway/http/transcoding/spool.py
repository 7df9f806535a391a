"""Forms whose files wait on disk, all in one file: a file for each would use up the process's descriptors."""

import io
import tempfile
from collections.abc import AsyncGenerator
from typing import Any

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartParser

_IN_MEMORY = 64 * 1024
"""Bytes of a form's files that are kept in memory, in all."""


class _Slice(io.RawIOBase):
    """One file of a form: a part of the common file. Files are written one after the other, then read."""

    def __init__(self, common: "_Common") -> None:
        self._common = common
        self._start = 0
        self._length = 0
        self._position = 0

    def write(self, data: Any) -> int:
        if not self._length:  # not before: a part may begin while the end of the one before waits to be written
            self._start = self._common.end
        size = self._common.append(bytes(data))
        self._length += size
        return size

    def read(self, size: int = -1) -> bytes:
        left = self._length - self._position
        size = left if size < 0 else min(size, left)
        data = self._common.read(self._start + self._position, size)
        self._position += size
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = base + offset
        return self._position

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._common.release()
        super().close()


class _Common:
    """The file that all files of one form are in; it is there as long as one of them is open."""

    def __init__(self) -> None:
        self._users = 0
        self.end = 0

    def slice(self) -> _Slice:
        if not self._users:
            self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed with the last slice
        self._users += 1
        return _Slice(self)

    def append(self, data: bytes) -> int:
        self._file.seek(self.end)
        self._file.write(data)
        self.end += len(data)
        return len(data)

    def read(self, start: int, size: int) -> bytes:
        self._file.seek(start)
        return self._file.read(size)

    def release(self) -> None:
        self._users -= 1
        if not self._users:
            self._file.close()


class SpoolingParser(MultiPartParser):
    """Keeps a form's files on disk, as images that are meant to be stored may wait there, with one descriptor.

    The files share a position, so one must be read after the other.
    """

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None], **bounds: Any) -> None:
        super().__init__(headers, stream, **bounds)
        self._common = _Common()

    def on_headers_finished(self) -> None:
        """Gives the part that begins a place in the common file."""
        super().on_headers_finished()
        made = self._current_part.file
        if made is None:
            return
        made.file.close()
        part_file: Any = self._common.slice()
        self._files_to_close_on_error[-1] = part_file
        self._current_part.file = UploadFile(part_file, size=0, filename=made.filename, headers=made.headers)
