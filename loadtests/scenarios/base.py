"""What every scenario is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import grpc

from axia import TLS
from axia._connection.call import channel_options
from axia._connection.transport import resolve_api_key
from loadtests.pictures import Picture
from loadtests.recorder import Recorder
from loadtests.records import Outcome

TIMEOUT_S = 60.0
DEFAULT_HTTP = "http://127.0.0.1:8080"


@dataclass(frozen=True)
class Target:
    """What is measured, and how it is asked."""

    address: str
    """The gateway's host and port."""
    http: str = DEFAULT_HTTP
    """Address of its HTTP API, a URL."""
    api_key: str | None = field(default=None, repr=False)
    tls: TLS | None = None
    pictures: Sequence[Picture] = ()
    n: int = 3
    """Completions of a detection."""
    max_tokens: int = 100
    """Tokens of one completion at most."""
    full_text: bool = False
    """Let completions run to their end."""
    model: str = ""
    """Name of the model; empty for the gateway's default."""
    timeout_s: float = TIMEOUT_S
    """Seconds that a call may take."""
    watch_fps: float = 5.0
    """Frames a second that a camera sends."""
    watch_frames: int = 25
    """Frames of a watch."""
    connections: int = 1
    """gRPC connections that calls are spread over: several reach several gateways behind one address."""

    def picture(self, number: int) -> Picture:
        """The picture of a call."""
        return self.pictures[number % len(self.pictures)]

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What every gRPC call carries."""
        key = resolve_api_key(self.api_key)
        return (("authorization", f"Bearer {key}"),) if key else ()


class Scenario(ABC):
    """One kind of call. Open it before the first call, close it after the last."""

    name: ClassVar[str]
    help: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset({"inference"})
    """Servers behind the gateway that it needs; "http" for the HTTP API."""

    def __init__(self, target: Target) -> None:
        self.target = target

    @abstractmethod
    async def open(self) -> None:
        """Makes the connection."""

    @abstractmethod
    async def close(self) -> None:
        """Ends the connection."""

    @abstractmethod
    async def call(self, number: int) -> Outcome:
        """Makes one call. What fails is an outcome, not an exception.

        Args:
            number: Counts the run's calls; chooses picture and seed.
        """

    async def play(self, number: int, intended_s: float, recorder: Recorder) -> None:
        """Makes the call of an arrival and notes how it ended."""
        started_s = recorder.clock.now()
        outcome = await self.call(number)
        recorder.add(self.name, intended_s, started_s, outcome)


class GrpcScenario(Scenario):
    """A call over gRPC."""

    async def open(self) -> None:
        """Makes the channels; they connect with the first call."""
        address, tls = self.target.address, self.target.tls
        # A call that gRPC repeats would count as one that took longer, and a failure would not be seen.
        options = [*channel_options(address), ("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        self.channels = [
            grpc.aio.insecure_channel(address, options=options)
            if tls is None
            else grpc.aio.secure_channel(address, tls.credentials(), options=[*options, *tls.options])
            for _ in range(self.target.connections)
        ]
        self.metadata = self.target.metadata

    async def close(self) -> None:
        """Ends the connections."""
        for channel in self.channels:
            await channel.close()

    async def call(self, number: int) -> Outcome:
        """Makes one call over one of the connections."""
        try:
            return await self.ask(number, number % len(self.channels))
        except grpc.aio.AioRpcError as error:
            return Outcome(error.code().name, message=error.details() or "")

    @abstractmethod
    async def ask(self, number: int, channel: int) -> Outcome:
        """Makes one call over this connection; may raise AioRpcError."""
