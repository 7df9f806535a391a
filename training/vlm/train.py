"""Train the demo VLM from scratch, in three stages.

    python -m training.vlm.train                 # resumes where it stopped; --no-resume starts over
    python -m training.vlm.train --scale 0.01    # a smoke test

1. *Sight*: the vision tower learns to name the sprite in each patch. The world knows what stands where, so this costs
   minutes and saves the language model from having to teach the tower.
2. *Speech*: tower, projector and language model together learn to answer. Naming sprites goes on with a small weight.
3. *Roles*: mostly questions under a persona, whose answer needs both the picture and the traits and is learned last.

An early checkpoint is kept at step `EARLY` of the speech stage: a weaker model to compare with. Figures on held-out
template families are printed on the way (``python -m training.vlm.evaluate`` prints all of them).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from training.saving import save_state
from training.vlm import llava
from training.vlm.asking import LocalAsker
from training.vlm.conversations import ROLE_FRAME_TASKS, SECOND_FRAME_TASKS, THIRD_FRAME_TASKS
from training.vlm.evaluate import quick_figures
from training.vlm.learning import Sight, see, sprite_loss, text_loss
from training.vlm.stream import Batch, Plan, batches
from training.vlm.tokenizer import train_tokenizer

MODELS = Path(__file__).parents[2] / "demo" / "models"
EARLY = 576
"""Step of the speech stage after which the early checkpoint is saved."""
SPRITE_WEIGHT = 0.2
"""Weight of naming sprites in the second stage."""


@dataclass(frozen=True)
class Stage:
    """One stage: its steps, the length and peak of its one-cycle learning rate, and what its steps hold.

    `phases` are pairs of a last step and a plan. A stage may end before its cycle does.
    """

    steps: int
    cycle: int
    rate: float
    phases: tuple[tuple[int, Plan], ...]


@dataclass(frozen=True)
class Recipe:
    """Everything that fixes the result, apart from the machine's rounding; steps are multiplied by `scale`."""

    seed: int = 0
    scale: float = 1.0
    weight_decay: float = 0.05

    def stage(self, name: str) -> Stage:
        """The stage with this name."""
        stage = STAGES[name]
        phases = tuple((self.scaled(end), plan) for end, plan in stage.phases)
        return Stage(self.scaled(stage.steps), self.scaled(stage.cycle), stage.rate, phases)

    def scaled(self, steps: int) -> int:
        """Steps of this run."""
        return max(2, round(steps * self.scale))


def shares(tasks: dict[str, float]) -> tuple[tuple[str, float], ...]:
    """Shares of tasks as a plan holds them."""
    return tuple(tasks.items())


SPEECH_STEPS = 3233
ROLE_STEPS = 1650
STAGES = {
    "sight": Stage(600, 600, 1.5e-3, ((600, Plan(48, conversations=0, texts=0)),)),
    # First half scenes; then more frames, because scenes are learned; then more role-play, because frames are.
    "speech": Stage(
        SPEECH_STEPS,
        4800,
        1e-3,
        (
            (1563, Plan(24, conversations=1, texts=4)),
            (2675, Plan(24, conversations=1, texts=4, scene_every=4, frame_tasks=shares(SECOND_FRAME_TASKS))),
            (SPEECH_STEPS, Plan(18, conversations=2, texts=2, scene_every=5, frame_tasks=shares(THIRD_FRAME_TASKS))),
        ),
    ),
    "roles": Stage(
        ROLE_STEPS,
        ROLE_STEPS,
        6e-4,
        ((ROLE_STEPS, Plan(16, 2, texts=2, scene_every=5, frame_tasks=shares(ROLE_FRAME_TASKS), decision=4.0)),),
    ),
}


