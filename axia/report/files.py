"""Tables as CSV, with every digit, and as LaTeX."""

import csv
import io

from axia.report.parts import Table, shown

_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "—": "---", "−": "$-$", "’": "'", "“": "``", "”": "''",
})  # fmt: skip


def as_csv(table: Table) -> str:
    """The table as CSV; figures have all their digits, and an empty field stands for no figure."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.header)
    writer.writerows(
        [
            ["" if cell is None else repr(cell) if isinstance(cell, float) else cell for cell in row]
            for row in table.rows
        ]
    )
    return out.getvalue()


def as_latex(table: Table) -> str:
    """The table in LaTeX, with the lines of the package booktabs."""
    columns = "".join(
        "r" if table.rows and all(row[i] is None or isinstance(row[i], int | float) for row in table.rows) else "l"
        for i in range(len(table.header))
    )
    lines = [r"\begin{table}", r"\centering", f"\\caption{{{_escape(table.caption)}}}", f"\\label{{tab:{table.id}}}"]
    lines += [
        f"\\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        f"{' & '.join(map(_escape, table.header))} \\\\",
        r"\midrule",
    ]
    lines += [f"{' & '.join(_escape(shown(cell, table.digits)) for cell in row)} \\\\" for row in table.rows]
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}", ""]
    return "\n".join(lines)


def _escape(text: str) -> str:
    return text.translate(_LATEX)
