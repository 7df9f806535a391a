"""`axia agent`: a browser that looks at short-video feeds."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from axia.cli._output import EXIT_INTERRUPTED, Address, complain, connect, console, describe, exit_code, print_json
from axia.cli._personas import Persona, Traits, traits_of
from axia.cli.suite.checkout import needs_checkout

if TYPE_CHECKING:
    from agent.manners import Manners
    from agent.watching import Ended

_FINE = {"end", "done"}


class Strategy(StrEnum):
    """How to judge."""

    SIMPLE = "simple"
    ISQ = "isq"


class ScreensBy(StrEnum):
    """Who says what a screen shows."""

    PAGE = "page"
    MODEL = "model"


_Url = Annotated[str, typer.Argument(metavar="URL", help="The feed, such as http://127.0.0.1:8090/tiktok.")]
_Allow = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HOST", help="A host that the browser may connect to (repeatable).", show_default="only this machine"
    ),
]
_Chromium = Annotated[
    Path | None, typer.Option(metavar="PATH", help="Path of the Chromium executable.", show_default="the system's")
]
_Pause = Annotated[
    float | None,
    typer.Option(
        "--seconds-between",
        min=0,
        help="Minimum time between two swipes, in seconds.",
        show_default="0 here, 2 on other hosts",
    ),
]
_RealTime = Annotated[
    bool, typer.Option("--real-time", help="Watch in real time also on this machine, as on other hosts.")
]
_MaxSeconds = Annotated[
    float | None, typer.Option(min=1, help="Time limit of the run, in seconds.", show_default="none")
]
_Screens = Annotated[
    ScreensBy,
    typer.Option(
        "--screens",
        help="How to detect ads, login walls, loading and the end of the feed: only by the page, "
        "or also by asking a model.",
    ),
]
_Model = Annotated[
    str | None, typer.Option(help="A model that `axia models` lists.", show_default="the gateway's first")
]


def collect(
    url: _Url,
    images: Annotated[int, typer.Option(min=1, max=100_000, help="Screenshots to collect.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the run.", show_default=".axia/agent/ and the address"),
    ] = None,
    platform: Annotated[
        str | None, typer.Option(help="Platform in the index.", show_default="the address's last part")
    ] = None,
    allow: _Allow = None,
    screens: _Screens = ScreensBy.PAGE,
    model: _Model = None,
    seconds_between: _Pause = None,
    max_seconds: _MaxSeconds = None,
    real_time: _RealTime = False,
    chromium: _Chromium = None,
    address: Address = None,
) -> None:
    """Collect screenshots of a feed into the index, with platform, time, source and run.

    Near-duplicate screenshots are left out. After an interruption, run the same command again to continue: nothing is
    lost and nothing is stored twice. The folder contains a record of every step, the screenshots and a datasheet.

    The browser connects only to allowed hosts and follows robots.txt. Login walls, challenges (CAPTCHA) and HTTP 429
    end the run. You are responsible for faces and names in screenshots, and for following the terms of the site.

    Exit code: 0, 1 if the run stopped before all were collected, 2 for wrong usage, 130 after Ctrl-C.
    """
    with needs_checkout("agent"):
        from agent.collection import Asked, Collection, known_run
        from agent.judges import Collects
        from agent.policy import Bounds
        from agent.runs import Visit, visit
        from agent.screens import ModelEyes
    folder = out or Path(".axia/agent") / _named(url)
    platform = platform if platform is not None else _named(urlsplit(url).path.rsplit("/", 1)[-1])
    run = known_run(folder) or secrets.token_hex(4)
    with _told("to continue"), connect(address) as client:
        collection = Collection(folder, Asked(url, platform, run), images, client)
        collection.send()
        reason = "done"
        if not collection.complete:
            manners = _manners(allow, seconds_between)
            ended = visit(
                Visit(
                    url,
                    folder,
                    run,
                    Bounds(max_steps=20 * images + 100),
                    manners,
                    chromium,
                    virtual_time=manners.loopback_only and not real_time,
                    max_seconds=max_seconds,
                ),
                Collects(),
                eyes=ModelEyes(client, model) if screens is ScreensBy.MODEL else None,
                keep=collection.take,
            )
            reason = ended.reason
            _print_times(ended)
        collection.send()
        sheet = collection.write_datasheet()
    console().print(
        f"{collection.acknowledged} screenshots in the index, {collection.left_out} left out; datasheet: {sheet}",
        soft_wrap=True,
    )
    if collection.acknowledged < images:
        complain("stopped before all were collected: " + ("the feed has ended" if reason == "end" else reason))
        raise typer.Exit(1)


def watch(
    url: _Url,
    persona: Persona = None,
    trait: Traits = None,
    strategy: Annotated[Strategy, typer.Option(help="A plain question, or the questionnaire.")] = Strategy.SIMPLE,
    phase: Annotated[int, typer.Option(min=1, max=1000, help="Videos of each of the three phases.")] = 50,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the record.", show_default=".axia/agent/ and the address"),
    ] = None,
    model: _Model = None,
    screens: _Screens = ScreensBy.PAGE,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of dwell times, of the choice between wheel and keys, and of questions.")
    ] = 0,
    allow: _Allow = None,
    seconds_between: _Pause = None,
    max_seconds: _MaxSeconds = None,
    real_time: _RealTime = False,
    chromium: _Chromium = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    address: Address = None,
) -> None:
    """Watch a feed as a persona, and measure how the feed changes (arXiv 2411.11479).

    Three phases of 50 videos: in the baseline, every video is watched in the same way; in the persona phase and the
    after-phase, the model's answers decide which videos are watched. I = 100 (after - before) / before. The folder
    contains the screenshots and a record with one line per step; `axia agent replay` runs the record again.

    Exit code: 0, 1 if the run stopped before its end or can't be measured, 2 for wrong usage, 130 after Ctrl-C.
    """
    traits = traits_of(persona, trait)
    if not traits:
        raise typer.BadParameter("give the persona with --persona FILE or --trait TEXT")
    with needs_checkout("agent"):
        from agent.judges import AsPersona
        from agent.policy import Bounds
        from agent.results import summary
        from agent.runs import Visit, visit
        from agent.screens import ModelEyes
    folder = out or Path(".axia/agent") / _named(url)
    bounds = Bounds(seed=seed, max_steps=20 * phase, neutral=phase, videos=3 * phase)
    with _told(), connect(address) as client:
        manners = _manners(allow, seconds_between)
        ended = visit(
            Visit(
                url,
                folder,
                secrets.token_hex(4),
                bounds,
                manners,
                chromium,
                virtual_time=manners.loopback_only and not real_time,
                max_seconds=max_seconds,
            ),
            AsPersona(client, traits, strategy.value, model, seed),
            eyes=ModelEyes(client, model) if screens is ScreensBy.MODEL else None,
        )
    found = summary(ended, phase)
    if json:
        print_json(found)
    else:
        _print_times(ended)
        console().print(found.sentence, soft_wrap=True)
    if ended.reason not in _FINE or found.not_measurable:
        complain(found.not_measurable or ended.reason)
        raise typer.Exit(1)


def replay(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run.")],
    lines: Annotated[bool, typer.Option("--lines", help="Also print each step's decision and action.")] = False,
) -> None:
    """Run a record again, without a model and without a page, and compare decisions and actions byte by byte.

    Exit code: 0, 1 if any step differs or there is no record.
    """
    with needs_checkout("agent"):
        from agent.replay import replay as run_again
    with _told():
        found = run_again(folder)
    if lines:
        for line in found.decisions:
            print(line)
    for one in found.differences:
        complain(f"line {one.line}: recorded {one.recorded}, replayed {one.replayed}")
    same = found.steps - len(found.differences)
    console(stderr=lines).print(f"{same} of {found.steps} steps have the same decision and action", soft_wrap=True)
    raise typer.Exit(1 if found.differences else 0)


def _manners(allow: list[str] | None, seconds_between: float | None) -> "Manners":
    from agent.manners import LOOPBACK, Manners

    return Manners(tuple(allow) if allow else LOOPBACK, seconds_between)


def _named(text: str) -> str:
    """Lower-case letters, digits and hyphens of an address."""
    name = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in text.lower()).strip("-")
    return name.removeprefix("http---").removeprefix("https---")[:64].strip("-")


def _print_times(ended: "Ended") -> None:
    total = sum(ended.seconds.values())
    if total:
        shares = ", ".join(f"{stage} {seconds / total:.0%}" for stage, seconds in ended.seconds.items())
        console(stderr=True).print(f"{len(ended.answers)} videos in {total:.0f} s: {shares}", soft_wrap=True)


@contextmanager
def _told(then: str = "to start again") -> Iterator[None]:
    """Ends the command with 1 where the agent, the gateway or a page says what is wrong.

    Args:
        then: What the same command does after Ctrl-C: only a collection continues.
    """
    from agent import AgentError
    from axia.errors import AxiaError

    try:
        yield
    except KeyboardInterrupt:
        complain(f"interrupted: run the same command again {then}")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except AgentError as error:
        complain(str(error))
        raise typer.Exit(1) from error
    except AxiaError as error:
        complain(describe(error))
        raise typer.Exit(exit_code(error)) from error
