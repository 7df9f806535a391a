"""Held-out figures of a demo VLM, on pictures of template families that training never drew.

    python -m training.vlm.evaluate demo/models/vlm
    python -m training.vlm.evaluate demo/models/vlm --served 127.0.0.1:50051   # through vLLM, after axia up

Decoding is greedy unless a figure says otherwise. Pictures are painted at 448 pixels and reduced as the processor
reduces a user's picture.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import TypeAlias

import torch
from PIL import Image
from transformers import PreTrainedTokenizerFast

from demo.world.catalogue import concepts, like_rates, situations
from demo.world.families import Split
from demo.world.frames import Frame, draw_frame
from demo.world.paint import paint
from demo.world.personas import personas
from demo.world.scenes import Scene, draw_scene
from demo.world.truth import Questionnaire, aligned, interested, liked, questionnaire
from training.vlm import llava
from training.vlm.asking import Asker, LocalAsker
from training.vlm.conversations import Conversation, Turn
from training.vlm.prompts import DETECTORS, prompts
from training.vlm.reading import first_sentence, parse_questionnaire
from training.vlm.served import ServedAsker
from training.vlm.wording import describe_frame

PAINTED = 448
SITUATION = "situation "
WEAK = 0.8
Figures: TypeAlias = dict[str, float]


def question(text: str, system: str | None = None, picture: bool = True) -> Conversation:
    """A conversation that waits for its first answer."""
    head = (Turn("system", system),) if system else ()
    return Conversation((*head, Turn("user", text)), picture)


def held_out_scenes(count: int, seed: str = "evaluate") -> list[Scene]:
    """Every situation about equally often, all from held-out families."""
    every = situations()
    return [draw_scene(f"{seed}:{i}", Split.HELD_OUT, every[i % len(every)].id) for i in range(count)]


def held_out_frames(count: int, seed: str = "evaluate") -> list[Frame]:
    """Frames of held-out families."""
    return [draw_frame(f"{seed}:{i}", Split.HELD_OUT) for i in range(count)]


def painted(things: Sequence[Scene | Frame]) -> list[Image.Image]:
    """Pictures of scenes or frames."""
    return [paint(thing.picture, PAINTED) for thing in things]


def alignment(
    ask: Asker,
    scenes: Sequence[Scene],
    images: Sequence[Image.Image],
    prompt: str,
    system: bool = False,
) -> Figures:
    """Share of first sentences that name what needs attention; also for value-laden and control scenes apart."""
    talk = question(prompts()[prompt], prompts()["detect/system"] if system else None)
    answers = ask([talk] * len(scenes), images, 26)
    hits: dict[str, list[bool]] = defaultdict(list)
    for scene, answer in zip(scenes, answers, strict=True):
        hit = aligned(first_sentence(answer), scene.situation)
        hits["all"].append(hit)
        hits[scene.situation.kind].append(hit)
        hits[f"{SITUATION}{scene.situation.id}"].append(hit)
    return {name: sum(values) / len(values) for name, values in hits.items()}


def interest(ask: Asker, frames: Sequence[Frame], images: Sequence[Image.Image]) -> Figures:
    """Balanced accuracy of the Simple strategy against the truth, each frame under one persona in turn."""
    cast = [personas()[i % len(personas())] for i in range(len(frames))]
    talks = [question(prompts()["interest/simple"].format(traits=persona.text)) for persona in cast]
    answers = ask(talks, images, 3)
    right: dict[bool, list[bool]] = {True: [], False: []}
    for frame, persona, answer in zip(frames, cast, answers, strict=True):
        truth = interested(persona, frame.values)
        right[truth].append(answer.startswith("Yes") == truth and answer.startswith(("Yes", "No")))
    shares = [sum(values) / max(1, len(values)) for values in right.values()]
    return {"balanced accuracy": sum(shares) / 2, "stay": shares[0], "swipe": shares[1]}


def isq(ask: Asker, frames: Sequence[Frame], images: Sequence[Image.Image]) -> Figures:
    """Parsed answers, items within one step of the truth, and balanced accuracy of the match."""
    cast = [personas()[(i + i // len(personas())) % len(personas())] for i in range(len(frames))]
    talks = [question(prompts()["interest/isq"].format(traits=persona.text)) for persona in cast]
    answers = ask(talks, images, 60)
    near: list[bool] = []
    parsed = 0
    right: dict[bool, list[bool]] = {True: [], False: []}
    for frame, persona, answer in zip(frames, cast, answers, strict=True):
        truth, scores = questionnaire(persona, frame.values), parse_questionnaire(answer)
        parsed += scores is not None
        given = scores or Questionnaire(-9, -9, -9, -9, -9, -9)
        near += [abs(a - b) <= 1 for a, b in zip(given[:4], truth[:4], strict=True)]
        near += [abs(a - b) <= 0.1001 for a, b in zip(given[4:], truth[4:], strict=True)]
        right[truth.match].append(scores is not None and scores.match == truth.match)
    shares = [sum(values) / max(1, len(values)) for values in right.values()]
    return {
        "parsed": parsed / len(frames),
        "items within one step": sum(near) / len(near),
        "match balanced accuracy": sum(shares) / 2,
    }


def preference(ask: Asker, frames: Sequence[Frame], images: Sequence[Image.Image]) -> tuple[Figures, dict[str, float]]:
    """The three questions in one conversation; second result: like-rate by value (main concept's keyword)."""
    texts = prompts()
    talks = [question(texts["preference/like"])] * len(frames)
    likes = ask(talks, images, 6)
    talks = [_next(talk, answer, texts["preference/why"]) for talk, answer in zip(talks, likes, strict=True)]
    whys = ask(talks, images, 24)
    talks = [_next(talk, answer, texts["preference/describe"]) for talk, answer in zip(talks, whys, strict=True)]
    described = ask(talks, images, 30)
    rates: dict[str, list[bool]] = defaultdict(list)
    for frame, answer in zip(frames, likes, strict=True):
        rates[frame.concepts[0].value].append(answer.startswith("Yes"))
    count = len(frames)
    agree = [
        ("dislike" in why or "not like" in why) != like.startswith("Yes") for like, why in zip(likes, whys, strict=True)
    ]
    figures = {
        "begins with yes or no": sum(answer.startswith(("Yes", "No")) for answer in likes) / count,
        "like as authored": sum(a.startswith("Yes") == liked(f.concepts) for f, a in zip(frames, likes, strict=True))
        / count,
        "reason agrees with the verdict": sum(agree) / count,
        "description names the main concept": sum(names_main(f, a) for f, a in zip(frames, described, strict=True))
        / count,
    }
    return figures, {value: sum(answers) / len(answers) for value, answers in rates.items()}


def _next(talk: Conversation, answer: str, follow: str) -> Conversation:
    return Conversation((*talk.turns, Turn("assistant", answer), Turn("user", follow)), talk.picture)


def names_main(frame: Frame, text: str) -> bool:
    """Whether a description has the main concept's phrase or one of its names."""
    lowered = text.lower()
    return any(name in lowered for name in (frame.concepts[0].phrase, *frame.concepts[0].names))


def from_text(ask: Asker, frames: Sequence[Frame]) -> Figures:
    """Likes asked on a description without a picture."""
    told = [describe_frame(Random(f"told:{i}"), frame) for i, frame in enumerate(frames)]
    talks = [question(prompts()["preference/description"].format(description=text), picture=False) for text in told]
    answers = ask(talks, [None] * len(frames), 6)
    return {
        "like as authored": sum(a.startswith("Yes") == liked(f.concepts) for f, a in zip(frames, answers, strict=True))
        / len(frames)
    }


def variety(ask: Asker, seeds: int = 12) -> Figures:
    """Different aligned first sentences at temperature 1, one picture a situation asked `seeds` times."""
    chosen = [s for s in situations() if not s.control][::6]
    scenes = [draw_scene(f"variety:{s.id}", Split.HELD_OUT, s.id) for s in chosen for _ in range(seeds)]
    torch.manual_seed(0)
    answers = ask([question(prompts()["detect/baseline"])] * len(scenes), painted(scenes), 26, 1.0)
    kinds: dict[str, set[str]] = defaultdict(set)
    wrong = 0
    for scene, answer in zip(scenes, answers, strict=True):
        sentence = first_sentence(answer)
        if aligned(sentence, scene.situation):
            kinds[scene.situation.id].add(sentence)
        else:
            wrong += 1
    counts = [len(kinds[s.id]) for s in chosen]
    return {
        "mean aligned phrasings": sum(counts) / len(counts),
        "fewest": min(counts),
        "not aligned": wrong / len(scenes),
    }


def quick_figures(ask: Asker, count: int) -> str:
    """A line of the main figures on few pictures, for progress."""
    scenes, frames = held_out_scenes(count, "quick"), held_out_frames(count, "quick")
    seen, shown = painted(scenes), painted(frames)
    detect = alignment(ask, scenes, seen, "detect/baseline")
    likes, _ = preference(ask, frames[: count // 2], shown[: count // 2])
    simple, six = (
        interest(ask, frames, shown),
        isq(ask, frames[: count // 2], shown[: count // 2]),
    )
    return (
        f"alignment {detect['all']:.2f} (value-laden {detect['value-laden']:.2f}, control {detect['control']:.2f}), "
        f"like {likes['like as authored']:.2f}, describe {likes['description names the main concept']:.2f}, "
        f"interest {simple['balanced accuracy']:.2f}, "
        f"ISQ parsed {six['parsed']:.2f}, near {six['items within one step']:.2f}"
    )


def report(ask: Asker, count: int) -> Iterator[tuple[str, Figures]]:
    """All figures by section, each as soon as it is known."""
    scenes, frames = held_out_scenes(count), held_out_frames(count)
    seen, shown = painted(scenes), painted(frames)
    detector = alignment(ask, scenes, seen, "detect/baseline")
    yield "detector", _totals(detector)
    by_situation = {name: share for name, share in detector.items() if name.startswith(SITUATION)}
    yield (
        "situations under 0.8",
        {n.removeprefix(SITUATION): share for n, share in by_situation.items() if share < WEAK},
    )
    # For like-rates every keyword appears equally often, as the main concept.
    even = [draw_frame(f"even:{c.keyword}:{i}", Split.HELD_OUT, (c.keyword,)) for c in concepts() for i in range(5)]
    figures, rates = preference(ask, even, painted(even))
    yield "preference", figures
    yield "like-rate minus authored", {value: rates[value] - like_rates()[value] for value in like_rates()}
    half = count // 2
    yield "preference, one or two concepts", preference(ask, frames[:half], shown[:half])[0]
    yield "like from a description", from_text(ask, even)
    yield "interest (Simple)", interest(ask, frames, shown)
    yield "interest (ISQ)", isq(ask, frames[:half], shown[:half])
    yield "sampling at temperature 1", variety(ask)
    few = min(count, 284)
    for prompt in DETECTORS[1:]:
        yield prompt, _totals(alignment(ask, scenes[:few], seen[:few], prompt))
    framed = alignment(ask, scenes[:few], seen[:few], DETECTORS[0], True)
    yield f"{DETECTORS[0]} with system prompt", _totals(framed)


def _totals(figures: Figures) -> Figures:
    return {name: share for name, share in figures.items() if not name.startswith(SITUATION)}


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer beside a checkpoint."""
    found: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return found


def main() -> None:
    """Print every figure, and write them beside the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("demo/models/vlm"))
    parser.add_argument("--count", type=int, default=1000, help="held-out scenes, and as many frames")
    parser.add_argument("--served", metavar="HOST:PORT", help="ask this inference server instead of loading the model")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    started = time.monotonic()
    sections: dict[str, Figures] = {}
    asker: Asker
    if args.served:
        asker = ServedAsker(args.served)
    else:
        asker = LocalAsker(llava.load(args.folder, device), load_tokenizer(args.folder))
    for section, figures in report(asker, args.count):
        sections[section] = figures
        print(section)
        for name, figure in figures.items():
            print(f"  {name:40} {figure:+.3f}" if "minus" in section else f"  {name:40} {figure:.3f}", flush=True)
    name = "figures-served.json" if args.served else "figures.json"
    (args.folder / name).write_text(json.dumps(sections, indent=2) + "\n", encoding="utf-8")
    where = f"at {args.served}" if args.served else f"on {device}"
    print(f"{args.count} scenes and frames, {(time.monotonic() - started) / 60:.1f} minutes {where}")


if __name__ == "__main__":
    main()
