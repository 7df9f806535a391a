"""Server-sent events of a streamed answer, as the WHATWG's HTML standard defines them (section 9.2.6)."""

import json
from collections.abc import Iterator

from services.inference.engines.openai.wire import MalformedAnswer

DONE = "[DONE]"
"""Data of the event that ends a stream."""
_MAX_EVENT_BYTES = 2**20
_BOM = b"\xef\xbb\xbf"
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b"error:", b":")


class BodyReader:
    """Takes the body of an answer apart, streamed or whole, fed with bytes as they come.

    Its first bytes tell which it is, for endpoints give wrong types; where they don't, its type does. White space that
    keeps a connection alive may come before.

    Args:
        content_type: As the header says it.
    """

    def __init__(self, content_type: str) -> None:
        self._typed = content_type.startswith("text/event-stream")
        self._held = bytearray()
        self._events: EventReader | None = None
        self._whole = False

    @property
    def streamed(self) -> bool:
        """Whether it is a stream, as far as can be told by now."""
        return not self._whole and (self._events is not None or self._typed)

    def feed(self, received: bytes) -> Iterator[str]:
        """The data of each event that is complete now; what is whole comes with `rest`.

        Raises:
            MalformedAnswer: If an event is longer than 1 MiB or not UTF-8.
        """
        if self._events is None:
            self._held += received
            if self._whole:
                return
            beginning = bytes(self._held).removeprefix(_BOM).lstrip()
            if not beginning:
                self._held.clear()
            if any(name.startswith(beginning) for name in (*_FIELDS, _BOM)):
                return  # too few to tell
            self._whole = beginning.startswith((b"{", b"[", b"<")) or not (self._typed or beginning.startswith(_FIELDS))
            if self._whole:
                return
            self._events, received = EventReader(), beginning
        yield from self._events.feed(received)

    def rest(self) -> Iterator[str]:
        """The body if it is whole, or data whose end is missing, once nothing will follow."""
        if self._events is not None:
            yield from self._events.rest()
        elif not self.streamed:
            yield self._held.decode(errors="replace").removeprefix("\ufeff")


class EventReader:
    """Takes a stream of server-sent events apart, fed with bytes as they come.

    Only the data of an event counts here, and whether the event is an error: one named so, or a line "error:" as
    llama.cpp writes it, comes as {"error": data}. Lines end with LF or CR LF; CR alone, which the standard allows too,
    is not used by endpoints.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._held = 0
        self._failed = False

    def feed(self, received: bytes) -> Iterator[str]:
        """The data of each event that is complete now.

        Raises:
            MalformedAnswer: If an event is longer than 1 MiB or not UTF-8.
        """
        *lines, self._rest = (self._rest + received).split(b"\n")
        if self._held + len(self._rest) > _MAX_EVENT_BYTES:
            raise MalformedAnswer("an event of the stream is too long")
        for line in lines:
            yield from self._line(line)

    def rest(self) -> Iterator[str]:
        """The data of an event whose end is missing, once nothing will follow."""
        rest, self._rest = self._rest, b""
        yield from self._line(rest)
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[str]:
        line = line.removesuffix(b"\r")
        name, colon, value = line.partition(b":")
        if colon and name == b"data":
            self._held += len(line)
            if self._held > _MAX_EVENT_BYTES:
                raise MalformedAnswer("an event of the stream is too long")
            self._data.append(_decoded(value))
        elif colon and name == b"error":
            yield _as_error(_decoded(value))
        elif name == b"event":
            self._failed = value.strip() == b"error"
        elif not line:
            if self._data:
                data = "\n".join(self._data)
                yield _as_error(data) if self._failed else data
            self._data.clear()
            self._held = 0
            self._failed = False


def _decoded(value: bytes) -> str:
    try:
        return value.removeprefix(b" ").decode()
    except UnicodeDecodeError:
        raise MalformedAnswer("the stream is not UTF-8") from None


def _as_error(data: str) -> str:
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        said = data
    return json.dumps({"error": said or "an error without a message"})
