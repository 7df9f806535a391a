"""What `axia detect` asks, as its file has it: from there --resume takes it again."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from axia._file_names import path_of, written


@dataclass(frozen=True, kw_only=True)
class DetectOptions:
    """The options that decide answers and their judgement, as plain JSON; `axia detect --help` describes each."""

    paths: list[str]
    n: int | None = None
    temperature: list[float] = field(default_factory=list)
    seed: int | None = None
    model: str | None = None
    prompt: str | None = None
    prompt_text: str | None = None
    system: str | None = None
    system_text: str | None = None
    full_text: bool = False
    sentence_rule: str | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    abstain_threshold: float | None = None
    truth: str | None = None
    accept: list[str] = field(default_factory=list)
    truths: str | None = None
    judge: str | None = None
    judge_model: str | None = None
    judge_samples: int | None = None
    judge_structured: bool = False
    card: str | None = None
    timeout: float = 60.0

    @classmethod
    def of_command(cls, given: dict[str, Any]) -> "DetectOptions":
        """Options as typer has them: paths as such, enumerations as members, lists that may be None."""
        plain: dict[str, Any] = {
            name: str(value) if isinstance(value, Path) else value for name, value in given.items()
        }
        plain |= {name: list(plain[name] or ()) for name in ("paths", "temperature", "accept")}
        return cls(**plain)

    def as_json(self) -> dict[str, Any]:
        """What a file has of them."""
        return {name: self._with_paths(name, value, written) for name, value in asdict(self).items()}

    @classmethod
    def of_json(cls, saved: dict[str, Any]) -> "DetectOptions":
        """Options from a file."""
        return cls(**{name: cls._with_paths(name, value, path_of) for name, value in saved.items()})

    @staticmethod
    def _with_paths(name: str, value: Any, change: Callable[[str], str]) -> Any:
        if name == "paths":
            return list(map(change, value))
        return change(value) if name in ("truths", "card") and value is not None else value

    def sampling(self) -> dict[str, Any]:
        """The arguments of `axia.Client.detect` beside image and ground truth."""
        return {
            "n": self.n,
            "temperature": self.temperature[0] if len(self.temperature) == 1 else self.temperature or None,
            "seed": self.seed,
            "model": self.model,
            "prompt_id": self.prompt,
            "prompt_text": self.prompt_text,
            "system_prompt_id": self.system,
            "system_prompt_text": self.system_text,
            "full_text": self.full_text,
            "sentence_rule": self.sentence_rule,
            "max_tokens": self.max_tokens,
            "top_p": self.top_p,
            "abstain_threshold": self.abstain_threshold,
            "timeout": self.timeout,
        }
