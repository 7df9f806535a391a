"""The solver: a model decides as a persona, video by video, and the platform's recommender answers."""

from functools import partial
from typing import Literal

import anyio.to_thread
from inspect_ai.model import ModelOutput, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import collect

from axia.evals.feeds.videos import library_of, screenshot
from axia.evals.tasks.asking import PRODUCED, Sampling, produced, say, shown
from axia.evals.tasks.scorers import read_decision
from feed.platforms import PLATFORMS
from feed.role_play import Playing, seed_of
from feed.session import Session
from feed.videos import Video

SESSION = "session"
"""Key of the store with the session's seed, and with video, answer and decision of each step as `seen`."""


def session_seed(seed: int, persona: str, platform: str, strategy: str, epoch: int) -> int:
    """The seed of a session; in the first epoch that of `axia feed role-play`."""
    return seed_of("role-play", seed, persona, platform, strategy, *([epoch] if epoch > 1 else ()))


@solver
def watch_session(
    feed: str, strategy: Literal["simple", "isq"], threshold: float, phase: int, sampling: Sampling
) -> Solver:
    """Watches three phases of a session, as `feed.role_play` documents them.

    The model is asked about each video once: a persona's opinion of it stays the same. The baseline is watched in the
    same way whatever the persona thinks, so all of its questions are asked at once.
    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        persona, platform = state.metadata["persona"], state.metadata["platform"]
        seed = session_seed(sampling.seed, persona, platform, strategy, state.epoch)
        session = Session(PLATFORMS[platform], library_of(feed).videos, seed)
        known: dict[str, tuple[str, bool | None]] = {}

        async def ask(video: Video) -> None:
            if video.id in known:
                return
            picture = await anyio.to_thread.run_sync(partial(screenshot, feed, video, platform))
            messages = [await shown([picture], state.metadata["questions"][0])]
            output: ModelOutput = await say(get_model(), messages, sampling, state, video.id)
            if PRODUCED not in state.store:
                state.output = output
                state.messages = [*messages, output.message]
                state.store.set(PRODUCED, produced(output))
            stays, _ = await read_decision(output.completion, strategy, threshold)
            known[video.id] = (output.completion, stays)

        playing = Playing(session, phase=phase)
        await collect(*[ask(video) for video in dict.fromkeys(playing.baseline)])
        while (video := playing.video) is not None:
            await ask(video)
            playing.watch(known[video.id][1])
        run = playing.run([known[video.id][1] for video in playing.baseline])
        seen = [{"video": one.video, "stay": one.stay, "answer": known[one.video][0]} for one in run.seen]
        state.store.set(SESSION, {"seed": seed, "seen": seen})
        return state

    return solve
