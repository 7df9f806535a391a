"""Writes the pages of the documentation that are generated from code; with --check, fails if one would change.

    python -m scripts.generated_pages [--check]

`make check` runs it with --check.
"""

import sys

from scripts import cli_doc, metrics_doc, rpc_doc, settings_doc
from scripts.supply_chain import advisories, licences

PAGES = (cli_doc, metrics_doc, rpc_doc, settings_doc, advisories, licences)


def main(arguments: list[str]) -> int:
    """Writes or checks every page; returns 1 if one differs from what its code says."""
    check = "--check" in arguments
    differ = 0
    for module in PAGES:
        name, text = module.PAGE.relative_to(module.ROOT), module.page()
        if module.PAGE.exists() and module.PAGE.read_text(encoding="utf-8") == text:
            continue
        differ += 1
        if check:
            print(f"{name} differs from the code: run python -m scripts.generated_pages and commit the result")
        else:
            module.PAGE.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    return int(check and differ > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
