"""The feed as web pages and JSON."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from html import escape
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from feed import FeedError
from feed.platforms import PLATFORMS
from feed.session import MAX_DWELL_MS, Event, Kind, Session
from feed.store import Store, Stored
from feed.videos import Library, fingerprint

_PAGE = Path(__file__).parent / "page"
_FILES = {"feed.js": "text/javascript", "feed.css": "text/css"}
_SESSIONS_IN_MEMORY = 256
_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; frame-ancestors 'none'"
_MAX_SEED = 2**31 - 1
USER = r"^[a-z0-9][a-z0-9-]{0,47}$"

SessionId = Annotated[str, InPath(pattern=r"^[a-z0-9-]{1,64}$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Begin(_Body):
    """Who begins to watch."""

    platform: str
    user: str | None = Field(default=None, pattern=USER)
    """The session of the same user continues. None: somebody new."""
    seed: int | None = Field(default=None, ge=0, le=_MAX_SEED)
    """Of a new session. None: it follows from the user's name, or is drawn."""


class Happened(_Body):
    """What a viewer did."""

    step: int = Field(ge=0)
    kind: Kind
    dwell_ms: int = Field(default=0, ge=0, le=MAX_DWELL_MS)


class Feed:
    """Sessions that are being watched, kept in a store. Calls may come from any thread."""

    def __init__(self, library: Library, store: Store, *, ends_after: int | None = None) -> None:
        self.library, self._store, self._ends_after = library, store, ends_after
        self._fingerprint = fingerprint(library.videos)
        self._by_id = {video.id: video for video in library.videos}
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.RLock()

    def begin(self, wanted: Begin) -> dict[str, Any]:
        """The state of a new session, or of the user's."""
        with self._lock:
            name = f"{wanted.platform}-{wanted.user or secrets.token_hex(8)}"
            if self._store.find(name) is None:
                seed = wanted.seed if wanted.seed is not None else _seed(name)
                self._store.begin(Stored(name, wanted.platform, seed, self._ends_after, self._fingerprint))
            return self.state(name)

    def state(self, name: str) -> dict[str, Any]:
        """What a page needs to show a session.

        Raises:
            KeyError: there is no such session.
            FeedError: it was begun with other videos.
        """
        with self._lock:
            session = self._session(name)
            video = session.current
            shown = None
            if video is not None:
                shown = {
                    "id": video.id, "account": video.account, "caption": video.caption, "likes": video.likes,
                    "frames": video.frames, "length_s": video.length_s,
                }  # fmt: skip
            return {
                "session": name, "platform": session.platform.id, "step": session.step, "video": shown,
                "liked": session.liked, "ended": video is None,
            }  # fmt: skip

    def react(self, name: str, happened: Happened) -> dict[str, Any]:
        """Notes an event and gives the state after it. One about a video that was left changes nothing.

        Raises:
            KeyError, FeedError: as `state`; or an event about a video that was not shown yet.
        """
        with self._lock:
            session = self._session(name)
            if happened.step < session.step:
                return self.state(name)  # a page that asks again after a lost answer
            event = Event(happened.step, happened.kind, happened.dwell_ms)
            video = session.current
            session.react(event)
            self._store.note(name, event, video.id if video else "")
            return self.state(name)

    def picture(self, video: str, number: int) -> Response:
        """A picture of a video.

        Raises:
            KeyError: there is no such video or picture.
        """
        if number >= self._by_id[video].frames:
            raise KeyError(number)
        data, media_type = self.library.frame(self._by_id[video], number)
        return Response(data, media_type=media_type, headers={"Cache-Control": "max-age=3600"})

    def _session(self, name: str) -> Session:
        if (session := self._sessions.get(name)) is None:
            if (stored := self._store.find(name)) is None:
                raise KeyError(name)
            session = replayed(stored, self._store, self.library, self._fingerprint)
            self._sessions[name] = session
            while len(self._sessions) > _SESSIONS_IN_MEMORY:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(name)
        return session


def replayed(stored: Stored, store: Store, library: Library, known: str | None = None) -> Session:
    """A session after its events, by running them again.

    Raises:
        FeedError: the videos are others than those of the session, or another one was on at an event.
    """
    if stored.library != (known or fingerprint(library.videos)):
        raise FeedError(f"session {stored.id} was started with other videos: use those, or give another --state")
    session = Session(PLATFORMS[stored.platform], library.videos, stored.seed, stored.ends_after)
    for number, (event, video) in enumerate(store.events(stored.id)):
        on = session.current.id if session.current else ""
        if on != video:
            raise FeedError(f"session {stored.id}, event {number}: the session showed {video}, but this run shows {on}")
        session.react(event)
    return session


def build(feed: Feed) -> FastAPI:
    """The application."""
    app = FastAPI(title="axia's feed", docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def with_policy(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers.update({"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"})
        return response

    @app.get("/robots.txt")
    def robots() -> PlainTextResponse:
        return PlainTextResponse("User-agent: *\nAllow: /\n")

    @app.get("/")
    def platforms() -> HTMLResponse:
        links = "".join(f'<li><a href="/{name}">{escape(one.name)}</a></li>' for name, one in PLATFORMS.items())
        return HTMLResponse(f"<!doctype html><title>axia's feed</title><h1>axia's feed</h1><ul>{links}</ul>")

    @app.get("/page/{name}")
    def file(name: str) -> Response:
        if name not in _FILES:
            raise HTTPException(404, "no such file")
        return Response((_PAGE / name).read_bytes(), media_type=_FILES[name])

    @app.get("/videos/{video}/{number}")
    def picture(video: str, number: Annotated[int, InPath(ge=0)]) -> Response:
        try:
            return feed.picture(video, number)
        except KeyError:
            raise HTTPException(404, "there is no such video or image") from None

    @app.post("/api/sessions")
    def begin(wanted: Begin) -> dict[str, Any]:
        if wanted.platform not in PLATFORMS:
            raise HTTPException(404, f"there is no platform {wanted.platform}; use one of {', '.join(PLATFORMS)}")
        with _Told():
            return feed.begin(wanted)

    @app.get("/api/sessions/{name}")
    def state(name: SessionId) -> dict[str, Any]:
        with _Told():
            return feed.state(name)

    @app.post("/api/sessions/{name}/events")
    def react(name: SessionId, happened: Happened) -> dict[str, Any]:
        with _Told():
            return feed.react(name, happened)

    @app.get("/{platform}")
    def page(platform: str) -> HTMLResponse:
        if platform not in PLATFORMS:
            raise HTTPException(404, f"there is no platform {platform}; use one of {', '.join(PLATFORMS)}")
        text = (_PAGE / "feed.html").read_text(encoding="utf-8")
        return HTMLResponse(text.replace("PLATFORM", platform))

    return app


class _Told:
    """Errors of a feed as answers."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, KeyError):
            raise HTTPException(404, "there is no such session: start one with POST /api/sessions") from None
        if isinstance(error, FeedError):
            raise HTTPException(409, str(error)) from None


def _seed(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) & _MAX_SEED
