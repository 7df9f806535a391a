"""Reading tables of 0 and 1, with errors that name the row and the column."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from services.serving.errors import InvalidArgument


def binary_table(field: str, rows: Sequence[Sequence[float]] | NDArray[np.generic]) -> NDArray[np.int64]:
    """Reads a table of rows × columns that holds 0 and 1 alone.

    Returns:
        The table, shape (rows, columns), each at least 1.

    Raises:
        InvalidArgument: About `field`, `field[row]` or `field[row][column]`, if the table is empty or ragged, or holds
            anything but 0 and 1.
    """
    if len(rows) == 0:
        raise InvalidArgument(field, "must not be empty", reason="EMPTY")
    if not isinstance(rows, np.ndarray):
        width = len(rows[0])
        for index, row in enumerate(rows):
            if len(row) != width:
                raise InvalidArgument(
                    f"{field}[{index}]",
                    f"has {len(row)} values, and the rows before it have {width}; all rows need the same number",
                    reason="RAGGED",
                )
    table = np.asarray(rows)
    if table.ndim != 2 or table.shape[1] == 0:  # noqa: PLR2004 - rows and columns
        raise InvalidArgument(field, "must have rows and columns", reason="EMPTY")
    return _check_binary(field, table)


def binary_vector(field: str, values: ArrayLike) -> NDArray[np.int64]:
    """Reads a list that holds 0 and 1 alone; it may be empty.

    Raises:
        InvalidArgument: About `field[index]`, if that is anything but 0 or 1.
    """
    return _check_binary(field, np.asarray(values))


def _check_binary(field: str, values: NDArray[np.generic]) -> NDArray[np.int64]:
    wrong = np.argwhere((values != 0) & (values != 1))  # NaN differs from both
    if len(wrong):
        place = "".join(f"[{index}]" for index in wrong[0])
        raise InvalidArgument(
            f"{field}{place}", f"must be 0 or 1, and is {values[tuple(wrong[0])]}", reason="NOT_BINARY"
        )
    return values.astype(np.int64)
