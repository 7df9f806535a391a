"""The gallery: feed frames that make every keyword true of at least `EACH` of them, and a sheet to look at.

All gallery frames come from held-out template families, so a model trained here sees them for the first time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from PIL import Image

from demo.world.catalogue import concepts
from demo.world.families import Split
from demo.world.frames import Frame, draw_concepts, draw_frame
from demo.world.paint import paint
from demo.world.picture import Picture

EACH = 8
"""Frames that a keyword is true of, at least; a frame with two concepts counts for both."""


def gallery_frames(seed: int, each: int = EACH) -> list[Frame]:
    """Frames until every keyword is true of `each` of them.

    The keyword with the fewest frames comes next (of equal ones the first in the catalogue); whether it shares its
    frame with a second concept, and with which, is drawn as for any frame.
    """
    counts = Counter({concept.keyword: 0 for concept in concepts()})
    by_keyword = {concept.keyword: concept for concept in concepts()}
    frames: list[Frame] = []
    while min(counts.values()) < each:
        keyword = min(counts, key=lambda word: counts[word])
        key = f"gallery:{seed}:{len(frames)}"
        shown = draw_concepts(Random(key), by_keyword[keyword])
        frames.append(draw_frame(key, Split.HELD_OUT, tuple(concept.keyword for concept in shown)))
        counts.update(frames[-1].keywords)
    return frames


def contact_sheet(pictures: Sequence[Picture], columns: int, side: int, gap: int = 6) -> Image.Image:
    """Pictures in a grid on white, each `side` pixels square."""
    rows = -(-len(pictures) // columns)
    step = side + gap
    sheet = Image.new("RGB", (columns * step + gap, rows * step + gap), "white")
    for place, picture in enumerate(pictures):
        sheet.paste(paint(picture, side), (gap + place % columns * step, gap + place // columns * step))
    return sheet
