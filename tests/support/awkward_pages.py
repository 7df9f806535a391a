"""Pages that a browser agent has to cope with, on a server in the test's own process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

_FEED = """<!doctype html><title>feed</title><body style="margin:0;height:100vh"><script>
let n = 0, last = {last};
const show = () => {{ const c = document.createElement('canvas'); c.width = 450; c.height = 700;
  const p = c.getContext('2d'); let s = 7919 * (n + 1);
  for (let i = 0; i < 40; i++) {{ s = (s * 48271) % 2147483647;
    p.fillStyle = '#' + (s & 0xffffff).toString(16).padStart(6, '0');
    p.fillRect(s % 450, (s >> 4) % 700, 150, 150); }}
  document.body.querySelector('canvas')?.remove(); document.body.append(c); }};
const next = () => {{ if (n < last) {{ n++; show(); }} {more} }};
addEventListener('wheel', next); addEventListener('keydown', e => e.key === 'ArrowDown' && next());
show(); {first}
</script>{html}"""


def _feed(*, last: int = 1000, first: str = "", more: str = "", html: str = "") -> str:
    return _FEED.format(last=last, first=first, more=more, html=html)


_DIALOG = """<div role="dialog" id="d" style="position:fixed;bottom:0;background:#fff;padding:30px">We use cookies.
<button onclick="document.title='accepted';d.remove()">Accept all</button>{refuse}</div>"""
PAGES = {
    "/feed": _feed(),
    "/ends": _feed(last=3),
    "/login": _feed(more="if (n === 2) document.body.innerHTML = '<form>Log in<input type=password></form>';"),
    "/challenge": _feed(more="if (n === 2) document.body.innerHTML = '<p>Verify you are human</p>';"),
    "/spinner": '<!doctype html><body><div aria-busy="true" style="height:90px">…</div>',
    "/consent": _feed(
        html=_DIALOG.format(refuse="<button onclick=\"document.title='refused';d.remove()\">Reject all</button>")
    ),
    "/consent-only": _feed(html=_DIALOG.format(refuse="")),
    "/alert": _feed(first="setTimeout(() => alert('Install our app'), 50);", more="confirm('Stay?');"),
    "/popup": _feed(first="window.open('/feed');", more="window.open('/feed');"),
    "/many": _feed(more="if (n === 2) fetch('/429');"),
    "/elsewhere": _feed(more="if (n === 2) location = 'http://elsewhere.invalid/feed';"),
    "/thirdparty": _feed(html='<img src="http://tracker.invalid/pixel.gif">'),
}


class _Handler(BaseHTTPRequestHandler):
    robots = "User-agent: *\nDisallow: /private\n"
    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("User-Agent", "")))
        if self.path == "/robots.txt":
            self._answer(200, self.robots, "text/plain")
        elif self.path == "/429":
            self._answer(429, "slow down", "text/plain", {"Retry-After": "60"})
        elif self.path == "/redirect":
            self._answer(302, "", "text/plain", {"Location": "http://elsewhere.invalid/feed"})
        elif self.path == "/forbidden":
            self._answer(403, "no", "text/plain")
        elif self.path in PAGES:
            self._answer(200, PAGES[self.path], "text/html; charset=utf-8")
        else:
            self._answer(404, "none", "text/plain")

    def _answer(self, status: int, text: str, kind: str, more: dict[str, str] | None = None) -> None:
        data = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class AwkwardPages:
    """The server's address, and what was asked of it."""

    def __init__(self, address: str, asked: list[tuple[str, str]]) -> None:
        self.address, self.asked = address, asked


@contextmanager
def awkward_pages() -> Iterator[AwkwardPages]:
    """Serves the pages on a free port of this machine."""
    asked: list[tuple[str, str]] = []
    handler = type("Handler", (_Handler,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield AwkwardPages(f"http://127.0.0.1:{server.server_address[1]}", asked)
        finally:
            server.shutdown()
            thread.join()
