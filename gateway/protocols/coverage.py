"""Whether a calibrated model still answers the share of pictures that it answered at calibration.

`axia calibrate` promises few errors among answered pictures of the same kind. Where pictures change, usually the share
that is answered (the coverage) changes too, and that can be seen without labels. Two cumulative sums of log-likelihood
ratios (Page, Continuous inspection schemes, Biometrika 1954) watch for a lower and for a higher coverage. With a
threshold of ln(2 N) they raise a false alarm once in N detections or less often, on average (Lorden, Procedures for
reacting to a change in distribution, Annals of Mathematical Statistics 1971), if detections are independent: frames of
one camera that hardly differ count as many.
"""

import logging
import math
from dataclasses import dataclass
from typing import Literal

from axia.judges.figures import share_interval
from axia.prompts import DEFAULT_DETECTION_PROMPT
from gateway import metrics
from gateway.protocols.sampling import DEFAULT_N, DEFAULT_TEMPERATURE, ModelDefaults, ModelLimits, SamplingPlan
from services.serving.metrics import series

logger = logging.getLogger(__name__)

SHIFT = 0.1
"""A change of the coverage that is to be noticed, beyond what calibration leaves open."""
DETECTIONS_PER_FALSE_ALARM = 100_000
"""At least, on average, while nothing changes."""

_ALARM = math.log(2 * DETECTIONS_PER_FALSE_ALARM)
_MOST = 1.5
"""The statistic ends here, in shares of the alarm's threshold, so that it can go down again."""

Direction = Literal["lower", "higher"]


@dataclass
class _Sum:
    """A cumulative sum that watches one direction."""

    answered: float
    """What an answered detection adds."""
    abstained: float
    """What one adds that abstains."""
    evidence: float = 0.0
    alarmed: bool = False

    @classmethod
    def between(cls, expected: float, changed: float) -> "_Sum":
        return cls(math.log(changed / expected), math.log((1 - changed) / (1 - expected)))

    def add(self, *, answered: bool) -> bool:
        """Takes in a detection; True where the alarm begins. It ends when no evidence is left."""
        step = self.answered if answered else self.abstained
        self.evidence = min(max(self.evidence + step, 0.0), _MOST * _ALARM)
        if self.evidence == 0:
            self.alarmed = False
        begins = self.evidence >= _ALARM and not self.alarmed
        self.alarmed = self.alarmed or begins
        return begins


class CoverageWatch:
    """The coverage of one model beside that at calibration.

    Args:
        coverage: Share of the labelled pictures that the threshold answers, 0 to 1.
        pictures: How many labelled pictures there were. What their number leaves open (Wilson's 95% interval) is no
            change.
    """

    def __init__(self, coverage: float, pictures: int) -> None:
        interval = share_interval([(round(coverage * pictures), pictures)], clustered=False)
        self._sums: dict[Direction, _Sum] = {}
        if interval is None:
            return
        if interval.low > 0:
            self._sums["lower"] = _Sum.between(interval.low, max(interval.low - SHIFT, interval.low / 2))
        if interval.high < 1:
            self._sums["higher"] = _Sum.between(interval.high, min(interval.high + SHIFT, (interval.high + 1) / 2))

    def add(self, *, answered: bool) -> list[Direction]:
        """Takes in a detection; the directions in which an alarm begins with it."""
        return [direction for direction, watched in self._sums.items() if watched.add(answered=answered)]

    def evidence(self) -> dict[Direction, float]:
        """Evidence of a change by direction, in shares of the alarm's threshold: 0 to 1.5, an alarm from 1 on."""
        return {direction: watched.evidence / _ALARM for direction, watched in self._sums.items()}


class CoverageWatches:
    """The watches of all calibrated models, with their metrics and log lines."""

    def __init__(self) -> None:
        self._watches: dict[str, tuple[float, int, CoverageWatch]] = {}

    def add(
        self, model: str, plan: SamplingPlan, defaults: ModelDefaults, limits: ModelLimits, *, abstained: bool
    ) -> None:
        """Takes in a detection if it was sampled as at calibration."""
        coverage, pictures = defaults.calibrated_coverage, defaults.calibrated_images
        known = self._watches.get(model)
        if known is not None and known[:2] != (coverage, pictures):
            self.end(model)
            known = None
        if coverage is None or pictures is None or not as_calibrated(plan, defaults, limits):
            return
        if known is None:
            known = self._watches[model] = (coverage, pictures, CoverageWatch(coverage, pictures))
            metrics.CALIBRATED_COVERAGE.labels(model).set(coverage)
        watch = known[2]
        begins = watch.add(answered=not abstained)
        series(metrics.CALIBRATED_DETECTIONS, model, "abstained" if abstained else "answered").inc()
        for direction, evidence in watch.evidence().items():
            series(metrics.COVERAGE_DRIFT, model, direction).set(evidence)
        for direction in begins:
            logger.warning(
                "%s answers a %s share of images than the %.0f%% at its calibration: images, prompt or model have "
                "changed and its bound on errors no longer holds; label some new images and run axia calibrate again",
                model, direction, 100 * coverage,
            )  # fmt: skip

    def end(self, model: str) -> None:
        """Ends the watch of a model, and with it an alarm: it was calibrated again, no longer is, or is gone."""
        known = self._watches.pop(model, None)
        if known is None:
            return
        metrics.CALIBRATED_COVERAGE.remove(model)
        for direction in known[2].evidence():  # the next calibration may not watch it
            series(metrics.COVERAGE_DRIFT, model, direction).set(0)


def as_calibrated(plan: SamplingPlan, defaults: ModelDefaults, limits: ModelLimits) -> bool:
    """Whether a detection was sampled with the model's defaults, as calibration was."""
    return (
        plan.abstain_threshold == defaults.abstain_threshold
        and len(plan.temperatures) == (defaults.n or DEFAULT_N)
        and set(plan.temperatures) == {DEFAULT_TEMPERATURE if defaults.temperature is None else defaults.temperature}
        and plan.top_p == defaults.effective_top_p()
        and plan.max_tokens == defaults.tokens(limits)
        and plan.prompt.id == (defaults.prompt_id or DEFAULT_DETECTION_PROMPT)
        and plan.system_prompt is None
    )
