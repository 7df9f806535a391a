"""Frames of a folder, a video file or a camera."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from axia.cli._output import SUFFIXES

WHAT_TO_GIVE = "give a video file, a folder with pictures or a camera's number"
"""What ends a message about a source."""

_POLL_S = 0.2


class Source(NamedTuple):
    """Where frames come from."""

    frames: "Iterator[Path | bytes]"
    live: bool
    """Whether frames come at their own pace."""
    seconds: Sequence[float] = ()
    """Of a video file: where in it each frame is that was read, from its beginning."""


class SourceError(Exception):
    """Frames can't be read; the message says what to do."""


class Pace:
    """Lets frames out at a rate, or each when the one before was answered."""

    def __init__(self, fps: float, *, wait: bool) -> None:
        self._period = 1 / fps
        self._wait = wait
        self._answered = threading.Semaphore(1)
        self._over = threading.Event()

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


def open_source(name: str, fps: float) -> Source:
    """The frames of a folder in name order, of a video file at `fps` frames of its own time, or of a camera's number.

    Raises:
        SourceError: If it can't be opened.
    """
    path = Path(name)
    if path.is_dir():
        pictures = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
        if not pictures:
            raise SourceError(f"{name}: there is no JPEG, PNG or WebP picture in this folder: give one that has some")
        return Source(iter(pictures), live=False)
    camera = name.isdecimal() and not path.exists()
    if not camera and not path.is_file():
        raise SourceError(f"there is nothing at {name}: {WHAT_TO_GIVE}")
    # What OpenCV and FFmpeg say of a file that they can't read is ours to say.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        import cv2
    except ImportError:
        raise SourceError("video files and cameras need OpenCV: pip install opencv-python-headless") from None
    capture = cv2.VideoCapture(int(name) if camera else name)
    if not capture.isOpened():
        what = f"there is no camera {name}" if camera else f"{name} is no video that OpenCV can read"
        raise SourceError(f"{what}: {WHAT_TO_GIVE}")
    if camera:
        return Source(_captured(cv2, capture), live=True)
    seconds: list[float] = []
    return Source(_sampled(cv2, capture, fps, seconds), live=False, seconds=seconds)


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
