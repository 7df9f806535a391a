"""Train the demo CLIP from scratch: pictures of the world against keywords, names and captions.

    python -m training.clip.train                # resumes where it stopped; --no-resume starts over

The checkpoint is in the layout that stock open_clip loads:

    open_clip.create_model_and_transforms("local-dir:demo/models/clip")

Half of the loss is the contrastive one with several right texts for a picture; the rest teaches the tower to name the
sprite in each patch, as in `training.vlm.train`, which is left out of the checkpoint.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from training.clip.evaluate import quick_figures
from training.clip.pairs import Pairs, pair_loader
from training.saving import save_state
from training.vlm.learning import Sight, normalise, sprite_loss
from training.vlm.llava import MEAN, STD

MODELS = Path(__file__).parents[2] / "demo" / "models"
CONFIG = Path(__file__).with_name("clip_model.json")


@dataclass(frozen=True)
class Recipe:
    """Everything that fixes the result, apart from the machine's rounding."""

    seed: int = 0
    steps: int = 1200
    batch: int = 96
    rate: float = 1.5e-3
    weight_decay: float = 0.05
    sprite_weight: float = 0.5


def build(seed: int) -> open_clip.CLIP:
    """An untrained model."""
    torch.manual_seed(seed)
    return open_clip.CLIP(**model_config())


def model_config() -> dict[str, Any]:
    """Sizes, in open_clip's terms (about 6.7 million parameters)."""
    config: dict[str, Any] = json.loads(CONFIG.read_text(encoding="utf-8"))
    return config


def contrastive(images: Tensor, texts: Tensor, scale: Tensor, right: Tensor) -> Tensor:
    """Cross-entropy of both directions against all right partners, evenly.

    Args:
        images, texts: (B, width), of unit length.
        scale: the learned inverse temperature.
        right: (B, B), 1 where the text (column) is true of the picture (row); the diagonal is 1.
    """
    logits = (scale * images @ texts.T).float()
    by_row = right / right.sum(1, keepdim=True)
    by_column = right.T / right.T.sum(1, keepdim=True)
    loss: Tensor = (functional.cross_entropy(logits, by_row) + functional.cross_entropy(logits.T, by_column)) / 2
    return loss


class Trainer:
    """A model in training, with all that a checkpoint holds."""

    def __init__(self, recipe: Recipe, device: str) -> None:
        self.recipe, self.device = recipe, device
        self.model = build(recipe.seed).to(device)
        self.model.visual.output_tokens = True
        self.tokenizer = open_clip.SimpleTokenizer(context_length=model_config()["text_cfg"]["context_length"])
        self.sight = Sight(model_config()["vision_cfg"]["width"]).to(device)
        self.parameters = [*self.model.parameters(), *self.sight.parameters()]
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=recipe.rate, betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimiser, recipe.rate, recipe.steps, pct_start=0.1)
        self.step, self.seconds = 0, 0.0

    def learn(self, pairs: Pairs) -> tuple[float, float]:
        """One step; returns the contrastive and the sprite loss, nats."""
        with torch.autocast(self.device, torch.bfloat16):
            pooled, tokens = self.model.visual(normalise(pairs.pixels.to(self.device)))
            images = functional.normalize(pooled, dim=-1)
            texts = functional.normalize(self.model.encode_text(self.tokenizer(pairs.texts).to(self.device)), dim=-1)
            loss = contrastive(images, texts, self.model.logit_scale.exp(), pairs.right.to(self.device))
            sprites = sprite_loss(self.sight(tokens), pairs.sprites.to(self.device))
        (loss + self.recipe.sprite_weight * sprites).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(100))
        self.step += 1
        return float(loss.detach()), float(sprites.detach())

    def state(self) -> dict[str, Any]:
        """All that is needed to go on."""
        parts = {"model": self.model, "sight": self.sight, "optimiser": self.optimiser, "schedule": self.schedule}
        states = {name: part.state_dict() for name, part in parts.items()}
        return {"recipe": asdict(self.recipe), "step": self.step, "seconds": self.seconds, **states}

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
        self.step, self.seconds = state["step"], state["seconds"]
        self.model.load_state_dict(state["model"])
        self.sight.load_state_dict(state["sight"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])


def save(trainer: Trainer, folder: Path) -> None:
    """Write a checkpoint in open_clip's layout, weights in bfloat16."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: tensor.detach().to("cpu", torch.bfloat16).contiguous()
        for name, tensor in trainer.model.state_dict().items()
    }
    save_file(weights, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
    preprocess = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    config = {"model_cfg": model_config(), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    record = {
        **asdict(trainer.recipe),
        "minutes": round(trainer.seconds / 60, 1),
        "device": trainer.device,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
    }
    (folder / "training.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def run(trainer: Trainer, work: Path, workers: int, every: int) -> None:
    """Train to the end, with a checkpoint every few minutes."""
    recipe = trainer.recipe
    started = saved = time.monotonic()
    before, first, second, seen = trainer.seconds, 0.0, 0.0, 0
    trainer.model.train()
    for pairs in pair_loader(recipe.batch, recipe.seed, trainer.step, recipe.steps, workers):
        loss, sprites = trainer.learn(pairs)
        first, second, seen = first + loss, second + sprites, seen + 1
        now = time.monotonic()
        trainer.seconds = before + now - started
        if trainer.step % every == 0 or trainer.step == recipe.steps:
            line = f"{trainer.step}/{recipe.steps}  contrastive {first / seen:.3f}  sprites {second / seen:.3f}"
            print(f"{line}  {trainer.seconds / 60:.1f} min", flush=True)
            first, second, seen = 0.0, 0.0, 0
        if trainer.step % (6 * every) == 0:
            trainer.model.eval()
            trainer.model.visual.output_tokens = False
            print(f"  held-out: {quick_figures(trainer.model, trainer.tokenizer)}", flush=True)
            trainer.model.visual.output_tokens = True
            trainer.model.train()
        if now - saved > 240:
            save_state(trainer.state(), work / "clip.pt")
            saved = now
    save_state(trainer.state(), work / "clip.pt")


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=MODELS / "clip", help="checkpoint folder")
    parser.add_argument("--work", type=Path, default=Path("build/demo"), help="folder of the state to resume from")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that render pictures")
    parser.add_argument("--every", type=int, default=50, help="steps between progress lines")
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    trainer = Trainer(Recipe(seed=args.seed, steps=args.steps), device)
    state: Path = args.work / "clip.pt"
    if args.resume and state.exists():
        trainer.load_state(state)
        print(f"resumed at step {trainer.step}")
    count = sum(p.numel() for p in trainer.model.parameters())
    print(f"{count / 1e6:.2f} M parameters, {device}, {torch.get_num_threads()} threads", flush=True)
    run(trainer, args.work, args.workers, args.every)
    save(trainer, args.out)
    print(f"saved {args.out} after {trainer.seconds / 60:.1f} minutes of training")


if __name__ == "__main__":
    main()
