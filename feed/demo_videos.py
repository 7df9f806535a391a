"""Videos from the demo gallery: each of its frames, painted again without a platform's look, in gentle motion."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

from demo.world.families import Split
from demo.world.frames import Frame, draw_frame
from demo.world.manifest import read_manifest
from demo.world.paint import paint
from demo.world.picture import Picture
from feed.videos import FramePicture, Video

GALLERY = Path(__file__).parents[1] / "demo" / "gallery"
FRAMES = 6
"""Pictures of a video."""
LENGTHS_S = (4.0, 6.0, 8.0, 10.0)
SIZE = 448
_RISE = 0.012
"""How far things move up and down, fraction of the picture."""
_KEPT = 128
"""Painted pictures that are kept in memory."""


class DemoVideos:
    """The 573 frames of the gallery as videos, whose values are known."""

    def __init__(self) -> None:
        self._painted = lru_cache(_KEPT)(self._paint)

    @cached_property
    def videos(self) -> tuple[Video, ...]:
        """In the gallery's order."""
        return tuple(_video(name, frame) for name, frame in self._frames.items())

    def frame(self, video: Video, number: int) -> FramePicture:
        """One picture of the motion, as WebP."""
        return FramePicture(self._painted(video.id, number % FRAMES), "image/webp")

    def screenshot(self, video: Video, platform: str) -> bytes:
        """The video under a platform's look, as a square WebP: what the demo's models were trained on."""
        picture = self._frames[video.id].picture
        assert picture.overlay is not None  # noqa: S101 - every frame of the gallery has one
        return _encoded(replace(picture, overlay=replace(picture.overlay, platform=platform)), overlay=True)

    @cached_property
    def _frames(self) -> dict[str, Frame]:
        rows = [row for row in read_manifest(GALLERY) if row["kind"] == "frame"]
        return {
            Path(row["file"]).stem: draw_frame(row["seed"], Split(row["split"]), tuple(row["keywords"])) for row in rows
        }

    def _paint(self, name: str, number: int) -> bytes:
        return _encoded(moved(self._frames[name].picture, number), overlay=False)


def moved(picture: Picture, number: int) -> Picture:
    """Picture `number` of the motion, things swing up and down, each at its own time."""
    turn = 2 * math.pi * number / FRAMES
    placed = tuple(
        replace(thing, y=thing.y + _RISE * math.sin(turn + place)) for place, thing in enumerate(picture.placed)
    )
    return replace(picture, placed=placed)


def _video(name: str, frame: Frame) -> Video:
    overlay = frame.picture.overlay
    assert overlay is not None  # noqa: S101 - every frame of the gallery has one
    return Video(
        id=name,
        account=overlay.account,
        caption=frame.caption,
        tags=frame.keywords,
        topics=frame.values,
        likes=round(float(overlay.likes.removesuffix("k")) * 1000),
        frames=FRAMES,
        length_s=LENGTHS_S[sum(name.encode()) % len(LENGTHS_S)],
        values=frame.values,
    )


def _encoded(picture: Picture, *, overlay: bool) -> bytes:
    buffer = io.BytesIO()
    paint(picture, SIZE, overlay=overlay).save(buffer, "webp", quality=72, method=2)
    return buffer.getvalue()
