"""`axia detect`: what needs attention in images."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axia.cli._detections import out_file, printing
from axia.cli._detections.batch import Batch, detect_all
from axia.cli._detections.ground_truths import Truths
from axia.cli._detections.options import DetectOptions
from axia.cli._judges import cards
from axia.cli._output import Address, connect

if TYPE_CHECKING:
    from axia.client import Client
    from axia.judges.asking import JudgeName
    from axia.results import Detection

_PARALLEL = 4
_WITH_RESUME = {"resume", "json", "stream", "parallel", "address"}
"""Options that may stand beside --resume."""


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
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH", help="Images, or folders (with all subfolders).", show_default=False),
    ] = None,
    n: Annotated[int | None, typer.Option("-n", min=1, help="Completions to sample.", show_default="3")] = None,
    temperature: Annotated[
        list[float] | None,
        typer.Option(
            "--temperature",
            "-t",
            help="Temperature, 0 to 2: one for all completions, or one for each (repeatable).",
            show_default="1",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed for reproducibility.", show_default="random")] = None,
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
        bool, typer.Option("--full-text", help="Don't stop completions at the end of their first sentence.")
    ] = False,
    sentence_rule: Annotated[
        SentenceRule | None,
        typer.Option(
            help="Which sentence is used: the first sentence of the answer itself, or the first sentence of the text.",
            show_default="answer",
        ),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Maximum tokens of one completion.", show_default="100")
    ] = None,
    top_p: Annotated[float | None, typer.Option(help="Nucleus sampling, up to 1.", show_default="1")] = None,
    abstain_threshold: Annotated[
        float | None, typer.Option(help="Abstain below this agreement.", show_default="0.5")
    ] = None,
    truth: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help='Ground truth: what annotators named, or "none" if nothing needs attention. Marks '
            "completions that name the same.",
        ),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="With --truth: another accepted phrasing (repeatable)."),
    ] = None,
    truths: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Ground truth of each image: JSON lines of {"file", "element", "accept"}; file is relative to FILE.',
        ),
    ] = None,
    judge: Annotated[
        Judge | None,
        typer.Option(
            help="With --truth or --truths: compare by words, by meaning, or ask a model.",
            show_default="semantic",
        ),
    ] = None,
    judge_model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="With --judge model: the model that judges.", show_default="the model that answered"
        ),
    ] = None,
    judge_samples: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=25,
            help="With --judge model: how often to ask the judge about each answer; the majority decides.",
            show_default="1",
        ),
    ] = None,
    judge_structured: Annotated[
        bool, typer.Option("--judge-structured", help='With --judge model: allow only "yes" and "no" as its answer.')
    ] = False,
    card: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --truth or --truths: a card of `axia judges audit`; prints the judge's κ next to the alignment.",
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Time limit for one image, in seconds.")] = 60.0,
    parallel: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Images to process in parallel.", show_default="4, with --stream 1"),
    ] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Print each completion when it ends.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the JSON of each image to this file, as a line, when it is done."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Continue a run that was saved with --out: ask only about images without an answer. "
            "The options come from FILE.",
        ),
    ] = None,
    address: Address = None,
) -> None:
    """Ask a model several times what needs attention in each image, and print the answer that the completions agree on.

    The defaults come from the gateway's routing table; if it has none for the model, they are those of the study.

    In a folder, the command uses files whose names end in .jpg, .jpeg, .png or .webp and don't begin with a dot. It
    skips images of other formats, such as GIF and BMP, and lists them on standard error.

    With --json, standard output has only JSON: one object for each image, in the order of the images. An image that
    failed has {"image": {"path": ...}, "error": {"code": ..., "reason": ..., "message": ...}}. With --json --stream it
    has {"event": "completion", "path": ..., "completion": {...}} for each completion when it ends, and for each image
    {"event": "summary", "path": ..., "detection": {...}} or {"event": "error", "path": ..., "error": {...}}.

    With --out, the command writes the same objects to a file, each as soon as its image is done. The first line has the
    options.

    With --truth, each completion is compared with this text: ✓ means that it names the same thing, ✗ that it doesn't, ?
    that the judge gave no verdict. The alignment is the share of ✓ among completions with a verdict. --truth is the
    same for all images; with --truths each image has its own ground truth, in rows such as {"file": "kitchen.jpg",
    "element": "a boiling pot", "accept": ["hot stove"]}; accept is optional, and other fields are ignored. Images
    without a row, and rows without an image, are not judged, and are listed on standard error.

    At the end the command prints the mean alignment over all images, its 95% interval, and the number of answers with
    and without a verdict; JSON has it as {"event": "mean", ...}. With --card, the judge's agreement with people is
    printed next to it. A card of another judge, or of another revision of the judge, is an error.

    Exit code: 0, 1 if any image failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    done: Mapping[str, Detection] = {}
    if resume is not None:
        if any(_is_given(ctx, name) for name in ctx.params.keys() - _WITH_RESUME):
            raise typer.BadParameter(
                "--resume takes images and options from the file: with it, give only --json, --stream, --parallel or "
                "--address"
            )
        options, done = out_file.load(resume)
    else:
        if not paths:
            raise typer.BadParameter("Missing argument: give images, or folders with images", param_hint="PATH")
        names = DetectOptions.__dataclass_fields__
        options = DetectOptions.of_command({name: value for name, value in ctx.params.items() if name in names})
        _check(options)
    known = Truths(options)
    printer = printing.printer(json=json, stream=stream, judged=known.known)
    with connect(address) as client:
        if options.card is not None:
            printer.judge = cards.check(client, Path(options.card), _judge_asked(client, options))
        batch = Batch(client, options, known, printer, parallel or (1 if stream else _PARALLEL))
        raise typer.Exit(detect_all(batch, done, out, resume))


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _check(options: DetectOptions) -> None:
    """Refuses options that exclude each other; `Truths` does it for its own."""
    if options.prompt is not None and options.prompt_text is not None:
        raise typer.BadParameter("give --prompt or --prompt-text, not both")
    if options.system is not None and options.system_text is not None:
        raise typer.BadParameter("give --system or --system-text, not both")
    n, temperatures = options.n, len(options.temperature)
    if n is not None and temperatures > 1 and temperatures != n:
        raise typer.BadParameter(f"-n is {n} and there are {temperatures} temperatures: give one, or one for each")


def _judge_asked(client: "Client", options: DetectOptions) -> "JudgeName":
    return cards.judge_asked(
        client,
        options.judge,
        judge_model=options.judge_model,
        samples=options.judge_samples,
        structured=options.judge_structured,
        model=options.model,
    )
