"""What the calls of the scoring service share: the settings, the threads, the reader model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from services.scoring.reading.language import Language
from services.scoring.scorer import load_language
from services.scoring.settings import ScoringSettings
from services.scoring.statistics.intervals import DEFAULT_LEVEL
from services.serving.errors import Unavailable
from services.serving.tracing import span

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class ScoringCalls:
    """Computes all but small requests in a thread, so that the event loop never waits for numbers."""

    def __init__(self, settings: ScoringSettings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="scoring")
        self._loaded: Language | None = None

    async def load(self) -> None:
        """Loads the reader model, if there is one."""
        self._loaded = await asyncio.get_running_loop().run_in_executor(self._pool, load_language, self._settings)

    def close(self) -> None:
        """Lets the threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def _language(self) -> Language:
        if self._loaded is None:
            raise Unavailable(
                "the reader model is loading; try again when health says SERVING",
                reason="MODEL_LOADING",
                retry_after_s=1.0,
            )
        return self._loaded

    async def _compute(self, score: Callable[[RequestT], ResponseT], request: RequestT) -> ResponseT:
        with span("score"):
            return await asyncio.get_running_loop().run_in_executor(self._pool, score, request)


def given(request: Any, field: str, default: Any) -> Any:
    """A field of a request, or the default where it is not set."""
    return getattr(request, field) if request.HasField(field) else default


def level(request: Any) -> float:
    """The confidence level of a request, above 0 and below 1."""
    return float(given(request, "confidence_level", DEFAULT_LEVEL))
