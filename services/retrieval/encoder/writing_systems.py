"""Which encoders know which scripts."""

import unicodedata

from services.retrieval.index import EncoderId

_MULTILINGUAL = ("xlm", "multilingual", "mt5", "siglip2", "-i18n", "webli-i18n", "nllb", "altclip", "jina")
"""Parts of names of encoders that were trained on captions of many languages; all others on English."""
_MOST_FOREIGN = 0.3
"""Share of letters of other scripts from which a text is called so."""


def unknown_script(text: str, encoder: EncoderId) -> str:
    """What to tell who searches with a text whose script the encoder doesn't know; empty if it may know it."""
    name = f"{encoder.name} {encoder.revision}".lower()
    if any(part in name for part in _MULTILINGUAL):
        return ""
    scripts = [unicodedata.name(letter, "UNKNOWN").partition(" ")[0] for letter in text if letter.isalpha()]
    foreign = [script for script in scripts if script != "LATIN"]
    if not scripts or len(foreign) / len(scripts) < _MOST_FOREIGN:
        return ""
    script = max(set(foreign), key=foreign.count).capitalize()
    return (
        f"the encoder {encoder.name} was trained on English captions and hardly knows words in the {script} script: "
        "search in English, or index the images with a multilingual encoder"
    )
