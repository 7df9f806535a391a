"""The scoring service as the gateway reaches it: a real channel to a server of this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from axia.prompts import load_prompts
from axia.v1 import scoring_pb2 as pb
from axia.v1 import scoring_pb2_grpc
from gateway.backends.channels import ServiceChannel
from gateway.backends.scoring_client import SERVICE, GrpcScoring
from gateway.protocols.ports.model import Completion
from gateway.protocols.ports.scoring import PreferenceAnswer
from gateway.protocols.reader import Reader
from gateway.protocols.sampling import GroundTruth
from gateway.settings import GatewaySettings
from services.scoring.servicer import ScoringServicer
from services.scoring.settings import ScoringSettings
from services.serving.errors import FailedPrecondition, InvalidArgument
from services.serving.interceptors import CallInterceptor
from services.serving.upstream.replica import State

SENTENCES = ["The hot stove.", "a hot stove", "A cat."]


async def score(request: pb.ScoreIsqRequest, context: Any) -> pb.ScoreIsqResponse:
    return pb.ScoreIsqResponse()


OLDER_RELEASE = grpc.method_handlers_generic_handler(
    SERVICE,
    {
        "ScoreIsq": grpc.unary_unary_rpc_method_handler(
            score, pb.ScoreIsqRequest.FromString, pb.ScoreIsqResponse.SerializeToString
        )
    },
)


@asynccontextmanager
async def scoring(servicer: ScoringServicer | None) -> AsyncIterator[GrpcScoring]:
    """A server of this release, or of one that lacks most methods."""
    server = grpc.aio.server(interceptors=[CallInterceptor()])
    if servicer:
        scoring_pb2_grpc.add_ScoringServiceServicer_to_server(servicer, server)
    else:
        server.add_generic_rpc_handlers([OLDER_RELEASE])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    settings = GatewaySettings(scoring=f"127.0.0.1:{port}")
    channel = ServiceChannel("scoring", SERVICE, settings.scoring, settings)
    await channel.refresh()
    assert channel.serving
    yield GrpcScoring(channel, hung_after_s=30, max_chars=16_384)
    await channel.close()
    await server.stop(0)


@asynccontextmanager
async def real(**settings: Any) -> AsyncIterator[GrpcScoring]:
    servicer = ScoringServicer(ScoringSettings(sentence_threads=1, **settings))
    await servicer.load()
    async with scoring(servicer) as client:
        yield client
    servicer.close()


async def test_every_part_is_read_and_passed_on_as_it_came() -> None:
    truth = GroundTruth("a hot stove", ("cooker",), "model")
    async with real() as client:
        readings = await client.read(SENTENCES, 0.5, truth, ["yes", "no", "???"], 30)
    assert readings.grouping is not None
    assert readings.grouping.by_meaning
    assert readings.grouping.consensus.element == "The hot stove."
    assert [group.members for group in readings.grouping.consensus.groups] == [(0, 1), (2,)]
    assert all(isinstance(response_type, pb.ResponseTypeScore) for response_type in readings.response_types)
    assert all(isinstance(attribution.message, pb.ValueAttribution) for attribution in readings.attributions)
    assert len(readings.response_types) == len(readings.attributions) == 3
    assert [alignment.score for alignment in readings.alignments] == [1, 0, None]
    assert readings.alignment == 0.5


async def test_without_a_reader_model_the_rest_is_read_and_the_log_says_what_to_install(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO"):
        async with real(reader="") as client:
            readings = await client.read(SENTENCES, 0.5, GroundTruth("stove", (), "lexical"), (), 30)
    assert readings.grouping is not None
    assert not readings.grouping.by_meaning
    assert (readings.response_types, readings.attributions) == ((), ())
    assert [alignment.score for alignment in readings.alignments] == [1, 1, 0]
    assert "response_types can't be read: this needs the reader model" in caplog.text


async def test_an_element_that_a_judge_cant_compare_leaves_the_alignment_out_alone() -> None:
    async with real(reader="") as client:
        readings = await client.read(SENTENCES, 0.5, GroundTruth("!?", (), "lexical"), (), 30)
    assert readings.alignments == ()
    assert readings.grouping is not None


async def test_a_refusal_is_raised() -> None:
    async with real(reader="", max_chars=5) as client:
        with pytest.raises(Exception, match="at most 5 are allowed") as caught:
            await client.read(SENTENCES, 0.5, None, (), 30)
    assert caught.value.code is InvalidArgument.code  # type: ignore[attr-defined]  # a ServiceError, as it was sent


async def test_an_answer_without_an_end_is_read_by_its_beginning_and_costs_nothing_else() -> None:
    endless = "Yes, I like it. " * 2_000
    answers = [PreferenceAnswer("power", endless, "crown", "1"), PreferenceAnswer("power", "No.", "crown", "2")]
    items = ("visual attractiveness", "curiosity stimulation", "emotional engagement", "value expectation")
    form = "".join(f"{item}: 8. " for item in items) + "preference alignment: 1. action desire: 1. "
    async with real() as client:
        assert await client.verdicts(answers, 30) == ["yes", "no"]
        assert await client.read_verdicts("interest", [endless, "No."], 30) == ["yes", "no"]
        table: Any = await client.preference_table(answers, 0.95, 30)
        assert [(score.answers, score.yes, score.no) for score in table.scores] == [(2, 1, 1)]
        assert (await client.isq(form + "so " * 20_000, 60, 30)).match
        truth = GroundTruth("a hot stove", (), "model")
        read = await client.read(["a hot stove " * 2_000, "a hot stove"], 0.5, truth, ["yes" + "!" * 20_000, "yes"], 30)
    assert len(read.response_types) == len(read.attributions) == 2
    assert [alignment.score for alignment in read.alignments] == [1, 1]


async def test_an_older_release_is_named_with_what_to_do() -> None:
    async with scoring(None) as client:
        with pytest.raises(FailedPrecondition, match=r"is older than this gateway.*upgrade it") as caught:
            await client.read(SENTENCES, 0.5, None, (), 30)
    assert caught.value.reason == "SCORING_TOO_OLD"


async def test_an_older_release_is_logged_once_each_time_that_it_came(caplog: pytest.LogCaptureFixture) -> None:
    def warnings() -> list[str]:
        return [record.message for record in caplog.records if record.levelname == "WARNING"]

    completions = [Completion(0, "The hot stove.", "The hot stove.", "stop", 1, 0, 1.0)]
    async with scoring(None) as client:
        reader = Reader(client, load_prompts(), timeout_s=30, reserve_s=0.1)
        with caplog.at_level("INFO"):
            for _ in range(3):
                assert (await reader.read(completions, 0.5, None, None, 30)).missing
            assert len(warnings()) == 1
            assert "is older than this gateway and doesn't know ReadCompletions; upgrade it" in warnings()[0]
            assert "missing from a detection" not in caplog.text
            (replica,) = client._channel._replicas.replicas
            for state in (State.GONE, State.SERVING):
                replica.state = state
                await client._channel._note(replica)
            for _ in range(3):
                await reader.read(completions, 0.5, None, None, 30)
            assert len(warnings()) == 2
