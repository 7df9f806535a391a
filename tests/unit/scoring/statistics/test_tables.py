from collections.abc import Sequence

import numpy as np
import pytest

from services.scoring.statistics.tables import binary_table
from services.serving.errors import InvalidArgument


@pytest.mark.parametrize(
    ("rows", "field", "reason"),
    [
        ([], "table", "EMPTY"),
        ([[], []], "table", "EMPTY"),
        ([[0, 1], [1]], "table[1]", "RAGGED"),
        ([[0, 1], [1, 2]], "table[1][1]", "NOT_BINARY"),
        ([[0, 1], [float("nan"), 1]], "table[1][0]", "NOT_BINARY"),
        ([[0, 0.5]], "table[0][1]", "NOT_BINARY"),
        ([[0, -1]], "table[0][1]", "NOT_BINARY"),
        ([[0, float("inf")]], "table[0][1]", "NOT_BINARY"),
    ],
)
def test_a_bad_table_is_refused_by_row_and_column(rows: Sequence[Sequence[float]], field: str, reason: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        binary_table("table", rows)
    assert (raised.value.violations[0].field, raised.value.reason) == (field, reason)


@pytest.mark.parametrize(
    "rows", [[[0, 1]], [[True, False]], np.array([[0.0, 1.0]]), np.array([[1, 0]], dtype=np.uint8)]
)
def test_zeros_and_ones_of_any_kind_are_taken(rows: Sequence[Sequence[float]]) -> None:
    table = binary_table("table", rows)
    assert table.dtype == np.int64
    assert table.shape == (1, 2)
