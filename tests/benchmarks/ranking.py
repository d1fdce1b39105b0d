"""Full ranking with histories masked, against loops over the users.

    python -m tests.benchmarks.ranking --users 100000 --items 20000

Vectors of width 64 and targets are random; every user has 12 items of history. Contenders:

    argsort   per user: scores of all items, history masked, sorted, the target's place looked up
    counting  per user: scores, history masked, how many reach the target's
    ours      `rank_targets`

The loops take `--sample` users a round, other ones each time, and ours all of them; compared are users a second. Some
items have the same vector, so that ties are met: argsort breaks them by chance and may differ there alone.
"""

import argparse

import torch
from torch import Tensor

from sanrec.evaluation.ranking import rank_targets
from sanrec.training.machine import peak_memory, restart_peak_memory
from tests.benchmarks.timing import add_common, in_turn, machine_line, matrix_rate, print_table, ratios, spread

WIDTH, HISTORY, DOUBLES = 64, 12, 0.05
CPU = torch.device("cpu")


def random_data(users: int, items: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """States [U, E], item vectors [I + 1, E] of which some are equal, targets [U], histories [U, S] without them."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(users, WIDTH, generator=generator)
    vectors = torch.randn(items + 1, WIDTH, generator=generator)
    doubled = torch.randint(1, items + 1, (2, int(DOUBLES * items)), generator=generator)
    vectors[doubled[0]] = vectors[doubled[1]]
    targets = torch.randint(1, items + 1, (users,), generator=generator)
    histories = torch.randint(1, items + 1, (users, HISTORY), generator=generator)
    return states, vectors, targets, histories.masked_fill(histories == targets[:, None], 0)


def by_sorting(states: Tensor, targets: Tensor, histories: Tensor, vectors: Tensor) -> list[int]:
    """Ranks, user by user, from an argsort of the scores."""
    ranks = []
    for state, target, history in zip(states, targets, histories, strict=True):
        scores = vectors @ state
        scores[history] = -torch.inf
        scores[0] = -torch.inf
        order = torch.argsort(scores, descending=True)
        ranks.append(int((order == target).nonzero()) + 1)
    return ranks


def by_counting(states: Tensor, targets: Tensor, histories: Tensor, vectors: Tensor) -> list[int]:
    """Ranks, user by user, from the number of scores that reach the target's."""
    ranks = []
    for state, target, history in zip(states, targets, histories, strict=True):
        scores = vectors @ state
        own = scores[target].clone()
        scores[history] = -torch.inf
        scores[0] = -torch.inf
        ranks.append(int((scores >= own).sum()))
    return ranks


def main() -> None:
    """Check, race, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common(parser, repeats=5)
    parser.add_argument("--users", type=int, default=100_000, help="users (100,000)")
    parser.add_argument("--items", type=int, default=20_000, help="items (20,000)")
    parser.add_argument("--sample", type=int, default=2_000, help="users that the loops take a round (2,000)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = random_data(args.users, args.items)
    print(f"{machine_line(args.threads)}; {args.users:,} users, {args.items:,} items of width {WIDTH}")

    restart_peak_memory(CPU)
    before = peak_memory(CPU)
    found = rank_targets(*data)
    more = peak_memory(CPU) - before

    def sample(number: int) -> list[Tensor]:
        first = number * args.sample % max(1, args.users - args.sample)
        states, vectors, *lists = data
        return [part[first : first + args.sample] for part in (states, *lists)] + [vectors]

    for name, loop in (("counting", by_counting), ("argsort", by_sorting)):
        # a product of one vector adds up in another order than one of many: a near tie may turn
        off = (torch.tensor(loop(*sample(0))) - found[: args.sample]).abs()
        print(f"{name}: ranks differ for {int((off > 0).sum())} of {args.sample} users, by {int(off.max())} at most")
        # sorting breaks ties by chance, and counting does not
        limit, share = (1, 0.01) if name == "counting" else (args.items, DOUBLES + 0.02)
        if int(off.max()) > limit or float((off > 0).float().mean()) > share:
            raise SystemExit(f"{name} does not rank as ours does")

    taken = in_turn(
        {
            "argsort": lambda number: by_sorting(*sample(number)),
            "counting": lambda number: by_counting(*sample(number)),
            "ours": lambda number: rank_targets(*data),
        },
        args.repeats,
    )
    users = {"argsort": args.sample, "counting": args.sample, "ours": args.users}
    each = {name: [1e6 * t / users[name] for t in times] for name, times in taken.items()}
    floor = 1e6 * 2 * args.items * WIDTH / matrix_rate(1, 256, WIDTH, args.items, torch.float32)
    rows = [
        [name, spread(times), ratios(each["argsort"], times), ratios(each["counting"], times)]
        for name, times in each.items()
    ]
    print_table(["contender", "µs per user", "times argsort", "times counting"], rows)
    print(
        f"all {args.users:,} users by ours: {spread(taken['ours'])} s, {more / 2**20:.0f} MiB beside the vectors; the "
        f"matrix product alone {floor:.1f} µs per user"
    )


if __name__ == "__main__":
    main()
