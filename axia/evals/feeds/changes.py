"""The scorer: I of a session, beside what the recommender really does for the persona."""

from functools import lru_cache
from typing import Any

import anyio.to_thread
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

_CELLS = 4096


@lru_cache(_CELLS)
def _effect(
    feed: str, persona: str, weights: tuple[tuple[str, int], ...], platform: str, sessions: int, phase: int, seed: int
) -> Effect | str:
    """The known effect, or why there is none."""
    who = Persona(persona, ("Its truth follows from its weights.",), dict(weights))
    try:
        return known_effect(
            who, PLATFORMS[platform], library_of(feed).videos, sessions=sessions, phase=phase, seed=seed
        )
    except FeedError as error:
        return str(error)


async def _truth(state: TaskState, feed: str, phase: int, sessions: int, seed: int) -> Effect | str:
    weights = state.metadata["weights"]
    if not sessions:
        return "the truth was left out (sessions=0)"
    if weights is None:
        return f"persona {state.metadata['persona']} has no [weights]"
    which = (feed, state.metadata["persona"], tuple(sorted(weights.items())), state.metadata["platform"])
    async with concurrency("axia known effects", 1):  # so that a cell of several models is computed once
        return await anyio.to_thread.run_sync(_effect, *which, sessions, phase, seed)


def _agreement(state: TaskState, run: Run, feed: str) -> float | None:
    videos = {video.id: video for video in library_of(feed).videos}
    if state.metadata["weights"] is None or not all(videos[one.video].values for one in run.seen):
        return None
    right = ByTruth(Persona(state.metadata["persona"], tuple(state.metadata["traits"]), state.metadata["weights"]))
    return agreement(run, [right.stays(videos[one.video], step) for step, one in enumerate(run.seen)])


@scorer(metrics=[mean(), stderr(cluster="picture"), wilson()])
def session_change(feed: str, phase: int, sessions: int, seed: int) -> Scorer:
    """1 if I is where one more session of the truth falls with 95%, else 0; unscored without an I or a truth.

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
        return Score(value=int(low <= run.change <= high), answer=said, explanation=expected, metadata=about)

    return score


def _figures(truth: Effect) -> dict[str, Any]:
    return {
        "before": truth.before, "after": truth.after, "i": truth.change,
        "interval": [truth.interval.low, truth.interval.high],
        "prediction": [truth.prediction.low, truth.prediction.high],
        "sessions": truth.sessions, "undefined": truth.undefined,
    }  # fmt: skip
