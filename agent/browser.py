"""Chromium, driven by Playwright: screenshots, signs of trouble, wheel and keys."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NamedTuple, Self
from urllib.parse import urljoin

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import sync_playwright

from agent import AgentError, Stopped
from agent.manners import USER_AGENT, Manners, check_robots, resolver_rules
from agent.screens import Signs
from agent.settling import settled

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Page, Request, Response, Route

VIEWPORT = (450, 800)
"""Width and height of a screenshot, pixels: a telephone held upright."""
LOCALE, TIMEZONE = "en-US", "UTC"
BEGINNING = "2026-01-01T12:00:00Z"
"""Where the page's clock begins in virtual time."""
_LOAD_MS = 30_000
_REJECTED_MS = 600
"""Time that a dialog's end is given, real even in virtual time."""
_FRAME_MS = 16
_QUALITY = 90
_TOO_MANY = 429
_REFUSALS = {401, 403, 407, 451, 503}
_SEEN = r"""
  const seen = e => { const b = e.getBoundingClientRect(), s = getComputedStyle(e);
    return b.width > 1 && b.height > 1 && s.visibility !== 'hidden' && s.display !== 'none'; };
  const any = q => [...document.querySelectorAll(q)].some(seen);
  const busy = document.readyState !== 'complete'
    || any('[aria-busy=true], [role=progressbar]:not([aria-valuenow])');"""
_BUSY = f"() => {{{_SEEN} return busy; }}"
_SIGNS = (
    f"() => {{{_SEEN}"
    r"""
  const text = (document.body?.innerText || '').slice(0, 4000) + ' ' + document.title;
  const dialogs = [...document.querySelectorAll('dialog[open], [role=dialog], [role=alertdialog], [aria-modal=true]')];
  return {
    busy,
    password: any('input[type=password]'),
    challenge: [...document.querySelectorAll('iframe')].some(f => seen(f) && /captcha|challenge|turnstile/i.test(f.src))
      || /(verify|confirm|prove) (that )?you( are|'re) (a )?human|not a robot|unusual traffic/i.test(text),
    consent: dialogs.some(d => seen(d) && /cookie|consent|privacy/i.test(d.innerText)),
  };
}"""
)
_REFUSE = re.compile(r"reject|decline|refuse|deny|only (the )?(necessary|essential)", re.IGNORECASE)


class Look(NamedTuple):
    """What is on the screen."""

    picture: bytes
    """JPEG."""
    url: str
    signs: Signs
    events: tuple[str, ...]
    """What happened since the last look: pop-ups that were closed, dialogs that were dismissed, hosts not reached."""


class Gone(AgentError):
    """The browser ended; a new one can go on."""


