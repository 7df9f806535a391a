"""`axia judges`: how far judges of alignment agree with people, and what several of them say of saved detections."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axia.cli._judges.runs import ask_all, judge_names
from axia.cli._output import EXIT_INTERRUPTED, Address, complain, connect, print_json

if TYPE_CHECKING:
    from axia.judges.asking import Verdicts
    from axia.judges.card import CorrectedMean, Estimate
    from axia.judges.choice import Candidate
    from axia.judges.labels import Rows

_LabelsFile = Annotated[
    Path, typer.Argument(metavar="LABELS", help='JSON lines of {"answer", "element", "accept", "aligned": 0 or 1}.')
]
_Models = Annotated[
    list[str] | None,
    typer.Option(
        "--judge-model", metavar="NAME", help="A model that `axia models` lists, as another judge (repeatable)."
    ),
]
_Samples = Annotated[
    int, typer.Option("--judge-samples", min=1, max=25, help="How often each model is asked about an answer.")
]
_Structured = Annotated[
    bool, typer.Option("--judge-structured", help='Allow only "yes" and "no" as answers of the models.')
]
_Seed = Annotated[int, typer.Option(min=0, help="Seed of the bootstrap that compares judges.")]
_Timeout = Annotated[float, typer.Option(min=0.001, help="Time limit for one call, in seconds.")]


def audit(
    labels: _LabelsFile,
    judge_model: _Models = None,
    judge_samples: _Samples = 1,
    judge_structured: _Structured = False,
    unlabelled: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="More answers, without labels: also print the mean of each judge over them, corrected by the labels.",
        ),
    ] = None,
    card: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save the figures for `axia detect --card`, as JSON.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Save the figures for a report, as Markdown.")
    ] = None,
    seed: _Seed = 0,
    timeout: _Timeout = 300.0,
    json: Annotated[bool, typer.Option("--json", help="Print the card instead of tables.")] = False,
    address: Address = None,
) -> None:
    """Compare judges with people's labels, and recommend one.

    The judges are: words (lexical), meaning (semantic), each --judge-model, and each model with answers in
    judge_answers of all rows. κ is Cohen's kappa. If the rows have the field "picture" (the image's id),
    intervals are clustered by image.

    With --unlabelled, the mean alignment of each judge is corrected by prediction-powered inference (arXiv 2311.01453),
    which needs the extra `audit` of axia. The labelled rows must be a random sample of the same answers. Don't repeat
    them in the unlabelled file.

    Exit code: 0, 1 if a judge could not be asked, 2 for wrong usage, 130 after Ctrl-C.
    """
    known = _load(labels, labelled=True)
    others = _load(unlabelled, labelled=False) if unlabelled else None
    if others is not None:
        _check_correctable(known, others)
    for path in (card, markdown):
        if path is not None and not path.parent.is_dir():  # told before models are asked
            raise typer.BadParameter(f"there is no folder {path.parent} to save {path.name} in")
    names = judge_names(judge_model, judge_samples, judge_structured)
    recorded = known.recorded_judges
    if others is not None:
        recorded = [name for name in recorded if name in others.recorded_judges]
    with connect(address) as client, _interrupted():
        audited, code = ask_all(client, names, known, recorded, timeout)
        means: list[CorrectedMean] = []
        if others is not None:
            further, of_others = ask_all(client, names, others, recorded, timeout)
            audited, means = _correct(audited, known, further, others)
            code = max(code, of_others, int(len(means) < len(names) + len(recorded)))
    if not audited:
        raise typer.Exit(code or 1)
    _report(labels, known, audited, means, seed=seed, card=card, markdown=markdown, json=json)
    raise typer.Exit(code)


def table(
    detections: Annotated[
        Path,
        typer.Argument(
            metavar="DETECTIONS", help="A file of `axia detect --out`, or the output of `axia detect --json`."
        ),
    ],
    truths: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='JSON lines of {"file", "element", "accept"}, file relative to FILE.',
            show_default="the truth in each detection",
        ),
    ] = None,
    judge_model: _Models = None,
    judge_samples: _Samples = 1,
    judge_structured: _Structured = False,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Labels as for `axia judges audit`: also print κ of each judge.")
    ] = None,
    card: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A card of `axia judges audit`, instead of --labels.")
    ] = None,
    timeout: _Timeout = 300.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object per row.")] = False,
    address: Address = None,
) -> None:
    """Judge saved detections by several judges, and print the mean alignment by each judge.

    The command doesn't run detections again. It judges the answers in the file by words, by meaning, and by each
    --judge-model. The mean is over all answers with a verdict; its interval is clustered by image. Each model and each
    prompt has its own row. Run the command in the folder in which `axia detect` ran, because the paths of images are
    relative.

    Exit code: 0, 1 if a judge could not be asked, 2 for wrong usage, 130 after Ctrl-C.
    """
    from axia.cli._judges.answers import load_answers, tell_without_truth
    from axia.cli._judges.tables import print_alignments

    if labels is not None and card is not None:
        raise typer.BadParameter(
            "give --labels, to compare the judges now, or --card, with the result of an earlier comparison, not both"
        )
    saved = load_answers(detections, truths)
    tell_without_truth(saved)
    known = _load(labels, labelled=True, hint="--labels") if labels else None
    names = judge_names(judge_model, judge_samples, judge_structured)
    with connect(address) as client, _interrupted():
        said, code = ask_all(client, names, saved.rows, [], timeout)
        compared, of_labels = ask_all(client, names, known, [], timeout) if known else ([], 0)
    if not said:
        raise typer.Exit(code or 1)
    validity = _validity(said, card, known, compared)
    print_alignments(saved, said, validity, json=json)
    raise typer.Exit(max(code, of_labels))


def _load(path: Path, *, labelled: bool, hint: str = "") -> "Rows":
    from axia.judges.labels import load

    try:
        return load(path, labelled=labelled)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=hint or ("LABELS" if labelled else "--unlabelled")) from None


def _check_correctable(labels: "Rows", unlabelled: "Rows") -> None:
    """Refuses before judges are asked what can't be corrected afterwards."""
    from importlib.util import find_spec

    from axia.judges.ppi import INSTALL

    if find_spec("ppi_py") is None:
        raise typer.BadParameter(INSTALL, param_hint="--unlabelled")
    if (labels.clusters is None) != (unlabelled.clusters is None):
        raise typer.BadParameter('either all labelled and unlabelled rows need the field "picture", or none')
    for rows, what in ((labels, "labelled"), (unlabelled, "unlabelled")):
        if len(set(rows.clusters or range(len(rows.rows)))) < 2:  # noqa: PLR2004 - one shows no variation
            raise typer.BadParameter(f"give at least 2 {what} images, or answers without images")


