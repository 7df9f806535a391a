"""Writes the dashboards: python -m scripts.dashboards"""

from scripts.dashboards import ALL, FOLDER, document, path

FOLDER.mkdir(exist_ok=True)
for board in ALL:
    path(board).write_text(document(board), encoding="utf-8")
    print(f"wrote {path(board).name}")
