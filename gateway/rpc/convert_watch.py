"""Maps between watching in the contract (axia.v1) and the gateway's own types."""

from collections.abc import AsyncIterator

from axia.v1 import gateway_pb2
from gateway.protocols.detection import Detection
from gateway.protocols.sampling import DetectionRequest
from gateway.protocols.watch import Frame, FrameOutcome
from gateway.rpc.convert_detection import from_detection, from_item_error, to_detection_request
from services.serving.errors import InvalidArgument


async def to_config(requests: AsyncIterator[gateway_pb2.WatchValuesRequest]) -> DetectionRequest | None:
    """Reads the first message of a watch; None where there is not one.

    Raises:
        InvalidArgument: If it is no configuration, or has a picture.
    """
    first = await anext(requests, None)
    if first is None:
        return None
    if first.WhichOneof("message") != "config":
        raise InvalidArgument("config", "must be the first message of a watch", reason="CONFIG_MISSING")
    if first.config.HasField("image"):
        raise InvalidArgument("config.image", "must be unset; images come as frames", reason="CONFIG_WITH_IMAGE")
    return to_detection_request(first.config)


async def to_frames(requests: AsyncIterator[gateway_pb2.WatchValuesRequest]) -> AsyncIterator[Frame]:
    """Reads the messages after the first.

    Raises:
        InvalidArgument: If one is no frame.
    """
    async for request in requests:
        kind = request.WhichOneof("message")
        if kind == "config":
            raise InvalidArgument("config", "is given twice; open another watch to change it", reason="CONFIG_TWICE")
        if kind is None:
            raise InvalidArgument(
                "frame", "is missing; each message after the first is a frame", reason="FRAME_MISSING"
            )
        yield Frame(request.frame.frame_id, request.frame.image.data)


def from_outcome(outcome: FrameOutcome[Detection], request_id: str) -> gateway_pb2.WatchValuesResponse:
    """Writes what became of a frame."""
    response = gateway_pb2.WatchValuesResponse(frame_id=outcome.frame_id)
    if outcome.result is not None:
        response.detection.CopyFrom(from_detection(outcome.result, request_id))
    elif outcome.error is not None:
        response.error.CopyFrom(from_item_error(outcome.error))
    elif outcome.superseded_by is not None:
        response.superseded.by_frame_id = outcome.superseded_by
    return response