class Browser:
    """One page of one browser that reaches the allowed hosts alone.

    Args:
        manners: what it may reach.
        chromium: the program.
        virtual_time: whether dwell times pass on the page's clock alone; only on this machine.

    Raises:
        AgentError: virtual time is asked for elsewhere, or the browser doesn't start.
    """

    def __init__(self, manners: Manners, chromium: str, *, virtual_time: bool) -> None:
        if virtual_time and not manners.loopback_only:
            raise AgentError("virtual time is for pages of this machine: other hosts are watched in real time")
        self._manners, self._chromium, self._virtual = manners, chromium, virtual_time
        self._stop = ""
        self._events: list[str] = []
        self._settled: bytes | None = None
        self.crawl_delay_s = 0.0
        """Seconds between two swipes that robots.txt asks for."""

    def __enter__(self) -> Self:
        self._playwright = sync_playwright().start()
        try:
            self._browser = self._playwright.chromium.launch(
                executable_path=self._chromium,
                chromium_sandbox=os.geteuid() != 0,  # as root it would not start with one
                args=[
                    "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
                    "--disable-component-update", "--disable-sync",
                    f"--host-resolver-rules={resolver_rules(self._manners.hosts)}",
                ],
            )  # fmt: skip
            width, height = VIEWPORT
            self._context = self._browser.new_context(
                viewport={"width": width, "height": height},
                locale=LOCALE,
                timezone_id=TIMEZONE,
                user_agent=USER_AGENT,
                accept_downloads=False,
                service_workers="block",
                reduced_motion="reduce",  # a page that honours it needs no time for transitions
            )
            if self._virtual:
                self._context.clock.install(time=BEGINNING)
            self._context.route("**/*", self._route)
            self._page = self._context.new_page()
        except PlaywrightError as error:
            self._playwright.stop()
            raise AgentError(f"{self._chromium} doesn't start: {_short(error)}") from error
        self._context.on("page", self._close_popup)
        self._page.on("dialog", self._dismiss)
        self._page.on("request", self._watch_request)
        self._page.on("response", self._watch_response)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(PlaywrightError):
            self._browser.close()
        with suppress(PlaywrightError):
            self._playwright.stop()

    def open(self, url: str) -> None:
        """Visits an address, if its host and its robots.txt allow that.

        Raises:
            AgentError: the host isn't allowed or can't be reached.
            Stopped: robots.txt disallows it, or the page refuses.
        """
        self._manners.check(url)
        status, text = 0, ""
        try:
            robots = self._context.request.get(
                urljoin(url, "/robots.txt"), max_redirects=0, timeout=_LOAD_MS, fail_on_status_code=False
            )
            status, text = robots.status, robots.text()
        except PlaywrightError as error:
            raise AgentError(f"{url} can't be reached: {_short(error)}") from error
        self.crawl_delay_s = check_robots(url, status, text)
        try:
            self._page.goto(url, wait_until="load", timeout=_LOAD_MS)
        except PlaywrightError as error:
            self._check_stop()
            raise AgentError(f"{url} can't be loaded: {_short(error)}") from error
        self._check_stop()

    def look(self) -> Look:
        """A screenshot, and what the page says.

        Raises:
            Stopped: the page refuses the agent, or went to a host that isn't allowed.
            Gone: the browser has ended.
        """
        self._check_stop()
        picture, self._settled = self._settled, None
        try:
            signs = Signs(**self._page.evaluate(_SIGNS))
            picture = picture or self._screenshot()
            url = self._page.url
        except PlaywrightError as error:
            self._check_stop()
            raise Gone(f"the browser ended: {_short(error)}") from error
        events, self._events = tuple(self._events), []
        return Look(picture, url, signs, events)

    def dwell(self, milliseconds: int) -> None:
        """Lets time pass: on the page's clock in virtual time, else in the world.

        Raises:
            Gone: the browser has ended.
        """
        self._settled = None
        with _gone():
            if self._virtual:
                self._page.clock.fast_forward(milliseconds)
            else:
                self._page.wait_for_timeout(milliseconds)

    def swipe(self, by: Literal["wheel", "key"]) -> None:
        """Goes to the next video, and waits until the screen stands still (`agent.settling`).

        Raises:
            Gone: the browser has ended.
        """
        width, height = VIEWPORT
        with _gone():
            before = self._screenshot()
            if by == "wheel":
                self._page.mouse.move(width / 2, height / 2)
                self._page.mouse.wheel(0, height)
            else:
                self._page.keyboard.press("ArrowDown")
            self._settled = settled(before, self._next_frame)

    def like(self) -> None:
        """Presses the key that feeds take for a like.

        Raises:
            Gone: the browser has ended.
        """
        with _gone():
            self._page.keyboard.press("l")

    def reject(self) -> None:
        """Refuses a consent dialog, if it has a button for that.

        Raises:
            Gone: the browser has ended.
        """
        with _gone():
            button = self._page.get_by_role("button", name=_REFUSE).first
            if button.is_visible():
                button.click(timeout=2000)
            self._page.wait_for_timeout(_REJECTED_MS)

    def wait(self, milliseconds: int) -> None:
        """Lets real time pass, for what is loading.

        Raises:
            Gone: the browser has ended.
        """
        self._settled = None
        with _gone():
            self._page.wait_for_timeout(milliseconds)

    def _next_frame(self) -> bytes | None:
        """A screenshot at least a frame later; None while the page says that it is loading, or goes elsewhere.

        Raises:
            PlaywrightError: the browser has ended.
        """
        self._page.wait_for_timeout(_FRAME_MS)
        try:
            return None if self._page.evaluate(_BUSY) else self._screenshot()
        except PlaywrightError:
            if self._page.is_closed() or not self._browser.is_connected():
                raise
            return None

    def _screenshot(self) -> bytes:
        return self._page.screenshot(type="jpeg", quality=_QUALITY)

    def _check_stop(self) -> None:
        if self._stop:
            raise Stopped(self._stop)

    def _route(self, route: Route) -> None:
        if self._manners.allows(route.request.url):
            route.continue_()
        else:
            self._refuse(route.request)
            route.abort()

    def _watch_request(self, request: Request) -> None:
        # A redirect's further requests don't pass through the route; the resolver's rule keeps them from being sent.
        if not self._manners.allows(request.url):
            self._refuse(request)

    def _refuse(self, request: Request) -> None:
        if request.is_navigation_request() and request.frame == self._page.main_frame:
            self._stop = f"the page went to {request.url[:200]}, whose host isn't allowed"
        else:
            self._events.append(f"not reached: {request.url[:200]}")

    def _watch_response(self, response: Response) -> None:
        if response.status == _TOO_MANY:
            after = response.headers.get("retry-after", "")
            self._stop = "HTTP 429: the host wants fewer visits" + (f"; try again after {after} s" if after else "")
        elif (
            response.status in _REFUSALS
            and response.request.is_navigation_request()
            and response.frame == self._page.main_frame
        ):
            self._stop = f"HTTP {response.status}: the host refuses the visit"

    def _dismiss(self, dialog: Dialog) -> None:
        self._events.append(f"dismissed {dialog.type}: {dialog.message[:200]}")
        dialog.dismiss()

    def _close_popup(self, page: Page) -> None:
        if page != self._page:
            self._events.append("closed a pop-up")
            with suppress(PlaywrightError):
                page.close()


class _gone:  # noqa: N801 - used as a statement
    """Errors of the driver as `Gone`."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, PlaywrightError):
            raise Gone(f"the browser ended: {_short(error)}") from error


def _short(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]
