"""What a dashboard consists of, and the expressions that its queries share."""

from typing import NamedTuple

HERE = 'namespace=~"$namespace"'
MODEL = f'{HERE},model=~"$model"'
RATE = "[$__rate_interval]"


class Query(NamedTuple):
    """A line of a panel."""

    expr: str
    legend: str = ""
    only: str = ""
    """What has to run for it to return data: "vllm", "cameras" and so on; empty if any detection is enough."""


class Panel(NamedTuple):
    """A graph over time."""

    title: str
    meaning: str
    queries: tuple[Query, ...]
    unit: str = "short"
    most: float | None = None
    """Upper end of the axis, where it is fixed."""


class Dashboard(NamedTuple):
    """A page of rows of panels."""

    name: str
    title: str
    by_model: bool
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]

    def queries(self) -> list[tuple[str, Query]]:
        """All queries, each with its panel's title."""
        return [(panel.title, query) for _, panels in self.rows for panel in panels for query in panel.queries]


def rate(metric: str, by: str, where: str = HERE) -> str:
    """A counter's increase a second, by labels."""
    return f"sum by ({by}) (rate({metric}{{{where}}}{RATE}))"


def mean(metric: str, by: str, where: str = HERE) -> str:
    """The mean of what a histogram has counted, by labels."""
    return f"{rate(metric + '_sum', by, where)} / {rate(metric + '_count', by, where)}"


def quantile(share: float, metric: str, by: str, where: str = HERE) -> str:
    """The value that this share of what a histogram has counted stays below, by labels."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share:g}, {rate(metric + '_bucket', labels, where)})"
