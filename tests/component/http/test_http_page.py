"""The page at /docs in a real browser: what a person tries out there works, without any other host."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from axia.v1 import gateway_pb2, retrieval_pb2
from tests.support.browser import Page, browser_page, needs_chromium
from tests.support.http_api import Api, FakeGateway
from tests.support.pictures import photograph

pytestmark = needs_chromium

PICTURE = photograph(7, (64, 48))


@pytest.fixture
async def page(http: Api, tmp_path: Path) -> AsyncIterator[Page]:
    async with browser_page(tmp_path / "profile") as opened:
        await opened.open(f"{http.base_url}/docs")
        yield opened
        assert opened.logged == []
        assert {url.partition("?")[0] for url in opened.requested if not url.startswith(("data:", "blob:"))} <= {
            str(http.base_url.join(path)) for path in ALL_THAT_IS_ASKED_FOR
        }


ALL_THAT_IS_ASKED_FOR = (
    *("/docs", "/docs/assets/swagger-ui-bundle.js", "/docs/assets/swagger-ui.css"),
    *("/docs/assets/favicon-light-32x32.png", "/openapi.json", "/v1/detect", "/v1/images", "/v1/search/text"),
)


async def try_out(page: Page, operation: str) -> str:
    """Opens an operation for a try; a selector of its block."""
    block = f"#operations-{operation}"
    await page.click(f"{block} .opblock-summary-control")
    await page.click(f"{block} .try-out__btn")
    return block


async def executed(page: Page, block: str) -> tuple[str, str]:
    """The status and the body that the page shows once the request is sent."""
    await page.click(f"{block} .execute")
    answer = f"{block} .live-responses-table"
    status = await page.text(f"{answer} .response .response-col_status")
    return status.split()[0], await page.text(f"{answer} .response-col_description .highlight-code")


async def test_a_picture_is_uploaded_with_every_other_field_left_empty(
    page: Page, gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.answers["DetectValues"] = gateway_pb2.DetectValuesResponse(completions_done=5)
    file = tmp_path / "home.jpg"
    file.write_bytes(PICTURE)
    block = await try_out(page, "detection-post_detect")
    await page.choose(f"{block} .opblock-section-request-body .content-type", "multipart/form-data")
    await page.choose_files(f"{block} input[type=file]", file)
    status, body = await executed(page, block)
    assert status == "200", body
    assert '"completions_done": 5' in body
    assert gateway.requests == [gateway_pb2.DetectValuesRequest(image={"data": PICTURE})]


async def test_the_example_of_a_call_in_json_is_sent_as_it_is_shown(page: Page, gateway: FakeGateway) -> None:
    gateway.answers["SearchByText"] = retrieval_pb2.SearchByTextResponse(hits=[{"id": "ab", "score": 0.5}])
    block = await try_out(page, "pictures-post_search_text")
    shown = json.loads(await page.until(f"document.querySelector('{block} textarea')?.value"))
    status, body = await executed(page, block)
    assert status == "200", body
    assert '"id": "ab"' in body
    assert gateway.requests == [retrieval_pb2.SearchByTextRequest(**shown)]
