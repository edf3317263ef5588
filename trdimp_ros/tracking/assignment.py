"""Which of some things belongs to which of others: the assignment with the greatest total value.

The method of shortest augmenting paths (Jonker and Volgenant, Computing 1987), as in `scipy.optimize`; the tables here
have at most a hundred rows or columns, for which a dependency of SciPy's size is not worth its weight.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assign(values: NDArray[np.float64]) -> list[tuple[int, int]]:
    """The pairs of rows and columns with the greatest total value.

    Args:
        values: (R, C) what it is worth to pair a row with a column; only pairs worth more than 0 are made, so 0 or
            less, or no number, forbids one.

    Returns:
        The pairs (row, column) in the order of the rows; no row and no column is in two of them.
    """
    table = np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=0.0, neginf=0.0).clip(min=0.0)
    if table.size == 0:
        return []
    transposed = table.shape[0] > table.shape[1]
    costs = -(table.T if transposed else table)  # no more rows than columns
    row_of = _shortest_augmenting_paths(costs)
    pairs = [(row, column) for column, row in enumerate(row_of) if row >= 0]
    pairs = [(column, row) for row, column in pairs] if transposed else pairs
    return sorted((row, column) for row, column in pairs if table[row, column] > 0)


def _shortest_augmenting_paths(costs: NDArray[np.float64]) -> list[int]:
    """The row of every column, -1 for none, such that every row has a column and the total cost is least."""
    rows, columns = costs.shape
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    row_of = np.full(columns, -1)
    for start in range(rows):
        # The cheapest path from the row to a free column, over columns that change their rows.
        length, previous = np.full(columns, np.inf), np.full(columns, -1)
        done = np.zeros(columns, bool)
        row, column, walked = start, -1, 0.0
        while True:
            reduced = walked + costs[row] - row_price[row] - column_price
            shorter = ~done & (reduced < length)
            length[shorter], previous[shorter] = reduced[shorter], column
            column = int(np.argmin(np.where(done, np.inf, length)))
            walked = length[column]
            if row_of[column] < 0:
                break
            done[column] = True
            row = int(row_of[column])
        # Prices change so that all pairs made so far stay the cheapest.
        row_price[start] += walked
        row_price[row_of[done]] += walked - length[done]
        column_price[done] -= walked - length[done]
        while column >= 0:
            before = int(previous[column])
            row_of[column] = start if before < 0 else row_of[before]
            column = before
    return [int(row) for row in row_of]
