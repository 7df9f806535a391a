"""The callers' names of fields in errors, at each border of the gateway where a callee knows the field by another."""

from collections.abc import Callable

Rename = Callable[[str], str]
"""The caller's name of a field, by the callee's."""


def _under(prefix: str) -> Rename:
    return lambda field: prefix + field


def _without(prefix: str) -> Rename:
    return lambda field: field.removeprefix(prefix)


def _named(**names: str) -> Rename:
    return lambda field: names.get(field, field)


STREAMED_DETECTION = _under("detection.")
"""A detection's field, in StreamDetectValues."""
WATCH_CONFIG = _under("config.")
"""A detection's field, in WatchValues."""
GENERATION = _under("generation.")
"""A generation's field, in GenerateAll."""
JUDGE = _under("ground_truth.judge_")
"""A field about a model, where that model judges a detection."""
DESCRIBER = _named(model="describer")
"""A field about a model, where that model describes pictures."""
DESCRIBER_SAMPLING = _under("describer_sampling.")
"""A field of how answers are sampled, where the answers are descriptions by another model."""
VALUE_SEARCH = _named(value="values")
"""A field of a search for pictures of a value, in AssessPreference."""
FIRST_ANSWER = _without("answers[0].")
"""A field of the only answer that is scored."""
