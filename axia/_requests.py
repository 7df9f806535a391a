"""Builds requests, for the sync and the async client alike. Ranges are the server's to check."""

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel

from axia._connection.transport import MAX_MESSAGE_BYTES
from axia._options import DetectOptions, InterestOptions, PreferenceOptions, SearchOptions
from axia._pictures import Channels, Picture, read, too_large
from axia.errors import InvalidRequest
from axia.inputs import AlignmentItem, GroundTruth, SearchFilter
from axia.results import ImageMetadata, Preference
from axia.v1 import gateway_pb2, inference_pb2, retrieval_pb2

ASSESSMENT_TIMEOUT_S = 86_400.0
"""Seconds that an assessment may take: a slow model asks for hours about 500 images."""

WATCH_WINDOW = 16
"""Frames without an answer at most; the gateway answers older ones as superseded at once."""

INDEX_WINDOW = 256
"""Images without an acknowledgement at most."""

_LISTED_TOGETHER = 500
_SENTENCE_RULES = {
    "answer": inference_pb2.SENTENCE_RULE_ANSWER,
    "literal": inference_pb2.SENTENCE_RULE_LITERAL,
}

MessageT = TypeVar("MessageT", bound=Message)


def build(message: type[MessageT], fields: Mapping[str, object]) -> MessageT:
    """A message with these fields; None leaves a field unset.

    Raises:
        InvalidRequest: If a value does not fit its field; it names the field. Whole floats fit fields of integers.
    """
    request = message()
    for name, value in fields.items():
        if value is None:
            continue
        try:
            request.MergeFrom(message(**{name: _plain(_whole(message, name, value))}))
        except (ValueError, TypeError) as error:  # protobuf: of another type, beyond the field's bits, or no Unicode
            raise InvalidRequest.of(
                name, f"{value!r} can't be sent; give one of the documented type and range"
            ) from error
    return request


def _whole(message: type[Message], name: str, value: object) -> object:
    """A whole number that came as a float, as JSON and YAML have it, for a field of integers."""
    field = message.DESCRIPTOR.fields_by_name.get(name)
    integers = (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64)
    if isinstance(value, float) and value.is_integer() and field is not None and field.cpp_type in integers:
        return int(value)
    return value


def _plain(value: object) -> Any:
    """A value as protobuf's constructors take it."""
    if isinstance(value, BaseModel):
        return {name: _plain(part) for name, part in value if part is not None}
    if isinstance(value, datetime):
        moment = Timestamp()
        moment.FromDatetime(value if value.tzinfo is None else value.astimezone(UTC))
        return moment
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


def texts(name: str, given: Sequence[str] | Iterable[str]) -> list[str]:
    """A list of texts, where a single one would silently become its letters."""
    if isinstance(given, str):
        raise TypeError(f"{name} is one text: give a list of texts")
    return list(given)


def detect_config(**options: Any) -> gateway_pb2.DetectValuesRequest:
    """The request of a detection without its image; takes DetectOptions.

    Raises:
        InvalidRequest: If two arguments exclude each other or a value does not fit its field.
        TypeError: If there is no such option.
    """
    if unknown := set(options) - DetectOptions.__annotations__.keys():
        raise TypeError(f"there is no argument {min(unknown)!r}: see axia.Client.detect")
    if options.get("prompt_id") is not None and options.get("prompt_text") is not None:
        raise InvalidRequest.of("prompt", "give prompt_id or prompt_text, not both")
    if options.get("system_prompt_id") is not None and options.get("system_prompt_text") is not None:
        raise InvalidRequest.of("system_prompt", "give system_prompt_id or system_prompt_text, not both")
    if isinstance(options.get("temperature"), Sequence) and not isinstance(options["temperature"], str):
        options["temperatures"] = list(options.pop("temperature"))
    if truth := options.pop("ground_truth", None):
        options["ground_truth"] = ground_truth(truth)
    if (rule := options.get("sentence_rule")) is not None:
        if rule not in _SENTENCE_RULES:
            raise InvalidRequest.of("sentence_rule", f'{rule!r} is not a sentence rule: give "answer" or "literal"')
        options["sentence_rule"] = _SENTENCE_RULES[rule]
    return build(gateway_pb2.DetectValuesRequest, options)


