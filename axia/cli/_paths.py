"""Pictures that a command was given by paths."""

from pathlib import Path

from axia.cli._output import SUFFIXES


def pictures_at(path: str) -> list[str]:
    """A picture's path as it is; for a folder, the paths of the pictures right in it, sorted.

    Raises:
        FileNotFoundError: If a folder has no picture.
    """
    folder = Path(path)
    if not folder.is_dir():
        return [path]
    found = sorted(
        str(file)
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
    if not found:
        raise FileNotFoundError(f"{path}: there is no JPEG, PNG or WebP picture in this folder: give one that has some")
    return found
