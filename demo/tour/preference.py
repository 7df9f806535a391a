"""Measures what the demo model likes, and lets it judge as a persona."""

import time

from rich import box
from rich.console import Console
from rich.table import Table

import axia
from axia.results import InterestJudgement
from demo.tour.scenes import GALLERY, SEED
from demo.world.catalogue import like_rates
from demo.world.manifest import read_manifest
from demo.world.personas import persona

PER_KEYWORD = 2
PERSONA = "nature-protector"
KEYWORDS = ("forest", "wildlife", "recycling", "ocean", "concert", "crown", "church", "yacht")
"""What the frames show that the persona judges."""


def measure_preference(client: axia.Client, out: Console) -> None:
    """Prints the preference of each value with its interval, beside the rate that the model was trained to have."""
    began = time.monotonic()
    preference = client.preference(k=PER_KEYWORD, seed=SEED)
    if preference.summary is None or preference.summary.scores is None:
        raise SystemExit("there are no preference scores, because the scoring service did not answer; see its log")
    scores = preference.summary.scores
    authored = like_rates()
    heads = ("value", "likes", "95% interval", "answers", "unclear", "authored", "rank")
    table = Table(*heads, box=box.SIMPLE_HEAD)
    for score in scores.scores:
        between = f"{score.interval.low:.0f} to {score.interval.high:.0f}" if score.interval else "-"
        table.add_row(
            score.value,
            "-" if score.percentage is None else f"{score.percentage:.0f}%",
            between,
            str(score.answers),
            str(score.refusals + score.unparsed),
            f"{100 * authored[score.value]:.0f}%",
            str(score.rank),
        )
    out.print(table)
    mean, deviation = scores.mean or 0.0, scores.standard_deviation or 0.0
    keywords = sum(score.keywords for score in scores.scores)
    out.print(
        f"Preference over the ten values: mean {mean:.1f}%, standard deviation {deviation:.1f} points "
        f"({preference.plan.pictures} images of {keywords} keywords, three questions "
        f"each, {time.monotonic() - began:.0f} s). "
        "Authored is the share that the demo model was trained to like; likes should be close to it.\n"
    )


def judge_as_persona(client: axia.Client, out: Console) -> None:
    """Prints what a persona does with a few frames, by both strategies."""
    somebody = persona(PERSONA)
    frames = [record for record in read_manifest(GALLERY) if record["kind"] == "frame"]
    records = [next(record for record in frames if record["keywords"] == [keyword]) for keyword in KEYWORDS]
    files = [GALLERY / record["file"] for record in records]
    simple = client.judge_interest(files, somebody.traits, strategy="simple", seed=SEED)
    isq = client.judge_interest(files, somebody.traits, strategy="isq", seed=SEED)
    table = Table("frame shows", "simple question", "questionnaire", "S%", box=box.SIMPLE_HEAD)
    for record, plain, scored in zip(records, simple.judgements, isq.judgements, strict=True):
        percent = scored.isq.percent if scored.isq else None
        table.add_row(
            " + ".join(record["keywords"]),
            _decision(plain),
            _decision(scored),
            "-" if percent is None else f"{percent:.0f}",
        )
    out.print(f"Decisions of the model about a few frames, as this persona: {somebody.text}")
    out.print(table)
    out.print("S% is the questionnaire's score, 0 to 100; above 60 the persona stays.\n")


def _decision(judgement: InterestJudgement) -> str:
    return judgement.decision or "no decision"
