"""What gRPC tells a server of a call's deadline, which axia's bounds count on."""

import grpc

from services.serving.limits import TOLD_TOO_LATE
from tests.support import wire


async def test_a_deadline_is_told_a_few_percent_too_late_at_most() -> None:
    """Each call is a little shorter than one before on the same connection, whose time is then sent again."""

    async def remaining(_: str, context: grpc.aio.ServicerContext[str, str]) -> str:
        return str(context.time_remaining())

    told_late = []
    async with wire.serve({"Remaining": remaining}) as server:
        timeout_s = 300.0
        while timeout_s > 1:
            told = float(await server.unary("Remaining", timeout=timeout_s))
            told_late.append((told - timeout_s) / timeout_s)
            timeout_s *= 0.993
    assert max(told_late) < TOLD_TOO_LATE
    assert max(told_late) > 0.01  # or the allowance could go
