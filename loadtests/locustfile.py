"""Users of a gateway for Locust, which shows a run on a page while it lasts, and can be spread over machines.

    pip install 'axia-vlm[locust]'
    locust -f loadtests/locustfile.py --host 127.0.0.1:50050                     # then open http://localhost:8089
    locust -f loadtests/locustfile.py --host 127.0.0.1:50050 --headless --users 10 --run-time 1m

An API key is read from AXIA_API_KEY, and encryption from AXIA_TLS and AXIA_TLS_ROOTS, as for axia's clients. Each user
waits for an answer before it asks again: a closed loop, whose latencies leave out the calls that would have waited
while the server was slow. `python -m loadtests` sends calls at given times instead.
"""

import itertools

import grpc.experimental.gevent
from locust import User, constant_pacing, task

from axia import Client
from loadtests.pictures import read_pictures

# gRPC's threads would stop the others' greenlets. Locust has patched Python's own sockets and threads by now.
grpc.experimental.gevent.init_gevent()

PICTURES = [picture.data for picture in read_pictures(None)]


class Caller(User):  # type: ignore[misc]  # Locust is not type-checked
    """Asks once a second what the people in a picture value."""

    wait_time = constant_pacing(1)
    numbers = itertools.count()

    def on_start(self) -> None:
        """Connects."""
        self.gateway = Client(self.host)

    def on_stop(self) -> None:
        """Disconnects."""
        self.gateway.close()

    @task(4)  # type: ignore[untyped-decorator]
    def detect(self) -> None:
        """DetectValues."""
        number = next(self.numbers)
        with self.environment.events.request.measure("gRPC", "DetectValues"):
            self.gateway.detect(PICTURES[number % len(PICTURES)], n=3, seed=number)

    @task(1)  # type: ignore[untyped-decorator]
    def stream(self) -> None:
        """StreamDetectValues, to its end."""
        number = next(self.numbers)
        with self.environment.events.request.measure("gRPC", "StreamDetectValues"):
            for _ in self.gateway.stream(PICTURES[number % len(PICTURES)], n=3, seed=number):
                pass
