"""Pictures to send."""

from pathlib import Path
from typing import NamedTuple

from loadtests.errors import LoadError

GALLERY = Path(__file__).parents[1] / "demo" / "gallery"
_MEDIA_TYPES = {".webp": "image/webp", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}


class Picture(NamedTuple):
    """A picture to send."""

    data: bytes
    media_type: str


def read_pictures(folder: Path | None) -> list[Picture]:
    """The pictures of a folder, by name; the demo's scenes if none is given.

    Raises:
        LoadError: If there are none.
    """
    paths = sorted(GALLERY.glob("study-*.webp") if folder is None else folder.iterdir() if folder.is_dir() else ())
    pictures = [
        Picture(path.read_bytes(), _MEDIA_TYPES[path.suffix.lower()])
        for path in paths
        if path.suffix.lower() in _MEDIA_TYPES
    ]
    if not pictures:
        raise LoadError(
            f"{folder or GALLERY} has no images: give a folder with JPEG, PNG or WebP files with --pictures"
        )
    return pictures
