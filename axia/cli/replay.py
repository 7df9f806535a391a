"""`axia replay`: asks again what a saved record asked, and shows the difference."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from axia.cli._detections.saved import load_detections
from axia.cli._detections.wording import LEGEND, answer_of, figure, marked
from axia.cli._images.paths import pictures_at
from axia.cli._judges.runs import JudgeModels
from axia.cli._output import (
    Address,
    complain,
    connect,
    console,
    describe,
    exit_code,
    print_json,
    printable,
    printable_path,
)

if TYPE_CHECKING:
    from axia.client import Client
    from axia.results import Detection


def replay(
    record: Annotated[
        Path,
        typer.Argument(
            metavar="RECORD",
            help="A file with the output of `axia detect --json`, or the answer of POST /v1/detect.",
        ),
    ],
    picture: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="The image, or the folder with the image (repeatable).",
            show_default="the path in the record",
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Time limit for one image, in seconds.")] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object per image.")] = False,
    address: Address = None,
) -> None:
    """Run saved detections again with the same image, model, prompts, seed and temperatures, and compare the
    completions.

    If a record has a ground truth, the new completions are judged by it, and the alignment is compared too. Records
    from the HTTP API don't have the path of the image: pass it with --picture. Images are found by their hash.

    Exit code: 0 if all completions are the same, 1 if any differs or a detection could not be run again, 2 for wrong
    usage.
    """
    saved = load_detections(record, "RECORD")
    try:
        pictures = _Pictures(picture) if picture else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--picture") from None
    code, judges, explained = 0, JudgeModels(), False
    with connect(address) as client:
        from axia.errors import AxiaError

        for before in saved:
            try:
                after = _ask_again(client, before, pictures, timeout)
            except (AxiaError, OSError, ValueError) as error:
                complain(describe(error))
                code = max(code, exit_code(error))
                continue
            judges.add(after)
            differences, alignment = _differences(before, after), _alignment(before, after)
            is_same = not differences and (alignment is None or alignment["same"] is True)
            code = max(code, 0 if is_same else 1)
            if json:
                compared = {"same": is_same, "differences": differences, "alignment": alignment}
                print_json({**compared, "before": before, "after": after})
            else:
                explained = _print(before, after, differences, alignment) or explained
    if explained:
        console().print(LEGEND, soft_wrap=True)
    judges.tell(can_hold=False)
    raise typer.Exit(code)


class _Pictures:
    """Images that were given, by their hashes."""

    def __init__(self, given: list[str]) -> None:
        self._given = given
        self._paths = {hashlib.sha256(_read(path)).hexdigest(): path for path in pictures_at(given).pictures}

    def find(self, sha256: str) -> bytes:
        """The image with a hash. Raises ValueError where it isn't among them."""
        if sha256 not in self._paths:
            raise _other_picture(", ".join(map(printable, self._given)), sha256)
        return _read(self._paths[sha256])


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        raise ValueError(f"there is no image at {path}: give it with --picture") from None


def _other_picture(where: str, sha256: str) -> ValueError:
    return ValueError(f"{where} is not the image of the record, whose SHA-256 is {sha256}: give it with --picture")


def _picture_of(before: "Detection", pictures: _Pictures | None) -> bytes:
    """The image of a record. Raises ValueError where it isn't found."""
    wanted = before.provenance.image_sha256 or before.image.sha256
    if pictures is not None:
        return pictures.find(wanted)
    path = before.image.path
    if path is None:
        raise ValueError(
            "the record names no file, because the image was given as bytes or over HTTP: give it with --picture"
        )
    data = _read(path)
    if hashlib.sha256(data).hexdigest() != wanted:
        raise _other_picture(path, wanted)
    return data


def _ask_again(client: "Client", before: "Detection", pictures: _Pictures | None, timeout: float) -> "Detection":
    data = _picture_of(before, pictures)
    asked = before.provenance
    system = asked.system_prompt
    return client.detect(
        data,
        n=len(asked.temperatures),
        temperature=asked.temperatures,
        top_p=asked.top_p,
        max_tokens=asked.max_tokens,
        seed=asked.seed,
        model=before.model,
        # The text, and not the id: the text that an id stands for may have changed since.
        prompt_text=asked.prompt.text,
        system_prompt_text=system.text if system else None,
        full_text=asked.full_text,
        abstain_threshold=asked.abstain_threshold,
        ground_truth=asked.ground_truth,
        sentence_rule=_sentence_rule(before),
        timeout=timeout,
    )


