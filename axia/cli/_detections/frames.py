"""Frames of a folder, a video file or a camera."""

import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from axia.cli._images.paths import pictures_in

WHAT_TO_GIVE = "give a video file, a folder with images, or a camera's number or address (rtsp:// or http://)"
"""What ends a message about a source."""

_POLL_S = 0.2
_TIMEOUT_MS = 10_000
_ADDRESSES = ("rtsp://", "rtsps://", "rtmp://", "http://", "https://")
"""How addresses of cameras begin. They are the user's own; servers never fetch any."""
_SECRETS = re.compile(r"^(\w+://)(?:[^/?@]*:(?!\d+(?:[/?]|$))\S*@|[^/?]*@)?([^?]*)(\?)?.*$", re.DOTALL)
"""User and password, which may have @ and / in it, and what is behind a question mark, where cameras take them too."""


class Source(NamedTuple):
    """Where frames come from."""

    frames: "Iterator[Path | bytes]"
    live: bool
    """Whether frames come at their own pace."""
    seconds: Sequence[float] = ()
    """Of a video file: where in it each frame is that was read, from its beginning."""


class SourceError(Exception):
    """Frames can't be read; the message says what to do."""


class NoSource(SourceError):
    """There is nothing of that name."""


class Pace:
    """Lets frames out at a rate, or each when the one before was answered."""

    def __init__(self, fps: float, *, wait: bool, over: threading.Event) -> None:
        self._period = 1 / fps
        self._wait = wait
        self._answered = threading.Semaphore(1)
        self._over = over

    def answered(self) -> None:
        """A frame has its answer."""
        self._answered.release()

    def close(self) -> None:
        """Nobody wants frames any more."""
        self._over.set()

    def apply(self, frames: "Iterator[Path | bytes]") -> "Iterator[Path | bytes]":
        """The frames, one after the other in time."""
        due = time.monotonic()
        for frame in frames:
            if self._wait:
                while not self._answered.acquire(timeout=_POLL_S):
                    if self._over.is_set():
                        return
            else:
                due = max(due + self._period, time.monotonic())
                if self._over.wait(max(0.0, due - time.monotonic())):
                    return
            if self._over.is_set():
                return
            yield frame


def open_source(name: str, fps: float, *, once: bool, over: threading.Event) -> Source:
    """The frames of a folder in name order and then as they come, of a video file at `fps` frames of its own time, of
    a camera's number, or of a camera's address.

    Args:
        name: What to watch.
        fps: Frames a second.
        once: Of a folder, the images that are there now.
        over: Is set when nobody wants frames any more.

    Raises:
        NoSource: If there is nothing of that name.
        SourceError: If it can't be opened.
    """
    path = Path(name)
    if path.is_dir():
        if once and not pictures_in(path):
            raise SourceError(f"{name}: there is no JPEG, PNG or WebP image in this folder: give a folder with images")
        return Source(iter(pictures_in(path)) if once else _coming(path, over), live=False)
    camera = path.is_char_device() or (name.isdecimal() and not path.exists())
    address = name.lower().startswith(_ADDRESSES)
    if not camera and not address and not path.exists():
        raise NoSource(f"there is nothing at {name}: {WHAT_TO_GIVE}")
    # What OpenCV and FFmpeg say of a file that they can't read is ours to say.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError:
        raise SourceError("video files and cameras need OpenCV: pip install opencv-python-headless") from None
    if address:
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS]
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, timeouts)
    else:
        capture = cv2.VideoCapture(int(name) if name.isdecimal() and camera else name)
    if not capture.isOpened():
        if address:
            raise SourceError(
                f"nothing can be read from {without_password(name)}: check that the camera works, for example with a "
                "video player, and check path, user and password"
            )
        what = f"there is no camera {name}" if camera else f"{name} is not a video that OpenCV can read"
        raise SourceError(f"{what}: {WHAT_TO_GIVE}")
    if camera or address:
        return Source(_captured(cv2, capture), live=True)
    seconds: list[float] = []
    return Source(_sampled(cv2, capture, fps, seconds), live=False, seconds=seconds)


def without_password(address: str) -> str:
    """An address as it may be shown."""
    return _SECRETS.sub(lambda found: f"{found[1]}{found[2]}{'?…' if found[3] else ''}", address)


def _coming(folder: Path, over: threading.Event) -> Iterator[Path]:
    """The images of a folder, and those that come or change, once they have stopped growing."""
    given: dict[Path, tuple[int, int]] = {}
    growing: dict[Path, tuple[int, int]] = {}
    first = True
    while not over.is_set():
        found = {}
        for picture in pictures_in(folder):
            with suppress(FileNotFoundError):
                status = picture.stat()
                found[picture] = (status.st_mtime_ns, status.st_size)
        new = [picture for picture, state in found.items() if given.get(picture) != state]
        ready = new if first else [picture for picture in new if growing.get(picture) == found[picture]]
        for picture in ready if first else sorted(ready, key=lambda picture: (found[picture], picture)):
            given[picture] = found[picture]
            yield picture
        growing = {picture: found[picture] for picture in new}
        first = False
        over.wait(_POLL_S)


def _captured(cv2: Any, capture: Any) -> Iterator[bytes]:
    """A camera's frames as JPEG."""
    try:
        while capture.grab():
            yield from _retrieved(cv2, capture)
    finally:
        capture.release()


def _sampled(cv2: Any, capture: Any, fps: float, seconds: list[float]) -> Iterator[bytes]:
    """A file's frames as JPEG, only those that `fps` needs; the others are not decoded. Notes where each is."""
    step = max(1.0, (capture.get(cv2.CAP_PROP_FPS) or 25.0) / fps)
    number, due = 0, 0.0
    try:
        while capture.grab():
            if number >= due:
                due += step
                for frame in _retrieved(cv2, capture):
                    seconds.append(max(0.0, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000))
                    yield frame
            number += 1
    finally:
        capture.release()


def _retrieved(cv2: Any, capture: Any) -> list[bytes]:
    """The frame that was grabbed, if it can be decoded."""
    fine, pixels = capture.retrieve()
    return [cv2.imencode(".jpg", pixels)[1].tobytes()] if fine else []
