"""Writes a calibrated threshold into the gateway's routing table (docs/routing.md), and nothing else of that file."""

import re
import tomllib
from typing import Any

_MODEL = re.compile(r"^\s*\[\[\s*model\s*\]\]")
_DEFAULTS = re.compile(r"^\s*\[\s*model\.defaults\s*\]")
_HEADER = re.compile(r"^\s*\[")


class RoutingTableError(ValueError):
    """A routing table that can't be changed; the message says what to do."""


def set_defaults(text: str, model: str, values: dict[str, float | int]) -> str:
    """The table with these defaults of a model, comments and all else as they were.

    Raises:
        RoutingTableError: If the text is no TOML, has no such model, or writes its defaults in another form than a
            ``[model.defaults]`` part.
    """
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RoutingTableError(f"the routing table is not valid TOML ({error})") from None
    models: list[dict[str, Any]] = before.get("model", [])
    names = [entry.get("name", "") for entry in models]
    if model not in names:
        raise RoutingTableError(
            f"the routing table has no model {model!r} (it has {', '.join(filter(None, names)) or 'none'}): "
            "name it there as the gateway does"
        )
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if _MODEL.match(line)]
    place = names.index(model)
    if len(starts) != len(models):
        raise RoutingTableError("write each model of the routing table as a [[model]] part")
    end = starts[place + 1] if place + 1 < len(starts) else len(lines)
    part = lines[starts[place] : end]
    wanted = [f"{name} = {value}" for name, value in values.items()]
    at = next((number for number, line in enumerate(part) if _DEFAULTS.match(line)), None)
    if at is None:
        first = next((number for number, line in enumerate(part[1:], 1) if _HEADER.match(line)), len(part))
        while first > 1 and not part[first - 1].strip():
            first -= 1
        part[first:first] = ["", "[model.defaults]", *wanted]
    else:
        stop = next((number for number, line in enumerate(part[at + 1 :], at + 1) if _HEADER.match(line)), len(part))
        kept = [line for line in part[at + 1 : stop] if line.partition("=")[0].strip() not in values]
        part[at + 1 : stop] = [*wanted, *kept]
    after = "\n".join([*lines[: starts[place]], *part, *lines[end:]]) + "\n"
    models[place]["defaults"] = {**models[place].get("defaults", {}), **values}
    try:
        same = tomllib.loads(after) == before
    except tomllib.TOMLDecodeError:
        same = False
    if not same:
        raise RoutingTableError(f"write the defaults of {model} in the routing table as a [model.defaults] part")
    return after
