"""`axia watch`: what needs attention in a video, a camera or a folder, frame by frame."""

import threading
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from axia.cli._detections.frames import WHAT_TO_GIVE, NoSource, Pace, SourceError, open_source, without_password
from axia.cli._detections.wording import consensus_of
from axia.cli._output import (
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    Address,
    complain,
    connect,
    describe,
    exit_code,
    fault_of,
    print_json,
    printable_path,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from axia.results import WatchEvent


def watch(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A video file, a folder with images, or the number, rtsp:// address or http:// address of a camera.",
        ),
    ],
    fps: Annotated[float, typer.Option(min=0.01, max=60, help="Frames per second.")] = 2.0,
    n: Annotated[int, typer.Option("-n", min=1, help="Completions to sample for a frame.")] = 1,
    live: Annotated[
        bool, typer.Option("--live", help="Don't wait for answers: a newer frame replaces an older one.")
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="For a folder: only existing images; don't wait for new images.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="A model that `axia models` lists.", show_default="the gateway's first")
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(metavar="ID", help="A prompt that `axia models` lists.", show_default="detect/baseline"),
    ] = None,
    prompt_text: Annotated[str | None, typer.Option(metavar="TEXT", help="A prompt of your own.")] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed for reproducibility, the same for every frame.", show_default="random"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object per frame.")] = False,
    address: Address = None,
) -> None:
    """Ask a model what needs attention, frame by frame, until the source ends or Ctrl-C.

    Images of a folder and frames of a video file are sent one after another: each waits for the answer to the previous
    one. Frames of a camera don't wait. The command watches a folder for new and changed images until Ctrl-C; with
    --once it ends after the existing images. Hidden files are ignored. This program opens camera addresses itself, with
    OpenCV, and never sends them to a server. At the end it prints the number of answered, superseded and failed frames
    on standard error.

    Exit code: 0, 1 if any frame failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    if prompt is not None and prompt_text is not None:
        raise typer.BadParameter("give --prompt or --prompt-text, not both")
    over = threading.Event()
    try:
        opened = open_source(source, fps, once=once, over=over)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except NoSource as error:
        raise typer.BadParameter(str(error), param_hint="SOURCE") from None
    except SourceError as error:
        complain(str(error))
        raise typer.Exit(1) from error
    failed, counts = False, _Counts()
    pace = Pace(fps, wait=not (live or opened.live), over=over)
    with connect(address) as client:
        from axia.errors import AxiaError

        events = client.watch(
            pace.apply(opened.frames), n=n, model=model, prompt_id=prompt, prompt_text=prompt_text, seed=seed
        )
        try:
            with closing(events):
                for event in events:
                    counts.add(event)
                    pace.answered()
                    failed = not _print(event, opened.seconds, json=json) or failed
        except KeyboardInterrupt:
            complain(f"interrupted after {counts}")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:
            raise  # who read the output is gone, and nothing is wrong with the frames
        except (AxiaError, OSError) as error:
            complain(describe(error))
            if exit_code(error) == EXIT_USAGE:
                raise typer.Exit(EXIT_USAGE) from error
            failed = True
        finally:
            pace.close()
    if counts.total:
        complain(str(counts))
    elif not failed:
        complain(f"{without_password(source)} has no frame that can be read: {WHAT_TO_GIVE}")
        failed = True
    raise typer.Exit(1 if failed else 0)


class _Counts:
    """Counts what became of frames."""

    def __init__(self) -> None:
        self._by_kind: Counter[str] = Counter()

    def add(self, event: "WatchEvent") -> None:
        self._by_kind[type(event).__name__] += 1

    @property
    def total(self) -> int:
        return self._by_kind.total()

    def __str__(self) -> str:
        """Such as "3 frames: 2 answered, 1 superseded, 0 failed"."""
        names = {"FrameDetection": "answered", "FrameSuperseded": "superseded", "FrameFailed": "failed"}
        parts = ", ".join(f"{self._by_kind[kind]} {name}" for kind, name in names.items())
        return f"{self.total:,} {'frame' if self.total == 1 else 'frames'}: {parts}"


def _print(event: "WatchEvent", seconds: "Sequence[float]", *, json: bool) -> bool:
    """Prints what became of a frame; whether it did not fail.

    Args:
        event: What became of it.
        seconds: Of a video file: where in it each frame is.
        json: Whether to print JSON.
    """
    from axia.results import FrameDetection, FrameFailed, FrameSuperseded

    at = seconds[event.frame_id] if seconds else None
    tenths = round(10 * (at or 0.0))
    place = "" if at is None else f"  {tenths // 600}:{tenths % 600 / 10:04.1f}"
    head = {"frame_id": event.frame_id, "video_s": at}
    match event:
        case FrameDetection(frame_id=number, detection=detection):
            if json:
                print_json({"event": "detection", **head, "detection": detection})
            else:
                said = consensus_of(detection)
                name = f"  {printable_path(detection.image.path)}" if detection.image.path else ""
                # One completion always agrees with itself.
                agreement = f"agreement {detection.agreement:.2f}, " if detection.completions_done > 1 else ""
                print(
                    f"#{number}{place}{name}  {said}  ({agreement}{detection.timings_ms['total']:.0f} ms)", flush=True
                )
        case FrameSuperseded(frame_id=number, by_frame_id=newer):
            if json:
                print_json({"event": "superseded", **head, "by_frame_id": newer})
            else:
                print(f"#{number}{place}  superseded by #{newer}", flush=True)
        case FrameFailed(frame_id=number, error=error):
            if json:
                print_json({"event": "error", **head, "error": error})
            complain(f"frame {number}{place}: {fault_of(error.message)}")
            return False
    return True
