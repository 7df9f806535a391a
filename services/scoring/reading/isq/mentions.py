"""Reads lines and prose: which number belongs to which name of an item, by what stands between them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from services.scoring.reading.isq.amounts import Amount, amounts, listed
from services.scoring.reading.isq.links import (
    is_count,
    is_doubted,
    is_labelled,
    is_marked,
    is_undecided,
    is_worded,
    leads_back,
    leads_forward,
    separates,
    stands_below,
)
from services.scoring.reading.isq.names import Mention
from services.scoring.reading.isq.statements import HIGHEST, YES_NO, YES_NO_ITEMS, Statement, state, yes_or_no

_FAR = 200
"""Characters between a name and its number at most."""
_HEADINGS = 4
"""Names in a row on lines of their own that may be the heading of a row of numbers."""
_NEAR = 24
"""Characters between two numbers of a list, or a number and its scale."""
_OVERALL = re.compile(
    r"^[^\w\n]*(?:my |the |so |in |and )?(?:overall|total|sum\b|average|mean\b|altogether|final verdict|"
    r"in summary|summary|in short|conclusion|in conclusion|note|s ?%|总|平均|"
    r"gesamt|insgesamt|en general|en resumen|au total|dans l'ensemble)",
    re.M,
)


@dataclass
class _Place:
    """A name with the text that belongs to it, and the numbers in that."""

    mention: Mention
    segment_end: int
    numbers: list[Amount]
    scales: list[Amount]
    forward: Amount | None = None
    backward: Amount | None = None
    prepositional: bool = False
    """Whether a word such as "for" leads from the number back to the name."""
    closed: bool = False
    """Whether it is one of several names that share what follows."""


def read_mentions(text: str, mentions: Sequence[Mention]) -> list[Statement]:
    """What a folded text says of the items that it names at these places."""
    if not mentions:
        return []
    first_numbers, places = _places(text, mentions)
    statements = list(_read_runs(text, places, first_numbers))
    _link(text, places, first_numbers)
    _choose(text, places)
    for place in places:
        if not place.closed:
            statements.extend(_read(text, place))
    return statements


def _places(text: str, mentions: Sequence[Mention]) -> tuple[list[Amount], list[_Place]]:
    """The names with their numbers, without those that count the names; and the numbers before the first name."""
    ends = [*(mention.start for mention in mentions[1:]), len(text)]
    last = _OVERALL.search(text, mentions[-1].end)
    if last:
        ends[-1] = last.start()
    places = [_Place(mention, end, [], []) for mention, end in zip(mentions, ends, strict=True)]
    counters = _counters(text, mentions)
    first: list[Amount] = []
    index = -1
    for amount in amounts(text):
        while index + 1 < len(mentions) and mentions[index + 1].start <= amount.start:
            index += 1
        if (index >= 0 and amount.start < mentions[index].end) or amount.start in counters:
            continue
        if re.search(r"\b(?:first|last|other|all|these) $", text[max(0, amount.start - 8) : amount.start]):
            continue
        if index < 0:
            first.append(amount)
        elif amount.start < places[index].segment_end:
            (places[index].scales if amount.is_scale else places[index].numbers).append(amount)
    _cut_last(text, places)
    return first, places


def _cut_last(text: str, places: Sequence[_Place]) -> None:
    """Ends the last name's text where those of the others end: at the line, at a blank line, or with the text."""
    gaps = [text[place.mention.end : place.numbers[0].start] for place in places[:-1] if place.numbers]
    if not gaps or any(re.search(r"\n[ \t]*\n", gap) for gap in gaps):
        return
    last = places[-1]
    pattern = r"\n[ \t]*\n" if any("\n" in gap for gap in gaps) else r"\n"
    end = re.compile(pattern).search(text, last.mention.end)
    if end:
        last.segment_end = min(last.segment_end, end.start())
        last.numbers = [amount for amount in last.numbers if amount.start < last.segment_end]
        last.scales = [scale for scale in last.scales if scale.start < last.segment_end]


def _counters(text: str, mentions: Sequence[Mention]) -> set[int]:
    """Where numbers stand that count the names, as in "1. Visual attractiveness" or "(2) ..."."""
    found: list[tuple[int, int, bool]] = []
    for mention in mentions:
        in_front = text[max(0, mention.start - 40) : mention.start]
        counter = re.search(
            r"(?:^|[\n,;|(]|\. ?)[^\w\n]*(?:q|item|no|nr|#)?[ .]?(\d{1,2})([^\w\n]{1,12}|_{1,3})$", in_front
        )
        if counter:
            start = mention.start - len(in_front) + counter.start(1)
            listed_so = (
                bool(re.match(r"[.)]\W", counter[2]))
                and text[: start + 1].rpartition("\n")[2].strip(" \t*_-#>(")[1:] == ""
            )
            found.append((start, int(counter[1]), listed_so))
    ascending = len(found) > 1 and [counter[1] for counter in found] == list(
        range(found[0][1], found[0][1] + len(found))
    )
    return {start for start, number, listed_so in found if listed_so or (ascending and found[0][1] <= 1)}


