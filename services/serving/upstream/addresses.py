"""Addresses of gRPC servers: host:port as settings have them, and the ip:port that a host name stands for."""

import ipaddress
import re
import socket
from typing import Annotated

from pydantic import AfterValidator, Field

from services.serving.environment import EMPTY_IS_MEANT, Listed

_LARGEST_PORT = 65_535
_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\],@]+):(?P<port>\d{1,5})")


def checked_address(text: str) -> str:
    """An address without white space around it.

    Raises:
        ValueError: If it isn't host:port, saying what to change.
    """
    text = text.strip()
    if "://" in text:
        scheme, _, rest = text.partition("://")
        raise ValueError(f"must be host:port without {scheme}://, such as {rest.strip('/') or 'axia-inference:50051'}")
    match = _ADDRESS.fullmatch(text)
    if not match or not 0 < int(match["port"]) <= _LARGEST_PORT:
        raise ValueError(f"must be host:port, IPv6 as [::1]:port; {text!r} is not")
    return text


def _all_checked(addresses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(checked_address(address) for address in addresses)


Address = Annotated[str, AfterValidator(checked_address)]
Addresses = Annotated[Listed, AfterValidator(_all_checked), Field(min_length=1)]
OptionalAddresses = Annotated[Listed, EMPTY_IS_MEANT, AfterValidator(_all_checked)]
"""Addresses, or an empty text for none."""
Found = list[str] | None
"""ip:port addresses; None where a name couldn't be looked up."""


def host_name(target: str) -> str:
    """The host name of a host:port; empty where that is an IP address."""
    host = target.rpartition(":")[0]
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host
    return ""


def look_up(target: str) -> Found:
    """The ip:port addresses that a host:port stands for, IPv4 where there are both; None if it can't be looked up.

    Blocks for as long as the system's resolver takes.
    """
    host, _, port = target.rpartition(":")
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            found = socket.getaddrinfo(host, int(port), family=family, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                return None  # the name server is away; the other kind of address would take the place of these
            continue
        except (OSError, UnicodeError):
            continue
        hosts = sorted({str(address[0]) for *_, address in found})
        return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host in hosts]
    return None
