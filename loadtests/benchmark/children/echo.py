"""gRPC's own floor: answers each call with its bytes, without interceptors or parsing, at AXIA_ECHO_PORT."""

import asyncio
import os
from typing import Any

import grpc

ECHO = "/axia.benchmark.Echo/Echo"


class Echo(grpc.GenericRpcHandler):
    """Handles one method."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Its handler; None for every other method."""

        async def echo(request: bytes, _: Any) -> bytes:
            return request

        return grpc.unary_unary_rpc_method_handler(echo) if handler_call_details.method == ECHO else None


async def main() -> None:
    """Serves until it is ended."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Echo(),))
    server.add_insecure_port(f"127.0.0.1:{os.environ['AXIA_ECHO_PORT']}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
