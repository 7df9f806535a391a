"""BentoML's own time limit of a request, which is turned off.

BentoML sets a timer for each request and never cancels it, so the request's context stays in memory until the timer
ends: 5 KiB each, for minutes. Its configuration can't turn the timer off. Calls with one answer have deadlines of
their own, and answer in the form of this API when these pass. A stream may last, as with BentoML's timer.
"""

from typing import Any

from bentoml._internal.server.http import traffic


def disable_bentoml_timeout() -> None:
    """Has BentoML's servers of this process pass requests on without a timer."""
    traffic.TimeoutMiddleware = _without_timer  # type: ignore[assignment, misc]  # BentoML offers no hook


def _without_timer(app: Any, timeout: float) -> Any:
    return app