def _correct(
    audited: "Sequence[Verdicts]", labels: "Rows", others: "Sequence[Verdicts]", unlabelled: "Rows"
) -> "tuple[list[Verdicts], list[CorrectedMean]]":
    """The judges that answered about both files, and each one's corrected mean."""
    from axia.judges.card import corrected
    from axia.judges.ppi import corrected_mean

    people = [row.aligned or 0 for row in labels.rows]
    both, means = [], []
    for verdicts in audited:
        other = next((far for far in others if far.name == verdicts.name), None)
        if other is None:
            continue
        both.append(verdicts)
        found = corrected_mean(people, verdicts.scores, labels.clusters, other.scores, unlabelled.clusters)
        means.append(corrected(found, unlabelled))
    return both, means


def _candidates(labels: "Rows", said: "Sequence[Verdicts]") -> "list[Candidate]":
    from axia.judges.choice import Candidate
    from axia.judges.figures import measure

    people = [row.aligned or 0 for row in labels.rows]
    return [Candidate(verdicts, measure(verdicts.scores, people, labels.clusters)) for verdicts in said]


def _report(
    path: Path,
    labels: "Rows",
    audited: "Sequence[Verdicts]",
    means: "Sequence[CorrectedMean]",
    *,
    seed: int,
    card: Path | None,
    markdown: Path | None,
    json: bool,
) -> None:
    """Prints and saves the card."""
    from axia.cli._judges.tables import print_card
    from axia.judges.card import as_markdown, make_card
    from axia.judges.choice import choose

    candidates = _candidates(labels, audited)
    choice = choose(candidates, labels, seed=seed)
    made = make_card(path, labels, candidates, choice, seed=seed, corrected=means)
    for file, text in ((card, made.model_dump_json(indent=2) + "\n"), (markdown, as_markdown(made))):
        if file is not None:
            try:
                file.write_text(text, encoding="utf-8")
            except OSError as error:
                complain(f"{file} can't be written: {error.strerror}")
                raise typer.Exit(1) from error
    if json:
        print_json(made)
    else:
        print_card(made)


def _validity(
    said: "Sequence[Verdicts]",
    card: Path | None,
    labels: "Rows | None",
    compared: "Sequence[Verdicts]",
) -> "list[Estimate | None]":
    """The κ of each judge; None where it is not known."""
    from axia.cli._judges.cards import figures_of, load
    from axia.judges.card import Estimate

    if labels is not None:
        kappas = {
            str(candidate.verdicts.name): Estimate(
                value=candidate.figures.kappa, interval=candidate.figures.kappa_interval
            )
            for candidate in _candidates(labels, compared)
        }
        return [kappas.get(str(verdicts.name)) for verdicts in said]
    if card is None:
        return [None] * len(said)
    saved = load(card)
    return [figures_of(saved, verdicts.name, verdicts.revision, card).kappa for verdicts in said]


@contextmanager
def _interrupted() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
