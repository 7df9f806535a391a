"""One open_clip model: loading it, and what it computes. Everything here blocks; torch is imported here alone."""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.retrieval.encoder.views import FIT, split_fit, views
from services.retrieval.index import EncoderId, Vectors
from services.serving.errors import FailedPrecondition

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "bfloat16"]
Pixels = NDArray[np.uint8]
"""Shape (views, height, width, 3): what is encoded of a picture, at the model's size, not normalised yet."""

LOCAL = "local-dir:"
"""Before the folder of a local model: open_clip_config.json and weights beside it."""
RANDOM_SEED = 0
"""Seed of random weights, where a spec names no pretrained tag."""

_WEIGHTS = (
    "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth", "model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth",
)  # fmt: skip
"""Names of weights, in the order in which open_clip takes them."""
_CHARS_A_TOKEN = 64
"""Characters of a text that are tokenised for each token of the context: more than any token has."""
_CONTEXT_STEP = 8
"""Tokens in whose multiples the computed part of a context grows."""
_TRIAL_S = 0.5
"""How long the number formats are measured at least, for pictures and for texts: a start waits for it."""
_LEAST_COSINE = 0.999
_LEAST_GAIN = 1.1
"""bfloat16 is taken where it is that much faster, so that noise alone doesn't choose it."""

_log = logging.getLogger(__name__)


