"""Render the sprite atlas from the emoji font. Needed only when sprites.toml or shapes.py changes.

    apt-get install fonts-noto-color-emoji
    python -m demo.world.sprites.build --font /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf

Writes ``atlas.png`` (palette PNG with transparency) and ``atlas.json`` (name → [x, y, width, height] in pixels).
Glyphs are reduced to at most 88 pixels a side, figures keep up to 128 pixels of height because scenes show them larger.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, features

from demo.world.sprites.figures import figure
from demo.world.sprites.shapes import SHAPES

HERE = Path(__file__).parent
GLYPH_SIDE = 88
"""Longest side of a glyph in the atlas, pixels."""
STRIKE = 109
"""The only size at which Noto Color Emoji's bitmaps can be loaded, pixels."""
WIDTH = 1400
"""Width of the atlas, pixels."""


def glyph(font: ImageFont.FreeTypeFont, text: str) -> Image.Image:
    """One emoji, trimmed to its visible pixels, RGBA."""
    canvas = Image.new("RGBA", (320, 180))
    ImageDraw.Draw(canvas).text((20, 20), text, font=font, embedded_color=True)
    box = canvas.getbbox()
    if box is None:
        raise ValueError(f"the font has no glyph for {text!r}")
    if box[2] - box[0] > 140:
        raise ValueError(f"{text!r} was drawn as several glyphs: joining emoji needs libraqm and FriBiDi")
    return canvas.crop(box)


def fit(image: Image.Image, side: int) -> Image.Image:
    """Reduce to at most `side` pixels on the longer side."""
    scale = side / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def render(font: Path) -> dict[str, Image.Image]:
    """All sprites of sprites.toml and shapes.py by name."""
    spec = tomllib.loads((HERE / "sprites.toml").read_text(encoding="utf-8"))
    face = ImageFont.truetype(str(font), STRIKE)
    sprites = {name: fit(glyph(face, text), GLYPH_SIDE) for name, text in spec["emoji"].items()}
    for name, (head, build, shirt) in spec["figure"].items():
        sprites[name] = figure(glyph(face, head), build, shirt)
    for name, draw in SHAPES.items():
        sprites[name] = draw()
    return {name: trimmed(sprites[name]) for name in sorted(sprites)}


def trimmed(image: Image.Image) -> Image.Image:
    """Cut fully transparent borders off."""
    box = image.getbbox()
    if box is None:
        raise ValueError("an empty sprite")
    return image.crop(box)


def pack(sprites: dict[str, Image.Image]) -> tuple[Image.Image, dict[str, list[int]]]:
    """Lay sprites out on shelves, tallest first, with a transparent pixel between them."""
    index: dict[str, list[int]] = {}
    x = y = shelf = 0
    for name in sorted(sprites, key=lambda name: (-sprites[name].height, name)):
        image = sprites[name]
        if x + image.width > WIDTH:
            x, y, shelf = 0, y + shelf + 1, 0
        index[name] = [x, y, image.width, image.height]
        x, shelf = x + image.width + 1, max(shelf, image.height)
    atlas = Image.new("RGBA", (WIDTH, y + shelf))
    for name, (left, top, _, _) in index.items():
        atlas.paste(sprites[name], (left, top))
    return atlas, dict(sorted(index.items()))


def main() -> None:
    """Build the atlas beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--font", type=Path, required=True, help="NotoColorEmoji.ttf with bitmap glyphs (CBDT)")
    font: Path = parser.parse_args().font
    if not features.check("raqm"):
        raise SystemExit("this Pillow can't join emoji: it needs libraqm and FriBiDi")
    atlas, index = pack(render(font))
    atlas.save(HERE / "atlas.png", optimize=True)
    licence = tomllib.loads((HERE / "sprites.toml").read_text(encoding="utf-8"))["license"]
    text = json.dumps({"license": licence, "sprites": index}, indent=0, ensure_ascii=False)
    (HERE / "atlas.json").write_text(text + "\n", encoding="utf-8")
    print(f"{len(index)} sprites, {atlas.width}×{atlas.height}, {(HERE / 'atlas.png').stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
