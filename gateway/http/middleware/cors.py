"""Who may drive the HTTP API from a browser: the page's origin and the name that the browser resolved."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from gateway.http.problems import RATE_HEADERS, HttpError
from gateway.http.settings import HttpSettings
from services.serving.errors import InvalidArgument

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_LOOPBACK_ADDRESSES = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})

_METHODS = ("GET", "POST", "DELETE")
"""Methods of all routes."""
_READABLE = ("X-Request-Id", "Retry-After", "ETag", "axia-retention", *RATE_HEADERS.values())
"""Headers of answers that pages may read beside those that they always may."""

Admission = Callable[[Headers], HttpError | None]
"""Says why a request with these headers is refused; None if it is not."""


def admission(settings: HttpSettings) -> Admission:
    """Refuses what a page of another site may have sent.

    A browser names the page's origin in every WebSocket and every request that is not a plain GET, and lets no page
    change it. A name that leads to this machine only by DNS is another site's as well (DNS rebinding), so while the
    server listens on the loopback interface, Host must name that.
    """
    origins, hosts = _lowered(settings.allowed_origins), _lowered(settings.allowed_hosts)
    hosts_matter = bool(hosts) or settings.host in _LOOPBACK_ADDRESSES

    def refusal(headers: Headers) -> HttpError | None:
        host = headers.get("host", "").strip().lower()
        if hosts_matter and not {host, _without_port(host)} & (hosts | _LOOPBACK):
            return _refused(
                "Host",
                "this host name is not allowed; use 127.0.0.1 or localhost, or add the name to AXIA_HTTP_ALLOWED_HOSTS",
                "HOST_NOT_ALLOWED",
            )
        for origin in headers.getlist("origin"):
            if origin.lower() not in origins and _authority(origin) != host:
                return _refused(
                    "Origin",
                    "web pages of this origin may not call this server; to allow them, add the origin to "
                    "AXIA_HTTP_ALLOWED_ORIGINS",
                    "CROSS_ORIGIN",
                )
        return None

    return refusal


def cors(settings: HttpSettings) -> Callable[[ASGIApp], ASGIApp]:
    """Lets the pages of allowed origins send what they have to ask for first, and read the answers (CORS).

    It changes nothing where no origin is allowed, and refuses nobody: that is `admission`'s.
    """
    origins = _lowered(settings.allowed_origins)

    def wrap(app: ASGIApp) -> ASGIApp:
        if not origins:
            return app
        # Any header may be sent: OpenAI's client has a dozen of its own. Cookies are not asked for, so none are sent.
        return CORSMiddleware(
            app, allow_origins=origins, allow_methods=_METHODS, allow_headers=("*",), expose_headers=_READABLE
        )

    return wrap


def _lowered(names: Sequence[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


def _authority(origin: str) -> str | None:
    try:
        return urlsplit(origin.lower()).netloc or None
    except ValueError:  # brackets that hold no address
        return None


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _refused(header: str, description: str, reason: str) -> HttpError:
    return HttpError(HTTPStatus.FORBIDDEN, InvalidArgument(header, description, reason=reason))
