"""What is said of each RPC's retention."""

from services.serving import retention
from services.serving.identity.access import ROUTES, RPCS
from services.serving.retention import Retention, retention_of, retention_of_route


def test_every_rpc_of_the_contract_says_what_is_kept() -> None:
    for method in RPCS:
        assert (retention_of(method) is None) == method.startswith("/grpc."), method
    assert set(RPCS) >= retention._NONE | retention._STORED


def test_only_what_callers_have_indexed_is_stored() -> None:
    stored = {method.rpartition("/")[2] for method in RPCS if retention_of(method) is Retention.STORED}
    assert stored == {"IndexImages", "UpdateImages"}
    assert retention_of("/axia.v1.GatewayService/DetectValues") is Retention.MEMORY


def test_a_route_says_what_its_rpc_says() -> None:
    assert retention_of_route("POST /v1/detect") is Retention.MEMORY
    assert retention_of_route("WEBSOCKET /v1/watch") is Retention.MEMORY
    assert retention_of_route("POST /v1/images") is Retention.STORED
    assert retention_of_route("GET /readyz") is None
    assert retention_of_route("GET /nowhere") is None
    assert all(retention_of_route(route) for route, entry in ROUTES.items() if isinstance(entry, str))
