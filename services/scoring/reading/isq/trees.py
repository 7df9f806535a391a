"""Finds the items in data, however it is nested: under their names as keys, or in objects that name them."""

import re
from collections.abc import Iterator
from typing import Any

from services.scoring.reading.isq.amounts import Amount, amounts, whole_amount
from services.scoring.reading.isq.folding import fold
from services.scoring.reading.isq.links import is_count
from services.scoring.reading.isq.names import full_names, item_of
from services.scoring.reading.isq.statements import HIGHEST, YES_NO_ITEMS, Statement, as_yes_or_no, state

Pairs = list[tuple[str, Any]]
"""An object; the same key may come twice."""

_SCORE_WORDS = (
    "score rating rate value points point mark grade result answer number level my_score your_score final_score "
    "评分 分数 得分 puntuación puntaje note nota bewertung wert punkte 점수 点数 #text"
)
_SCORE_KEYS = frozenset(_SCORE_WORDS.split())
_NAME_KEYS = re.compile(
    r"item|name|criteri|aspect|dimension|label|question|categor|metric|key|factor|attribute|id|title|trait|维度|项目|指标"
)
_BOUND_KEYS = re.compile(r"max|min|out_?of|^of$|total|denominator|scale|range|limit|bounds?$|possible")
_GROUP_KEYS = re.compile(r"weight|confidence|certainty|probabilit|std|deviation")
"""Keys of objects that hold something else about the items than their scores."""
_OTHER_KEYS = re.compile(
    r"weight|confidence|certainty|probabilit|previous|std|deviation|index|id$|rank|order|no$|number_of|average|mean|total"
    r"|denominator|^of$|#$"
)
_ASIDE_KEY = re.compile(
    r"(?:confidence|certainty|weight|reason(?:ing)?|explanation|comment|max|maximum|min|minimum|rank|id)$"
)
"""The end of a key that is about an item and isn't its score."""
_CHOICE = re.compile(r"\W*[01] or [01]\W*")
_MOST_NODES = 4000
DEEPEST = 24
"""Levels of data that are looked at."""


class Object(dict[str, Any]):
    """A mapping that keeps its pairs."""

    def __init__(self, pairs: Pairs) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def read_tree(data: Any, *, bare: bool = True) -> list[Statement]:
    """What data says of items; empty if it names none and is no list of six numbers.

    Args:
        data: As a parser of JSON, YAML or XML gives it, its mappings as `Object`.
        bare: Whether six numbers without names are scores.
    """
    walk = _Walk()
    try:
        statements = list(walk.read(data, DEEPEST))
    except _TooMuch:
        return []
    if statements:
        return statements
    lists = walk.lists
    if len(lists) != 1 or not bare:
        return []
    order = walk.orders[0] if len(walk.orders) == 1 else range(len(HIGHEST))
    return [state(item, number) for item, number in zip(order, lists[0], strict=True)]


class _TooMuch(Exception):
    """There are more nodes than any answer has."""


class _Walk:
    """One way through data, with the lists of six numbers or six names that it passes."""

    def __init__(self) -> None:
        self.lists: list[list[Amount]] = []
        self.orders: list[list[int]] = []
        self._nodes = 0

    def read(self, node: Any, depth: int) -> Iterator[Statement]:
        """What a node and those below it say of items."""
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise _TooMuch
        if depth == 0:
            return
        if isinstance(node, list):
            yield from self._read_list(node, depth)
        elif isinstance(node, Object):
            item = _named(node)
            if item is not None:
                yield from _score(item, node)
                return
            items = [_item_of_key(key) for key, _ in node.pairs]
            for (key, value), item_of_key in zip(node.pairs, items, strict=True):
                if item_of_key is not None and not self._wraps(value, depth - 1):
                    yield from _score(item_of_key, value)
                elif isinstance(value, list | Object) and not _GROUP_KEYS.search(key.lower()):
                    yield from self.read(value, depth - 1)
            self._note(node)

    def _wraps(self, value: Any, depth: int) -> bool:
        """Whether a key that reads like an item's is but the heading of several items."""
        if not isinstance(value, list | Object):
            return False
        inner = _Walk()
        inner._nodes = self._nodes
        try:
            items = {statement.item for statement in inner.read(value, min(depth, 4))}
        finally:
            self._nodes = inner._nodes
        return len(items) > 1

    def _read_list(self, node: list[Any], depth: int) -> Iterator[Statement]:
        if len(node) == len(HIGHEST):
            numbers = [amount for amount in map(_amount, node) if amount]
            names = [item_of(fold(entry)) for entry in node if isinstance(entry, str) and len(entry) < 80]  # noqa: PLR2004
            if len(numbers) == len(HIGHEST):
                self.lists.append(numbers)
            elif set(names) == set(range(len(HIGHEST))):
                self.orders.append([name for name in names if name is not None])
        for entry in node:
            if isinstance(entry, str) and len(entry) < 200:  # noqa: PLR2004 - "Visual attractiveness: 8"
                folded = fold(entry)
                mentions = full_names(folded)
                behind = whole_amount(folded[mentions[0].end :]) if len(mentions) == 1 else None
                if behind:
                    yield state(mentions[0].item, behind)
            elif isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str):  # noqa: PLR2004 - name and score
                item = item_of(fold(entry[0]))
                if item is not None:
                    yield from _score(item, entry[1])
            else:
                yield from self.read(entry, depth - 1)

    def _note(self, node: Object) -> None:
        keys = "".join(
            re.sub(r"^(?:q|item|question|no|rating|score|answer|aspect|criterion)?[ _.]?", "", key) for key in node
        )
        if keys == "123456" and len(node.pairs) == len(HIGHEST):
            numbers = [amount for amount in map(_amount, node.values()) if amount]
            if len(numbers) == len(HIGHEST):
                self.lists.append(numbers)


