"""`axia detect`: what needs attention in pictures."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from axia.cli import _detections, _judge_cards
from axia.cli import _truths as _truth_files
from axia.cli._output import (
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    Address,
    complain,
    connect,
    console,
    describe,
    is_usage,
    printable,
)
from axia.cli._paths import pictures_at

if TYPE_CHECKING:
    from axia.client import Client
    from axia.inputs import GroundTruth
    from axia.results import Detection

    TruthOf = Callable[[str], GroundTruth | None]


class Judge(StrEnum):
    """Who judges whether a completion names what annotators named."""

    LEXICAL = "lexical"
    SEMANTIC = "semantic"
    MODEL = "model"


class SentenceRule(StrEnum):
    """Which sentence of a completion is its first."""

    ANSWER = "answer"
    LITERAL = "literal"


def detect(
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Pictures, or folders with pictures in them.")],
    n: Annotated[int | None, typer.Option("-n", min=1, help="Completions to sample.", show_default="3")] = None,
    temperature: Annotated[
        list[float] | None,
        typer.Option(
            "--temperature", "-t", help="0 to 2. Once for all completions, or once for each.", show_default="1"
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Ask again with the same seed to get the same.", show_default="drawn")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A model that `axia models` lists.", show_default="the gateway's first")
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(metavar="ID", help="A prompt that `axia models` lists.", show_default="detect/baseline"),
    ] = None,
    prompt_text: Annotated[str | None, typer.Option(metavar="TEXT", help="A prompt of your own.")] = None,
    system: Annotated[str | None, typer.Option(metavar="ID", help="A system prompt that `axia models` lists.")] = None,
    system_text: Annotated[str | None, typer.Option(metavar="TEXT", help="A system prompt of your own.")] = None,
    full_text: Annotated[
        bool, typer.Option("--full-text", help="Let completions run on after their first sentence.")
    ] = False,
    sentence_rule: Annotated[
        SentenceRule | None,
        typer.Option(
            help="Which sentence counts: the first of the answer itself, or the first of the text.",
            show_default="answer",
        ),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of one completion at most.", show_default="100")
    ] = None,
    top_p: Annotated[float | None, typer.Option(help="Nucleus sampling, up to 1.", show_default="1")] = None,
    abstain_threshold: Annotated[
        float | None, typer.Option(help="Agreement below which nothing is named.", show_default="0.5")
    ] = None,
    truth: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help='What annotators named, or "none" where nothing needs attention; marks completions that name it too.',
        ),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="With --truth: another phrasing that counts, once for each."),
    ] = None,
    truths: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='A truth for each picture: JSON lines of {"file", "element", "accept"}, file relative to FILE.',
        ),
    ] = None,
    judge: Annotated[
        Judge | None,
        typer.Option(
            help="With --truth or --truths: words, sentence embeddings, or the model that answered.",
            show_default="semantic",
        ),
    ] = None,
    judge_model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --judge model: who judges.", show_default="the model that answered"),
    ] = None,
    judge_samples: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=25,
            help="With --judge model: how often it is asked about each answer; the majority counts.",
            show_default="1",
        ),
    ] = None,
    judge_structured: Annotated[
        bool, typer.Option("--judge-structured", help='With --judge model: hold it to "yes" and "no".')
    ] = False,
    card: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --truth or --truths: a card of `axia judges audit`; prints the judge's κ beside the alignment.",
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds for one picture.")] = 60.0,
    stream: Annotated[bool, typer.Option("--stream", help="Print each completion when it ends.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
    address: Address = None,
) -> None:
    """Ask a model what needs attention in each picture, several times, and print what it agrees on.

    The defaults are the study's where the gateway's routing table has none for the model.

    With --json standard output has one JSON object for each picture and nothing else. With --json --stream it has
    {"event": "completion", "path": ..., "completion": {...}} for each completion when it ends, and
    {"event": "summary", "path": ..., "detection": {...}} for each picture.

    With --truth each completion is judged, for all pictures by the same text: ✓ names it, ✗ does not, ? could not be
    judged. The alignment is the share of ✓ among those that could be judged. With --truths each picture has its own, in
    rows like {"file": "kitchen.jpg", "element": "a boiling pot", "accept": ["hot stove"]}; accept may be left out. A
    picture without a row is told on standard error and not judged.

    With --card the alignment over all pictures stands at the end, with the judge's agreement with people. A card of
    another judge, or of another revision of it, is refused.

    Exit code: 0, 1 if any picture failed, 2 for wrong usage.
    """
    temperatures = temperature or []
    if prompt is not None and prompt_text is not None:
        raise typer.BadParameter("give --prompt or --prompt-text, not both")
    if system is not None and system_text is not None:
        raise typer.BadParameter("give --system or --system-text, not both")
    if n is not None and len(temperatures) > 1 and len(temperatures) != n:
        raise typer.BadParameter(f"-n is {n} and there are {len(temperatures)} temperatures: give one, or one for each")
    judged_by = _judged_by(judge, judge_model, judge_samples, judge_structured)
    truth_of = _truths(truth, accept or [], truths, judged_by)
    if card is not None and truth_of is None:
        raise typer.BadParameter(
            "--card is for judging completions: give what they should name with --truth or --truths"
        )
    options = {
        "n": n,
        "temperature": temperatures[0] if len(temperatures) == 1 else temperatures or None,
        "seed": seed,
        "model": model,
        "prompt_id": prompt,
        "prompt_text": prompt_text,
        "system_prompt_id": system,
        "system_prompt_text": system_text,
        "full_text": full_text,
        "sentence_rule": sentence_rule.value if sentence_rule else None,
        "max_tokens": max_tokens,
        "top_p": top_p,
        "abstain_threshold": abstain_threshold,
        "timeout": timeout,
    }
    printer = _detections.printer(json=json, stream=stream, judged=truth_of is not None)

    with connect(address) as client:
        if card is not None:
            asked = _judge_cards.judge_asked(
                client,
                judge.value if judge else None,
                judge_model=judge_model,
                samples=judge_samples,
                structured=judge_structured,
                model=model,
            )
            printer.judge = _judge_cards.check(client, card, asked)
        raise typer.Exit(_detect_all(client, paths, options, truth_of or _no_truth, printer))


def _judged_by(judge: Judge | None, model: str | None, samples: int | None, structured: bool) -> dict[str, Any]:
    """The fields of a ground truth that say who judges; those that are not given are left to the defaults."""
    fields = {
        "judge": judge and judge.value,
        "judge_model": model,
        "judge_samples": samples,
        "judge_structured": structured or None,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    if judge is not Judge.MODEL and (alone := [name for name in given if name != "judge"]):
        raise typer.BadParameter(f"--{alone[0].replace('_', '-')} goes with --judge model")
    return given


def _truths(truth: str | None, accept: list[str], truths: Path | None, judged_by: dict[str, Any]) -> "TruthOf | None":
    """What says what annotators named in a picture; None where nothing is to be judged."""
    if truth is not None and truths is not None:
        raise typer.BadParameter("give --truth, one for all pictures, or --truths, one for each, not both")
    if truths is not None and accept:
        raise typer.BadParameter(f"--accept goes with --truth: {truths} has the phrasings of each picture in its row")
    if truth is None and truths is None:
        for given, option in ((accept, "--accept"), (judged_by, "--judge")):
            if given:
                raise typer.BadParameter(
                    f"{option} is for judging completions: give what they should name with --truth or --truths"
                )
        return None
    from axia.inputs import GroundTruth

    if truths is None:
        for_all = GroundTruth.model_validate({"element": truth, "accept": accept, **judged_by})
        return lambda picture: for_all
    rows = _truth_files.load(truths)

    def of_row(picture: str) -> "GroundTruth | None":
        row = rows.get(Path(picture).resolve())
        return None if row is None else GroundTruth.model_validate({**row._asdict(), **judged_by})

    return of_row


def _no_truth(picture: str) -> None:
    """Nothing is known of any picture."""


def _tell_unjudged(pictures: list[str], truth_of: "TruthOf") -> None:
    without = [picture for picture in pictures if truth_of(picture) is None]
    if without:
        have = "has" if len(without) == 1 else "have"
        complain(f"{', '.join(map(printable, without))} {have} no row among the truths: not judged")


def _detect_all(
    client: "Client", paths: list[str], options: dict[str, Any], truth_of: "TruthOf", printer: _detections.Printer
) -> int:
    """Detects in every picture, reports failures on standard error, and returns the exit code."""
    from axia.errors import AxiaError

    pictures, failed, misused = [], False, False
    for path in paths:
        try:
            pictures.extend(pictures_at(path))
        except OSError as error:
            complain(str(error))
            failed = True
    if truth_of is not _no_truth:
        _tell_unjudged(pictures, truth_of)
    try:
        shown = pictures if printer.prints_at_once and sys.stdout.isatty() else _with_progress(pictures)
        for number, picture in enumerate(shown):
            try:
                asked = {**options, "ground_truth": truth_of(picture)}
                printer.summary(picture, _detect_one(client, picture, asked, printer))
            except BrokenPipeError:
                raise  # who read the output is gone, and nothing is wrong with the picture
            except (AxiaError, OSError) as error:
                failed = True
                misused = misused or is_usage(error)
                told = describe(error)
                complain(told if picture in told else f"{picture}: {told}")
                left = len(pictures) - number - 1
                if left and _concerns_all(error, own_truth=len(set(map(truth_of, pictures))) > 1):
                    complain(f"the other {left} would fail alike and are left out")
                    break
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    finally:
        printer.finish()
    return EXIT_USAGE if misused else int(failed)


def _detect_one(client: "Client", picture: str, options: dict[str, Any], printer: _detections.Printer) -> "Detection":
    from axia.results import Detection

    if not printer.streams:
        return client.detect(picture, **options)
    with closing(client.stream(picture, **options)) as events:
        for event in events:
            if isinstance(event, Detection):
                return event
            printer.completion(picture, event)
    raise AssertionError("a stream ends with a detection or an error")


def _with_progress(pictures: list[str]) -> Iterator[str]:
    """The pictures, with a progress bar where somebody can see it and no output runs into it."""
    errors = console(stderr=True)
    if len(pictures) < 2 or not errors.is_terminal:  # noqa: PLR2004 - "several" is plain enough
        yield from pictures
        return
    from rich.progress import Progress

    # Rich would send standard output to the console of the bar, which is standard error.
    with Progress(console=errors, transient=True, redirect_stdout=False) as progress:
        yield from progress.track(pictures, description="detecting")


def _concerns_all(error: Exception, *, own_truth: bool) -> bool:
    """Whether the next picture would meet the same error: nobody answers, or what is wrong is not the picture.

    Args:
        error: What went wrong with one picture.
        own_truth: Whether pictures have truths of their own, which then may be what is wrong.
    """
    from axia.errors import ConnectionFailed, InvalidRequest, NotFound, Unauthenticated

    if isinstance(error, InvalidRequest):
        own = ("image", "ground_truth.element", "ground_truth.accept") if own_truth else ("image",)
        return bool(error.fields) and not any(part in field.field for field in error.fields for part in own)
    return isinstance(error, ConnectionFailed | NotFound | Unauthenticated)
