"""The mean alignment of the images of a run."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from axia.results import Detection
    from axia.results.scoring import Interval


class Mean:
    """Gathers what became of images.

    Args:
        several: Whether there is more than one image, or a file of truths, so that the mean is worth a row.
    """

    def __init__(self, *, several: bool) -> None:
        self.several = several
        self._pictures: list[tuple[int, int]] = []
        self.unjudged = 0
        """Answers without a verdict."""
        self._unjudged_pictures = 0

    def add(self, detection: "Detection") -> None:
        """An image was answered, judged or not."""
        scores = [reading.alignment.score for reading in detection.readings if reading.alignment]
        known = [score for score in scores if score is not None]
        self.unjudged += len(detection.completions) - len(known)
        if known:
            self._pictures.append((sum(known), len(known)))
        else:
            self._unjudged_pictures += 1

    def add_failure(self) -> None:
        """An image has no answer."""
        self._unjudged_pictures += 1

    @property
    def judged(self) -> int:
        """Answers with a verdict."""
        return sum(size for _, size in self._pictures)

    @property
    def alignment(self) -> float | None:
        """Share of the judged answers that name what annotators named; None where none was judged."""
        return sum(aligned for aligned, _ in self._pictures) / self.judged if self._pictures else None

    def interval(self) -> "Interval | None":
        """Its interval, clustered by image, for answers about one image are not independent."""
        from axia.judges.figures import share_interval

        return share_interval(self._pictures, clustered=True)

    def as_row(self) -> dict[str, Any]:
        """The last row of JSON."""
        return {
            "event": "mean",
            "alignment": self.alignment,
            "interval": self.interval(),
            "judged": self.judged,
            "unjudged": self.unjudged,
            "pictures_judged": len(self._pictures),
            "pictures_unjudged": self._unjudged_pictures,
        }

    def figures(self) -> str:
        """The alignment with its interval."""
        interval = self.interval()
        if self.alignment is None or interval is None:
            return "alignment —"
        return f"alignment {self.alignment:.2f} [{interval.low:.2f}, {interval.high:.2f}]"

    def counts(self) -> str:
        """What the alignment is over, and what it leaves out."""
        judged = f"{_count(self.judged, 'answer')} on {_count(len(self._pictures), 'image')} judged"
        return f"{judged}, {_count(self.unjudged, 'answer')} and {_count(self._unjudged_pictures, 'image')} not judged"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
