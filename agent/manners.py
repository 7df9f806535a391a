"""What the agent may visit, how fast, and under which name."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

from agent import AgentError, Stopped
from axia.version import __version__

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
USER_AGENT = f"axia-agent/{__version__} (automated browser for research; obeys robots.txt)"
_ROBOT = "axia-agent"
_SECONDS_BETWEEN = 2.0
"""Least time between two swipes on hosts that aren't this machine."""
_NOT_FOUND, _SERVER_ERROR, _REDIRECT, _TOO_MANY = 400, 500, 300, 429


@dataclass(frozen=True)
class Manners:
    """How the agent behaves towards the hosts that it visits.

    Raises:
        AgentError: a host has a scheme, a path or a wildcard.
    """

    hosts: tuple[str, ...] = LOOPBACK
    """Host names that it may reach, without ports; nothing else is resolved."""
    seconds_between: float | None = None
    """Least time between two swipes; None: 0 on this machine alone, 2 s elsewhere."""

    def __post_init__(self) -> None:
        for host in self.hosts:
            if not host or any(sign in host for sign in "/*@ ,") or (":" in host and not host.startswith("[")):
                raise AgentError(
                    f"{host!r} is not a host name: give one such as videos.example.org, without port or path"
                )

    @property
    def loopback_only(self) -> bool:
        """Whether it reaches this machine alone."""
        return all(is_loopback(host) for host in self.hosts)

    @property
    def pause_s(self) -> float:
        """Least time between two swipes, in seconds."""
        if self.seconds_between is not None:
            return self.seconds_between
        return 0.0 if self.loopback_only else _SECONDS_BETWEEN

    def allows(self, url: str) -> bool:
        """Whether an address may be reached."""
        parts = urlsplit(url)
        if parts.scheme in {"data", "blob", "about"}:
            return True
        return parts.scheme in {"http", "https"} and _host(url) in {host.lower().strip("[]") for host in self.hosts}

    def check(self, url: str) -> None:
        """Whether a visit may begin there.

        Raises:
            AgentError: it is no web address, or the host isn't allowed.
        """
        if urlsplit(url).scheme not in {"http", "https"} or not _host(url):
            raise AgentError(f"{url!r} is not a web address: give one such as http://127.0.0.1:8090/tiktok")
        if not self.allows(url):
            raise AgentError(
                f"{_host(url)} isn't allowed: if you may visit it (its terms, the people shown), allow it with "
                f"--allow {_host(url)}"
            )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    name = host.strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def check_robots(url: str, status: int, text: str) -> float:
    """Whether robots.txt allows a visit (RFC 9309), and how long to wait between two.

    Args:
        url: what is to be visited.
        status: of the answer for robots.txt; 0 where there was none.
        text: its text.

    Returns:
        Its crawl delay in seconds, or 0.

    Raises:
        Stopped: it disallows the visit, or can't be read now, which counts as disallowed.
    """
    if status == _TOO_MANY or status >= _SERVER_ERROR or status < _REDIRECT - 100:
        raise Stopped(f"robots.txt of {_host(url)} can't be read (HTTP {status}), so nothing is visited: try later")
    if _REDIRECT <= status < _NOT_FOUND:
        raise Stopped(f"robots.txt of {_host(url)} redirects (HTTP {status}): visit the host that it points to instead")
    if status >= _NOT_FOUND:
        return 0.0  # there is none
    robots = RobotFileParser()
    robots.parse(text.splitlines())
    if not robots.can_fetch(_ROBOT, url):
        raise Stopped(f"robots.txt of {_host(url)} disallows {urlsplit(url).path or '/'} for {_ROBOT}")
    return float(robots.crawl_delay(_ROBOT) or 0)


class Pace:
    """Keeps the least time between two swipes."""

    def __init__(
        self, seconds: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._seconds, self._clock, self._sleep = seconds, clock, sleep
        self._last: float | None = None

    def wait(self) -> None:
        """Waits until the next swipe may come."""
        if self._last is not None and (left := self._last + self._seconds - self._clock()) > 0:
            self._sleep(left)
        self._last = self._clock()


def resolver_rules(hosts: Iterable[str]) -> str:
    """Chromium's rule by which it finds no other hosts, whatever a page or a redirect asks for."""
    return ", ".join(["MAP * ~NOTFOUND", *(f"EXCLUDE {host}" for host in hosts)])


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
