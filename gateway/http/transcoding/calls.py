"""The calls of the contract that take one message, as a table of routes."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from sse_starlette import ServerSentEvent
from starlette.responses import JSONResponse, Response

from axia.v1 import gateway_pb2, retrieval_pb2, scoring_pb2
from gateway.http.context import Context
from gateway.http.transcoding import openapi
from gateway.http.transcoding.body import Pictures, read_message, read_timeout
from gateway.http.transcoding.contract import to_json
from gateway.http.transcoding.sse import event_stream, to_event, until_disconnect
from services.serving.errors import ServiceError

GATEWAY = gateway_pb2.DESCRIPTOR.services_by_name["GatewayService"].methods_by_name
RETRIEVAL = retrieval_pb2.DESCRIPTOR.services_by_name["RetrievalService"].methods_by_name
SCORING = scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"].methods_by_name


@dataclass(frozen=True)
class Call:
    """A method of the contract at an address."""

    verb: str
    path: str
    method: MethodDescriptor
    tag: str
    summary: str
    pictures: Pictures | None = None
    """Where a form's files go; None takes JSON alone."""
    inner: str | None = None
    """The request's field that the body is, where it is not the request itself."""
    path_field: str | None = None
    """The request's field that the address holds."""

    @property
    def body(self) -> Descriptor | None:
        """The type of the body; None for calls that take none."""
        if self.verb != "POST":
            return None
        whole = self.method.input_type
        return whole.fields_by_name[self.inner].message_type if self.inner else whole


def _post(path: str, method: MethodDescriptor, tag: str, summary: str, **more: Any) -> Call:
    return Call("POST", path, method, tag, summary, **more)


def _score(path: str, method: str, summary: str) -> Call:
    return _post(f"/v1/score/{path}", SCORING[method], "scoring", summary)


CALLS = (
    _post("/v1/detect", GATEWAY["DetectValues"], "detection", "Detect values in an image", pictures="image"),
    _post(
        "/v1/detect/stream",
        GATEWAY["StreamDetectValues"],
        "detection",
        "Detect values, each completion when it ends",
        pictures="image",
        inner="detection",
    ),
    _post("/v1/preference", GATEWAY["AssessPreference"], "protocols", "Measure a model's preference by value"),
    _post("/v1/interest", GATEWAY["JudgeInterest"], "protocols", "Judge images as a persona", pictures="pictures"),
    _post(
        "/v1/judge", GATEWAY["JudgeAlignment"], "protocols", "Ask a model which answers name the annotators' element"
    ),
    _post("/v1/search/text", RETRIEVAL["SearchByText"], "pictures", "Find images by a text"),
    _post("/v1/search/image", RETRIEVAL["SearchByImage"], "pictures", "Find images by an image", pictures="image"),
    _post("/v1/search/value", RETRIEVAL["SearchByValue"], "pictures", "Find images by a value"),
    Call("GET", "/v1/values", RETRIEVAL["ListValues"], "pictures", "List the values and their keywords"),
    Call("GET", "/v1/stats", RETRIEVAL["GetStats"], "pictures", "Get statistics of the index"),
    _post("/v1/images/delete", RETRIEVAL["DeleteImages"], "pictures", "Delete images"),
    _post("/v1/images/list", RETRIEVAL["ListImages"], "pictures", "List images that match a filter"),
    _post("/v1/images/update", RETRIEVAL["UpdateImages"], "pictures", "Replace the metadata of images"),
    _post("/v1/images/purge", RETRIEVAL["PurgeImages"], "pictures", "Remove the remaining data of deleted images"),
    _post("/v1/reindex", RETRIEVAL["StartReindex"], "pictures", "Re-index with another encoder"),
    Call("GET", "/v1/reindex", RETRIEVAL["GetReindex"], "pictures", "Get the progress of the latest re-index"),
    Call(
        "GET",
        "/v1/reindex/{id}",
        RETRIEVAL["GetReindex"],
        "pictures",
        "Get the progress of a re-index",
        path_field="id",
    ),
    _score("response-types", "ClassifyResponses", "Classify sentences by kind of answer"),
    _score("values", "AttributeValues", "Classify sentences by value"),
    _score("summary", "SummarizeCompletions", "Group completions with the same meaning"),
    _score("readings", "ReadCompletions", "Read kind of answer, values and groups of one image's completions"),
    _score("alignment", "ScoreAlignment", "Score which answers name the annotators' element"),
    _score("verdicts", "ReadVerdicts", "Read yes, no or a refusal from answers"),
    _score("preference", "ScorePreference", "Score preference by value"),
    _score("preference-comparison", "ComparePreferences", "Compare two sets of preference answers"),
    _score("isq", "ScoreIsq", "Score inductive scoring questionnaires"),
    _score("persona", "ScorePersona", "Score role-play by I_avg"),
    _score("misalignments", "ClassifyMisalignments", "Classify misaligned answers"),
    _score("model-comparison", "CompareModels", "Test whether models differ"),
    _score("agreement", "MeasureAgreement", "Measure annotators' agreement"),
)


def add_calls(app: FastAPI, context: Context) -> None:
    """Adds a route for each call of the table."""
    for call in CALLS:
        app.add_api_route(
            call.path,
            (_stream if call.method.server_streaming else _unary)(call, context),
            methods=[call.verb],
            operation_id=openapi.operation_id(call.verb, call.path),
            tags=[call.tag],
            summary=call.summary,
            response_model=None,
            response_class=Response,
            openapi_extra=openapi.operation(call.method, call.body, call.pictures, call.path, call.path_field),
        )


def _unary(call: Call, context: Context) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        timeout_s = read_timeout(request, context.settings) or context.settings.default_timeout_s
        message = await _message(call, request, context)
        response = await until_disconnect(request, context.gateway.unary(call.method, message, timeout_s))
        return JSONResponse(to_json(response))

    return answer


def _stream(call: Call, context: Context) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        timeout_s = read_timeout(request, context.settings)
        message = await _message(call, request, context)
        return await event_stream(request, _events(call, message, timeout_s, context), context.settings.keep_alive_s)

    return answer


async def _message(call: Call, request: Request, context: Context) -> Any:
    message = GetMessageClass(call.method.input_type)()
    if call.body is not None:
        filled = getattr(message, call.inner) if call.inner else message
        filled.SetInParent()
        await read_message(request, filled, context, call.pictures)
    if call.path_field is not None:
        setattr(message, call.path_field, request.path_params[call.path_field])
    return message


async def _events(
    call: Call, message: Any, timeout_s: float | None, context: Context
) -> AsyncGenerator[ServerSentEvent, None]:
    try:
        async with aclosing(context.gateway.stream(call.method, message, timeout_s)) as responses:
            async for response in responses:
                yield to_event(response)
    except ServiceError as error:
        prefix = f"{call.inner}."
        raise error.renamed(lambda field: field.removeprefix(prefix)) from error
