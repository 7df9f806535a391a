"""Every server of a deployment is restarted under load, one after the other, and no call fails."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

import axia
from tests.support import processes
from tests.support.pictures import photograph

ANSWERS = 'first_token_ms: 30\ntoken_ms: 5\nanswers:\n  - say: ["The smoke rises from the pan."]\n'
PICTURE = photograph(size=(64, 48))
SDK_CLIENTS, HTTP_CLIENTS = 12, 8
TIMEOUT = 30.0
# As long as a client's channel may wait before it tries an address again (2 s and a fifth), and time to connect. A
# Deployment's minReadySeconds gives clients the same time.
RECONNECTED = 5.0


class Balancer:
    """What stands before HTTP servers: it asks /readyz, and goes elsewhere where a connection is refused."""

    def __init__(self, urls: list[str]) -> None:
        self._ready = dict.fromkeys(urls, False)
        self.retried = 0
        self._turn = 0
        self._stop = threading.Event()
        self._probing = threading.Thread(target=self._probe)
        self._probing.start()

    def _probe(self) -> None:
        with httpx.Client(timeout=2.0, trust_env=False) as client:
            while not self._stop.is_set():
                for url in self._ready:
                    try:
                        self._ready[url] = client.get(f"{url}/readyz").status_code == 200
                    except httpx.HTTPError:
                        self._ready[url] = False
                time.sleep(0.1)

    def post(self, client: httpx.Client, path: str, body: dict[str, Any]) -> httpx.Response:
        for _ in range(10):
            ready = [url for url, is_ready in self._ready.items() if is_ready] or list(self._ready)
            self._turn += 1
            url = ready[self._turn % len(ready)]
            try:
                return client.post(f"{url}{path}", json=body)
            except (httpx.ConnectError, httpx.RemoteProtocolError):
                # Nobody listens there any more, or the connection was closed before the request was read.
                self.retried += 1
                self._ready[url] = False
                time.sleep(0.05)
        raise AssertionError("no HTTP server answers")

    def close(self) -> None:
        self._stop.set()
        self._probing.join()


class Callers:
    """Clients that call all the time."""

    def __init__(self, gateways: str, balancer: Balancer) -> None:
        self.done = 0
        self.failures: list[str] = []
        self._gateways, self._balancer = gateways, balancer
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(SDK_CLIENTS + HTTP_CLIENTS)
        self._running = [self._pool.submit(self._by_sdk) for _ in range(SDK_CLIENTS)]
        self._running += [self._pool.submit(self._by_http) for _ in range(HTTP_CLIENTS)]

    def _by_sdk(self) -> None:
        with axia.Client(self._gateways, timeout=TIMEOUT) as client:
            while not self._stop.is_set():
                try:
                    client.detect(PICTURE, n=1)
                    self.done += 1
                except axia.AxiaError as error:
                    self.failures.append(f"SDK: {type(error).__name__}: {error}")

    def _by_http(self) -> None:
        message = {"role": "user", "content": "What is it?"}
        body = {"model": "scripted", "messages": [message], "max_tokens": 20}
        with httpx.Client(timeout=TIMEOUT, trust_env=False) as client:
            while not self._stop.is_set():
                response = self._balancer.post(client, "/v1/chat/completions", body)
                if response.status_code == 200:
                    self.done += 1
                else:
                    self.failures.append(f"HTTP: {response.status_code} {response.text[:200]}")

    def end(self) -> None:
        self._stop.set()
        for running in self._running:
            running.result(TIMEOUT + 10)
        self._pool.shutdown()


def test_no_call_fails_while_every_server_is_restarted(tmp_path: Path) -> None:
    answers = tmp_path / "answers.yaml"
    answers.write_text(ANSWERS)
    engine: dict[str, object] = {"engine": "scripted", "answers": answers, "max_running": 256, "max_queue": 1000}
    with ExitStack() as stack:
        models = [
            stack.enter_context(processes.inference(tmp_path / f"model{index}.log", **engine)) for index in range(2)
        ]
        addresses = ",".join(model.address for model in models)
        gateways = [
            stack.enter_context(processes.gateway(tmp_path / f"gateway{index}.log", addresses, refresh_s=0.5))
            for index in range(2)
        ]
        for server in (*models, *gateways):
            server.wait_for("SERVING")
        both = ",".join(gateway.address for gateway in gateways)
        faces = [
            stack.enter_context(processes.http_api(tmp_path / f"http{index}.log", both, lame_duck_seconds=1))
            for index in range(2)
        ]
        for face in faces:
            face.wait_for()
        balancer = Balancer([face.url for face in faces])
        stack.callback(balancer.close)
        callers = Callers(both, balancer)
        time.sleep(1)
        for server in (*models, *gateways):
            assert server.stop() == 0
            server.start()
            server.wait_for("SERVING")
            time.sleep(RECONNECTED)
        for face in faces:
            assert face.stop() == 0
            face.start()
            face.wait_for()
            time.sleep(1)
        callers.end()
    print(f"{callers.done} calls, {len(callers.failures)} failed, {balancer.retried} of HTTP were sent elsewhere")  # noqa: T201 - the figure that the test is for
    assert callers.failures == []
    assert callers.done > 200
