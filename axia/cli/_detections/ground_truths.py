"""What `axia detect` judges completions by: one truth for all images, or one for each, and who judges."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from axia.cli._detections.truths import Truth
from axia.cli._detections.truths import load as load_truths
from axia.cli._output import complain, some

if TYPE_CHECKING:
    from axia.cli._detections.options import DetectOptions
    from axia.inputs import GroundTruth


class Truths:
    """What annotators named in images.

    Args:
        options: Of the command.

    Raises:
        typer.BadParameter: If options exclude each other, or the file of truths can't be used.
    """

    def __init__(self, options: "DetectOptions") -> None:
        self._judged_by = _judged_by(options)
        self._file = options.truths
        self._rows: Mapping[Path, Truth] | None = None
        self._for_all: GroundTruth | None = None
        _check(options, self._judged_by)
        if options.truths is not None:
            self._rows = load_truths(Path(options.truths))
        elif options.truth is not None:
            self._for_all = self._with_judge({"element": options.truth, "accept": options.accept})

    @property
    def known(self) -> bool:
        """Whether completions are judged at all."""
        return self.by_picture or self._for_all is not None

    @property
    def by_picture(self) -> bool:
        """Whether each image has a truth of its own."""
        return self._rows is not None

    def of(self, picture: str) -> "GroundTruth | None":
        """The truth of an image; None where nothing is known."""
        if self._rows is None:
            return self._for_all
        row = self._rows.get(Path(picture).resolve())
        return None if row is None else self._with_judge(row._asdict())

    def _with_judge(self, truth: Mapping[str, Any]) -> "GroundTruth":
        from axia.inputs import GroundTruth

        return GroundTruth.model_validate({**truth, **self._judged_by})

    def tell_unmatched(self, pictures: Sequence[str]) -> None:
        """Names on standard error the images without a row, and the rows without an image."""
        if self._rows is None:
            return
        given = {picture: Path(picture).resolve() for picture in pictures}
        without = [picture for picture, path in given.items() if path not in self._rows]
        if without:
            have = "has" if len(without) == 1 else "have"
            complain(f"{some(without)} {have} no row among the truths: not judged")
        asked = set(given.values())
        folder = Path(self._file or "").parent.resolve()
        if unused := [os.path.relpath(path, folder) for path in self._rows if path not in asked]:
            rows = "1 row of" if len(unused) == 1 else f"{len(unused)} rows of"
            complain(f"{rows} {self._file} match no image that was given: {some(unused)}")


def _judged_by(options: "DetectOptions") -> dict[str, Any]:
    """The fields of a ground truth that say who judges; those that are not given are left to the defaults."""
    fields = {
        "judge": options.judge,
        "judge_model": options.judge_model,
        "judge_samples": options.judge_samples,
        "judge_structured": options.judge_structured or None,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    if options.judge != "model" and (alone := [name for name in given if name != "judge"]):
        raise typer.BadParameter(f"--{alone[0].replace('_', '-')} goes with --judge model")
    return given


def _check(options: "DetectOptions", judged_by: dict[str, Any]) -> None:
    """Refuses options that exclude each other."""
    truth, truths = options.truth, options.truths
    if truth is not None and truths is not None:
        raise typer.BadParameter("give --truth, one for all images, or --truths, one for each, not both")
    if truths is not None and options.accept:
        raise typer.BadParameter(f"--accept goes with --truth: {truths} has the phrasings of each image in its row")
    if truth is None and truths is None:
        judging = ((options.accept, "--accept"), (judged_by, "--judge"), (options.card, "--card"))
        for given, option in judging:
            if given:
                raise typer.BadParameter(
                    f"{option} is for judging completions: give what they should name with --truth or --truths"
                )
