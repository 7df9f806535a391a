"""What the sync and the async client have in common: the channel, the call's id and its errors."""

import ipaddress
import math
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc

from axia._connection import forks
from axia._connection.transport import MAX_MESSAGE_BYTES, service_config
from axia.errors import ServerError, from_rpc_error

DEFAULT_ADDRESS = "127.0.0.1:50050"
"""Where `axia up` starts the gateway."""

ADDRESS_VARIABLE = "AXIA_ADDRESS"
"""Environment variable with the address to use where none is given."""

DEFAULT_TIMEOUT_S = 60.0
"""Seconds that a call may take."""

_DEFAULT_PORT = 50050
_HIGHEST_PORT = 65_535
_SCHEMES = ("unix:", "unix-abstract:", "vsock:", "dns:", "ipv4:", "ipv6:", "xds:")
"""How gRPC's own names of targets begin, which go to it as they are."""
REQUEST_ID_KEY = "x-request-id"


def resolve_address(address: str | None) -> str:
    """The address to call: as given, or from AXIA_ADDRESS, or the default; with the default port if it names none.

    Several replicas of a gateway are separated by commas, as IP addresses; calls go round them.

    Raises:
        ValueError: If it is a URL, its port is none, or one of several is no IP address.
    """
    target = (address or os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS).strip()
    if "," in target and not target.startswith(_SCHEMES):
        return _replicas([_one_address(address.strip()) for address in target.split(",") if address.strip()])
    return _one_address(target)


def _replicas(addresses: Sequence[str]) -> str:
    """Several addresses as gRPC takes them."""
    hosts = [address.rpartition(":")[0].strip("[]") for address in addresses]
    if not addresses or not all(map(_is_ip, hosts)) or len({_is_ipv6(host) for host in hosts}) > 1:
        raise ValueError(
            "several addresses must be IP addresses of one kind, such as 10.0.0.1:50050,10.0.0.2:50050; otherwise give "
            "one host name that resolves to all of them"
        )
    return f"{'ipv6' if _is_ipv6(hosts[0]) else 'ipv4'}:{','.join(addresses)}"


def _one_address(target: str) -> str:
    if target.startswith(("http://", "https://", "grpc://")):
        raise ValueError(f"{target!r} is a URL: give host and port of the gateway, such as {DEFAULT_ADDRESS}")
    if target.startswith(_SCHEMES):
        return target
    if _is_ipv6(target):
        target = f"[{target}]"  # gRPC would add port 443
    if ":" not in target or target.endswith("]"):
        return f"{target}:{_DEFAULT_PORT}"
    port = target.rpartition(":")[2]
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= _HIGHEST_PORT):  # gRPC would call 34463 for 99999
        raise ValueError(
            f"{port!r} in {target!r} is not a port: give host and port of the gateway, such as {DEFAULT_ADDRESS}"
        )
    return target


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6  # noqa: PLR2004 - the version's own name
    except ValueError:
        return False


def channel_options(address: str) -> list[tuple[str, int | str]]:
    """Options of a channel to this address."""
    options: list[tuple[str, int | str]] = [
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        # A robot that drives out of the network and back must not wait gRPC's two minutes.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.dns_min_time_between_resolutions_ms", 2_000),
        # Ends a connection on which nobody acknowledges what was sent for 20 s, or a ping in a long silence, so that a
        # call after a change of network fails soon. Servers take pings more often than every 5 minutes for abuse.
        ("grpc.keepalive_time_ms", 330_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # Repeats reads where nobody answered, and never what samples.
        ("grpc.service_config", service_config(replicas="," in address)),
    ]
    if _is_loopback(address):
        # gRPC would send even this to the proxy that http_proxy names.
        options.append(("grpc.enable_http_proxy", 0))
    return options


def _is_loopback(address: str) -> bool:
    if address.startswith("unix:"):
        return True
    if address.startswith(("ipv4:", "ipv6:")):
        return all(map(_is_loopback, address[5:].split(",")))
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def checked_timeout(timeout: float | None) -> float | None:
    """A time limit in seconds, where None and infinity mean none.

    Raises:
        ValueError: If it is not above 0.
    """
    if timeout is None or timeout == math.inf:
        return None
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout!r}: give seconds above 0, or math.inf for no limit")
    return float(timeout)


@dataclass(frozen=True)
class Call:
    """One call: its id, its time limit, and how its errors are told."""

    address: str
    timeout: float | None
    api_key: str | None = field(default=None, repr=False)
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments for a method of the stub."""
        metadata = [(REQUEST_ID_KEY, self.request_id)]
        if self.api_key is not None:
            metadata.append(("authorization", f"Bearer {self.api_key}"))
        return {"timeout": self.timeout, "metadata": tuple(metadata)}

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raises AxiaError for whatever gRPC raises inside."""
        try:
            with forks.calling():
                yield
        except grpc.RpcError as error:
            raise from_rpc_error(
                error, address=self.address, timeout=self.timeout, request_id=self.request_id
            ) from error

    def ended_early(self) -> ServerError:
        """The error for a stream that ended without its summary."""
        return ServerError(
            f"the server at {self.address} ended the stream without a summary: look for request {self.request_id} "
            "in its log",
            code="INTERNAL",
            request_id=self.request_id,
        )


class NewCall(Protocol):
    """Makes a call with a time limit, or the client's."""

    def __call__(self, timeout: float | None) -> Call: ...
