"""Asking about several images at a time, for `axia detect`."""

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from axia.cli._output import console

if TYPE_CHECKING:
    from axia.results import Detection

    Outcome: TypeAlias = Detection | Exception


class LeftOut(Exception):
    """An image was not asked about, for an error that concerns all came before; `cause` is that error."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Run:
    """Asks about images.

    Args:
        ask: Asks about one image. Called from several threads.
        concerns_all: Whether the other images would meet an error as well.
        keep: Called with each image and what became of it as soon as that is known, from several threads.
        parallel: Images at a time.
    """

    def __init__(
        self,
        ask: "Callable[[str], Detection]",
        concerns_all: Callable[[Exception], bool],
        keep: "Callable[[str, Outcome], None]",
        parallel: int,
    ) -> None:
        self._ask = ask
        self._concerns_all = concerns_all
        self._keep = keep
        self._parallel = parallel
        self._stopped_by: Exception | None = None
        self._over = threading.Event()

    def outcomes(
        self, pictures: Sequence[str], done: "Mapping[str, Detection]", *, progress: bool
    ) -> "Generator[tuple[str, Outcome], None, None]":
        """What became of each image, in their order.

        Leaving the iterator early asks about no more; calls in flight end with the client.

        Args:
            pictures: Paths.
            done: Detections of images that were asked about before.
            progress: Whether to show a progress bar where somebody can see it.
        """
        pool = ThreadPoolExecutor(self._parallel, thread_name_prefix="detect")
        try:
            with _progress(len(pictures), shown=progress) as advance:

                def work(picture: str) -> "Outcome":
                    outcome = done.get(picture) or self._outcome(picture)
                    advance()
                    return outcome

                futures = [pool.submit(work, picture) for picture in pictures]
                for picture, future in zip(pictures, futures, strict=True):
                    yield picture, future.result()
        finally:
            self._over.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _outcome(self, picture: str) -> "Outcome":
        from axia.errors import AxiaError

        outcome: Outcome
        if self._stopped_by is not None:
            outcome = LeftOut(self._stopped_by)
        else:
            try:
                outcome = self._ask(picture)
            except BrokenPipeError:
                raise  # who read the output is gone, and nothing is wrong with the picture
            except (AxiaError, OSError) as error:
                outcome = error
                if self._concerns_all(error):
                    self._stopped_by = error
        if not self._over.is_set():  # else the run was interrupted, and what came of that says nothing of the picture
            self._keep(picture, outcome)
        return outcome


@contextmanager
def _progress(total: int, *, shown: bool) -> Iterator[Callable[[], None]]:
    """A progress bar, for several images."""
    errors = console(stderr=True)
    if total < 2 or not shown or not errors.is_terminal:  # noqa: PLR2004 - "several" is plain enough
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("detecting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Rich would send standard output to the console of the bar, which is standard error.
    with Progress(*columns, console=errors, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("detecting", total=total)
        yield lambda: progress.advance(task)
