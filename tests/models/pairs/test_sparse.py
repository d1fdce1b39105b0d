"""Sparse products and their gradients against dense ones."""

import pytest
import torch

from sanrec.models.pairs.sparse import SparseMatrix


@pytest.fixture
def matrix():
    rows, cols = torch.tensor([3, 0, 0, 2, 3]), torch.tensor([1, 4, 0, 2, 3])  # row 1 is empty, and no order
    return SparseMatrix(rows, cols, torch.tensor([0.5, -1.0, 2.0, 3.0, 0.25]), (4, 5))


def dense_of(matrix, values):
    return torch.zeros(matrix.shape).index_put((matrix.rows, matrix.cols), values)


def test_product_and_gradient_with_fixed_values(matrix):
    x = torch.randn(5, 3, requires_grad=True)
    weight = torch.randn(4, 3)
    (got,) = torch.autograd.grad((matrix(x) * weight).sum(), x)
    torch.testing.assert_close(matrix(x), matrix.dense() @ x)
    torch.testing.assert_close(got, matrix.dense().T @ weight)


def test_product_and_gradients_with_learned_values(matrix):
    x, values = torch.randn(5, 3, requires_grad=True), torch.randn(5, requires_grad=True)
    weight = torch.randn(4, 3)
    got = torch.autograd.grad((matrix(x, values) * weight).sum(), (x, values))
    expected = torch.autograd.grad((dense_of(matrix, values) @ x * weight).sum(), (x, values))
    torch.testing.assert_close(matrix(x, values), dense_of(matrix, values) @ x)
    torch.testing.assert_close(got, expected)


def test_dots_and_their_gradients(matrix):
    x, y = torch.randn(4, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    weight = torch.randn(5)
    expected = (x @ y.T)[matrix.rows, matrix.cols]
    torch.testing.assert_close(matrix.dots(x, y), expected)
    got = torch.autograd.grad((matrix.dots(x, y) * weight).sum(), (x, y))
    torch.testing.assert_close(got, torch.autograd.grad((expected * weight).sum(), (x, y)))


def test_row_sums_keep_the_order_given(matrix):
    torch.testing.assert_close(matrix.row_sums(matrix.values), matrix.dense().sum(1))


def test_no_parameters_and_nothing_in_the_state(matrix):
    assert not list(matrix.parameters())
    assert not matrix.state_dict()
