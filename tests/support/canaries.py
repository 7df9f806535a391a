"""Marks that are put into requests and answers, and looked for wherever they may not be."""

from __future__ import annotations

import base64
import io
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

from PIL import Image, PngImagePlugin

from tests.support.pictures import photograph

_DESCRIPTION, _USER_COMMENT = 0x010E, 0x9286
_POLL_S = 0.005
_MARK = "Q7Canary"
"""How all of them begin, so that most files need one look."""


def canary(kind: str) -> str:
    """A text that is nowhere else, and says what it was put into."""
    return f"{_MARK}{kind}Zk4w"


def forms(text: str) -> dict[str, bytes]:
    """What a canary looks like in bytes: as text, in UTF-16, and in base64 from each of the three places of a group."""
    plain = text.encode()
    found = {"text": plain, "UTF-16": text.encode("utf-16-le")}
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + plain)
        # Without the characters that hold bits of the neighbours.
        found[f"base64 at {shift}"] = coded[-(-shift * 4 // 3) : len(plain) * 4 // 3 - 4]
    return found


def found_in(data: bytes, canaries: Iterable[str]) -> set[str]:
    """The canaries that some bytes hold, each with its form."""
    if not any(form in data for form in _MARKS):
        return set()
    return {f"{text} as {name}" for text in canaries for name, form in forms(text).items() if form in data}


_MARKS = tuple(forms(_MARK).values())


def marked_pictures(canaries: Mapping[str, str]) -> dict[str, bytes]:
    """Pictures whose metadata hold the canaries `exif`, `xmp`, `png` and `iptc`, by the kind of file."""
    picture = Image.open(io.BytesIO(photograph(3, (640, 480))))
    exif = Image.Exif()
    exif[_DESCRIPTION] = canaries["exif"]
    exif.get_ifd(0x8769)[_USER_COMMENT] = b"ASCII\0\0\0" + canaries["exif"].encode()
    xmp = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><dc:title>{canaries['xmp']}</dc:title></x:xmpmeta>".encode()
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", canaries["png"])
    texts.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=True)

    def saved(file_format: str, **options: object) -> bytes:
        buffer = io.BytesIO()
        picture.save(buffer, file_format, **options)  # type: ignore[arg-type]
        return buffer.getvalue()

    jpeg = saved("JPEG", exif=exif.tobytes(), xmp=xmp, comment=canaries["exif"])
    return {
        "JPEG": jpeg[:2] + _iptc(canaries["iptc"]) + jpeg[2:],
        "PNG": saved("PNG", exif=exif.tobytes(), pnginfo=texts),
        "WebP": saved("WEBP", exif=exif.tobytes(), xmp=xmp),
    }


def _iptc(text: str) -> bytes:
    """An APP13 segment of a JPEG with an IPTC caption, as Photoshop writes it."""
    record = b"\x1c\x02\x78" + len(text).to_bytes(2, "big") + text.encode()
    block = b"8BIM\x04\x04\0\0" + len(record).to_bytes(4, "big") + record + b"\0" * (len(record) % 2)
    segment = b"Photoshop 3.0\0" + block
    return b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment


class FilesSeen(threading.Thread):
    """Reads, again and again, the files that processes have open and those of some folders, and remembers canaries.

    Temporary files may be there for a moment only, and have no name.

    Args:
        processes: Ids of processes, whose children are looked at too.
        folders: Looked through with all that is in them.
        canaries: What is looked for.
    """

    def __init__(self, processes: Iterable[int], folders: Iterable[Path], canaries: Iterable[str]) -> None:
        super().__init__(daemon=True)
        self._processes, self._folders, self._canaries = list(processes), list(folders), list(canaries)
        self._over = threading.Event()
        self._read: dict[str, tuple[int, int, int]] = {}
        self.found: dict[str, set[str]] = {}
        self.rounds = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self.join()
        self.look()

    def run(self) -> None:
        while not self._over.wait(_POLL_S):
            self.look()

    def look(self) -> None:
        """Looks once."""
        self.rounds += 1
        for path in (*self._open_files(), *self._named_files()):
            try:
                name = os.readlink(path) if path.is_symlink() else str(path)
                state = path.stat()
                version = (state.st_ino, state.st_size, state.st_mtime_ns)
                if self._read.get(name) == version:
                    continue
                self._read[name] = version
                found = found_in(path.read_bytes(), self._canaries)
            except OSError:
                continue  # gone meanwhile
            if found:
                self.found.setdefault(name, set()).update(found)

    def _open_files(self) -> Iterator[Path]:
        for process in with_children(self._processes):
            try:
                descriptors = list(Path(f"/proc/{process}/fd").iterdir())
            except OSError:
                continue
            for descriptor in descriptors:
                try:
                    target = os.readlink(descriptor)
                except OSError:
                    continue
                # A memfd is memory, as /dev/shm would be, and both can be left behind in a dump.
                if target.startswith(("/tmp", "/var/tmp", "/dev/shm", "/memfd:")) or target.endswith("(deleted)"):  # noqa: S108
                    yield descriptor

    def _named_files(self) -> Iterator[Path]:
        for folder in self._folders:
            yield from (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def with_children(processes: Iterable[int]) -> list[int]:
    """Process ids and those of all their descendants."""
    found: list[int] = []
    waiting = list(processes)
    while waiting:
        process = waiting.pop()
        found.append(process)
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                waiting += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found
