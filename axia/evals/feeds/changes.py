"""The scorer: I of a session, beside what the recommender really does for the persona."""

from functools import partial
from typing import Any

import anyio.to_process
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import TaskState
from inspect_ai.util import concurrency

from axia.evals.feeds.videos import library_of
from axia.evals.feeds.watching import SESSION
from axia.evals.tasks.scorers import wilson
from feed import FeedError
from feed.personas import Persona
from feed.platforms import PLATFORMS
from feed.role_play import Run, Seen, agreement
from feed.truth import Effect, known_effect
from feed.viewers import ByTruth

_KNOWN: dict[tuple[object, ...], Effect | str] = {}
"""Effects so far, or why there is none: models and strategies share them."""


async def _truth(state: TaskState, feed: str, phase: int, sessions: int, seed: int) -> Effect | str:
    about = state.metadata
    if not sessions:
        return "the truth was left out (sessions=0)"
    if about["weights"] is None:
        return f"persona {about['persona']} has no [weights]"
    persona, platform = _persona(state), PLATFORMS[about["platform"]]
    cell = (feed, persona.id, *sorted(about["weights"].items()), platform.id, sessions, phase, seed)
    async with concurrency(f"known effect of {persona.id} on {platform.id}", 1, visible=False):
        if cell not in _KNOWN:
            videos = library_of(feed).videos
            simulation = partial(known_effect, persona, platform, videos, sessions=sessions, phase=phase, seed=seed)
            try:  # in processes of their own: seconds of computing would hold up the questions of other sessions
                _KNOWN[cell] = await anyio.to_process.run_sync(simulation)
            except FeedError as error:
                _KNOWN[cell] = str(error)
    return _KNOWN[cell]


def _persona(state: TaskState) -> Persona:
    return Persona(state.metadata["persona"], tuple(state.metadata["traits"]), state.metadata["weights"])


def _agreement(state: TaskState, run: Run, feed: str) -> float | None:
    videos = {video.id: video for video in library_of(feed).videos}
    if state.metadata["weights"] is None or not all(videos[one.video].values for one in run.seen):
        return None
    right = ByTruth(_persona(state))
    return agreement(run, [right.stays(videos[one.video], step) for step, one in enumerate(run.seen)])


@scorer(metrics=[mean(), stderr(cluster="picture"), wilson()])
def session_change(feed: str, phase: int, sessions: int, seed: int) -> Scorer:
    """1 if I is inside the 95% prediction interval of the true I, else 0; unscored without an I or a truth.

    Args:
        feed: As in `axia.evals.feeds.sessions.session_task`.
        phase: Videos of each phase.
        sessions: Simulated sessions of the truth; 0 leaves it out.
        seed: Of the truth.
    """

    async def score(state: TaskState, target: Target) -> Score:
        session: dict[str, Any] = state.store.get(SESSION)
        run = Run(tuple(Seen(one["video"], one["stay"]) for one in session["seen"]), phase)
        truth = await _truth(state, feed, phase, sessions, seed)
        points = None if run.before is None or run.after is None else 100 * (run.after - run.before)
        about: dict[str, Any] = {
            "before": run.before, "after": run.after, "i": run.change, "points": points,
            "undecided": run.undecided, "videos": len(run.seen), "not_measurable": run.not_measurable,
            "agreement": _agreement(state, run, feed), "seed": session["seed"],
            "truth": None if isinstance(truth, str) else _figures(truth),
            "no_truth": truth if isinstance(truth, str) else "",
        }  # fmt: skip
        if run.change is None:
            why = run.not_measurable or "before is 0, so there is no I"
            return Score.unscored(reason="not measurable", answer=why, metadata=about)
        said = f"I = {run.change:.0f}%"
        if isinstance(truth, str):
            return Score.unscored(reason="no truth", answer=said, explanation=truth, metadata=about)
        low, high = truth.prediction.low, truth.prediction.high
        expected = f"{low:.0f} to {high:.0f}% expected of one session"
        return Score(value=int(truth.expects(run.change)), answer=said, explanation=expected, metadata=about)

    return score


def _figures(truth: Effect) -> dict[str, Any]:
    return {
        "before": truth.before, "after": truth.after, "i": truth.change,
        "interval": [truth.interval.low, truth.interval.high],
        "prediction": [truth.prediction.low, truth.prediction.high],
        "sessions": truth.sessions, "undefined": truth.undefined,
    }  # fmt: skip
