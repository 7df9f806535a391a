"""What the fake gateway says, and about which image."""

import hashlib
import io
import itertools
import math
import threading
from collections import Counter
from collections.abc import Mapping, Sequence

from PIL import Image, UnidentifiedImageError

from axia._pictures import FORMATS, upright
from axia.errors import AxiaError
from axia.v1 import gateway_pb2, image_pb2, scoring_pb2


class Answers:
    """Answers by a part of the prompt or by the image's SHA-256."""

    def __init__(self, answers: Mapping[str, str | Sequence[str]]) -> None:
        self._answers = answers

    def find(self, prompt: str, sha256: str, *, default: str) -> Sequence[str]:
        """The sentences that are said in turn."""
        for key, said in self._answers.items():
            if key == sha256 or key.lower() in prompt.lower():
                return [said] if isinstance(said, str) else said
        return [default]


class Script:
    """Detections in turn, else answers."""

    def __init__(self, detections: Sequence[str | Sequence[str] | AxiaError], answers: Answers) -> None:
        for number, said in enumerate(detections):
            if isinstance(said, BaseException) and not isinstance(said, AxiaError):
                raise TypeError(f"detections[{number}] is a {type(said).__name__}: give texts, or errors of axia")
        self.answers = answers
        self._turns = itertools.cycle(detections) if detections else None
        self._lock = threading.Lock()

    def next(self, prompt: str, sha256: str) -> Sequence[str]:
        """What is said of the next image.

        Raises:
            AxiaError: If that is next.
        """
        if self._turns is None:
            return self.answers.find(prompt, sha256, default="the picture")
        with self._lock:
            said = next(self._turns)
        if isinstance(said, AxiaError):
            raise said.with_traceback(None)
        return [said] if isinstance(said, str) else said


def inspect(data: bytes) -> image_pb2.ImageInfo | None:
    """What a server reads from an image; None if it is none."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = upright(picture).size
            file_format = picture.format or ""
    except (UnidentifiedImageError, OSError):
        return None
    if file_format not in FORMATS:
        return None
    return image_pb2.ImageInfo(sha256=hashlib.sha256(data).hexdigest(), format=file_format, width=width, height=height)


def summarize(
    response: gateway_pb2.DetectValuesResponse | scoring_pb2.SummarizeCompletionsResponse,
    sentences: Sequence[str],
    threshold: float,
) -> None:
    """Groups equal sentences, as a gateway without the scoring service does."""
    groups: dict[str, list[int]] = {}
    for index, sentence in enumerate(sentences):
        groups.setdefault(sentence.strip().casefold(), []).append(index)
    largest_first = sorted(groups.values(), key=len, reverse=True)
    shares = [len(members) / len(sentences) for members in largest_first]
    for members, share in zip(largest_first, shares, strict=True):
        wording, _ = Counter(sentences[member] for member in members).most_common(1)[0]
        response.groups.add(representative=wording, members=members, share=share)
    response.agreement = shares[0]
    response.entropy = sum(-share * math.log2(share) for share in shares)
    tie = len(shares) > 1 and shares[0] == shares[1]
    response.abstain = shares[0] < threshold or tie or not sentences[largest_first[0][0]]
    response.consensus = "" if response.abstain else response.groups[0].representative


def perceptual_hash(data: bytes) -> str:
    """64 bits that follow from how light the parts of an image are; alike for images that look alike."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
        pixels = list(picture.convert("L").resize((9, 8)).tobytes())
    bits = "".join(
        "1" if pixels[row * 9 + column] > pixels[row * 9 + column + 1] else "0"
        for row in range(8)
        for column in range(8)
    )
    return f"{int(bits, 2):016x}"


def fraction(*parts: object) -> float:
    """A number from 0 to 1 that follows from the parts."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def read_verdict(reply: str) -> scoring_pb2.PreferenceVerdict.ValueType:
    """What a reply to a plain question says."""
    word = reply.strip().casefold()
    if word.startswith("as an ai"):
        return scoring_pb2.PREFERENCE_VERDICT_REFUSAL
    if word.startswith("yes"):
        return scoring_pb2.PREFERENCE_VERDICT_YES
    return scoring_pb2.PREFERENCE_VERDICT_NO if word.startswith("no") else scoring_pb2.PREFERENCE_VERDICT_UNPARSED
