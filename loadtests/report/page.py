"""A result as one HTML file that needs nothing else: light, dark, and on paper."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from loadtests.budgets import ALL
from loadtests.figures import Percentiles
from loadtests.records import OK, Recording
from loadtests.report.charts import Axis, Line, bars, lines, percentile_curve
from loadtests.report.text import could_not_send, rows
from loadtests.result import Result

_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
_NOTE = """<p class="soft">Latencies start at the time when a call should be sent, so they include waiting for other
calls. “late” is the delay with which calls were sent; “first” is the first completion of a stream.</p>"""
_COLOURS = ("one", "two", "three", "four")
_MET, _EXCEEDED = "met", "EXCEEDED"


def page(result: Result, recording: Recording) -> str:
    """The page.

    Args:
        result: The figures.
        recording: The calls, of which it draws the distribution.
    """
    name = escape(result.plan.name)
    parts = [
        f"<h1>Load test: {name}</h1>",
        f'<p class="soft">{result.machine.when:%d %B %Y, %H:%M} UTC · {_what(result)}</p>',
        _verdict(result),
        f'<p class="note">{escape(warning)}</p>' if (warning := could_not_send(result)) else "",
        "<h2>Figures</h2>",
        _figures_table(result),
        _NOTE,
        f'<h2>Over time</h2><div class="figures">{"".join(_charts(result, recording))}</div>',
        _errors(result),
        _budgets(result),
        "<h2>Machine</h2>",
        _machine(result),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Load test: {name}</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _what(result: Result) -> str:
    """What was sent, in a line."""
    if result.trace:
        return f"replay of {escape(result.trace)}"
    phases = ", ".join(
        f"{phase.shape} {phase.rate:g}"
        + (f" to {max(point.rate for point in phase.profile):g}" if phase.shape in {"ramp", "spike"} else "")
        + f"/s for {phase.length_s:g} s"
        for phase in result.plan.phases
    )
    return f"{escape(phases)} · {escape(', '.join(result.plan.scenarios))}"


def _verdict(result: Result) -> str:
    if not result.verdicts:
        return '<p class="soft">There are no budgets.</p>'
    exceeded = sum(not verdict.kept for verdict in result.verdicts)
    if exceeded:
        return f'<p><span class="verdict exceeded">{exceeded} of {len(result.verdicts)} budgets exceeded</span></p>'
    return f'<p><span class="verdict met">All {len(result.verdicts)} budgets met</span></p>'


def _figures_table(result: Result) -> str:
    head = (
        *("scenario", "requested /s", "sent /s", "answered /s", "images /s", "p50 ms", "p95 ms", "p99 ms", "max ms"),
        *("first p50 ms", "first p95 ms", "late p99 ms", "errors"),
    )
    body = [
        (
            name,
            *(f"{rate:.1f}" for rate in (figures.requested_per_s, figures.achieved_per_s, figures.answered_per_s)),
            f"{figures.images_per_s:.1f}",
            *(_ms(figures.latency_s, share) for share in ("p50", "p95", "p99", "max")),
            *(_ms(figures.first_completion_s, share) for share in ("p50", "p95")),
            _ms(figures.schedule_delay_s, "p99"),
            str(figures.failed),
        )
        for name, figures in rows(result)
    ]
    return _table(head, body)


def _ms(percentiles: Percentiles | None, share: str) -> str:
    """A percentile in milliseconds; a dash where nothing was measured."""
    if percentiles is None:
        return "–"
    value = 1000 * float(getattr(percentiles, share))
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"  # noqa: PLR2004 - three digits


def _charts(result: Result, recording: Recording) -> Iterable[str]:
    windows = result.summary.windows
    middles = [(window.begin_s + window.end_s) / 2 for window in windows]
    seconds = Axis("time", " s")
    rates = [
        Line("requested", "two", [window.requested_per_s for window in windows], dashed=True),
        Line("answered", "one", [window.answered_per_s for window in windows]),
    ]
    if result.summary.total.failed:
        rates.append(Line("failed", "bad", [window.errors_per_s for window in windows]))
    yield _chart("Calls per second", lines("Calls per second over time", middles, rates, seconds, Axis("calls", "/s")))
    latencies = [
        Line(
            share,
            colour,
            [
                None if window.latency_s is None else 1000 * float(getattr(window.latency_s, share))
                for window in windows
            ],
            dashed=share == "p99",  # of few calls it is the same as p95, which is then seen between the dashes
        )
        for share, colour in (("p50", "one"), ("p95", "two"), ("p99", "three"))
    ]
    milliseconds_axis = Axis("latency", " ms")
    yield _chart("Latency", lines("Latency over time", middles, latencies, seconds, milliseconds_axis))
    in_flight = [Line("calls in flight", "three", [float(window.in_flight) for window in windows])]
    yield _chart("In flight", lines("Calls in flight over time", middles, in_flight, seconds, Axis("calls")))
    well = {
        name: sorted(
            1000 * record.latency_s
            for record in recording.records
            if record.scenario == name and record.outcome.code == OK
        )
        for name in result.summary.scenarios
    }
    curves = [(name, values) for name, values in well.items() if values]
    for begin in range(0, len(curves), len(_COLOURS)):
        drawn = [
            (name, colour, values)
            for (name, values), colour in zip(curves[begin : begin + len(_COLOURS)], _COLOURS, strict=False)
        ]
        caption = "Latency by share of the calls"
        yield _chart(caption, percentile_curve(caption, drawn, milliseconds_axis))


def _errors(result: Result) -> str:
    errors = result.summary.total.errors
    if not errors:
        return ""
    messages = result.summary.messages
    said = _table(
        ("code", "calls", "the first said"),
        [(code, str(n), messages.get(code, "")) for code, n in errors.items()],
        text=2,
    )
    chart = bars("Errors by code", [(code, float(count)) for code, count in errors.items()])
    return f'<h2>Errors</h2><div class="figures">{_chart("Errors by code", chart)}</div>{said}'


def _budgets(result: Result) -> str:
    if not result.verdicts:
        return ""
    body = [
        (
            "all calls" if verdict.scenario == ALL else verdict.scenario,
            verdict.budget,
            f"{verdict.limit:g}",
            "nothing" if verdict.measured is None else f"{verdict.measured:.4g}",
            _MET if verdict.kept else _EXCEEDED,
        )
        for verdict in result.verdicts
    ]
    return f"<h2>Budgets</h2>{_table(('scenario', 'budget', 'limit', 'measured', ''), body, text=1)}"


def _machine(result: Result) -> str:
    machine, served = result.machine, result.served
    here = f" (started by this run, {served.started_here} engine)" if served.started_here else ""
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    facts = {
        "Gateway": f"{served.target}{here}",
        "Models": ", ".join(served.models) or "unknown",
        "Sent from": f"{machine.processor}, {machine.cores} cores, {machine.memory_gib:g} GiB, {machine.system}",
        "Load before": f"{machine.load_before:g} busy processes in the mean of the last minute",
        "Versions": f"axia {machine.axia}, Python {machine.python}, {packages}",
        "Commit": machine.commit or "none",
    }
    rows_ = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    return f"<dl>{rows_}<dt>Command</dt><dd><code>{escape(machine.command)}</code></dd></dl>"


def _marked(cell: str) -> str:
    """The attribute that gives a verdict its colour; empty for other cells."""
    return f" class={cell.lower()}" if cell in (_MET, _EXCEEDED) else ""


def _chart(caption: str, drawing: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{drawing}</figure>"


def _table(head: Sequence[str], body: Iterable[Sequence[str]], *, text: int = -1) -> str:
    """A table. The column `text` holds running text."""
    kinds = [" class=text" if place == text else "" for place in range(len(head))]
    titles = "".join(f"<th{kind}>{escape(title)}</th>" for kind, title in zip(kinds, head, strict=True))
    cells = "".join(
        "<tr>"
        + "".join(f"<td{_marked(cell) or kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        + "</tr>"
        for row in body
    )
    return f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{cells}</tbody></table></div>'
