"""Gateways for tests of programs that use axia.

    fake     FakeGateway: the public API inside the test's own process, in milliseconds
    suite    the real servers of a checkout with scripted answers
    free_port    a port for a server that a test starts

>>> from axia.testing import FakeGateway
>>> with FakeGateway(detections=["a pot boiling over"]) as fake, axia.Client(fake.address) as client:
...     assert client.detect(image).consensus == "a pot boiling over"
"""

from axia.testing._ports import free_port
from axia.testing._suite import RunningSuite, SuiteFailed, suite
from axia.testing.fake import FakeGateway, Received

__all__ = ["FakeGateway", "Received", "RunningSuite", "SuiteFailed", "free_port", "suite"]
