"""Writes docs/settings.md from the settings classes. Run it after a change of settings; a test compares."""

from collections.abc import Collection
from pathlib import Path

from gateway.http import settings as http_settings
from gateway.settings import GatewaySettings
from services.inference.settings import InferenceSettings
from services.retrieval.settings import RetrievalSettings
from services.scoring.settings import ScoringSettings
from services.serving.settings import ServerSettings

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "settings.md"
HEAD = """# Settings

Every server reads its settings from environment variables with its own prefix. A value that makes no sense ends the
server at once with the variable's name; a name that is not known is reported and ignored, and so is a setting that has
no effect beside the others. This page is written by `python -m scripts.settings_doc`.

Values may be written as charts and compose files write them:

- An empty value means that the variable is unset, except where the table says what "Empty" means.
- A whole number may be a float that is whole, such as `1e+06`.
- Numbers, booleans and choices may stand in quotes; choices may be in upper or lower case.
- A list is JSON, such as `["a.example","b.example"]`, or its parts separated by commas.
- Variables that Kubernetes injects for a Service with a name such as `axia-gateway` (`AXIA_GATEWAY_PORT=tcp://…`
  and others) are ignored with a notice. `enableServiceLinks: false` in the Pod's specification keeps
  them out.
"""


def page() -> str:
    """The whole page in Markdown."""
    sections = [HEAD]
    parts: tuple[tuple[str, type[ServerSettings], Collection[str]], ...] = (
        ("Gateway", GatewaySettings, ()),
        ("Gateway over HTTP", http_settings.HttpSettings, http_settings.UNUSED),
        ("Inference", InferenceSettings, ()),
        ("Retrieval", RetrievalSettings, ()),
        ("Scoring", ScoringSettings, ()),
    )
    for title, settings, unused in parts:
        rows = _rows(settings, unused)
        sections.append(f"## {title}\n\n| variable | default | meaning |\n| --- | --- | --- |\n{rows}")
    return "\n".join(sections)


def _rows(settings: type[ServerSettings], unused: Collection[str]) -> str:
    rows: list[str] = []
    particular = [name for name in settings.model_fields if name not in ServerSettings.model_fields]
    shared = list(ServerSettings.model_fields)
    for name in [*particular, *shared]:
        if name in unused:
            continue
        field = settings.model_fields[name]
        value = ",".join(field.default) if isinstance(field.default, tuple) else str(field.default)
        default = "" if value in {"", "None"} else f"`{value}`".replace(f"{ROOT}/", "")
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        rows.append(f"| `{settings.model_config.get('env_prefix', '')}{name.upper()}` | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