class Trainer:
    """A model in training, with all that a checkpoint holds."""

    def __init__(self, recipe: Recipe, tokenizer: PreTrainedTokenizerFast, device: str) -> None:
        self.recipe, self.tokenizer, self.device = recipe, tokenizer, device
        self.model = llava.build(tokenizer, recipe.seed)
        nn.Module.to(self.model, device)
        self.sight = Sight(llava.VISION_WIDTH).to(device)
        self.stage, self.step, self.seconds = "sight", 0, 0.0
        self.start_stage("sight")

    def start_stage(self, stage: str) -> None:
        """A fresh optimiser and one cycle of the learning rate."""
        self.stage, self.step, self.plan = stage, 0, self.recipe.stage(stage)
        parts: list[nn.Module] = (
            [self.model.model.vision_tower, self.sight] if stage == "sight" else [self.model, self.sight]
        )
        self.parameters = [p for part in parts for p in part.parameters()]
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=self.plan.rate, betas=(0.9, 0.98), weight_decay=self.recipe.weight_decay, fused=True
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, self.plan.rate, self.plan.cycle, pct_start=0.08
        )

    def learn(self, batch: Batch) -> tuple[float, float]:
        """One step; returns the text loss (0 in the first stage) and the sprite loss, nats."""
        with self.autocast():
            features = see(self.model, batch.pixels)
            sprites = sprite_loss(self.sight(features), batch.sprites)
            text = torch.zeros(()) if self.stage == "sight" else text_loss(self.model, features, batch)
            loss = sprites if self.stage == "sight" else text + SPRITE_WEIGHT * sprites
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves this method untyped
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        return float(text.detach()), float(sprites.detach())

    def autocast(self) -> AbstractContextManager[Any]:
        """bfloat16 where it helps: on GPUs and on processors with AMX or AVX-512 it halves the time and more."""
        return torch.autocast(self.device, torch.bfloat16)

    def save_state(self, path: Path) -> None:
        """Write all that is needed to go on."""
        state = {
            "recipe": asdict(self.recipe),
            "stage": self.stage,
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "sight": self.sight.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        save_state(state, path)

    def load_state(self, path: Path) -> None:
        """Go on from a saved state.

        Raises:
            SystemExit: the state was made with another recipe.
        """
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["recipe"] != asdict(self.recipe):
            raise SystemExit(
                f"{path} was made with another recipe; start over with --no-resume, or give another --work"
            )
        self.start_stage(state["stage"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.model.load_state_dict(state["model"])
        self.sight.load_state_dict(state["sight"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])


def to_device(batch: Batch, device: str) -> Batch:
    """The batch on another device."""
    moved: dict[str, Tensor] = {field.name: getattr(batch, field.name).to(device) for field in fields(batch)}
    return Batch(**moved)


def run_stage(trainer: Trainer, work: Path, out: Path, workers: int, every: int) -> None:
    """Run the current stage to its end, with a checkpoint every few minutes."""
    stage = trainer.plan
    # The stages draw different pictures.
    seed = len(STAGES) * trainer.recipe.seed + list(STAGES).index(trainer.stage)
    started = saved = time.monotonic()
    before, text_sum, sprite_sum, seen = trainer.seconds, 0.0, 0.0, 0
    trainer.model.train()
    steps = (
        batch
        for end, plan in stage.phases
        for batch in batches(trainer.tokenizer, plan, seed, trainer.step, end, workers)
    )
    for batch in steps:
        text, sprites = trainer.learn(to_device(batch, trainer.device))
        text_sum, sprite_sum, seen = text_sum + text, sprite_sum + sprites, seen + 1
        now = time.monotonic()
        trainer.seconds = before + now - started
        if trainer.step % every == 0 or trainer.step == stage.steps:
            rate = trainer.schedule.get_last_lr()[0]
            print(
                f"{trainer.stage} {trainer.step}/{stage.steps}  text {text_sum / seen:.3f}"
                f"  sprites {sprite_sum / seen:.3f}  rate {rate:.1e}  {trainer.seconds / 60:.1f} min",
                flush=True,
            )
            text_sum, sprite_sum, seen = 0.0, 0.0, 0
        if trainer.stage == "speech" and trainer.step == trainer.recipe.scaled(EARLY):
            llava.save(trainer.model, trainer.tokenizer, out.with_name(out.name + "-early"))
            _record(trainer, out.with_name(out.name + "-early"))
        if trainer.stage != "sight" and trainer.step % (10 * every) == 0:
            with evaluating(trainer.model):
                print(f"  held-out: {quick_figures(LocalAsker(trainer.model, trainer.tokenizer), 160)}", flush=True)
        if now - saved > 240:
            trainer.save_state(work / "vlm.pt")
            saved = now
    trainer.save_state(work / "vlm.pt")


@contextlib.contextmanager
def evaluating(model: LlavaForConditionalGeneration) -> Iterator[None]:
    """Evaluation mode inside the block, training mode after it."""
    nn.Module.eval(model)
    try:
        yield
    finally:
        model.train()


def _record(trainer: Trainer, folder: Path) -> None:
    """What made the checkpoint, beside it."""
    record = {
        **asdict(trainer.recipe),
        "stage": trainer.stage,
        "steps_done_in_stage": trainer.step,
        "minutes": round(trainer.seconds / 60, 1),
        "device": trainer.device,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
    }
    (folder / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=MODELS / "vlm", help="checkpoint folder; the early one goes to OUT-early"
    )
    parser.add_argument("--work", type=Path, default=Path("build/demo"), help="folder of the state to resume from")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the steps; 0.01 makes a smoke test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that render pictures")
    parser.add_argument("--every", type=int, default=100, help="steps between progress lines")
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    recipe = Recipe(seed=args.seed, scale=args.scale)
    tokenizer = train_tokenizer(args.seed)
    trainer = Trainer(recipe, tokenizer, device)
    state: Path = args.work / "vlm.pt"
    if args.resume and state.exists():
        trainer.load_state(state)
        print(f"resumed {trainer.stage} at step {trainer.step}")
    count = sum(p.numel() for p in trainer.model.parameters())
    print(
        f"{count / 1e6:.2f} M parameters, {len(tokenizer)} tokens, {device}, {torch.get_num_threads()} threads",
        flush=True,
    )
    for name in list(STAGES)[list(STAGES).index(trainer.stage) :]:
        if name != trainer.stage:
            trainer.start_stage(name)
        run_stage(trainer, args.work, args.out, args.workers, args.every)
    llava.save(trainer.model, tokenizer, args.out)
    _record(trainer, args.out)
    print(f"saved {args.out} after {trainer.seconds / 60:.1f} minutes of training")


if __name__ == "__main__":
    main()
