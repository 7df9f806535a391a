"""`axia interest`: whether a persona finds images interesting."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from axia._file_names import written
from axia.cli._failures import failure_of
from axia.cli._images.paths import pictures_at
from axia.cli._output import (
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    Address,
    complain,
    connect,
    console,
    describe,
    exit_code,
    fault_of,
    print_json,
    printable,
    printable_path,
)
from axia.cli._personas import Persona, Traits, traits_of

if TYPE_CHECKING:
    from axia.results import InterestJudgement


class _Item(NamedTuple):
    short: str
    name: str


_ITEMS = (
    _Item("VA", "visual_attractiveness"),
    _Item("CS", "curiosity_stimulation"),
    _Item("EE", "emotional_engagement"),
    _Item("VE", "value_expectation"),
    _Item("PA", "preference_alignment"),
    _Item("AD", "action_desire"),
)
"""The questionnaire's items, as columns."""

_PICTURES_PER_CALL = 16
_BYTES_PER_CALL = 24 * 2**20


class Strategy(StrEnum):
    """How to judge."""

    SIMPLE = "simple"
    ISQ = "isq"


def interest(
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Images, or folders (with all subfolders).")],
    persona: Persona = None,
    trait: Traits = None,
    strategy: Annotated[
        Strategy, typer.Option(help="A plain question, or the six items of the questionnaire.")
    ] = Strategy.SIMPLE,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=100, help="With isq: S% above this is a match.", show_default="60"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A model that `axia models` lists.", show_default="the gateway's first")
    ] = None,
    structured: Annotated[
        bool, typer.Option("--structured", help='Allow only "yes" and "no" as answers, or JSON with the six items.')
    ] = False,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0, max=2, help="Temperature of each answer.", show_default="the model's in the routing table, or else 0"
        ),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens",
            min=1,
            help="Maximum tokens of one answer.",
            show_default="the model's in the routing table, or else 100; with isq 256 or more",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed for reproducibility.", show_default="random")] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Time limit for 16 images, in seconds.")] = 300.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object per image.")] = False,
    address: Address = None,
) -> None:
    """Ask a model, in the role of a persona, whether images are interesting (arXiv 2411.11479).

    With --json, each image has the judgement with its provenance: model, prompt, seed, sampling, request and version.
    An image that failed has {"path": ..., "error": {"code": ..., "reason": ..., "message": ...}}.

    Exit code: 0, 1 if any image could not be judged, 2 for wrong usage, 130 after Ctrl-C.
    """
    traits = traits_of(persona, trait)
    if not traits:
        raise typer.BadParameter("give the persona with --persona FILE or --trait TEXT")
    judged: list[tuple[Path, InterestJudgement]] = []
    given = pictures_at(paths)
    failed = given.missing
    pictures = left = list(map(Path, given.pictures))
    with connect(address) as client:
        from axia.errors import AxiaError

        try:
            for batch in _batches(pictures):
                left = left[len(batch) :]
                some, data = _read(batch, json=json)
                failed = failed or len(some) < len(batch)
                if not some:
                    continue
                left = some + left
                result = client.judge_interest(
                    data,
                    traits,
                    strategy=strategy.value,
                    threshold=threshold,
                    model=model,
                    temperature=temperature,
                    max_tokens=max_tokens,
                    seed=seed,
                    structured=structured,
                    timeout=timeout,
                )
                left = left[len(some) :]
                asked = result.model_dump(exclude={"judgements", "stay_share", "undecided"})
                for picture, judgement in zip(some, result.judgements, strict=True):
                    judged.append((picture, judgement))
                    if judgement.error is not None:
                        failed = True
                        complain(f"{picture}: {fault_of(judgement.error.message)}")
                    if json:
                        print_json({"path": written(str(picture)), "judgement": judgement, **asked})
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:
            raise  # who read the output is gone, and nothing is wrong with the pictures
        except (AxiaError, OSError) as error:
            complain(describe(error))
            if exit_code(error) == EXIT_USAGE:
                raise typer.Exit(EXIT_USAGE) from error
            failed = True
            for picture in left:
                _print_failure(picture, error, json=json)
    if judged and not json:
        _print_table(judged, isq=strategy is Strategy.ISQ)
    raise typer.Exit(1 if failed else 0)


def _read(batch: list[Path], *, json: bool) -> tuple[list[Path], list[bytes]]:
    """The images of a batch that can be sent, with their bytes; the others are told."""
    from axia._pictures import read
    from axia.errors import AxiaError

    some, data = [], []
    for picture in batch:
        try:
            data.append(read(picture)[0])
            some.append(picture)
        except (AxiaError, OSError) as error:
            told = describe(error)
            complain(told if str(picture) in told else f"{picture}: {told}")
            _print_failure(picture, error, json=json)
    return some, data


def _print_failure(picture: Path, error: Exception, *, json: bool) -> None:
    if json:
        print_json({"path": written(str(picture)), "error": failure_of(error)})


def _batches(pictures: list[Path]) -> Iterator[list[Path]]:
    """The images in parts that one call carries."""
    some: list[Path] = []
    size = 0
    for path in pictures:
        file_size = path.stat().st_size if path.is_file() else 0  # what is no file is told by the client
        if some and (len(some) == _PICTURES_PER_CALL or size + file_size > _BYTES_PER_CALL):
            yield some
            some, size = [], 0
        some.append(path)
        size += file_size
    if some:
        yield some


def _figures(judgement: "InterestJudgement") -> list[str]:
    """S% and the items, as far as the model's text gives them."""
    percent = judgement.isq.percent if judgement.isq else None
    items = judgement.isq.items if judgement.isq else None
    read = [None if items is None else getattr(items, item.name) for item in _ITEMS]
    return ["—" if percent is None else f"{percent:.1f}", *("—" if item is None else f"{item:g}" for item in read)]


def _print_table(judged: "list[tuple[Path, InterestJudgement]]", *, isq: bool) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("image", overflow="fold")
    table.add_column("decision", no_wrap=True)
    if isq:
        for name in ("S%", *(item.short for item in _ITEMS)):
            table.add_column(name, justify="right", no_wrap=True)
    else:
        table.add_column("answer", overflow="fold")
    for path, judgement in judged:
        said = _figures(judgement) if isq else [printable(judgement.text)]
        table.add_row(printable_path(path.name), judgement.decision or "—", *said)
    console().print(table)
    if isq:
        items = ", ".join(f"{item.short} {item.name.replace('_', ' ')}" for item in _ITEMS)
        console().print(f"{items}; the first four are 0 to 10, the last two 0 to 1. S% is their score, 0 to 100.")
    decided = [judgement.decision for _, judgement in judged if judgement.decision]
    if decided:
        share = decided.count("stay") / len(decided)
        console().print(f"the persona stays with {share:.0%} of {len(decided)} images with a decision")
