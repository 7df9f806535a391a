"""Screenshots into the gateway's index, each once, so that a run that was killed continues where it was.

`collection.jsonl` in the run's folder has, a line each: what is collected; every new screenshot, after its file; every
screenshot that looks like one before and is left out; every acknowledgement of the index. A screenshot counts once it
is acknowledged; one that isn't is sent again, which stores nothing twice, because ids are hashes of the content.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import axia
from agent import AgentError
from agent.hashing import alike
from agent.record import drop_half_line, write_whole
from agent.watching import Kept
from axia.inputs import ImageMetadata, SearchFilter
from axia.lexicon import VALUES

NAME = "collection.jsonl"
_BATCH = 8
"""Screenshots that are sent together."""
_RETRY_S = 120.0
"""Time for which an index that doesn't answer is asked again."""
_LONGEST_PAUSE_S = 5.0
_NEAREST = 1000
"""Pictures of a keyword that are looked at for the datasheet: the most that a search gives."""


class Asked(NamedTuple):
    """What is collected; the same for each run in a folder."""

    url: str
    platform: str
    run: str

    @property
    def source(self) -> str:
        """Where the index says that the screenshots come from."""
        return f"{self.url} run {self.run}"[:1024]


class Collection:
    """The screenshots of one folder.

    Args:
        folder: of the run; what is in it is gone on with.
        asked: what is collected.
        wanted: screenshots.
        client: of the gateway.
        sleep: waits before the index is asked again.

    Raises:
        AgentError: the folder has a collection of something else, or a damaged file.
    """

    def __init__(
        self,
        folder: Path,
        asked: Asked,
        wanted: int,
        client: axia.Client,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.folder, self.asked, self._wanted, self._client, self._sleep = folder, asked, wanted, client, sleep
        self._shots: dict[str, dict[str, Any]] = {}
        self._hashes: list[int] = []
        self._acknowledged: set[str] = set()
        self.left_out = 0
        """Screenshots that look like one before."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / NAME
        drop_half_line(self._path)
        for row in self._rows():
            self._remember(row)
        if not self._path.exists():
            self._append({"collection": asked._asdict()})

    @property
    def acknowledged(self) -> int:
        """Screenshots that the index has."""
        return len(self._acknowledged)

    @property
    def complete(self) -> bool:
        """Whether as many were taken as are wanted."""
        return len(self._shots) >= self._wanted

    def take(self, kept: Kept) -> bool:
        """Takes a screenshot, unless it looks like one before; whether more are wanted.

        Raises:
            AgentError: the index doesn't answer, or refuses a screenshot.
        """
        if self.complete:
            return False
        sha256 = hashlib.sha256(kept.picture).hexdigest()
        if any(alike(kept.perceptual_hash, other) for other in self._hashes):
            self._add({"left_out": sha256})
        else:
            shot = {"path": kept.path, "sha256": sha256, "perceptual_hash": f"{kept.perceptual_hash:016x}"}
            self._add({"shot": shot | {"url": kept.url, "at": kept.at.isoformat()}})
        if len(self._pending()) >= _BATCH or self.complete:
            self.send()
        return not self.complete

    def send(self) -> None:
        """Sends what isn't acknowledged yet, again and again for two minutes if the index doesn't answer.

        Raises:
            AgentError: it still doesn't answer, or it refuses a screenshot.
        """
        pause, until = 0.2, time.monotonic() + _RETRY_S
        while pending := self._pending():
            try:
                for result in self._client.index_images(self._described(pending), timeout=60.0):
                    if not isinstance(result, axia.Indexed):
                        raise AgentError(f"the index refuses {result.path}: {result.message}")
                    self._add({"acknowledged": result.id, "duplicate": result.duplicate})
            except (axia.Unavailable, axia.DeadlineExceeded, axia.ServerError, axia.FailedPrecondition) as error:
                if time.monotonic() > until:
                    raise AgentError(
                        f"the index doesn't answer ({error}); {self.acknowledged} screenshots are in it: run the same "
                        "command again to continue"
                    ) from error
                self._sleep(pause)
                pause = min(_LONGEST_PAUSE_S, 2 * pause)

    def datasheet(self) -> dict[str, Any]:
        """What the collection is, in figures."""
        times = sorted(shot["at"] for shot in self._shots.values())
        return {
            **self.asked._asdict(),
            "source": self.asked.source,
            "screenshots": len(self._shots),
            "acknowledged": self.acknowledged,
            "look_alikes_left_out": self.left_out,
            "platforms": {self.asked.platform: len(self._shots)},
            "first": times[0] if times else None,
            "last": times[-1] if times else None,
            "nearest_values": self._nearest_values(),
            "axia_version": axia.__version__,
        }

    def write_datasheet(self) -> Path:
        """Writes `datasheet.json` and `datasheet.md`; the latter's path."""
        sheet = self.datasheet()
        write_whole(self.folder / "datasheet.json", (json.dumps(sheet, indent=2) + "\n").encode())
        path = self.folder / "datasheet.md"
        write_whole(path, _markdown(sheet).encode())
        return path

    def _nearest_values(self) -> dict[str, int] | None:
        """Screenshots by the value whose keywords the index's encoder finds nearest; None if it can't be asked."""
        best: dict[str, tuple[float, str]] = {}
        only = SearchFilter(sources=(self.asked.source,))
        try:
            for value in VALUES:
                found = self._client.search_value(value, k=min(_NEAREST, max(1, len(self._shots))), filter=only)
                for keyword in found.keywords:
                    for hit in keyword.hits:
                        best[hit.id] = max(best.get(hit.id, (-2.0, "")), (hit.score, value))
        except axia.AxiaError:
            return None
        counts = Counter(value for _, value in best.values())
        return {value: counts[value] for value in VALUES}

    def _described(self, pending: list[str]) -> Iterator[tuple[Path, ImageMetadata]]:
        for sha256 in pending:
            shot = self._shots[sha256]
            yield (
                self.folder / shot["path"],
                ImageMetadata(
                    platform=self.asked.platform,
                    capture_time=datetime.fromisoformat(shot["at"]),
                    source=self.asked.source,
                ),
            )

    def _pending(self) -> list[str]:
        return [sha256 for sha256 in self._shots if sha256 not in self._acknowledged]

    def _add(self, row: dict[str, Any]) -> None:
        self._append(row)
        self._remember(row)

    def _append(self, row: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _remember(self, row: dict[str, Any]) -> None:
        if "collection" in row:
            if row["collection"] != self.asked._asdict():
                raise AgentError(
                    f"{self.folder} has a collection of {row['collection']['url']} (run {row['collection']['run']}): "
                    "give another --out"
                )
        elif "shot" in row:
            self._shots[row["shot"]["sha256"]] = row["shot"]
            self._hashes.append(int(row["shot"]["perceptual_hash"], 16))
        elif "acknowledged" in row:
            self._acknowledged.add(row["acknowledged"])
        else:
            self.left_out += 1

    def _rows(self) -> Iterator[dict[str, Any]]:
        if not self._path.exists():
            return
        for number, line in enumerate(self._path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                yield json.loads(line)
            except ValueError:
                raise AgentError(f"{self._path}, line {number}: this is not JSON") from None


def known_run(folder: Path) -> str | None:
    """The run whose collection a folder has; None if it has none."""
    try:
        with (folder / NAME).open(encoding="utf-8") as file:
            return str(json.loads(file.readline())["collection"]["run"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _markdown(sheet: dict[str, Any]) -> str:
    values = sheet["nearest_values"]
    lines = [
        f"# Screenshots of {sheet['url']}",
        "",
        "Before you publish them, clear the rights of the people who made the videos and of the people in them.",
        "",
        "| | |",
        "| --- | --- |",
        f"| run | {sheet['run']} |",
        f"| source in the index | {sheet['source']} |",
        f"| screenshots | {sheet['screenshots']}, of which the index has {sheet['acknowledged']} |",
        f"| left out because they look like one before | {sheet['look_alikes_left_out']} |",
        *(f"| platform {name or '(none)'} | {count} |" for name, count in sheet["platforms"].items()),
        f"| taken | {sheet['first']} to {sheet['last']} |",
        f"| axia | {sheet['axia_version']} |",
        "",
        "## Values",
        "",
    ]
    if values is None:
        return "\n".join([*lines, "The index could not be asked for them.", ""])
    rows = [f"| {value} | {count} |" for value, count in values.items()]
    note = (
        "Each screenshot counts for the value whose keywords the index's encoder finds nearest; nobody labelled them."
    )
    return "\n".join([*lines, note, "", "| value | screenshots |", "| --- | --- |", *rows, ""])
