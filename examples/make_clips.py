"""Write the small world of clips that several examples share, into the folder `data` of the example given.

60 users and 24 clips of three kinds. Users mostly take clips of one kind; vectors tell the kinds apart. Two clips are
new in the last weeks.
"""

import sys
from pathlib import Path

import numpy as np

USERS, CLIPS, KINDS, WIDTH, DAYS = 60, 24, 3, 8, 200
NEW, NEW_FROM = (7, 15), 170


def main(folder: Path) -> None:
    """Write clips.inter (user, item, timestamp in days) and vectors.npy [clips, 8]."""
    rng = np.random.default_rng(3)
    kind = np.arange(CLIPS) // (CLIPS // KINDS)
    centres = rng.normal(size=(KINDS, WIDTH))
    lines = []
    for user in range(USERS):
        had: set[int] = set()
        for day in np.sort(rng.choice(DAYS, 8 + user % 4, replace=False)):
            weights = np.where(kind == user % KINDS, 8.0, 1.0)
            weights[list(had)] = 0
            weights[list(NEW)] *= day >= NEW_FROM
            clip = int(rng.choice(CLIPS, p=weights / weights.sum()))
            had.add(clip)
            lines.append((int(day), user, clip))
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"u{user}\t{clip}\t{day}\n" for day, user, clip in sorted(lines))
    (data / "clips.inter").write_text("userID\titemID\ttimestamp\n" + rows)
    np.save(data / "vectors.npy", (centres[kind] + rng.normal(0, 0.3, (CLIPS, WIDTH))).astype(np.float32))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
