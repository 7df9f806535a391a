"""Pictures in a folder, or in any store that fsspec knows: S3, Google Cloud Storage, Azure, memory and others.

A picture lies at ab/cd/<its SHA-256>, where ab and cd are the first digits, so that no folder grows large.
"""

import asyncio
import errno
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from services.retrieval.pictures.folder import PictureFolder
from services.serving.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, ServiceError, Unavailable

Result = TypeVar("Result")

WORKERS = 8
"""Threads by default: on a local disk more of them write no faster."""

_ID = re.compile(r"[0-9a-f]{64}")
_DRIVERS = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs",
    "oci": "ocifs", "oss": "ossfs", "hdfs": "pyarrow", "sftp": "paramiko", "ssh": "paramiko", "smb": "smbprotocol",
    "webhdfs": "requests",
}  # fmt: skip
"""Packages that hold the drivers of common protocols."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
_RETRY_S = 30.0


class FsspecPictureStore:
    """Keeps pictures under a URL; see `PictureStore`.

    In a folder, a picture that `put` has returned for survives a kill of the process and a loss of power, and a
    half-written one is never seen. An object store gives the same by itself.

    Args:
        url: A folder, or a URL such as ``s3://bucket/pictures``. Credentials come from where the driver looks for them,
            such as AWS_ACCESS_KEY_ID.
        workers: Threads that read and write.

    Raises:
        FailedPrecondition: If the driver isn't installed or the folder can't be written; says what to do.
        ResourceExhausted: If the disk is full.
    """

    def __init__(self, url: str, workers: int = WORKERS) -> None:
        self._url = url
        self._files: PictureFolder | _Objects
        filesystem, root = _open(url)
        with _told(url):
            local = "file" in _protocols(filesystem)
            self._files = PictureFolder(Path(root)) if local else _Objects(filesystem, root)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="picture-store")

    @property
    def name(self) -> str:
        """Its folder or URL, without a user and password."""
        return _shown(self._url)

    async def put(self, picture_id: str, data: bytes) -> bool:
        """Stores a picture durably and whole; returns whether it was not there."""
        return await self._run(self._files.write, _place(picture_id), data)

    async def get(self, picture_id: str) -> bytes | None:
        """A picture's bytes; None if there is none of this id."""
        return await self._run(self._files.read, _place(picture_id))

    async def delete(self, picture_ids: Sequence[str]) -> None:
        """Deletes pictures durably; those that are not there are left alone."""
        places = [_place(picture_id) for picture_id in picture_ids]
        deletes = (self._run(self._files.delete, place) for place in places)
        # All have ended when this does: a picture that comes again must not meet a delete of before.
        for result in await asyncio.gather(*deletes, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def pages(self) -> AsyncIterator[list[str]]:
        """The ids of all pictures, some at a time."""
        names = self._files.names()
        while (page := await self._run(next, names, None)) is not None:
            yield [name for name in page if _ID.fullmatch(name)]

    async def check(self) -> None:
        """Looks whether it answers."""
        await self._run(self._files.check)

    async def close(self) -> None:
        """Ends the threads once what was begun is written."""
        await asyncio.to_thread(self._pool.shutdown)

    async def _run(self, call: Callable[..., Result], *args: object) -> Result:
        def work() -> Result:
            with _told(self._url):
                return call(*args)

        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


class _Objects:
    """Objects by name, as `PictureFolder` holds files; each is written whole by the store itself."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self._filesystem = filesystem
        self._root = root.rstrip("/")

    def write(self, name: str, data: bytes) -> bool:
        path = f"{self._root}/{name}"
        try:
            # Some stores, such as SFTP, write in place: what a broken connection left there is written anew.
            if self._filesystem.info(path).get("size") == len(data):
                return False
        except FileNotFoundError:
            pass
        self._filesystem.pipe_file(path, data)
        return True

    def read(self, name: str) -> bytes | None:
        try:
            return bytes(self._filesystem.cat_file(f"{self._root}/{name}"))
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        try:
            self._filesystem.rm_file(f"{self._root}/{name}")
        except FileNotFoundError:
            return

    def names(self) -> Iterator[list[str]]:
        for _, _, files in self._filesystem.walk(self._root):
            yield list(files)

    def check(self) -> None:
        self._filesystem.exists(self._root)


def _open(url: str) -> tuple[Any, str]:
    import fsspec.core

    protocol = fsspec.core.split_protocol(url)[0] or "file"
    if not url:
        raise _no_store(url)  # fsspec would take the working directory
    try:
        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]  # fsspec has no types
    except ImportError as error:
        driver = _DRIVERS.get(protocol, f"the package of fsspec's driver for {protocol}")
        raise FailedPrecondition(
            f"the image store {_shown(url)} needs a driver: pip install {driver}", reason="PICTURE_STORE_DRIVER"
        ) from error
    except ValueError as error:
        raise _no_store(url) from error


def _no_store(url: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"the image store {_shown(url) or '(unset)'} is neither a folder nor a URL that fsspec knows; set "
        "AXIA_RETRIEVAL_PICTURES to one, such as s3://bucket/pictures",
        reason="PICTURE_STORE_URL",
    )


def _protocols(filesystem: Any) -> tuple[str, ...]:
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _place(picture_id: str) -> str:
    """Relative path of a picture. An id comes from callers and becomes a path, so nothing but digits passes."""
    if not _ID.fullmatch(picture_id):
        raise InvalidArgument("id", "must be a SHA-256 as 64 lower-case hexadecimal digits", reason="PICTURE_ID")
    return f"{picture_id[:2]}/{picture_id[2:4]}/{picture_id}"


def _shown(url: str) -> str:
    """A URL without a user and password that it may hold."""
    return re.sub(r"//[^/]*@", "//", url)


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Turns what a store raises into what a caller is told."""
    try:
        yield
    except ServiceError:
        raise
    except Exception as error:  # drivers raise types of their own, those of HTTP clients among them
        raise _as_service_error(f"the image store {_shown(url)}", error) from error


def _as_service_error(store: str, error: Exception) -> ServiceError:
    number = error.errno if isinstance(error, OSError) else None
    if number in _FULL:
        return ResourceExhausted(
            f"{store} is full; delete images or give it a larger disk, then try again",
            reason="PICTURE_STORE_FULL",
            retry_after_s=_RETRY_S,
        )
    # fsspec raises NotImplementedError for what a driver can't do, as those that only read. Some have types of
    # their own where credentials are missing, which share no base class.
    if (
        number in _REFUSED
        or isinstance(error, (PermissionError, NotImplementedError))
        or "Credential" in type(error).__name__
    ):
        return FailedPrecondition(
            f"{store} can't be written; check that it is a folder or a bucket, and that this user or these credentials "
            "may read and write it, or set AXIA_RETRIEVAL_PICTURES to another",
            reason="PICTURE_STORE_DENIED",
        )
    if isinstance(error, FileNotFoundError):
        return FailedPrecondition(
            f"the folder or bucket of {store} doesn't exist; create it, or correct AXIA_RETRIEVAL_PICTURES",
            reason="PICTURE_STORE_MISSING",
        )
    return Unavailable(f"{store} can't be reached now; try again later", reason="PICTURE_STORE_UNAVAILABLE")
