"""Reads tables of an answer, in Markdown, HTML or CSV, and answers that are nothing but numbers in order."""

import re
from collections.abc import Iterator, Sequence

from services.scoring.reading.isq.amounts import Amount, amounts, listed, whole_amount
from services.scoring.reading.isq.legends import PLACES
from services.scoring.reading.isq.links import is_count
from services.scoring.reading.isq.names import full_names, item_of
from services.scoring.reading.isq.statements import HIGHEST, Statement, as_yes_or_no, state

_SCORE = re.compile(
    r"\b(?:score|rating|rate|points?|marks?|grade|value|result|answer|your?|my|me|note|bewertung|punkte?|wert|puntuación|"
    r"puntaje|calificación|punteggio|nota|valor|valeur)\b|分|评|評|점수|оценка"
)
_BOUND = re.compile(r"\b(?:max|maximum|range|scale|out of|skala|bereich|rango|escala|échelle|possible)\b|范围|範囲")
_IGNORED = re.compile(
    r"\b(?:min|minimum|weight|weighting|importance|confidence|certainty|std|deviation|error|count|page|percentile|rank|no|nr)"
    r"\b|#|(?:^| )symbol(?:$| )|权重"
)
_OUT_OF = re.compile(r"(?:out of|/) ?(\d{1,3})")
_RULE = re.compile(r"[\s|:+=_-]*")
_MOST_CELLS = 24
_LONGEST_CELL = 160


def read_tables(text: str) -> tuple[list[Statement], str]:
    """What the tables of a folded text say, and the text without the rows that were read."""
    statements: list[Statement] = []
    rest: list[str] = []
    block: list[str] = []
    for line in [*text.split("\n"), ""]:
        if _separator(line, block[0] if block else None):
            block.append(line)
            continue
        if block:
            found, left = _read_block(block)
            statements.extend(found)
            rest.extend(left)
        block = [line] if _separator(line, None) else []
        if not block:
            rest.append(line)
    return statements, "\n".join(rest)


def _separator(line: str, first: str | None) -> str:
    """What separates the cells of a line; empty if it is no row, or none of the table that begins with `first`."""
    kinds = ("|", "\t", ";", ",") if first is None else (_separator(first, None),)
    for kind in kinds:
        # Commas and semicolons are everywhere: only a heading tells that they make a table.
        if kind and kind in line and (kind in "|\t" or first is not None or _is_heading(line, kind)):
            return kind
    return ""


def _is_heading(line: str, separator: str) -> bool:
    cells = line.split(separator, _MOST_CELLS)
    short = len(cells) > 1 and len(line) < _LONGEST_CELL
    return short and not re.search(r"\d", line) and any(_SCORE.search(cell) for cell in cells)


def _read_block(block: Sequence[str]) -> tuple[list[Statement], list[str]]:
    separator = _separator(block[0], None)
    rows = [[cell.strip(" \t*_\"'") for cell in line.strip(" \t|>").split(separator, _MOST_CELLS)] for line in block]
    heading = next((row for row in rows if not any(map(_names_item, row)) and not _is_rule(row)), [])
    if rows and heading is not rows[0]:
        heading = []
    statements: list[Statement] = []
    left: list[str] = []
    for row, line in zip(rows, block, strict=True):
        row_statements = _read_row(row, heading)
        if row_statements:
            statements.append(row_statements)
        elif not _is_rule(row):
            left.append(line)
    return statements, left


def _is_rule(row: Sequence[str]) -> bool:
    return all(_RULE.fullmatch(cell) for cell in row)


def _names_item(cell: str) -> bool:
    return bool(cell) and len(cell) < _LONGEST_CELL and bool(full_names(cell))


def _read_row(row: Sequence[str], heading: Sequence[str]) -> Statement | None:
    """What a row says of the one item that it names in a cell of its own; None if it is no such row."""
    names = [place for place, cell in enumerate(row[:4]) if item_of(_named(cell)) is not None]
    if not names or any(_names_item(cell) and not _sentence(cell) for cell in row[names[0] + 1 :]):
        return None
    name = names[0]
    if any(not amount.is_scale for amount in amounts(re.sub(r"^\W*\d{1,2}[.)]", "", row[name]))):
        return None
    item = item_of(_named(row[name]))
    if item is None:
        return None
    cells = [
        (heading[place] if len(heading) == len(row) else "", cell) for place, cell in enumerate(row) if place > name
    ]
    cells = [cell for cell in cells if not _IGNORED.search(cell[0])]
    cells = cells or [("", row[place]) for place in range(name)]
    scored = [cell for cell in cells if _is_score(cell[0])]
    # "Score (0-10)" above all six items says nothing of those from 0 to 1.
    headed = [amount.high for label, _ in scored for amount in amounts(label) if amount.is_scale]
    headed += [float(match[1]) for label, _ in scored for match in [_OUT_OF.search(label)] if match]
    headed = [highest for highest in headed if highest != max(HIGHEST)]
    bounds = [
        amount.high
        for label, cell in cells
        if _is_bound(label) or not label
        for amount in amounts(cell)
        if amount.is_scale
    ]
    bounds += [amount.low for label, cell in cells if _is_bound(label) for amount in [whole_amount(cell)] if amount]
    scale = next((highest for highest in [*bounds, *_scales(row[name]), *headed] if highest != HIGHEST[item]), None)
    found = [statement for statement in (_read_cell(item, cell, scale) for _, cell in scored) if statement]
    found = found or [
        statement
        for statement in (_read_cell(item, cell, scale) for label, cell in cells if not _is_bound(label))
        if statement
    ]
    if not found:
        return None
    numbers = {statement.number for statement in found}
    return found[0] if len(numbers) == 1 else Statement(item, None)


