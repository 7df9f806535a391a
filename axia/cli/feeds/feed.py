"""`axia feed`: a short-video feed whose recommender is known."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from axia.cli._output import EXIT_INTERRUPTED, Address, complain, connect, console, describe, exit_code, print_json
from axia.cli.feeds.options import Folder, Personas, Phase, Platforms, Processes, Seed, chosen_platforms, library_of
from axia.cli.suite.checkout import needs_checkout

_State = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="SQLite file with sessions and events.", show_default=".axia/feed/feed.sqlite"),
]
_DEFAULT_STATE = Path(".axia/feed/feed.sqlite")


class Strategy(StrEnum):
    """How a model is asked."""

    SIMPLE = "simple"
    ISQ = "isq"


class Who(StrEnum):
    """Who decides."""

    MODEL = "model"
    TRUTH = "truth"
    CHANCE = "chance"
    YES = "yes"
    NO = "no"


def serve(
    folder: Folder = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. The feed has no authentication: use other addresses than "
            "127.0.0.1 only in trusted networks."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 chooses a free port.")] = 8090,
    state: _State = None,
    ends_after: Annotated[
        int | None, typer.Option(min=1, help="Videos after which new sessions end.", show_default="never")
    ] = None,
) -> None:
    """Serve the feed as web pages: /tiktok, /instagram and /youtube.

    Mouse wheel, arrow keys and touch swipe to the next video. Views, likes, comments and shares go to the recommender
    and into a database. Add ?user=NAME to the address to continue the session of a user, and ?seed=N to start a new
    session.

    Needs a checkout of the repository and the extra `feed` of axia. Ctrl-C ends it.
    """
    with needs_checkout("feed"):
        import uvicorn

        from feed.app import Feed, build
        from feed.platforms import PLATFORMS
        from feed.store import Store
    with _told():
        store = Store(state or _DEFAULT_STATE)
        app = build(Feed(library_of(folder), store, ends_after=ends_after))
        server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="warning", lifespan="off"))
        try:
            socket = server.config.bind_socket()
        except SystemExit:  # uvicorn has said what is wrong with the address
            raise typer.Exit(1) from None
        socket.listen()  # so that the addresses that are printed now can be opened at once
        name, bound = socket.getsockname()[:2]
        for platform in PLATFORMS:
            console().print(f"http://{name}:{bound}/{platform}", soft_wrap=True)
        try:
            server.run(sockets=[socket])
        except KeyboardInterrupt:
            pass
        finally:
            store.close()


def replay(
    folder: Folder = None,
    state: _State = None,
    session: Annotated[str | None, typer.Option(metavar="ID", help="Only this session.", show_default="all")] = None,
    events: Annotated[bool, typer.Option("--events", help="Also print the events as JSON lines.")] = False,
) -> None:
    """Run sessions again, event by event, and check that the recommender chooses the same videos.

    Exit code: 0, 1 if any session has a different video.
    """
    with needs_checkout("feed"):
        from feed import FeedError
        from feed.app import replayed
        from feed.store import Store
    with _told():
        path = state or _DEFAULT_STATE
        if not path.exists():
            raise typer.BadParameter(f"{path} does not exist: name the file that `axia feed serve` wrote with --state")
        store, library = Store(path), library_of(folder)
        failed = False
        stored = [one for one in store.sessions() if session in {None, one.id}]
        if not stored:
            complain(f"{path} has no session {session or ''}".rstrip())
            raise typer.Exit(1)
        for one in stored:
            if events:
                for line in store.export(one.id):
                    print(line)
            try:
                again = replayed(one, store, library)
            except FeedError as error:
                complain(str(error))
                failed = True
                continue
            console(stderr=events).print(f"{one.id}: the same {len(again.shown)} videos", soft_wrap=True)
        store.close()
    raise typer.Exit(1 if failed else 0)


def truth(
    persona: Personas = None,
    platform: Platforms = None,
    folder: Folder = None,
    sessions: Annotated[int, typer.Option(min=39, help="Simulated sessions of each persona on each platform.")] = 79,
    phase: Phase = 50,
    seed: Seed = 0,
    processes: Processes = 1,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object per persona and platform.")] = False,
) -> None:
    """Compute the true I_avg of each persona on each platform.

    A simulated viewer decides by the persona's ground truth, in simulated time: a baseline phase, a persona phase and
    an after-phase. The output has the mean of I with its 95% confidence interval, and the 95% prediction interval for
    one more session.
    """
    with needs_checkout("feed"):
        from axia.cli.feeds.tables import print_effects
        from feed.personas import FOLDER, load_all
        from feed.truth import known_effects
    with _told():
        effects = known_effects(
            load_all(persona or [FOLDER]),
            chosen_platforms(platform),
            library_of(folder).videos,
            sessions=sessions,
            phase=phase,
            seed=seed,
            processes=processes,
        )
    if json:
        for effect in effects:
            print_json(effect._asdict())
    else:
        print_effects(effects)


def role_play(
    persona: Personas = None,
    platform: Platforms = None,
    strategy: Annotated[
        list[Strategy] | None, typer.Option(help="How to ask the model (repeatable).", show_default="simple")
    ] = None,
    viewer: Annotated[
        Who,
        typer.Option(
            help="Who decides whether to stay with a video: a model, the persona's ground truth, chance, or always yes "
            "or no."
        ),
    ] = Who.MODEL,
    model: Annotated[
        str | None, typer.Option(help="A model that `axia models` lists.", show_default="the gateway's first")
    ] = None,
    folder: Folder = None,
    phase: Phase = 50,
    seed: Seed = 0,
    sessions: Annotated[int, typer.Option(min=39, help="Simulated sessions for the true I_avg.")] = 79,
    no_truth: Annotated[bool, typer.Option("--no-truth", help="Don't compute the true I_avg.")] = False,
    processes: Processes = 1,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save every run with all answers, as JSON lines.")
    ] = (None),
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object per run.")] = False,
    address: Address = None,
) -> None:
    """Measure I_avg of personas on the platforms (arXiv 2411.11479), and compare it with the true I_avg.

    Three phases of 50 videos in simulated time, without a browser: baseline, persona, after. I = 100 (after - before) /
    before; the gateway's scoring service computes I_avg and its interval over personas. A viewer that always gives the
    same answer can't be measured; the output says so.

    Exit code: 0, 1 if the model or the gateway failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    with needs_checkout("feed"):
        from axia.cli.feeds.cells import Cell, measure, print_scores
        from feed.personas import FOLDER, load_all
    if out is not None and not out.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {out.parent} to save {out.name} in")
    strategies = strategy or [Strategy.SIMPLE]
    if viewer is not Who.MODEL and (strategy or model):
        raise typer.BadParameter(f"--strategy and --model are for --viewer model, and this is {viewer.value}")
    with _told(), connect(address) as client, _failures():
        cells: list[Cell] = measure(
            client,
            load_all(persona or [FOLDER]),
            chosen_platforms(platform),
            [one.value for one in strategies] if viewer is Who.MODEL else [viewer.value],
            library_of(folder),
            model=model,
            phase=phase,
            seed=seed,
            sessions=None if no_truth else sessions,
            processes=processes,
        )
        if out is not None:
            out.write_text("".join(cell.line() + "\n" for cell in cells), encoding="utf-8")
        if json:
            for cell in cells:
                print_json(cell.row())
        print_scores(client, cells, stderr=json)


@contextmanager
def _told() -> Iterator[None]:
    """Ends the command with 1 where the feed says what is wrong."""
    from feed import FeedError

    try:
        yield
    except FeedError as error:
        complain(str(error))
        raise typer.Exit(1) from error


@contextmanager
def _failures() -> Iterator[None]:
    from axia.errors import AxiaError

    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except AxiaError as error:
        complain(describe(error))
        raise typer.Exit(exit_code(error)) from error