def _item_of_key(key: str) -> int | None:
    if len(key) > 120:  # noqa: PLR2004
        return None
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key)
    return None if _ASIDE_KEY.search(spaced.lower()) else item_of(fold(spaced))


def _named(node: Object) -> int | None:
    """The item that a field of an object names: {"item": "visual attractiveness", "score": 8}."""
    for key, value in node.pairs:
        if isinstance(value, str) and len(value) < 80 and _NAME_KEYS.search(key.lower()):  # noqa: PLR2004
            item = item_of(fold(value))
            if item is not None:
                return item
    return None


def _score(item: int, value: Any, depth: int = 4) -> Iterator[Statement]:
    """The score of an item, from whatever stands under its name."""
    if isinstance(value, Object):
        yield from _score_in(item, value, depth - 1) if depth else ()
    elif isinstance(value, list):
        numbers = [amount for amount in map(_amount, value) if amount]
        if len(numbers) == 1:
            yield state(item, numbers[0])
        elif len(value) == 1 and depth:
            yield from _score(item, value[0], depth - 1)
    elif isinstance(value, bool):
        if item in YES_NO_ITEMS:
            yield Statement(item, float(value))
    else:
        amount = _amount(value)
        word = as_yes_or_no(item, fold(value)) if isinstance(value, str) and not amount else None
        if amount or word:
            yield state(item, amount) if amount else word  # type: ignore[misc] # one of both is there


def _score_in(item: int, node: Object, depth: int) -> Iterator[Statement]:
    """The score of an item in an object of its own: {"score": 8, "max": 10, "reason": "two dogs"}."""
    bounds = [
        bound.high
        for key, value in node.pairs
        if _BOUND_KEYS.search(key.lower()) and "min" not in key.lower()
        for bound in [_bound(value)]
        if bound
    ]
    scale = next((bound for bound in bounds if bound != HIGHEST[item]), None)
    scored = [value for key, value in node.pairs if _is_score_key(key)]
    others = [
        value
        for key, value in node.pairs
        if not _BOUND_KEYS.search(key.lower()) and not _OTHER_KEYS.search(key.lower())
        if not isinstance(value, str) or whole_amount(fold(value[:80])) or len(node.pairs) == 1
    ]
    values = scored or others
    if scale is None:
        yield from (statement for value in values for statement in _score(item, value, depth))
    else:
        yield from (state(item, amount.out_of(scale)) for amount in map(_amount, values) if amount)


def _is_score_key(key: str) -> bool:
    folded = re.sub(r"[\s-]+", "_", key.strip().lower())
    return folded in _SCORE_KEYS or bool(re.search(r"(?:^|_)(?:score|rating|分)", folded))


def _bound(value: Any) -> Amount | None:
    """A scale: 10, "0-10", [0, 10]."""
    if isinstance(value, str):
        scales = [amount for amount in amounts(fold(value[:60])) if amount.is_scale]
        return scales[0] if scales else whole_amount(fold(value[:60]))
    if isinstance(value, list) and len(value) == 2:  # noqa: PLR2004
        return _amount(value[1])
    return _amount(value)


def _amount(value: Any) -> Amount | None:
    """A number, or a text that begins with one, such as "8/10" or "8 - bright"."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        number = float(value) if abs(value) < 1e9 else 1e9  # noqa: PLR2004 - an integer may have 4,000 digits
        return Amount(0, 0, number, number)
    if not isinstance(value, str):
        return None
    folded = fold(value[:200])
    if _CHOICE.fullmatch(folded):
        return None
    whole = whole_amount(folded)
    if whole:
        return whole
    found = amounts(folded)
    numbers = [amount for amount in found if not amount.is_scale]
    if not numbers or numbers[0].start > 4 or not re.fullmatch(r"[^\w<>-]*", folded[: numbers[0].start]):  # noqa: PLR2004
        return None
    if is_count(folded, numbers[0]):
        return None
    scale = next((amount.high for amount in found if amount.is_scale), None)
    return numbers[0] if scale is None else numbers[0].out_of(scale)
