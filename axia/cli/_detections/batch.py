"""A whole call of `axia detect`: asks, prints and saves, and tells on standard error what went wrong."""

import sys
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from axia.cli._detections import out_file
from axia.cli._detections.ground_truths import Truths
from axia.cli._detections.mean import Mean
from axia.cli._detections.options import DetectOptions
from axia.cli._detections.out_file import DetectionsFile
from axia.cli._detections.printing import Printer, json_row
from axia.cli._detections.run import LeftOut, Run
from axia.cli._images.paths import pictures_at
from axia.cli._judges.runs import JudgeModels
from axia.cli._output import EXIT_INTERRUPTED, complain, describe, exit_code

if TYPE_CHECKING:
    from axia.cli._detections.run import Outcome
    from axia.client import Client
    from axia.results import Detection


class Batch(NamedTuple):
    """What a call works with."""

    client: "Client"
    options: DetectOptions
    truths: Truths
    printer: Printer
    parallel: int
    """Images to process in parallel."""


def detect_all(batch: Batch, done: "Mapping[str, Detection]", out: Path | None, resume: Path | None) -> int:
    """Detects in every image and returns the exit code.

    Args:
        batch: What to ask, and how to print it.
        done: Detections by path that a file had.
        out: A new file for what comes.
        resume: The file that had them, for what comes now.
    """
    given = pictures_at(batch.options.paths)
    batch.truths.tell_unmatched(given.pictures)
    mean = Mean(several=batch.truths.by_picture or len(given.pictures) > 1) if batch.truths.known else None
    code, complete = int(given.missing), False
    file = out or resume
    try:
        with _saving(batch.options, out, resume) as saved:
            code = max(code, _ask_all(batch, given.pictures, done, saved, mean))
        complete = True
    except KeyboardInterrupt:
        complain("interrupted" + _how_to_go_on(file))
        return EXIT_INTERRUPTED
    except FileExistsError:
        complain(f"{out} already exists: continue with --resume {out}, or give another name")
        return 1
    except BrokenPipeError:
        raise  # who read the output is gone, and nothing is wrong with the pictures
    except OSError as error:
        complain(f"{file} can't be written: {error.strerror or error}")
        return 1
    finally:
        batch.printer.finish(mean if complete else None)
    if code and file is not None:
        complain(f"to process failed and missing images again, use --resume {file}")
    return code


def _saving(
    options: DetectOptions, out: Path | None, resume: Path | None
) -> AbstractContextManager[DetectionsFile | None]:
    if out is not None:
        return out_file.new_file(out, options)
    return nullcontext() if resume is None else out_file.same_file(resume)


def _how_to_go_on(file: Path | None) -> str:
    return (
        f": continue with --resume {file}" if file is not None else ": next time, use --out FILE to be able to continue"
    )


def _ask_all(
    batch: Batch,
    pictures: list[str],
    done: "Mapping[str, Detection]",
    saved: DetectionsFile | None,
    mean: Mean | None,
) -> int:
    """The exit code: 0, 1 if any image failed, 2 if an option was refused."""
    printer, printing = batch.printer, threading.Lock()

    def ask(picture: str) -> "Detection":
        return _detect_one(batch, picture, printing)

    def keep(picture: str, outcome: "Outcome") -> None:
        if saved is not None:
            told = _cause(outcome) if isinstance(outcome, Exception) else outcome
            saved.add(json_row(picture, told, printer.judge))

    own_truth = len({batch.truths.of(picture) for picture in pictures}) > 1
    run = Run(ask, lambda error: _concerns_all(error, own_truth=own_truth), keep, batch.parallel)
    stopped_by: Exception | None = None
    code = alike = 0
    judges = JudgeModels()
    progress = not (printer.prints_at_once and sys.stdout.isatty())
    with closing(run.outcomes(pictures, done, progress=progress)) as outcomes:
        for picture, outcome in outcomes:
            if not isinstance(outcome, Exception):
                judges.add(outcome)
                if mean is not None:
                    mean.add(outcome)
                with printing:
                    printer.summary(picture, outcome)
                continue
            error = _cause(outcome)
            code = max(code, exit_code(error))
            if mean is not None:
                mean.add_failure()
            with printing:
                printer.failure(picture, error)
            if isinstance(outcome, LeftOut) or _is_like(error, stopped_by):
                alike += 1
                continue
            told = describe(error)
            complain(told if picture in told else f"{picture}: {told}")
            if _concerns_all(error, own_truth=own_truth):
                stopped_by = error
    judges.tell()
    if alike:
        complain(f"{alike} other {'image' if alike == 1 else 'images'} failed with the same error, or were not tried")
    return code


def _cause(outcome: Exception) -> Exception:
    return outcome.cause if isinstance(outcome, LeftOut) else outcome


def _is_like(error: Exception, other: Exception | None) -> bool:
    """Whether an error is another one again, met by an image that was asked about at the same time."""
    return type(error) is type(other) and str(error) == str(other)


def _detect_one(batch: Batch, picture: str, printing: threading.Lock) -> "Detection":
    from axia.results import Detection

    asked = {**batch.options.sampling(), "ground_truth": batch.truths.of(picture)}
    if not batch.printer.streams:
        return batch.client.detect(picture, **asked)
    with closing(batch.client.stream(picture, **asked)) as events:
        for event in events:
            if isinstance(event, Detection):
                return event
            with printing:
                batch.printer.completion(picture, event)
    raise AssertionError("a stream ends with a detection or an error")


def _concerns_all(error: Exception, *, own_truth: bool) -> bool:
    """Whether the next image would meet the same error: nobody answers, or what is wrong is not the image.

    Args:
        error: What went wrong with one image.
        own_truth: Whether images have truths of their own, which then may be what is wrong.
    """
    from axia.errors import ConnectionFailed, InvalidRequest, NotFound, Unauthenticated

    if isinstance(error, InvalidRequest):
        of_picture = ("image", "ground_truth.element", "ground_truth.accept") if own_truth else ("image",)
        return bool(error.fields) and not any(part in field.field for field in error.fields for part in of_picture)
    return isinstance(error, ConnectionFailed | NotFound | Unauthenticated)
