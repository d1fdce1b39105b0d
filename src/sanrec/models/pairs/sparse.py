"""Sparse matrices for propagation over graphs: fixed positions, values fixed or learned, dense vectors beside.

Shapes: R rows, C columns, N entries, E width of the vectors.

A product goes through compressed rows, and its gradient through the compressed rows of the transpose, which is kept
beside: torch's own gradient would sort all entries anew in every step.
"""

import warnings
from typing import Any

import torch
from torch import Tensor, nn


class SparseMatrix(nn.Module):
    """A sparse matrix [R, C] whose positions do not change. It has no parameters; it moves between devices as a module.

    `rows_N`, `cols_N` are the positions, each at most once, in any order; `values_N` their values, one by default.
    """

    def __init__(self, rows_N: Tensor, cols_N: Tensor, values_N: Tensor | None, shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = shape
        values_N = torch.ones(len(rows_N), device=rows_N.device) if values_N is None else values_N
        forward, backward = (rows_N * shape[1] + cols_N).argsort(), (cols_N * shape[0] + rows_N).argsort()
        for name, tensor in {
            "rows": rows_N,
            "cols": cols_N,
            "values": values_N.float(),
            "order": forward,
            "starts": _starts(rows_N, shape[0]),
            "across": cols_N[forward],
            "transposed_order": backward,
            "transposed_starts": _starts(cols_N, shape[1]),
            "transposed_across": rows_N[backward],
        }.items():
            self.register_buffer(name, tensor, persistent=False)
        self._fixed: tuple[Tensor, Tensor] | None = None

    def _apply(self, fn: Any, recurse: bool = True) -> "SparseMatrix":
        self._fixed = None  # the compressed forms of the values are made again on the new device
        return super()._apply(fn, recurse)

    def forward(self, x_CE: Tensor, values_N: Tensor | None = None) -> Tensor:
        """The product [R, E] with dense vectors; `values_N`, in the order of the positions given, replace the own."""
        return _Product.apply(values_N, x_CE, self)

    def compressed(self, values_N: Tensor | None, transposed: bool) -> Tensor:
        """The matrix, or its transpose, as a torch CSR tensor."""
        if values_N is not None:
            return self._compress(values_N, transposed)
        if self._fixed is None:
            self._fixed = self._compress(self.values, False), self._compress(self.values, True)
        return self._fixed[transposed]

    def _compress(self, values_N: Tensor, transposed: bool) -> Tensor:
        if transposed:
            starts, across, order = self.transposed_starts, self.transposed_across, self.transposed_order
        else:
            starts, across, order = self.starts, self.across, self.order
        shape = self.shape[::-1] if transposed else self.shape
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse")  # torch calls its CSR tensors a beta, once
            return torch.sparse_csr_tensor(starts, across, values_N[order], shape, check_invariants=False)

    def dots(self, x_RE: Tensor, y_CE: Tensor) -> Tensor:
        """[N] the product of each entry's row vector and column vector, in the order of the positions given."""
        return _Dots.apply(x_RE, y_CE, self)

    def row_sums(self, values_N: Tensor) -> Tensor:
        """[R] the sums of values per row, in the order of the positions given."""
        return torch.zeros(self.shape[0], device=values_N.device).index_add(0, self.rows, values_N)

    def dense(self) -> Tensor:
        """The matrix [R, C] with all its zeros: for small ones."""
        full = torch.zeros(self.shape, device=self.values.device)
        full[self.rows, self.cols] = self.values
        return full


def _starts(index_N: Tensor, count: int) -> Tensor:
    """Where each row's entries start in compressed rows [count + 1]."""
    return torch.cat([index_N.new_zeros(1), torch.bincount(index_N, minlength=count).cumsum(0)])


class _Product(torch.autograd.Function):
    """Sparse times dense, with gradients to the dense side and, where they are given, to the values."""

    @staticmethod
    def forward(ctx: Any, values_N: Tensor | None, x_CE: Tensor, matrix: SparseMatrix) -> Tensor:
        ctx.matrix = matrix
        ctx.save_for_backward(values_N, x_CE if values_N is not None else None)
        return matrix.compressed(values_N, False) @ x_CE

    @staticmethod
    def backward(ctx: Any, grad_RE: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        values_N, x_CE = ctx.saved_tensors
        grad_RE = grad_RE.contiguous()
        needs_values, needs_x = ctx.needs_input_grad[:2]
        grad_x = ctx.matrix.compressed(values_N, True) @ grad_RE if needs_x else None
        grad_values = _dots(grad_RE, x_CE, ctx.matrix) if needs_values else None
        return grad_values, grad_x, None


class _Dots(torch.autograd.Function):
    """Products of the vectors at both ends of each entry; the gradients are sparse products again."""

    @staticmethod
    def forward(ctx: Any, x_RE: Tensor, y_CE: Tensor, matrix: SparseMatrix) -> Tensor:
        ctx.matrix = matrix
        ctx.save_for_backward(x_RE, y_CE)
        return _dots(x_RE, y_CE, matrix)

    @staticmethod
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x_RE, y_CE = ctx.saved_tensors
        grad_x = ctx.matrix.compressed(grad_N, False) @ y_CE.contiguous() if ctx.needs_input_grad[0] else None
        grad_y = ctx.matrix.compressed(grad_N, True) @ x_RE.contiguous() if ctx.needs_input_grad[1] else None
        return grad_x, grad_y, None


def _dots(x_RE: Tensor, y_CE: Tensor, matrix: SparseMatrix) -> Tensor:
    zeros = matrix.compressed(torch.zeros_like(matrix.values), False)
    sorted_N = torch.sparse.sampled_addmm(zeros, x_RE.contiguous(), y_CE.contiguous().T, beta=0).values()
    return torch.empty_like(sorted_N).index_copy_(0, matrix.order, sorted_N)
