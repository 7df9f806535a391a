"""Writes the chart's values.schema.json and README.md from the comments of values.yaml.

Run it after a change of values; a test compares: python -m scripts.chart_doc"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

CHART = Path(__file__).parents[1] / "helm" / "axia"
SCHEMA = CHART / "values.schema.json"
README = CHART / "README.md"

_KEY = re.compile(r"^(?P<indent> *)(?P<dash>- )?(?P<name>[A-Za-z0-9]+):")
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
_QUANTITY = {"type": ["string", "number"]}
_EGRESS = {"cidr": {"type": "string", "pattern": "/[0-9]+$"}, "port": {"type": "integer", "minimum": 1}}
_COUNT = {"type": "integer", "minimum": 1}
_TEMPERATURE = {"type": "number", "minimum": 0, "maximum": 2}
_TOP_P = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
_POSITIVE = {"type": "number", "exclusiveMinimum": 0}


def _closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    closed: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return closed | ({"required": list(required)} if required else {})


_IMAGES = (
    "gateway", "http", "scoring", "retrieval", "inference-remote", "inference-cpu", "inference-cuda", "demo",
    "loadtests",
)  # fmt: skip
_ROOM = _closed({"cpu": _QUANTITY, "memory": _QUANTITY, "ephemeral-storage": _QUANTITY}, "cpu", "memory")
_DEFINITIONS = {
    "object": {"type": "object"},
    # A misspelt component would leave its image without a digest, and say nothing.
    "digests": _closed({name: {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"} for name in _IMAGES}),
    "egress": _closed(_EGRESS, "cidr", "port"),
    "resources": _closed({"requests": _ROOM, "limits": _ROOM}, "requests", "limits"),
    "hpa": _closed(
        {
            "enabled": {"type": "boolean"}, "min": _COUNT, "max": _COUNT,
            "cpuPercent": {"type": "integer", "minimum": 1, "maximum": 100},
        },
        "enabled", "min", "max", "cpuPercent",
    ),
    "defaults": _closed(
        {
            "temperature": _TEMPERATURE, "top_p": _TOP_P, "max_tokens": _COUNT, "n": _COUNT,
            "prompt_id": {"type": "string"},
            "abstain_threshold": {"type": "number", "minimum": 0, "maximum": 1},
            "calibrated_coverage": {"type": "number", "minimum": 0, "maximum": 1},
            "calibrated_images": {"type": "integer", "minimum": 1},
        }
    ),
    "limits": _closed({
        "max_n": _COUNT, "max_tokens": _COUNT, "concurrency": _COUNT, "replica_completions": _COUNT,
        "timeout_s": _POSITIVE,
    }),
}  # fmt: skip


class Value(NamedTuple):
    """One key of values.yaml."""

    path: tuple[str, ...]
    default: Any
    meaning: str
    narrowed: dict[str, Any]
    """What its comment says of its type."""


def values() -> Iterator[Value]:
    """Every key that has a comment, in the file's order."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    tree = yaml.safe_load(text)
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        if line.strip().startswith("#"):
            comment.append(line.strip().removeprefix("#").strip())
            continue
        if (found := _KEY.match(line)) and comment:
            indent = len(found["indent"])
            path = [part for part in path if part[0] < indent] + [(indent, found["name"])]
            names = tuple(name for _, name in path)
            if names[0] != "models" or len(names) == 1:
                default = tree
                for name in names:
                    default = default[name]
                said = [remark for remark in comment if not remark.startswith("@schema")]
                narrowed = [
                    json.loads(remark.removeprefix("@schema")) for remark in comment if remark.startswith("@schema")
                ]
                yield Value(names, default, " ".join(said), narrowed[0] if narrowed else {})
        comment = []


def schema() -> str:
    """The schema, as text. It knows every key and refuses others."""
    root: dict[str, Any] = _closed({})
    for value in values():
        parent = root
        for name in value.path[:-1]:
            parent = parent["properties"][name]
        value_schema: dict[str, Any] = {"description": value.meaning}
        if "$ref" not in value.narrowed and "enum" not in value.narrowed:
            value_schema["type"] = _TYPES[type(value.default)]
        if value_schema.get("type") == "object" and not value.narrowed:
            value_schema |= {"properties": {}, "additionalProperties": False}
        parent["properties"][value.path[-1]] = value_schema | value.narrowed
    defaults = root["properties"]["modelDefaults"]["properties"]
    entry = {
        "name": {"type": "string", "minLength": 1},
        "engine": {"enum": ["vllm", "openai", "scripted"]},
        "default": {"type": "boolean"},
    }
    models = {"type": "array", "minItems": 1, "items": _closed(entry | defaults, "name", "engine")}
    root = {"$schema": "https://json-schema.org/draft-07/schema#", **root, "$defs": {**_DEFINITIONS, "models": models}}
    return json.dumps(root, indent=2, ensure_ascii=False) + "\n"


def readme() -> str:
    """The table of values, as a page."""
    rows = []
    for value in values():
        shown = "" if isinstance(value.default, dict | list) and value.default else f"`{json.dumps(value.default)}`"
        if value.path == ("models",):
            shown = "one scripted model"
        meaning = value.meaning.replace("|", "\\|")
        rows.append(f"| `{'.'.join(value.path)}` | {shown} | {meaning} |")
    head = (
        "# Chart\n\n`docs/kubernetes.md` says how to use it. `python -m scripts.chart_doc` writes this table from "
        "`values.yaml`.\n\n| value | default | meaning |\n| --- | --- | --- |\n"
    )
    return head + "\n".join(rows) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")
    print("wrote values.schema.json and README.md")
