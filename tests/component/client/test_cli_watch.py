"""Sources of `axia watch`: folders that get pictures, cameras with addresses; and wrong options."""

import http.server
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import axia
from axia.cli import app
from axia.cli._detections.frames import Pace, open_source, without_password
from axia.testing import FakeGateway, free_port
from tests.support import pictures


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    monkeypatch.delenv("AXIA_API_KEY", raising=False)
    with FakeGateway(detections=["the stove"]) as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        yield fake


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "feed"
    folder.mkdir()
    (folder / "0.jpg").write_bytes(pictures.photograph(0))
    (folder / "._0.jpg").write_bytes(b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + bytes(80))
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_hidden_files_are_left_out(fake: FakeGateway, folder: Path) -> None:
    result = run("watch", folder, "--once", "--json")
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1


def test_a_folder_is_watched_for_pictures_that_come_or_change_until_ctrl_c(fake: FakeGateway, folder: Path) -> None:
    command = [sys.executable, "-m", "axia", "watch", str(folder), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None

        def next_name() -> str:
            assert process.stdout is not None
            return Path(json.loads(process.stdout.readline())["detection"]["image"]["path"]).name

        assert next_name() == "0.jpg"
        (folder / "1.jpg").write_bytes(pictures.photograph(1))
        assert next_name() == "1.jpg"
        (folder / "note.txt").write_text("no image")
        (folder / ".2.jpg.part").write_bytes(b"a download")
        (folder / "0.jpg").write_bytes(pictures.photograph(2))
        assert next_name() == "0.jpg"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr is not None
        assert process.stderr.read() == "axia: interrupted after 3 frames: 3 answered, 0 superseded, 0 failed\n"


def test_a_watch_that_ends_says_what_became_of_its_frames(fake: FakeGateway, folder: Path) -> None:
    (folder / "1.jpg").write_bytes(b"no image")
    result = run("watch", folder, "--once", "--json")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "axia: 2 frames: 1 answered, 0 superseded, 1 failed"


def test_a_picture_that_is_still_written_is_given_when_it_is_whole(tmp_path: Path) -> None:
    over = threading.Event()
    frames = open_source(str(tmp_path), 2, once=False, over=over).frames
    given: list[int] = []

    def follow() -> None:
        for frame in frames:
            assert isinstance(frame, Path)
            given.append(len(frame.read_bytes()))

    follower = threading.Thread(target=follow)
    follower.start()
    time.sleep(0.3)
    data = pictures.photograph(0)
    with (tmp_path / "slow.jpg").open("wb") as file:
        for start in range(0, len(data), len(data) // 8):
            file.write(data[start : start + len(data) // 8])
            file.flush()
            time.sleep(0.1)
    end = time.monotonic() + 10
    while not given and time.monotonic() < end:
        time.sleep(0.05)
    over.set()
    follower.join(10)
    assert not follower.is_alive()
    assert given == [len(data)]


class Camera(http.server.BaseHTTPRequestHandler):
    """Motion JPEG, as IP cameras and mjpg-streamer send it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for seed in range(12):
            data = pictures.photograph(seed)
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data))
            self.wfile.write(data + b"\r\n")

    def log_message(self, *_: Any) -> None:
        pass


def test_a_camera_with_an_address_is_watched(fake: FakeGateway) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://user:secret@127.0.0.1:{server.server_port}/video.mjpg"
        result = run("watch", address, "--fps", 60, "--json")
        server.shutdown()
    assert result.exit_code == 0, result.stderr
    assert any(json.loads(line)["event"] == "detection" for line in result.stdout.splitlines())
    assert not any("secret" in str(call.request) for call in fake.received)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_camera_that_does_not_answer_is_told_without_its_password(fake: FakeGateway, scheme: str) -> None:
    port = free_port()
    result = run("watch", f"{scheme}://user:secret@127.0.0.1:{port}/cam")
    assert result.exit_code == 1
    assert f"nothing can be read from {scheme}://127.0.0.1:{port}/cam: check that the camera works" in result.stderr
    assert "secret" not in result.stderr + result.stdout
    assert without_password("rtsp://10.0.0.1/a@b") == "rtsp://10.0.0.1/a@b"


def test_the_pace_ends_with_the_watch() -> None:
    over = threading.Event()
    pace = Pace(1, wait=True, over=over)
    given = pace.apply(iter([b"a", b"b", b"c"]))
    assert next(given) == b"a"
    threading.Timer(0.1, pace.close).start()
    assert list(given) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("watch", "{picture}", "--seed", "-1"),
        ("watch", "gone.mp4"),
        ("detect", "{picture}", "-t", "hot"),
        ("interest", "{picture}", "--trait", "a", "--threshold", "200"),
    ],
)
def test_a_wrong_option_ends_with_2_and_names_what_was_given(
    fake: FakeGateway, folder: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    result = run(*(argument.format(picture=folder / "0.jpg") for argument in arguments))
    assert (result.exit_code, arguments[-1] in result.stderr) == (2, True)


@pytest.mark.parametrize("command", ["detect", "watch", "interest"])
def test_an_option_that_a_server_refuses_ends_with_2_and_names_what_was_given(
    fake: FakeGateway, folder: Path, command: str
) -> None:
    fake.fail("INVALID_ARGUMENT", "n: must be 1 to 16, and is 99", reason="OUT_OF_RANGE", field="n")
    further = {"watch": ["--once"], "interest": ["--trait", "I cook."]}.get(command, [])
    result = run(command, folder, *further)
    assert (result.exit_code, "n: must be 1 to 16, and is 99" in result.stderr) == (2, True)
    fake.fail("OK")
    fake.fail("INVALID_ARGUMENT", "image.data: is not an image", reason="IMAGE_UNREADABLE", field="image.data")
    assert run(command, folder, *further).exit_code == 1


def test_an_error_among_the_detections_is_raised_by_its_call(fake: FakeGateway) -> None:
    picture = pictures.photograph(0)
    errors = [
        axia.Overloaded("busy: try again in 2 s", retry_after=2.0),
        axia.Unavailable("the model is away", reason="MODEL_AWAY", retry_after=1.5),
        axia.DeadlineExceeded("late: give more time"),
        axia.NotFound("no model x: `axia models` lists them", reason="MODEL_UNKNOWN"),
        axia.FailedPrecondition("index first", reason="NOTHING_INDEXED"),
        axia.InvalidRequest.of("n", "is 99", reason="OUT_OF_RANGE"),
        axia.Unauthenticated("no API_KEY"),
        axia.Cancelled("cancelled"),
        axia.ServerError("broken", reason="BROKEN"),
        axia.ConnectionFailed("gone"),
    ]
    with FakeGateway(detections=["the stove", *errors]) as failing, axia.Client(failing.address) as client:
        assert client.detect(picture).consensus == "the stove"
        for error in errors:
            with pytest.raises(axia.AxiaError) as caught:
                client.detect(picture)
            assert type(caught.value) is type(error)
            if not isinstance(error, axia.ConnectionFailed):
                assert str(caught.value) == str(error)
                assert caught.value.reason == (error.reason or "FAKE_FAILURE")
            assert getattr(caught.value, "retry_after", None) == getattr(error, "retry_after", None)
            assert getattr(caught.value, "fields", []) == getattr(error, "fields", [])
        assert client.detect(picture).consensus == "the stove"
    with FakeGateway(detections=["the stove", errors[1]]) as failing, axia.Client(failing.address) as client:
        first, second = _both(client, picture)
        assert isinstance(first, axia.FrameDetection)
        assert isinstance(second, axia.FrameFailed)
        assert (second.error.code, second.error.reason) == ("UNAVAILABLE", "MODEL_AWAY")
    with pytest.raises(TypeError, match=r"detections\[0\] is a ValueError: give texts, or errors of axia"):
        FakeGateway(detections=[ValueError("x")])  # type: ignore[list-item]


def _both(client: axia.Client, picture: bytes) -> tuple[Any, Any]:
    """The events of two frames, the second of which is sent when the first is answered."""
    answered = threading.Event()

    def frames() -> Iterator[bytes]:
        yield picture
        answered.wait(20)
        yield picture

    events = client.watch(frames(), n=1)
    first = next(events)
    answered.set()
    return first, next(events)
