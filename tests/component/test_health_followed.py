"""Health of services that a server passes on."""

from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support import wire

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def status(server: wire.Wire, service: str) -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    return int((await health_pb2_grpc.HealthStub(server.channel).Check(request)).status)


async def test_a_followed_service_serves_only_while_the_server_does_too() -> None:
    async with wire.serve() as server:
        await server.health.follow("axia.test.Followed", serving=False)
        assert await status(server, "axia.test.Followed") == NOT_SERVING
        await server.health.follow("axia.test.Followed", serving=True)
        assert await status(server, "axia.test.Followed") == SERVING
        await server.health.set_serving(False)
        assert await status(server, "axia.test.Followed") == NOT_SERVING
        await server.health.follow("axia.test.Followed", serving=True)  # news while draining
        assert await status(server, "axia.test.Followed") == NOT_SERVING
        await server.health.set_serving(True)
        assert await status(server, "axia.test.Followed") == SERVING


async def test_following_changes_nothing_of_the_servers_own_health() -> None:
    async with wire.serve() as server:
        await server.health.follow("axia.test.Followed", serving=False)
        assert await status(server, server.service) == SERVING
        assert await status(server, "") == SERVING
