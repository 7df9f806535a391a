"""Base64 as clients write it: wrapped lines, missing padding, the URL-safe alphabet, data: addresses."""

import base64
import binascii
import re
from urllib.parse import unquote

_DATA_ADDRESS = re.compile(r"\s*data:([^,]{0,256}),", re.IGNORECASE)
_AS_PYTHON_PRINTS = re.compile(r"b(['\"]).*\1", re.DOTALL)
_LINE_BREAK = re.compile(r"\s*[\r\n]\s*")
_STANDARD = str.maketrans("-_", "+/")


class NotBase64(ValueError):
    """A text that is not base64. The message is a description for the caller, without the field's name."""


def is_data_address(text: str) -> bool:
    """Whether a text begins like a data: address."""
    return text[:64].lstrip()[:5].lower() == "data:"


def read_base64(text: str) -> bytes:
    """The bytes that base64 stands for; it may be in a data: address, whose media type is not looked at.

    Raises:
        NotBase64: If it stands for none.
    """
    if is_data_address(text):
        start = _DATA_ADDRESS.match(text)
        if start is None or not re.search(r";\s*base64\s*$", start[1], re.IGNORECASE):
            raise NotBase64("must have ;base64, before the data, such as data:image/jpeg;base64,")
        text = text[start.end() :]
        if "%" in text:
            text = unquote(text)  # RFC 2397 allows it
        if is_data_address(text):
            raise NotBase64("has the prefix of a data: URL twice; write it once")
    if _AS_PYTHON_PRINTS.fullmatch(text.strip()):
        raise NotBase64("is printed Python bytes, b'…'; convert them to text with .decode()")
    text = _LINE_BREAK.sub("", text.strip())
    if " " in text:
        if not set("+-") & set(text):
            raise NotBase64(
                "has spaces and no +, probably because a form was decoded: encode each + as %2B, or send JSON"
            )
        text = text.replace(" ", "")
    standard = text.translate(_STANDARD).rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: characters beyond ASCII
        raise NotBase64("is not base64; encode the bytes of the file") from error
