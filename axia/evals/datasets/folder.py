"""A data set's folder: its images, checked, with the paths that a converted file has."""

import os
from pathlib import Path

from axia.evals.annotations.images import checked_sha256
from axia.evals.annotations.record import AnnotationError

_SHOWN = 3


class Images:
    """The images of a data set: finds them, checks each once, and counts the missing ones."""

    def __init__(self, root: Path, out: Path, *, skip_missing: bool) -> None:
        self._root, self._out, self._skip = root, out, skip_missing
        self._hashes: dict[Path, str] = {}
        self.missing: list[str] = []
        """Names of the missing ones, each with its place."""

    def get(self, name: object, place: str) -> str | None:
        """The path of an image as the converted file has it; None where it is missing, which `finish` reports.

        Raises:
            AnnotationError: If the name is no path below the folder, or the file is no image that axia takes.
        """
        if not isinstance(name, str) or not name.strip():
            raise AnnotationError(f"{place}: the image path must be a text that is not empty, but is {name!r}")
        file = Path(os.path.normpath(self._root / name.strip().replace("\\", "/")))
        if not file.is_relative_to(os.path.normpath(self._root)):
            raise AnnotationError(f"{place}: {name!r} is not below {self._root}")
        if not os.path.isfile(file):  # where a name is too long for a file, a Path raises
            self.missing.append(f"{name} ({place})")
            return None
        if file not in self._hashes:
            self._hashes[file] = checked_sha256(file, place, "leave its row out")
        return Path(os.path.relpath(file, self._out.parent)).as_posix()

    def finish(self) -> None:
        """Ends a conversion.

        Raises:
            AnnotationError: If images are missing and may not be left out.
        """
        if not self._hashes:
            raise AnnotationError(f"{self._root} has none of the images that are named: put them there")
        if self.missing and not self._skip:
            first = ", ".join(self.missing[:_SHOWN])
            raise AnnotationError(
                f"{len(self.missing)} images are missing below {self._root}, such as {first}: put them there, or leave "
                "their rows out with --skip-missing"
            )

    def same(self) -> list[tuple[Path, Path]]:
        """Pairs of files that are the same image."""
        seen: dict[str, Path] = {}
        return [(first, file) for file, sha in self._hashes.items() if (first := seen.setdefault(sha, file)) != file]


def file_of(folder: Path, name: str, what: str) -> Path:
    """A file or folder of a data set.

    Raises:
        AnnotationError: If it is not there.
    """
    if not folder.is_dir():
        raise AnnotationError(f"there is no folder {folder}: give the folder of the data set")
    path = folder / name
    if not path.exists():
        raise AnnotationError(
            f"{folder} has no {name}, {what}: check that this is the folder that docs/datasets describes"
        )
    return path