def ground_truth(truth: GroundTruth) -> gateway_pb2.GroundTruth:
    """What annotators named."""
    fields = {**dict(truth), "judge": f"JUDGE_{truth.judge.upper()}"}
    return build(gateway_pb2.GroundTruth, fields)


class Detect(NamedTuple):
    """A request with what its answer does not repeat."""

    request: gateway_pb2.DetectValuesRequest
    path: str | None
    """The image's path as given; None if it was given as bytes or as a PIL image."""


def detect(image: Picture, **options: Any) -> Detect:
    """Builds the request of a detection; takes DetectOptions.

    Raises:
        InvalidRequest: If two arguments exclude each other, a number does not fit its field, or all is too large.
        OSError: If the image can't be read.
    """
    channels = options.pop("channels", "RGB")
    request = detect_config(**options)
    data, path = read(image, channels)
    request.image.data = data
    return Detect(limited(request), path)


def frame(
    image: Picture, frame_id: int, channels: Channels = "RGB"
) -> tuple[gateway_pb2.WatchValuesRequest, str | None]:
    """Builds the message of one frame of a watch, and gives its path.

    Raises:
        InvalidRequest: If it is larger than a call carries.
        OSError: If it can't be read.
    """
    request = gateway_pb2.WatchValuesRequest()
    data, path = read(image, channels)
    request.frame.frame_id = frame_id
    request.frame.image.data = data  # in place: a message handed to a constructor is copied
    return limited(request), path


def limited(request: MessageT) -> MessageT:
    """The request, if a call can carry it.

    Raises:
        InvalidRequest: If it is too large.
    """
    if (size := request.ByteSize()) > MAX_MESSAGE_BYTES:
        raise too_large(size)
    return request


def assess_preference(**options: Any) -> gateway_pb2.AssessPreferenceRequest:
    """Builds the request of an assessment; takes PreferenceOptions."""
    if unknown := set(options) - PreferenceOptions.__annotations__.keys():
        raise TypeError(f"there is no argument {min(unknown)!r}: see axia.Client.assess_preference")
    for name in ("values", "keywords", "traits"):
        options[name] = texts(name, options.get(name) or ())
    if modality := options.pop("modality", None):
        options["modality"] = _word("modality", f"MODALITY_{modality.upper()}", gateway_pb2.Modality)
    if descriptions := options.pop("descriptions", None):
        options["descriptions"] = [
            gateway_pb2.ImageDescription(image_id=image_id, text=text) for image_id, text in descriptions.items()
        ]
    resume: Preference | None = options.pop("resume", None)
    if resume is not None:
        # Drawn or filled in for the first call; others would be another plan.
        planned = {"seed": resume.plan.seed, **dict(resume.plan.sampling or ())}
        options |= {name: value for name, value in planned.items() if options.get(name) is None}
        if (described := resume.plan.describer_sampling) is not None:
            options["describer_sampling"] = described
    request = build(gateway_pb2.AssessPreferenceRequest, options)
    if resume is not None:
        request.resume.plan_sha256 = resume.plan.sha256
        request.resume.judgements.extend(_judgement(judgement) for judgement in resume.judgements)
        if resume.plan.planned:
            held = {name: getattr(resume.plan, name) for name in ("planned", "search", "short_keywords")}
            request.resume.MergeFrom(build(gateway_pb2.PreferenceResume, held))
    return limited(request)


def _judgement(judgement: Any) -> gateway_pb2.PreferenceJudgement:
    fields = dict(judgement)
    if fields["verdict"] is not None:
        fields["verdict"] = f"PREFERENCE_VERDICT_{fields['verdict'].upper()}"
    if fields["error"] is not None:
        from google.rpc import code_pb2

        code = code_pb2.Code.Value(fields["error"].code)
        fields["error"] = build(gateway_pb2.ItemError, {**dict(fields["error"]), "code": code})
    return build(gateway_pb2.PreferenceJudgement, fields)


def _word(field: str, name: str, enum: Any) -> int:
    if name not in enum.keys():  # noqa: SIM118 - an enum's wrapper is no mapping
        words = ", ".join(known.split("_", field.count("_") + 1)[-1].lower() for known in enum.keys()[1:])
        raise InvalidRequest.of(field, f"must be one of {words}")
    return int(enum.Value(name))