def _read_runs(text: str, places: Sequence[_Place], first: Sequence[Amount]) -> Iterator[Statement]:
    """Names in a row with as many numbers in a row: "visual attractiveness and curiosity are 8 and 7"."""
    start = 0
    while start < len(places):
        end = start + 1
        known = {places[start].mention.item}
        while end < len(places) and places[end].mention.item not in known and not places[end - 1].numbers:
            if not separates(text[places[end - 1].mention.end : places[end].mention.start]):
                break
            known.add(places[end].mention.item)
            end += 1
        if end - start > 1:
            before = places[start - 1].numbers if start else first
            yield from _read_run(text, places[start:end], before)
        start = end


def _read_run(text: str, run: Sequence[_Place], before: Sequence[Amount]) -> Iterator[Statement]:
    gaps = [text[left.mention.end : right.mention.start] for left, right in pairwise(run)]
    # Names on lines of their own, or with colons, may as well have no numbers: "7/10" below two of them is one number.
    labels = any(re.search(r"[\n:]", gap) for gap in gaps)
    if labels and len(run) < _HEADINGS:
        return
    paired = _behind(text, run) or _in_front(text, run, before)
    if paired:
        for place in run:
            place.closed = True
        yield from (state(place.mention.item, amount) for place, amount in zip(run, paired, strict=True))
        return
    # Without as many numbers, "8" after "a and b" may be both names' or the last one's alone.
    for (left, right), gap in zip(pairwise(run), gaps, strict=True):
        if not re.search(r"[\n:;|.]", gap):
            left.closed = right.closed = True


def _behind(text: str, run: Sequence[_Place]) -> list[Amount] | None:
    """The numbers of names in a row, in a row behind them."""
    last = run[-1]
    segment = text[last.mention.end : last.segment_end]
    # A list without spaces, "8,7,6", holds no number that could be told from "8,7" as a decimal.
    figure = re.search(r"\d", _without_scales(text, last))
    start = last.numbers[0].start - last.mention.end if last.numbers else figure.start() if figure else None
    if start is None or not leads_forward(segment[:start], lines=4):
        return None
    if len(last.numbers) == 1 and re.search(r"\b(?:both|each|all)\b", segment[:start]):
        return [last.numbers[0]] * len(run)
    rest = segment[start:]
    chunk = text[last.numbers[0].start : _list_end(text, last.numbers)] if last.numbers else ""
    for candidate in (chunk, rest.split("\n", 1)[0], rest):
        paired = listed(re.sub(r"[\s,]*\b(?:respectively|in (?:that|this) order)\b.*", "", candidate), len(run))
        if paired:
            return paired
    return None


def _in_front(text: str, run: Sequence[_Place], before: Sequence[Amount]) -> list[Amount] | None:
    """The numbers of names in a row, in a row in front of them: "8 and 7 for visual attractiveness and curiosity"."""
    gap = text[before[-1].end : run[0].mention.start] if before else ""
    if leads_back(gap) != "preposition":
        return None
    if re.search(r"\b(?:both|each|all)\b", gap):
        return [before[-1]] * len(run)
    row = before[-len(run) :]
    another = before[-len(row) - 1 : -len(row)]
    if another and _in_a_row(text[another[0].end : row[0].start]):
        return None
    return listed(text[row[0].start : row[-1].end], len(run))


def _without_scales(text: str, place: _Place) -> str:
    segment = text[place.mention.end : place.segment_end]
    for scale in place.scales:
        start, end = scale.start - place.mention.end, scale.end - place.mention.end
        segment = segment[:start] + " " * (end - start) + segment[end:]
    return segment


def _list_end(text: str, numbers: Sequence[Amount]) -> int:
    end = numbers[0].end
    for amount in numbers[1:]:
        if not _in_a_row(text[end : amount.start]):
            break
        end = amount.end
    return end


_ROW = re.compile(r"[\s,;|/*_\"'()\[\]]*(?:and|und|y|et|e|&|和)?[\s*_\"'(\[]*")


def _in_a_row(between: str) -> bool:
    return len(between) < _NEAR and _ROW.fullmatch(between) is not None


