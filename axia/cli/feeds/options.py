"""Options of `axia feed`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from feed.platforms import Platform
    from feed.videos import Library

Folder = Annotated[
    Path | None,
    typer.Option(
        "--videos",
        metavar="DIR",
        help="Your own folder: each image is a video, and each subfolder is one video of its images.",
        show_default="the demo's",
    ),
]
Personas = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="A TOML file with `traits` and `weights`, or a folder of such files (repeatable).",
        show_default="the demo's",
    ),
]
Platforms = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Platform: tiktok, instagram or youtube (repeatable).", show_default="all three"),
]
Phase = Annotated[int, typer.Option(min=1, max=1000, help="Videos of each of the three phases.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same videos.")]
Processes = Annotated[int, typer.Option(min=1, max=64, help="Number of processes for the simulation.")]


def library_of(folder: Path | None) -> "Library":
    """The videos of a folder, or the demo's.

    Raises:
        FeedError: The folder has none.
    """
    if folder is None:
        from feed.demo_videos import DemoVideos

        return DemoVideos()
    from axia.cli._output import complain, some
    from feed.folder_videos import FolderVideos

    videos = FolderVideos(folder)
    if videos.skipped:
        complain(f"{folder}: left out, because they have no image: {some(videos.skipped)}")
    return videos


def chosen_platforms(names: list[str] | None) -> "list[Platform]":
    """The platforms with these names, or all.

    Raises:
        typer.BadParameter: There is no such platform.
    """
    from feed.platforms import PLATFORMS

    if unknown := [name for name in names or () if name not in PLATFORMS]:
        raise typer.BadParameter(f"no platform {unknown[0]}; there are {', '.join(PLATFORMS)}", param_hint="--platform")
    return [PLATFORMS[name] for name in dict.fromkeys(names or PLATFORMS)]
