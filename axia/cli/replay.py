"""`axia replay`: asks again what a saved record asked, and shows the difference."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from axia.cli._output import Address, complain, connect, console, describe, print_json, printable

if TYPE_CHECKING:
    from axia.client import Client
    from axia.results import Detection


def replay(
    record: Annotated[Path, typer.Argument(metavar="RECORD", help="What `axia detect --json` printed, as a file.")],
    picture: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The picture.", show_default="the path in the record"),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds for one picture.")] = 60.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a picture.")] = False,
    address: Address = None,
) -> None:
    """Ask again with the same picture, model, prompts, seed and temperatures, and compare completion by completion.

    Exit code: 0 if all are the same, 1 if any differs or could not be asked again, 2 for wrong usage.
    """
    saved = _load(record)
    if picture is not None and len(saved) > 1:
        raise typer.BadParameter(f"{record} has {len(saved)} pictures: --picture is for a record of one")
    same = True
    with connect(address) as client:
        from axia.errors import AxiaError

        for before in saved:
            try:
                after = _ask_again(client, before, picture, timeout)
            except (AxiaError, OSError, ValueError) as error:
                complain(describe(error))
                same = False
                continue
            differences = _differences(before, after)
            same = same and not differences
            if json:
                print_json({"same": not differences, "differences": differences, "before": before, "after": after})
            else:
                _print(before, after, differences)
    raise typer.Exit(0 if same else 1)


def _load(path: Path) -> "list[Detection]":
    from pydantic import ValidationError

    from axia.results import Detection

    try:
        text = path.read_text(encoding="utf-8")
        try:
            return [Detection.model_validate_json(text)]  # also one that is spread over lines
        except ValidationError:
            found = [Detection.model_validate_json(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError):
        found = []
    if not found:
        message = f"{path} can't be read: give what `axia detect --json` printed, without --stream"
        raise typer.BadParameter(message, param_hint="RECORD")
    return found


def _ask_again(client: "Client", before: "Detection", picture: Path | None, timeout: float) -> "Detection":
    path = picture if picture is not None else before.image.path
    if path is None:
        raise ValueError("the record names no file, because the picture was given as bytes: give it with --picture")
    try:
        data = Path(path).read_bytes()
    except OSError:
        raise ValueError(f"there is no picture at {path}: give it with --picture") from None
    wanted = before.provenance.image_sha256 or before.image.sha256
    if hashlib.sha256(data).hexdigest() != wanted:
        raise ValueError(f"{path} is not the picture of the record, whose SHA-256 is {wanted}: give it with --picture")
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
        timeout=timeout,
    )


def _differences(before: "Detection", after: "Detection") -> list[dict[str, object]]:
    """Completions that are not the same, by index."""
    now = {completion.index: completion.first_sentence for completion in after.completions}
    return [
        {"index": then.index, "before": then.first_sentence, "after": now.get(then.index)}
        for then in before.completions
        if now.get(then.index) != then.first_sentence
    ]


def _print(before: "Detection", after: "Detection", differences: list[dict[str, object]]) -> None:
    differs = {difference["index"]: difference["after"] for difference in differences}
    out = console()
    out.print(printable(before.image.path or before.image.sha256), soft_wrap=True)
    for then in before.completions:
        if then.index not in differs:
            out.print(f"  #{then.index} same     {printable(then.first_sentence)}", soft_wrap=True)
            continue
        out.print(f"  #{then.index} before   {printable(then.first_sentence)}", soft_wrap=True)
        out.print(f"     after    {printable(str(differs[then.index] or '(not done)'))}", soft_wrap=True)
    one, two = before.provenance, after.provenance
    for name, then_is, now_is in (
        ("model", f"{one.model.name} {one.model.revision}", f"{two.model.name} {two.model.revision}"),
        ("engine", f"{one.model.engine} {one.model.engine_version}", f"{two.model.engine} {two.model.engine_version}"),
        ("axia", one.axia_version, two.axia_version),
    ):
        if then_is != now_is:
            out.print(f"  {name}: {printable(then_is)}, now {printable(now_is)}", soft_wrap=True)
    out.print(
        f"  {len(before.completions) - len(differences)} of {len(before.completions)} are the same", soft_wrap=True
    )