def _sentence_rule(before: "Detection") -> Literal["answer", "literal"] | None:
    """The rule of the record; a record without one is of an earlier release, which had only the literal one."""
    rule = before.provenance.sentence_rule
    if rule.startswith("literal/") or not (rule or before.partial):
        return "literal"
    return "answer" if rule.startswith("answer/") else None


def _differences(before: "Detection", after: "Detection") -> list[dict[str, object]]:
    """Completions that are not the same, by index."""
    now = {completion.index: completion.first_sentence for completion in after.completions}
    return [
        {"index": then.index, "before": then.first_sentence, "after": now.get(then.index)}
        for then in before.completions
        if now.get(then.index) != then.first_sentence
    ]


def _alignment(before: "Detection", after: "Detection") -> dict[str, object] | None:
    """The alignments and the completions that are judged otherwise, by index; None where the record has no truth."""
    if before.provenance.ground_truth is None:
        if before.alignment is not None:
            picture = printable(before.image.path or before.image.sha256)
            complain(f"{picture}: the record has an alignment without its ground truth, so that is not compared")
        return None
    then, now = _scores(before), _scores(after)
    completions = [
        {"index": index, "before": score, "after": now.get(index)}
        for index, score in then.items()
        if now.get(index) != score
    ]
    same = not completions and before.alignment == after.alignment
    return {"same": same, "before": before.alignment, "after": after.alignment, "completions": completions}


def _scores(detection: "Detection") -> dict[int, int | None]:
    """Whether each completion names the ground truth, by index; None where that could not be judged."""
    if not detection.readings:
        return {completion.index: None for completion in detection.completions}
    read = zip(detection.completions, detection.readings, strict=True)
    return {completion.index: reading.alignment.score if reading.alignment else None for completion, reading in read}


def _print(
    before: "Detection",
    after: "Detection",
    differences: list[dict[str, object]],
    alignment: dict[str, object] | None,
) -> bool:
    """Prints what an image's completions are now, and returns whether there are marks to explain."""
    from rich.text import Text

    was, is_now = _scores(before), _scores(after)
    judged = alignment is not None

    def mark_of(scores: dict[int, int | None], index: int) -> Text:
        return marked(scores[index]).append(" ") if judged and index in scores else Text("")

    differs = {difference["index"]: difference["after"] for difference in differences}
    out = console()
    out.print(printable_path(before.image.path or before.image.sha256), soft_wrap=True)
    for then in before.completions:
        if then.index not in differs:
            row_text = Text(f"  #{then.index} same     ").append(mark_of(was, then.index)).append(answer_of(then))
            out.print(row_text, soft_wrap=True)
            continue
        out.print(
            Text(f"  #{then.index} before   ").append(mark_of(was, then.index)).append(answer_of(then)), soft_wrap=True
        )
        now = next(
            (answer_of(completion) for completion in after.completions if completion.index == then.index), "(not done)"
        )
        out.print(Text("     after    ").append(mark_of(is_now, then.index)).append(now), soft_wrap=True)
    if alignment is not None:
        figures = [figure(detection.alignment) for detection in (before, after)]
        out.print(f"  alignment {figures[0]}" + ("" if alignment["same"] else f", now {figures[1]}"), soft_wrap=True)
        for other in cast("list[dict[str, Any]]", alignment["completions"]):
            line = Text(f"  #{other['index']} judged ").append(marked(other["before"])).append(", now ")
            out.print(line.append(marked(other["after"])), soft_wrap=True)
    one, two = before.provenance, after.provenance
    for name, then_is, now_is in (
        ("model", f"{one.model.name} {one.model.revision}", f"{two.model.name} {two.model.revision}"),
        ("engine", f"{one.model.engine} {one.model.engine_version}", f"{two.model.engine} {two.model.engine_version}"),
        ("sentence rule", one.sentence_rule or "literal/0", two.sentence_rule or "literal/0"),
        ("axia", one.axia_version, two.axia_version),
    ):
        if then_is != now_is:
            out.print(f"  {name}: {printable(then_is)}, now {printable(now_is)}", soft_wrap=True)
    out.print(
        f"  {len(before.completions) - len(differences)} of {len(before.completions)} are the same", soft_wrap=True
    )
    return judged
