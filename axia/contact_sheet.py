"""A sheet of small images with captions."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from axia._pictures import FORMATS, upright

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

_THUMB, _GAP, _CAPTION, _COLUMNS = 200, 12, 36, 5
_FONT_SIZE = 13
_BACKGROUND, _INK, _UNREADABLE = (250, 250, 248), (30, 30, 30), (200, 200, 200)
_END_OF_JPEG = b"\xff\xd9"


class Entry(NamedTuple):
    """One image of a sheet."""

    data: bytes
    caption: tuple[str, str]
    """Two lines; what is too long is cut."""


def write_contact_sheet(entries: Sequence[Entry], path: Path) -> None:
    """Writes the images in rows of five, each with its caption; the name of the file says the format."""
    _draw(entries).save(path)


def contact_sheet(entries: Sequence[Entry]) -> bytes:
    """The same as the bytes of a PNG."""
    buffer = io.BytesIO()
    _draw(entries).save(buffer, "PNG")
    return buffer.getvalue()


def _draw(entries: Sequence[Entry]) -> "PILImage":
    from PIL import Image, ImageDraw, ImageFont

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
        small = _thumbnail(entry.data)
        sheet.paste(small, (x + (_THUMB - small.width) // 2, y + _THUMB - small.height))
        for line, text in enumerate(entry.caption):
            pen.text((x, y + _THUMB + 3 + line * (_FONT_SIZE + 3)), fitted(text), _INK, font)
    return sheet


def _thumbnail(data: bytes) -> "PILImage":
    """A small image; a grey square where PIL, other than the server, can't read it."""
    from PIL import Image

    for whole in (data, data + _END_OF_JPEG):  # servers take a JPEG that lacks its end marker
        try:
            with Image.open(io.BytesIO(whole), formats=FORMATS) as picture:
                picture.draft("RGB", (_THUMB * 2, _THUMB * 2))
                small = upright(picture).convert("RGB")
        except Exception:  # noqa: S112 - PIL raises many types, and one picture must not cost the others
            continue
        small.thumbnail((_THUMB, _THUMB))
        return small
    return Image.new("RGB", (_THUMB, _THUMB), _UNREADABLE)
