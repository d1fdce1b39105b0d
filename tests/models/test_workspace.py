"""Memory that goes from step to step: nobody's while somebody has it."""

import torch

from sanrec.models.workspace import Room

CPU = torch.device("cpu")


def take(room, *shape, dtype=torch.float32):
    return room.take(shape, dtype, CPU)


def test_what_is_released_is_taken_again():
    room = Room()
    first = take(room, 3, 4)
    room.release()
    again = take(room, 2, 5)
    assert again.shape == (2, 5)
    assert again.data_ptr() == first.data_ptr()
    room.release()
    larger, other = take(room, 5, 5), take(room, 3, 4, dtype=torch.bfloat16)
    assert (larger.shape, other.shape, other.dtype) == ((5, 5), (3, 4), torch.bfloat16)


def test_nothing_is_shared_before_it_is_released():
    room = Room()
    one, other = take(room, 6).fill_(1), take(room, 6).fill_(2)
    room.release()
    third, fourth = take(room, 6).fill_(3), take(room, 6).fill_(4)
    assert third.data_ptr() == other.data_ptr()  # the last one; the others are their holders'
    assert [t.unique().item() for t in (one, third, fourth)] == [1, 3, 4]


def test_what_an_evaluation_leaves_takes_part_in_training():
    room, weight = Room(), torch.ones(4, requires_grad=True)
    with torch.inference_mode():
        take(room, 4).fill_(1)
        room.release()
    hidden = take(room, 4).fill_(2)
    (hidden * weight).sum().backward()
    assert weight.grad.tolist() == [2, 2, 2, 2]