def judge_interest(
    pictures: Iterable[Picture], traits: Sequence[str], **options: Any
) -> gateway_pb2.JudgeInterestRequest:
    """Builds the request of a persona's judgements; takes InterestOptions."""
    if unknown := set(options) - InterestOptions.__annotations__.keys():
        raise TypeError(f"there is no argument {min(unknown)!r}: see axia.Client.judge_interest")
    image_ids = texts("image_ids", options.pop("image_ids", ()))
    channels = options.pop("channels", "RGB")
    if strategy := options.pop("strategy", None):
        name = f"INTEREST_STRATEGY_{strategy.upper()}"
        options["strategy"] = _word("strategy", name, gateway_pb2.InterestStrategy)
    request = build(gateway_pb2.JudgeInterestRequest, {"traits": texts("traits", traits), **options})
    if isinstance(pictures, str | bytes | os.PathLike):
        raise TypeError("pictures must be a list: this is one image")
    for image in pictures:
        request.pictures.add().image.data = read(image, channels)[0]
        limited(request)
    for image_id in image_ids:
        request.pictures.add(image_id=image_id)
    return request


def judge_alignment(
    items: Iterable[AlignmentItem], model: str | None, samples: int | None, structured: bool
) -> gateway_pb2.JudgeAlignmentRequest:
    """Builds the request of a model's judgements of answers."""
    fields = {"items": list(items), "model": model, "samples": samples, "structured": structured}
    return limited(build(gateway_pb2.JudgeAlignmentRequest, fields))


def search_text(query: str, page_token: str, distinct: bool, **options: Any) -> retrieval_pb2.SearchByTextRequest:
    """Builds the request of a search by text; takes SearchOptions."""
    fields = {"query": query, "page_token": page_token, "distinct": distinct, **_search(options)}
    return build(retrieval_pb2.SearchByTextRequest, fields)


def search_image(
    image: Picture | None, image_id: str | None, page_token: str, channels: Channels, distinct: bool, **options: Any
) -> retrieval_pb2.SearchByImageRequest:
    """Builds the request of a search by image; takes SearchOptions."""
    if (image is None) == (image_id is None):
        raise InvalidRequest.of("query", "give image or image_id, one of them")
    fields = {"image_id": image_id, "page_token": page_token, "distinct": distinct, **_search(options)}
    request = build(retrieval_pb2.SearchByImageRequest, fields)
    if image is not None:
        request.image.data = read(image, channels)[0]
    return limited(request)


def search_value(value: str, keywords: Sequence[str], **options: Any) -> retrieval_pb2.SearchByValueRequest:
    """Builds the request of a search by value; takes SearchOptions."""
    fields = {"value": value, "keywords": texts("keywords", keywords), **_search(options)}
    return build(retrieval_pb2.SearchByValueRequest, fields)


def _search(options: dict[str, Any]) -> dict[str, Any]:
    if unknown := set(options) - SearchOptions.__annotations__.keys():
        raise TypeError(f"there is no argument {min(unknown)!r}: see axia.Client.search_text")
    return options


def index_image(
    image: Picture, metadata: ImageMetadata, tag: int, channels: Channels = "RGB"
) -> tuple[retrieval_pb2.IndexImagesRequest, str | None]:
    """Builds the request for one image to take in, and gives its path."""
    data, path = read(image, channels)
    request = build(retrieval_pb2.IndexImagesRequest, {"metadata": metadata, "tag": tag})
    request.image.data = data
    return limited(request), path


def list_images(wanted: SearchFilter | None, page_token: str) -> retrieval_pb2.ListImagesRequest:
    """Builds the request of a page of what is known of images."""
    fields = {"filter": wanted, "page_size": _LISTED_TOGETHER, "page_token": page_token}
    return build(retrieval_pb2.ListImagesRequest, fields)


def update_images(metadata: Mapping[str, ImageMetadata]) -> retrieval_pb2.UpdateImagesRequest:
    """Builds the request that replaces what is known of images."""
    updates = [
        build(retrieval_pb2.ImageUpdate, {"id": picture, "metadata": told}) for picture, told in metadata.items()
    ]
    return retrieval_pb2.UpdateImagesRequest(updates=updates)


def delete_images(ids: Sequence[str], wanted: SearchFilter | None) -> retrieval_pb2.DeleteImagesRequest:
    """Builds the request of a deletion."""
    return build(retrieval_pb2.DeleteImagesRequest, {"ids": texts("ids", ids), "filter": wanted})