class OpenClipModel:
    """A model in memory, for one thread at a time.

    Args:
        spec: As `OpenClipEncoder` takes it.
        device: Where it is computed; auto uses CUDA if there is a GPU.
        threads: For the computation on a CPU; 0 takes one a core. Holds for the thread that makes the object.

    Raises:
        FailedPrecondition: If there is no such model or device; says what to do.
    """

    def __init__(self, spec: str, device: Device = "auto", threads: int = 0) -> None:
        import torch
        from torch import nn

        if threads:
            torch.set_num_threads(threads)
        self.device = torch.device(_device(device))
        self.dtype: Literal["float32", "bfloat16"] = "float32"
        """Number format of pictures."""
        self.text_dtype: Literal["float32", "bfloat16"] = "float32"
        """Number format of texts: a processor may be slower with bfloat16 where it is faster with pictures."""
        spec, self._fit = split_fit(spec)
        name, revision, model, tokenizer = _load(spec)
        if self._fit != "crop":
            revision += f"{FIT}{self._fit}"  # other vectors than those of the middle alone
        self._model: Any = model.eval().requires_grad_(False).to(self.device)
        self._tokenizer = tokenizer
        self._prepare, mean, std = _transform(self._model)
        red, green, blue = (round(255 * channel) for channel in mean)
        self._bars = (red, green, blue)
        # Per channel: (pixel / 255 - mean) / std.
        self._mean = torch.tensor(mean, device=self.device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=self.device).view(1, 3, 1, 1)
        self._normalise: Callable[..., torch.Tensor] = nn.functional.normalize
        self.max_chars = int(tokenizer.context_length) * _CHARS_A_TOKEN
        self.id = EncoderId(name, revision, self.encode_texts(["an image"]).shape[1])

    def prepare(self, picture: Image.Image) -> Pixels:
        """Resizes and crops each view of a picture as open_clip's own transform does. May run in any thread."""
        return np.stack([np.asarray(self._prepare(view)) for view in views(picture, self._fit, self._bars)])

    def encode_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        """Vectors of prepared pictures, computed as one batch; with several views, their mean at length 1."""
        import torch

        with torch.inference_mode():
            batch = torch.from_numpy(np.concatenate(pictures)).to(self.device).permute(0, 3, 1, 2)
            normalised = (batch.float().div_(255) - self._mean) / self._std
            features = self._model.encode_image(normalised.contiguous().to(getattr(torch, self.dtype)))
            if len(batch) > len(pictures):
                unit = self._normalise(features.float(), dim=-1)
                features = torch.stack([part.mean(0) for part in torch.split(unit, [len(views) for views in pictures])])
            return self._vectors(features)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts, each cut at the model's context."""
        import torch

        with torch.inference_mode():
            return self._vectors(self._text_features(self._tokenizer(list(texts))))

    def _text_features(self, tokens: "torch.Tensor") -> "torch.Tensor":
        """Features of tokenised texts, shape (texts, context).

        A CLIP model takes a text's features at its end token, and its causal mask hides what follows. So only the part
        of the context up to the end of the longest text is computed.
        """
        from torch import nn

        length = self._context_needed(tokens)  # before they are on a GPU, for whose answer it would wait
        tokens = tokens.to(self.device)
        if length == tokens.shape[1]:
            features: torch.Tensor = self._model.encode_text(tokens)
            return features
        model = self._model
        positions, mask = model.positional_embedding, model.attn_mask
        try:
            model.positional_embedding = nn.Parameter(positions[:length], requires_grad=False)
            model.attn_mask = mask[:length, :length]
            features = model.encode_text(tokens[:, :length])
        finally:
            model.positional_embedding, model.attn_mask = positions, mask
        return features

    def _context_needed(self, tokens: "torch.Tensor") -> int:
        """Tokens of the context that texts need; all of them where the model isn't known to ignore the rest."""
        import open_clip

        model, whole = self._model, int(tokens.shape[1])
        if type(model) is not open_clip.CLIP or model.text_pool_type != "argmax" or model.attn_mask is None:
            return whole
        if not len(tokens):
            return whole
        longest = int(tokens.argmax(dim=-1).max()) + 1
        return min(whole, -(-longest // _CONTEXT_STEP) * _CONTEXT_STEP)  # few lengths: kernels are prepared for each

    def choose_dtype(self, dtype: Dtype, pictures: Sequence[Pixels], texts: Sequence[str]) -> None:
        """Takes a number format; auto measures which is faster, and keeps bfloat16 to float32's vectors.

        It measures pictures and texts separately, and takes a format for each; float32 for both if a trial fails.
        """
        import torch

        if dtype == "float32":
            return
        if dtype == "bfloat16":
            self._take(self._model, self._model.to(torch.bfloat16), pictures=True, texts=True)
            return
        full = half = self._model
        tried: dict[str, tuple[float, float]] = {}
        trials: dict[str, Callable[[], Vectors]] = {
            "pictures": lambda: self.encode_pictures(pictures),
            "texts": lambda: self.encode_texts(texts),
        }
        exact = {what: encode() for what, encode in trials.items()}

        def run(encode: Callable[[], Vectors], *, in_half: bool) -> Vectors:
            self._take(full, half, pictures=in_half, texts=in_half)
            return encode()

        try:
            half = deepcopy(full).to(torch.bfloat16)
            for what, encode in trials.items():
                cosine = float((run(encode, in_half=True) * exact[what]).sum(1).min())
                gain = _gain(partial(run, encode, in_half=False), partial(run, encode, in_half=True))
                tried[what] = gain, cosine
        except RuntimeError as error:  # as torch reports a layer that has no bfloat16, or no memory for a second model
            _log.info("bfloat16 can't be tried", extra={"error": str(error)})
        finally:
            complete = len(tried) == len(trials)
            faster = {
                what: complete and tried[what][0] >= _LEAST_GAIN and tried[what][1] >= _LEAST_COSINE for what in trials
            }
            self._take(full, half, pictures=faster["pictures"], texts=faster["texts"])
        figures = {
            f"{what}_bfloat16_{name}": round(figure, digits)
            for what, found in tried.items()
            for name, figure, digits in zip(("speed", "cosine"), found, (2, 5), strict=True)
        }
        _log.info("number format chosen", extra={"dtype": self.dtype, "text_dtype": self.text_dtype, **figures})

    def _take(self, full: Any, half: Any, *, pictures: bool, texts: bool) -> None:
        """Takes one of two models, or a tower of each.

        Args:
            full: The model in float32.
            half: The same in bfloat16.
            pictures: Whether pictures are computed in bfloat16.
            texts: Whether texts are.
        """
        self._model = half if texts else full
        if pictures != texts:
            self._model.visual = (half if pictures else full).visual
        self.dtype = "bfloat16" if pictures else "float32"
        self.text_dtype = "bfloat16" if texts else "float32"

    def _vectors(self, features: "torch.Tensor") -> Vectors:
        unit = self._normalise(features.float(), dim=-1)
        vectors: Vectors = unit.cpu().numpy()
        return vectors


def _gain(plain: Callable[[], object], other: Callable[[], object]) -> float:
    """How many times as fast the other is.

    By the fastest of a few runs, for whatever else the machine does only makes a run slower, and in turns, for it may
    do so for a while.
    """
    times: tuple[list[float], list[float]] = ([], [])
    while len(times[0]) < 3 or (sum(map(sum, times)) < _TRIAL_S and len(times[0]) < 50):  # noqa: PLR2004 - runs
        for call, seconds in zip((plain, other), times, strict=True):
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
    return min(times[0]) / min(times[1])


def _device(device: Device) -> str:
    import torch

    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        raise FailedPrecondition(
            "this machine has no CUDA device that torch can use; set AXIA_RETRIEVAL_DEVICE to cpu or auto, or install "
            "a CUDA build of torch and its driver",
            reason="ENCODER_DEVICE",
        )
    return "cuda"


def _transform(model: Any) -> tuple[Callable[[Image.Image], Image.Image], Sequence[float], Sequence[float]]:
    """open_clip's own transform up to the resized picture, and mean and deviation of what follows.

    The rest, from bytes to normalised floats, is done for a whole batch: it is faster, and waiting pictures take a
    quarter of the memory.
    """
    from open_clip.transform import PreprocessCfg, image_transform_v2

    config = PreprocessCfg(**model.visual.preprocess_cfg)
    *steps, _, normalise = image_transform_v2(config, is_train=False).transforms

    def resize(picture: Image.Image) -> Image.Image:
        for step in steps:
            picture = step(picture)
        return picture

    return resize, normalise.mean, normalise.std


def _load(spec: str) -> tuple[str, str, Any, Any]:
    """Name, revision, model and tokenizer of a spec."""
    import open_clip

    if spec.startswith(LOCAL):
        folder = Path(spec.removeprefix(LOCAL)).expanduser()
        weights = _find_weights(folder)
        with weights.open("rb") as file:
            revision = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"
        source = f"{LOCAL}{folder}"
        advice = "check that open_clip_config.json matches the weights and that both files are complete"
        model, tokenizer = _create(spec, advice, source, None)
        return folder.resolve().name, revision, model, tokenizer
    name, slash, tag = spec.partition("/")
    if not slash or name not in open_clip.list_models():
        raise _missing(
            f"the encoder {spec or '(unset)'} is not known to open_clip; write architecture/pretrained tag, such as "
            f"ViT-B-32/laion2b_s34b_b79k, or {LOCAL} and a folder"
        )
    if not tag:
        import torch

        with torch.random.fork_rng():
            torch.manual_seed(RANDOM_SEED)
            model, tokenizer = _create(spec, "use another architecture", name, None)
        return name, f"random-{RANDOM_SEED}", model, tokenizer
    _check_tag(name, tag)
    advice = (
        "let this machine reach the model hub once, or copy the hub's cache (HF_HOME) from a machine that can, or set "
        f"{LOCAL} and a folder"
    )
    model, tokenizer = _create(spec, advice, name, tag)
    return name, tag, model, tokenizer


def _create(spec: str, advice: str, name: str, tag: str | None) -> tuple[Any, Any]:
    import open_clip

    try:
        # Towers by other libraries would fetch weights of their own from a hub, to be overwritten or meant as random.
        model = open_clip.create_model(name, pretrained=tag, pretrained_text=False, require_pretrained=tag is not None)
        return model, open_clip.get_tokenizer(name)
    except Exception as error:  # configurations, weights and hubs fail in many types; what to do is the same
        _log.warning("the encoder could not be loaded", exc_info=True)
        raise _missing(f"the encoder {spec} could not be loaded; {advice}") from error


def _check_tag(name: str, tag: str) -> None:
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(name)
    if tag not in tags:
        raise _missing(
            f"the encoder {name} has no pretrained weights {tag}; "
            + (f"use one of: {', '.join(tags)}" if tags else "use another architecture")
        )
    # Weights trained with one activation give other vectors with another; open_clip would only warn.
    quick = bool(open_clip.get_pretrained_cfg(name, tag).get("quick_gelu", False))
    if quick != bool(open_clip.get_model_config(name).get("quick_gelu", False)):
        other = f"{name}-quickgelu" if quick else name.removesuffix("-quickgelu")
        raise _missing(
            f"the weights {tag} were trained with another activation function than {name} uses; set {other}/{tag}"
        )


def _find_weights(folder: Path) -> Path:
    """The file that open_clip loads from a folder."""
    if not (folder / "open_clip_config.json").is_file():
        raise _missing(
            f"the encoder's folder {folder} is missing or has no open_clip_config.json; set {LOCAL} and a folder that "
            "holds one beside open_clip_model.safetensors"
        )
    found = [folder / name for name in _WEIGHTS if (folder / name).is_file()]
    if not found:
        raise _missing(f"the encoder's folder {folder} has no weights; put open_clip_model.safetensors there")
    if found[0].suffix != ".safetensors":
        raise _missing(
            f"the weights {found[0]} are a pickle, which can run code while it is read; convert them with "
            "safetensors.torch.save_file to open_clip_model.safetensors in that folder"
        )
    return found[0]


def _missing(message: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"{message}. Set the encoder with AXIA_RETRIEVAL_ENCODER or StartReindex", reason="ENCODER_MISSING"
    )
