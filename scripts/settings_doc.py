"""Writes docs/settings.md from the settings classes. Run it after a change of settings; a test compares."""

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
server at once with the variable's name; a name that is not known is reported and ignored. This page is written by
`python -m scripts.settings_doc`.
"""


def page() -> str:
    """The whole page in Markdown."""
    sections = [HEAD]
    parts: tuple[tuple[str, type[ServerSettings], frozenset[str]], ...] = (
        ("Gateway", GatewaySettings, frozenset()),
        ("Gateway over HTTP", http_settings.HttpSettings, http_settings.UNUSED),
        ("Inference", InferenceSettings, frozenset()),
        ("Retrieval", RetrievalSettings, frozenset()),
        ("Scoring", ScoringSettings, frozenset()),
    )
    for title, settings, unused in parts:
        rows = _rows(settings, unused)
        sections.append(f"## {title}\n\n| variable | default | meaning |\n| --- | --- | --- |\n{rows}")
    return "\n".join(sections)


def _rows(settings: type[ServerSettings], unused: frozenset[str]) -> str:
    rows: list[str] = []
    own = [name for name in settings.model_fields if name not in ServerSettings.model_fields]
    shared = list(ServerSettings.model_fields)
    for name in [*own, *shared]:
        if name in unused:
            continue
        field = settings.model_fields[name]
        default = "" if str(field.default) in {"", "None"} else f"`{field.default}`".replace(f"{ROOT}/", "")
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        rows.append(f"| `{settings.model_config.get('env_prefix', '')}{name.upper()}` | {default} | {meaning} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
