"""Personas on platforms as samples: one session of three phases each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample

from axia.evals.feeds.changes import session_change
from axia.evals.feeds.videos import DEMO, library_of
from axia.evals.feeds.watching import watch_session
from axia.evals.tasks.asking import Sampling
from axia.evals.tasks.studies import prompt
from feed import FeedError
from feed.personas import FOLDER, Persona, load_all
from feed.platforms import PLATFORMS
from feed.truth import MIN_SESSIONS
from feed.videos import fingerprint

KIND = "role_play_feed"
_MAX_PHASE = 1000


def session_task(
    feed: str,
    strategy: Literal["simple", "isq"],
    *,
    personas: str | Sequence[str] | None,
    platforms: str | Sequence[str] | None,
    threshold: float,
    phase: int,
    sessions: int,
    sampling: Sampling,
    paper: str,
) -> Task:
    """The task.

    Args:
        feed: ``demo``, or a folder of videos.
        strategy: How the model is asked.
        personas: Files and folders of personas. None: the demo's.
        platforms: Names. None: all.
        threshold: With ``isq``: S% strictly above this is a match.
        phase: Videos of each of the three phases.
        sessions: Simulated sessions of the truth for each persona on each platform; 0 for none.
        sampling: How the model answers.
        paper: The study.

    Raises:
        ValueError: Something is out of its range, or personas, platforms or videos can't be read.
    """
    if not 1 <= phase <= _MAX_PHASE:
        raise ValueError(f"phase is {phase}: give 1 to {_MAX_PHASE} videos")
    if sessions and sessions < MIN_SESSIONS:
        raise ValueError(f"sessions is {sessions}: give {MIN_SESSIONS} or more for the truth, or 0 to leave it out")
    try:
        found = load_all([Path(one) for one in _several(personas)] or [FOLDER])
        videos = library_of(feed).videos
    except FeedError as error:
        raise ValueError(str(error)) from error
    if sessions and (without := next((video.id for video in videos if not video.values), None)):
        raise ValueError(
            f"video {without} has no values, so no persona's truth is known: add values to videos.jsonl, or give "
            "sessions=0 to leave the truth out"
        )
    names = _several(platforms) or list(PLATFORMS)
    if unknown := [name for name in names if name not in PLATFORMS]:
        raise ValueError(f"no platform {unknown[0]}; there are {', '.join(PLATFORMS)}")
    samples = [_sample(persona, platform, strategy) for persona in found for platform in dict.fromkeys(names)]
    return Task(
        dataset=MemoryDataset(samples, name=Path(feed).name),
        solver=watch_session(feed, strategy, threshold, phase, sampling),
        scorer=session_change(feed, phase, sessions, sampling.seed),
        version=1,
        metadata={
            "paper": paper, "kind": KIND, "strategy": strategy, "threshold": threshold, "phase": phase,
            "sessions": sessions, "sampling": sampling.model_dump(), "demo": feed == DEMO, "feed": feed,
            "videos": len(videos), "videos_fingerprint": fingerprint(videos),
        },
    )  # fmt: skip


def _sample(persona: Persona, platform: str, strategy: str) -> Sample:
    asked = prompt(f"interest/{strategy}")
    text = asked.text.replace("{traits}", " ".join(trait.strip() for trait in persona.traits))
    metadata: dict[str, Any] = {
        "picture": persona.id,  # the cluster of intervals: sessions of one persona aren't independent
        "persona": persona.id, "platform": platform, "strategy": strategy,
        "traits": list(persona.traits), "weights": None if persona.weights is None else dict(persona.weights),
        "questions": [text], "prompt_id": asked.id, "prompts": {asked.id: asked.sha256},
    }  # fmt: skip
    return Sample(input=text, id=f"{persona.id}#{platform}", metadata=metadata)


def _several(given: str | Sequence[str] | None) -> list[str]:
    if isinstance(given, str):
        given = given.split(",")
    return [one.strip() for one in given or () if one.strip()]
