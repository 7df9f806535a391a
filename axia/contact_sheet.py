"""A sheet of small pictures with captions."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

_THUMB, _GAP, _CAPTION, _COLUMNS = 200, 12, 36, 5
_FONT_SIZE = 13
_BACKGROUND, _INK = (250, 250, 248), (30, 30, 30)


class Entry(NamedTuple):
    """One picture of a sheet."""

    data: bytes
    caption: tuple[str, str]
    """Two lines; what is too long is cut."""


def write_contact_sheet(entries: Sequence[Entry], path: Path) -> None:
    """Writes the pictures in rows of five, each with its caption; the name of the file says the format."""
    _draw(entries).save(path)


def contact_sheet(entries: Sequence[Entry]) -> bytes:
    """The same as the bytes of a PNG."""
    buffer = io.BytesIO()
    _draw(entries).save(buffer, "PNG")
    return buffer.getvalue()


def _draw(entries: Sequence[Entry]) -> "Image":
    from PIL import Image, ImageDraw, ImageFont, ImageOps

    columns = min(_COLUMNS, max(1, len(entries)))
    rows = -(-len(entries) // columns)
    width = columns * (_THUMB + _GAP) + _GAP
    sheet = Image.new("RGB", (width, rows * (_THUMB + _CAPTION + _GAP) + _GAP), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)

    def fitted(text: str) -> str:
        if pen.textlength(text, font) <= _THUMB:
            return text
        while text and pen.textlength(f"{text}…", font) > _THUMB:
            text = text[:-1]
        return f"{text}…"

    for number, entry in enumerate(entries):
        row, column = divmod(number, columns)
        x, y = _GAP + column * (_THUMB + _GAP), _GAP + row * (_THUMB + _CAPTION + _GAP)
        with Image.open(io.BytesIO(entry.data)) as picture:
            picture.draft("RGB", (_THUMB * 2, _THUMB * 2))
            small = ImageOps.exif_transpose(picture).convert("RGB")
            small.thumbnail((_THUMB, _THUMB))
        sheet.paste(small, (x + (_THUMB - small.width) // 2, y + _THUMB - small.height))
        for line, text in enumerate(entry.caption):
            pen.text((x, y + _THUMB + 3 + line * (_FONT_SIZE + 3)), fitted(text), _INK, font)
    return sheet
