"""Converters with messages whose fields have any value: they give what the domain takes, or name the field."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.json_format import Error as JsonError
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from axia.v1 import gateway_pb2, inference_pb2, retrieval_pb2, scoring_pb2
from gateway.http.problems import from_validation
from gateway.http.transcoding.contract import request_model, to_json, to_message
from gateway.rpc import convert_alignment, convert_detection, convert_interest, convert_preference
from services.inference import convert as inference
from services.inference.settings import InferenceSettings
from services.retrieval import convert as retrieval
from services.scoring import convert as scoring
from services.scoring import convert_language as language
from services.serving.errors import ServiceError
from tests.support.hostile.messages import fill

_ENGINE = InferenceSettings(engine="scripted", answers="answers.yaml")  # type: ignore[arg-type]
_CHARS = 1_000

CONVERTERS: dict[type[Message], Callable[[Any], object]] = {
    gateway_pb2.DetectValuesRequest: convert_detection.to_detection_request,
    gateway_pb2.AssessPreferenceRequest: convert_preference.to_preference_request,
    gateway_pb2.JudgeInterestRequest: convert_interest.to_interest_request,
    gateway_pb2.JudgeAlignmentRequest: convert_alignment.to_judge_request,
    inference_pb2.GenerateRequest: lambda message: inference.to_sample_request(message, _ENGINE),
    retrieval_pb2.IndexImagesRequest: retrieval.to_incoming,
    retrieval_pb2.SearchByTextRequest: retrieval.to_wanted,
    retrieval_pb2.SearchFilter: retrieval.to_filter,
    retrieval_pb2.ImageUpdate: lambda message: retrieval.to_update(0, message),
    scoring_pb2.IsqAnswer: lambda message: scoring.to_isq_answer("answers[0]", message, _CHARS),
    scoring_pb2.ScorePersonaRequest: lambda message: scoring.to_outcomes(message.outcomes, _CHARS),
    scoring_pb2.CompareModelsRequest: lambda message: scoring.to_models(message.models, _CHARS),
    scoring_pb2.MeasureAgreementRequest: lambda message: scoring.to_ratings(message.ratings, _CHARS),
    scoring_pb2.ScoreAlignmentRequest: lambda message: language.to_alignment_items(
        message, language.to_judge(message.judge)
    ),
}


def filled(kind: type[Message], seed: int) -> Message:
    message = kind()
    fill(message, random.Random(seed), b"\xff\xd8\xff no image")
    return message


@pytest.mark.parametrize("kind", CONVERTERS, ids=lambda kind: kind.DESCRIPTOR.name)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_message_is_converted_or_refused_by_a_field_of_it(kind: type[Message], seed: int) -> None:
    try:
        CONVERTERS[kind](filled(kind, seed))
    except ServiceError as error:
        assert error.violations or error.message, repr(error)


@pytest.mark.parametrize("kind", CONVERTERS, ids=lambda kind: kind.DESCRIPTOR.name)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_json_says_of_a_message_becomes_the_same_message_or_is_refused(kind: type[Message], seed: int) -> None:
    message = filled(kind, seed)
    try:
        fields = MessageToDict(message, preserving_proto_field_name=True)
    except JsonError:  # a time in no calendar, say
        return
    model = request_model(kind.DESCRIPTOR)
    read = kind()
    try:
        to_message(model.model_validate(fields), read)
    except ValidationError as error:
        assert from_validation(error, model).violations
    except ServiceError as error:
        assert error.violations
    else:
        again = kind()
        to_message(model.model_validate(MessageToDict(read, preserving_proto_field_name=True)), again)
        assert again == read
        if "nanos" not in str(message):  # times in JSON have microseconds
            assert to_json(read) == to_json(message)
