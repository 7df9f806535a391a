"""What bytes are that are no picture in a format that is read, told by how they begin, with what to do."""

import re

_CONVERT = "convert it to JPEG, PNG or WebP"
_FRAME = "a video; send one frame of it as JPEG, PNG or WebP"
_FETCHED = "check what the address of the image returns, and send the bytes of the image itself"
_AS_TEXT = "an image that was read or written as text, which changes its bytes; read and send the file as bytes"
_BEGINNINGS = (
    (rb"GIF8[79]a", f"a GIF; {_CONVERT}, one frame of it"),
    (rb"BM.{12}[\x0c\x28\x40\x6c\x7c]\0\0\0", f"a BMP; {_CONVERT}"),
    (rb"(II\*\0|MM\0\*|II\+\0|MM\0\+)", f"a TIFF, or a camera's raw file; {_CONVERT}"),
    (rb"(FUJIFILMCCD-RAW|IIU\0|IIR[OS]|MMOR|FOVb|\0MRM|....ftypcrx )", f"a camera's raw file; {_CONVERT}"),
    (rb"....ftyp(avi[fs]|.{8,64}?avi[fs])", f"an AVIF; {_CONVERT}"),
    (
        rb"....ftyp(heic|heix|heim|heis|hevc|hevx|hevm|hevs|mif[12]|msf1|avci|avcs|vvic|jpeg|jpgs|miaf)",
        f"a HEIC, as iPhones save photographs; {_CONVERT}, or set the phone's camera to Most Compatible",
    ),
    (rb"....(ftyp|moov|mdat|wide|free|skip)", _FRAME),
    (rb"(RIFF....AVI |\x1a\x45\xdf\xa3|FLV\x01|\0\0\x01[\xb3\xba]|\0?\0\0\x01[\x67\x40]|G.{187}G)", _FRAME),
    (rb"(\0\0\0\x0cJXL |\xff\x0a)", f"a JPEG XL; {_CONVERT}"),
    (rb"II\xbc\x01", f"a JPEG XR; {_CONVERT}"),
    (rb"(\0\0\0\x0cjP  |\xff\x4f\xff\x51)", f"a JPEG 2000; {_CONVERT}"),
    (rb"8BPS", f"a Photoshop file; {_CONVERT}"),
    (rb"(\0\0\x01\0|\0\0\x02\0[\x01-\xff]|icns)", f"an icon; {_CONVERT}"),
    (rb"P[1-7]\s", f"a Netpbm image (PPM, PGM, PAM); {_CONVERT}"),
    (rb"(qoif|DDS |v/1\x01|#\?RADIANCE|gimp xcf|FLIF|BPG\xfb|AT&TFORM|[\x8a\x8b][JM]NG|\x01\xda[\0\x01][\x01\x02])",
     f"an image in an unsupported format; {_CONVERT}"),
    (rb".{128}DICM", f"a DICOM file; {_CONVERT}, 8 bits a channel"),
    (rb"\x93NUMPY", "an array as numpy saves it; encode it as PNG or JPEG"),
    (rb"(PK\x03\x04|Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|.{257}ustar)",
     "an archive, or packed; unpack it and send the images in it"),
    (rb"%PDF-", "a PDF; send one page of it as JPEG, PNG or WebP"),
    (rb"%!PS", f"PostScript; {_CONVERT}"),
    (rb"\0\x05\x16[\0\x07]", "a macOS metadata file, whose name begins with ._; send the file whose name has no ._"),
    (rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*(<!--.*?-->\s*)*)?(<!doctype svg[^>]*>\s*)?<svg", f"an SVG; {_CONVERT}"),
    (rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)?<(!doctype html|html)", f"a web page; {_FETCHED}"),
    (rb"(\xef\xbb\xbf)?\s*<\?xml", f"XML; {_FETCHED}"),
    (rb"\s*[{\[]\s*[\"{\]}]", f"JSON; {_FETCHED}"),
    (rb"version https://git-lfs", "a pointer of Git LFS; fetch the image with git lfs pull"),
    (rb"(\xef\xbf\xbd){3}", _AS_TEXT),
    (rb"\xc3\xbf\xc3\x98\xc3\xbf", _AS_TEXT),
    (rb"(\xef\xbf\xbd|\xc2\x89)PNG|\x89PNG(\n\x1a|\r\n\x1a\r|\r\r)", _AS_TEXT),
    (rb"b['\"]\\x", "the text form of Python bytes; send the bytes themselves"),
    (rb"(ffd8ff|89504e470d0a1a0a)[0-9a-f]*$", "hexadecimal digits; send the bytes that they stand for"),
    (rb"data:image/", "a data URL; send the bytes that its base64 stands for"),
    (rb"https?://", "an address; send the bytes of the image, because addresses are not fetched"),
    (
        rb"([/_]9j[/_]|iVBORw0KGgo|UklGR)[A-Za-z0-9+/_=\s-]*$",
        "base64; send the bytes that it stands for",
    ),
    (rb".{1,500}?(\xff\xd8\xff[\xdb\xe0-\xef]|\x89PNG\r\n\x1a\n|RIFF....WEBP)",
     "an image with other bytes before it, such as the head of an HTTP answer; send only the image's bytes"),
)  # fmt: skip
_PATTERNS = [(re.compile(start, re.IGNORECASE | re.DOTALL), told) for start, told in _BEGINNINGS]
_LOOKED_AT = 512


def uncommon(what: str) -> str:
    """The same of a picture of a known format in a form that is not read."""
    return f"{what}; save it as a common JPEG, PNG or WebP"


def told(data: bytes) -> str:
    """What the bytes are and what to do about it, as the end of a sentence that begins with "the data is"."""
    start = data[:_LOOKED_AT]
    return next(
        (what for pattern, what in _PATTERNS if pattern.match(start)),
        f"not an image in JPEG, PNG or WebP; {_CONVERT}",
    )
