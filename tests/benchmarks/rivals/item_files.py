"""Hidden states in one file per item and channel, read by loader workers for every sample: the published way."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


def write_files(bank: Tensor, folder: Path) -> None:
    """One file [L, D] per channel and item of a bank [L, M, I, D]: `{channel}/{item}.npy`, items from 1."""
    for m in range(bank.shape[1]):
        of_channel = folder / str(m)
        of_channel.mkdir()
        states = bank[:, m].transpose(0, 1).contiguous().numpy()
        for item, one in enumerate(states, start=1):
            np.save(of_channel / f"{item}.npy", one)


class Histories(Dataset):
    """A user's sequence with the hidden states of each of its positions, zeros at padding."""

    def __init__(self, sequences: np.ndarray, folder: Path, shape: tuple[int, int, int]) -> None:
        self.sequences, self.folder, self.shape = sequences, folder, shape

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, user: int) -> tuple[Tensor, np.ndarray]:
        own = self.sequences[user]
        hidden = np.zeros((len(own), *self.shape), dtype=np.float16)  # [S + 1, M, L, D]
        for place, item in enumerate(own):
            if item:
                for m in range(self.shape[0]):
                    hidden[place, m] = np.load(self.folder / str(m) / f"{item}.npy")
        return torch.from_numpy(hidden), own.astype(np.int64)


def loader(sequences: np.ndarray, folder: Path, shape: tuple[int, int, int], batch: int, workers: int) -> DataLoader:
    """Batches of hidden states [B, S + 1, M, L, D] and sequences [B, S + 1], in the order given."""
    return DataLoader(Histories(sequences, folder, shape), batch_size=batch, num_workers=workers)