def _is_score(label: str) -> bool:
    return _SCORE.search(label) is not None and not _is_bound(label)


def _is_bound(label: str) -> bool:
    """Whether a column holds scales; "Rating out of 5" holds scores."""
    return _BOUND.search(_OUT_OF.sub("", label)) is not None


def _named(cell: str) -> str:
    """A cell that may be a name: not a reason that has one in it."""
    return "" if _sentence(cell) else cell


def _sentence(cell: str) -> bool:
    return len(cell) > 80 or len(re.sub(r"\([^()]*\)", "", cell).split()) > 6  # noqa: PLR2004


def _scales(cell: str) -> list[float]:
    return [amount.high for amount in amounts(cell) if amount.is_scale]


def _read_cell(item: int, cell: str, scale: float | None) -> Statement | None:
    number = whole_amount(cell)
    if number is None:
        for amount in amounts(cell)[:1]:  # "8 - warm light", "⭐ 8", "8/10 (bright)"
            if not amount.is_scale and not is_count(cell, amount) and re.fullmatch(r"[^\w<>]*", cell[: amount.start]):
                number = amount
    if number is None:
        return as_yes_or_no(item, cell)
    return state(item, number if scale is None else number.out_of(scale))


_COUNTER = r"[^\w\n]*(?:(?:q|item|question|no|nr|rating|score)\.? ?)?#?\(?(?P<counter>[1-6]|[a-f])\)?[.):=-]{1,2}\s*"
_COUNTED_LINE = re.compile(_COUNTER)
_COUNTED = re.compile(r"(?:^|[\s,;|(])\(?([1-6])[).:=]{1,2} ?")
_TOTAL = re.compile(r"total|sum\b|average|mean\b|overall|gesamt|总|平均")
_REORDERED = re.compile(r"reverse|backward|opposite order|different order|alphabetical|(?:lowest|highest) to|rank")


def read_bare(text: str) -> list[Statement]:
    """Six numbers in the questionnaire's order, in a folded text that names no item beside a number."""
    if _REORDERED.search(text) or PLACES.search(text):
        return []
    lines = [line.strip() for line in text.split("\n")]
    lines = [line for line in lines if line and re.search(r"[a-z\d一-鿿]", line) and not _TOTAL.search(line)]
    read = _read_lines(lines)
    if read is None:
        found = [read for read in map(_read_line, lines) if read]
        read = found[0] if len(found) == 1 or (found and all(_alike(found[0], read) for read in found[1:])) else None
    return [state(item, number) for item, number in enumerate(read)] if read else []


def _alike(one: Sequence[Amount], other: Sequence[Amount]) -> bool:
    return [(amount.low, amount.high, amount.scale) for amount in one] == [
        (amount.low, amount.high, amount.scale) for amount in other
    ]


def _read_lines(lines: Sequence[str]) -> list[Amount] | None:
    """Six lines in a row that each begin with a number; all of them counted, or none."""
    if any(full_names(line) and amounts(line) for line in lines):
        return None
    counted = [_COUNTED_LINE.sub("", line, count=1) if _COUNTED_LINE.match(line) else None for line in lines]
    for candidates in (counted, lines):
        numbers = [_leading(line) if line is not None else None for line in candidates]
        runs = [list(run) for run in _runs(numbers)]
        if len(runs) == 1 and len(runs[0]) == len(HIGHEST):
            places = [place for place, number in enumerate(numbers) if number]
            if candidates is lines or _in_order([lines[place] for place in places]):
                return runs[0]
    return None


def _in_order(lines: Sequence[str]) -> bool:
    counters = [_COUNTED_LINE.match(line) for line in lines]
    return "".join(match["counter"] for match in counters if match) in ("123456", "abcdef")


def _runs(numbers: Sequence[Amount | None]) -> Iterator[list[Amount]]:
    run: list[Amount] = []
    for number in [*numbers, None]:
        if number:
            run.append(number)
        elif run:
            yield run
            run = []


def _leading(line: str) -> Amount | None:
    """The number that a line begins with, alone or before a remark."""
    found = [amount for amount in amounts(line) if not amount.is_scale]
    if not found or not re.fullmatch(
        r"[^\w\n<>]{0,6}(?:(?:score|rating|approx|about)\W{1,3})?", line[: found[0].start]
    ):
        return None
    return None if is_count(line, found[0]) or re.match(r"[\s,;|]+\d", line[found[0].end :]) else found[0]


def _read_line(line: str) -> list[Amount] | None:
    """Six numbers in one line, with or without counters and words in front."""
    counters = [match[1] for match in _COUNTED.finditer(line)]
    if "".join(counters) == "123456":
        parts = [part for part in _COUNTED.split(line)[2::2] if part]
        numbers = [whole_amount(part.strip(" ,;|")) for part in parts]
        read = [number for number in numbers if number]
        return read if len(read) == len(HIGHEST) else None
    plain = line.strip(" ()[]{}.")
    if re.fullmatch(r"[\d.,]+", plain) and plain.count(",") == len(HIGHEST) - 1:  # "8,7,6,5,0.7,0.4"
        return listed(plain, len(HIGHEST))
    found = amounts(line)
    if not found or re.search(r"\d", line[: found[0].start]):
        return None
    start = found[0].start
    in_front = line[:start]
    if re.search(r"[a-z]", in_front) and not re.search(
        r"[:=(\[{-]\W*$|\b(?:are|is|be|give|be as follows|say)\W*$", in_front
    ):
        return None
    line = re.sub(r"[ ,]*\([^()\d]{3,80}\)\W*$", "", line)
    end = re.search(
        r"[^\d%a-z]*(?:respectively|in (?:that|this|the) (?:same )?order(?: \w+)?|in order)?[^\d%a-z]*$", line
    )
    return listed(line[start : end.start() if end else None], len(HIGHEST))
