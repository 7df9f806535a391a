"""The videos of a feed, and what a model is shown of each."""

import base64
import io
from functools import cache, lru_cache
from pathlib import Path

from PIL import Image

from axia._pictures import FORMATS
from feed.demo_videos import DemoVideos
from feed.folder_videos import FolderVideos
from feed.videos import Library, Video

DEMO = "demo"
"""Name of the demo's videos, in place of a folder."""
_KEPT = 2048
"""Screenshots in memory: personas on one platform see the same ones."""


@cache
def library_of(feed: str) -> Library:
    """The demo's videos, or those of a folder.

    Raises:
        FeedError: The folder has none.
    """
    return DemoVideos() if feed == DEMO else FolderVideos(Path(feed))


@lru_cache(_KEPT)
def screenshot(feed: str, video: Video, platform: str) -> str:
    """A video as the platform shows it, as a data URI."""
    data = library_of(feed).screenshot(video, platform)
    with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
        kind = str(opened.format).lower()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