def _link(text: str, places: Sequence[_Place], first: Sequence[Amount]) -> None:
    """Finds for each name the number behind it and the one in front of it, as far as their words lead there."""
    before: Sequence[Amount] = first
    for place in places:
        number = next((amount for amount in place.numbers if not is_count(text, amount)), None)
        if number and number is place.numbers[0] and number.start - place.mention.end <= _FAR:
            gap = text[place.mention.end : number.start]
            if leads_forward(gap) and ("\n" not in gap or stands_below(text, number)):
                place.forward = number
        if before and place.mention.start - before[-1].end <= _FAR:
            how = leads_back(text[before[-1].end : place.mention.start])
            if how:
                place.backward, place.prepositional = before[-1], how == "preposition"
        before = place.numbers


def _choose(text: str, places: Sequence[_Place]) -> None:
    """Leaves each name one number and each number one name: a text has its numbers before its names or behind them."""
    for left, right in pairwise(places):
        if right.prepositional and left.forward is right.backward is not None:
            _drop(left, right, behind=_is_assigned(text, left))
    forward = len({place.mention.item for place in places if place.forward})
    backward = len({place.mention.item for place in places if place.backward})
    behind = forward >= backward
    for left, right in pairwise(places):
        if left.forward is right.backward is not None:
            _drop(left, right, behind=behind)
    for place in places:
        if place.forward and place.backward:
            if place.prepositional and not _is_assigned(text, place):
                place.forward = None
            else:
                _drop(place, place, behind=behind)


def _drop(left: _Place, right: _Place, *, behind: bool) -> None:
    """Leaves a number to the name that it stands behind, or to the one that it stands in front of."""
    if behind:
        right.backward = None
    else:
        left.forward = None


def _is_assigned(text: str, place: _Place) -> bool:
    """Whether a colon or a similar mark leads from a name to the number behind it."""
    return place.forward is not None and re.search(r"[:=]", text[place.mention.end : place.forward.start]) is not None


def _read(text: str, place: _Place) -> Iterator[Statement]:
    item = place.mention.item
    word = _word(text, place) if item in YES_NO_ITEMS and not place.backward else None
    number = place.forward or place.backward
    if word:
        direct = next(iter(place.numbers), None)
        if direct and not is_count(text, direct) and re.fullmatch(r"[ \t(\[,=:*-]*", text[word.end() : direct.start]):
            statement = state(item, _scaled(text, place, direct))
            contrary = statement.number is not None and statement.number == 1 - yes_or_no(word["word"])
            yield statement._replace(number=None) if contrary else statement
        elif not number or word.start() < number.start:
            yield Statement(item, yes_or_no(word["word"]))
        return
    if number:
        if is_doubted(text, number, place.segment_end):
            yield Statement(item, None)
        else:
            yield state(item, _scaled(text, place, number))
        return
    line = text[place.mention.end : min(place.segment_end, place.mention.end + _FAR)].split("\n", 1)[0]
    if place.numbers and is_undecided(line):
        yield Statement(item, None)
    else:
        yield from _read_far(text, place)


def _word(text: str, place: _Place) -> re.Match[str] | None:
    found = YES_NO.search(text, place.mention.end, min(place.segment_end, place.mention.end + _FAR))
    if found is None or text[found.start() - 1].isalpha():
        return None
    return found if leads_forward(text[place.mention.end : found.start()]) else None


def _read_far(text: str, place: _Place) -> Iterator[Statement]:
    """A number that stands apart from the name, after a reason: one that is marked as the score, or called so."""
    item = place.mention.item
    usable = [amount for amount in place.numbers if not is_count(text, amount)]
    for sure, belongs in ((True, is_labelled), (True, is_marked), (False, is_worded)):
        candidates = [amount for amount in usable if belongs(text, amount, place.mention.end)]
        numbers = {state(item, amount, sure=False).number for amount in candidates}
        if numbers:
            doubted = len(numbers) > 1 or any(is_doubted(text, amount, place.segment_end) for amount in candidates)
            yield Statement(item, None if doubted else numbers.pop(), sure=sure)
            return


def _scaled(text: str, place: _Place, number: Amount) -> Amount:
    """The number on the scale that stands beside it, as in "(0-10): 8" or "8 (on 0-10)"."""
    beside = [
        scale
        for scale in place.scales
        if scale.end <= number.start
        or (scale.start - number.end <= _NEAR and not re.search(r"[\n.;]", text[number.end : scale.start]))
    ]
    other = next((scale.high for scale in beside if scale.high != HIGHEST[place.mention.item]), None)
    return number if other is None else number.out_of(other)
