"""Reads answers that are data: JSON, YAML and XML, flat or nested, and lists of objects."""

import json
import re
from typing import Any

import yaml

from services.scoring.reading.isq.legends import PLACES
from services.scoring.reading.isq.statements import Statement
from services.scoring.reading.isq.trees import DEEPEST, Object, Pairs, read_tree

_MOST_BLOCKS = 24


def read_json(text: str) -> tuple[list[Statement], str]:
    """What the JSON in a text says, and the text around it."""
    decoder = json.JSONDecoder(object_pairs_hook=Object, strict=False)
    statements: list[Statement] = []
    kept: list[str] = []
    bare = not PLACES.search(text.lower())
    done = position = 0
    for _ in range(_MOST_BLOCKS):
        start = re.compile(r"[{\[]").search(text, position)
        if start is None:
            break
        try:
            data, position = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            position = start.end()
            continue
        found = read_tree(data, bare=bare)
        if found:
            statements.extend(found)
            kept.append(text[done : start.start()])
            done = position
    return statements, "\n".join([*kept, text[done:]])


def read_yaml(text: str) -> list[Statement]:
    """What a text says if it is YAML with keys inside of keys."""
    lines = [line for line in text.split("\n") if not re.match(r"\s*(?:```|~~~|#|---\s*$)", line)]
    if not any(re.match(r"[ \t]+\S[^:]{0,60}:|[ \t]*- ", line) for line in lines) or re.search(r"[\[{]{6}", text):
        return []
    first = next((number for number, line in enumerate(lines) if re.match(r"\s*(?:- )?[\w\"' /-]{1,60}:", line)), None)
    if first is None:
        return []
    body = [re.sub(r"\t", "  ", line) for line in lines[first:] if line.strip()]
    # What comes behind the data has no colon and no indent.
    while body and not re.match(r"\s|- |[\w\"' /-]{1,60}:", body[-1]):
        body.pop()
    try:
        return read_tree(_from_yaml(yaml.safe_load("\n".join(body)), DEEPEST))
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError, OverflowError, KeyError):
        return []


def _from_yaml(data: Any, depth: int) -> Any:
    if depth == 0:
        return None
    if isinstance(data, dict):
        return Object([(str(key), _from_yaml(value, depth - 1)) for key, value in list(data.items())[:200]])
    return [_from_yaml(value, depth - 1) for value in data[:200]] if isinstance(data, list) else data


_TAG = re.compile(r"<(?P<end>/?)(?P<name>[a-zA-Z_][\w.-]{0,60})(?P<attributes>(?:\s[^<>]{0,300})?)>")
_ATTRIBUTE = re.compile(r"([\w.-]{1,60})\s?=\s?[\"']([^\"'<>]{0,200})[\"']")


def read_xml(text: str) -> tuple[list[Statement], str]:
    """What the XML in a text says, and the text around it."""
    tags = list(_TAG.finditer(text))
    if not any(tag["end"] or tag["attributes"].rstrip().endswith("/") for tag in tags):
        return [], text
    root: Pairs = []
    open_: list[tuple[str, Pairs]] = [("", root)]
    position = tags[0].start()
    for tag in tags:
        _add_text(open_[-1][1], text[position : tag.start()])
        position = tag.end()
        name = tag["name"]
        if tag["end"]:
            places = [
                place
                for place, element in enumerate(open_[-8:], max(0, len(open_) - 8))
                if element[0] == name and place
            ]
            if places:
                del open_[places[-1] :]
            continue
        inside: Pairs = [(match[1], match[2]) for match in _ATTRIBUTE.finditer(tag["attributes"])]
        open_[-1][1].append((name, inside))
        if not tag["attributes"].rstrip().endswith("/") and len(open_) < DEEPEST:
            open_.append((name, inside))
    found = read_tree(_from_xml(root))
    return found, text[: tags[0].start()] + "\n" + text[tags[-1].end() :] if found else text


def _add_text(pairs: Pairs, text: str) -> None:
    if text.strip():
        pairs.append(("#text", text.strip()))


def _from_xml(pairs: Pairs) -> Any:
    if len(pairs) == 1 and pairs[0][0] == "#text":
        return pairs[0][1]
    return Object([(key, _from_xml(value) if isinstance(value, list) else value) for key, value in pairs])
