"""One self-contained page: no network, readable in print, by colour-blind readers and by screen readers."""

from collections.abc import Sequence
from html import escape
from importlib import resources

from axia.report.parts import Section, Table, shown

_STYLE = (resources.files("axia.report") / "page.css").read_text(encoding="utf-8")

_SCRIPT = (resources.files("axia.report") / "page.js").read_text(encoding="utf-8")

_WIDE = 10
"""Columns from which on a table has narrower cells."""


def page(title: str, intro: str, sections: Sequence[Section], gallery: str) -> str:
    """The whole document."""
    links = "".join(f'<li><a href="#{section.id}">{escape(section.title)}</a></li>' for section in sections)
    body = "".join(_section(section) for section in sections)
    filters = (
        '<div class="filter"><label for="q">Words in name, truth or answers<input id="q" type="search"></label>'
        '<label for="s">Images with an answer that is<select id="s"><option value="">anything</option>'
        '<option value="1">right, or yes (✓)</option><option value="0">wrong, or no (✗)</option>'
        '<option value="u">unread (?)</option></select></label><output id="n" aria-live="polite"></output></div>'
    )
    more = '<button id="more" type="button" hidden>Show more images</button>'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        '<a class="skip" href="#main">To the figures</a>'
        f"<header><h1>{escape(title)}</h1><p>{escape(intro)}</p></header>"
        f'<nav aria-label="Contents"><ul>{links}<li><a href="#gallery">Images and answers</a></li></ul></nav>'
        f'<main id="main">{body}<section id="gallery"><h2>Images and answers</h2>{filters}'
        f'<div class="cards">{gallery}</div>{more}</section></main><script>{_SCRIPT}</script></body></html>'
    )


def _section(section: Section) -> str:
    paragraphs = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in section.paragraphs)
    figures = "".join(
        f"<figure><figcaption>{escape(figure.caption)}</figcaption>{figure.svg}</figure>" for figure in section.figures
    )
    tables = "".join(map(_table, section.tables))
    return (
        f'<section id="{section.id}"><h2>{escape(section.title)}</h2>{paragraphs}'
        f'{f"""<div class="figures">{figures}</div>""" if figures else ""}{tables}</section>'
    )


def _table(table: Table) -> str:
    numeric = [
        bool(table.rows) and all(row[i] is None or isinstance(row[i], int | float) for row in table.rows)
        for i in range(len(table.header))
    ]
    head = "".join(
        f'<th scope="col"{" class=n" if is_numeric else ""}>{escape(name)}</th>'
        for name, is_numeric in zip(table.header, numeric, strict=True)
    )
    rows = []
    for row in table.rows:
        cells = [f'<th scope="row">{escape(shown(row[0], table.digits))}</th>']
        cells += [
            f"<td{' class=n' if is_numeric else ''}>{escape(shown(cell, table.digits))}</td>"
            for cell, is_numeric in zip(row[1:], numeric[1:], strict=True)
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    wide = ' class="wide"' if len(table.header) > _WIDE else ""
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<h3 id="t-{table.id}">{escape(table.caption)}</h3>'
        f'<div class="scroll" tabindex="0" role="region" aria-labelledby="t-{table.id}"><table{wide} '
        f'aria-labelledby="t-{table.id}"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>{note}'
    )
