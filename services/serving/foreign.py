"""What bytes are that are no picture in a format that is read, told by how they begin, with what to do."""

import re

_CONVERT = "convert it to JPEG, PNG or WebP"
_BEGINNINGS = (
    (rb"GIF8[79]a", f"a GIF; {_CONVERT}, one frame of it"),
    (rb"BM.{4}\0\0\0\0", f"a BMP; {_CONVERT}"),
    (rb"(II\*\0|MM\0\*|II\+\0|MM\0\+)", f"a TIFF, or a camera's raw file; {_CONVERT}"),
    (
        rb"....ftyp(heic|heix|heim|heis|hevc|hevx|hevm|hevs|mif1|msf1)",
        f"a HEIC, as iPhones save photographs; {_CONVERT}, or set the phone's camera to Most Compatible",
    ),
    (rb"....ftypavi[fs]", f"an AVIF; {_CONVERT}"),
    (rb"....ftyp", "a video; send one frame of it as JPEG, PNG or WebP"),
    (rb"RIFF....AVI ", "a video; send one frame of it as JPEG, PNG or WebP"),
    (rb"\x1a\x45\xdf\xa3", "a video; send one frame of it as JPEG, PNG or WebP"),
    (rb"(\0\0\0\x0cJXL |\xff\x0a)", f"a JPEG XL; {_CONVERT}"),
    (rb"(\0\0\0\x0cjP  |\xff\x4f\xff\x51)", f"a JPEG 2000; {_CONVERT}"),
    (rb"8BPS", f"a Photoshop file; {_CONVERT}"),
    (rb"\0\0\x01\0", f"an icon; {_CONVERT}"),
    (rb"%PDF-", "a PDF; send one page of it as JPEG, PNG or WebP"),
    (rb"\0\x05\x16[\0\x07]", "a file with a Mac's metadata, whose name begins with ._; send the file without ._"),
    (rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*(<!--.*?-->\s*)*)?(<!doctype svg[^>]*>\s*)?<svg", f"an SVG; {_CONVERT}"),
    (
        rb"(\xef\xbb\xbf)?\s*<(!doctype html|html)",
        "a web page; see what the address that it comes from answers, and send the picture's own bytes",
    ),
    (rb"data:image/", "a data URL; send the bytes that its base64 stands for"),
    (rb"https?://", "an address; send the picture's bytes, nothing is fetched"),
    (
        rb"(/9j/|iVBORw0KGgo|UklGR)[A-Za-z0-9+/_=\s-]*$",
        "base64; send the bytes that it stands for",
    ),
)  # fmt: skip
_PATTERNS = [(re.compile(start, re.IGNORECASE | re.DOTALL), told) for start, told in _BEGINNINGS]
_LOOKED_AT = 512


def told(data: bytes) -> str:
    """What the bytes are and what to do about it, as the end of a sentence that begins with "the data is"."""
    start = data[:_LOOKED_AT]
    return next(
        (what for pattern, what in _PATTERNS if pattern.match(start)),
        f"not a picture in JPEG, PNG or WebP; {_CONVERT}",
    )
