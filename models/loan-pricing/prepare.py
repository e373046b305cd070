"""Split the offered loans into rows to train on, rows to test on, and rows that monitoring compares with."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import pandas as pd
import yaml

HERE = Path(__file__).parent
SOURCE = HERE / "data" / "lending_club.csv"
DATA = HERE / "out" / "data"


def position(loan_id: int, seed: int) -> float:
    """A loan's place in [0, 1): it depends on nothing but its id, so new rows never move old ones."""
    digest = blake2b(f"{seed}:{loan_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def split(loans: pd.DataFrame, *, seed: int, test_share: float, reference_share: float) -> dict[str, pd.DataFrame]:
    """Three disjoint parts, as they are known on the day of the offer."""
    # Whether the loan was repaid is known years after its rate was set.
    loans = loans.drop(columns="Class")
    place = loans["loan_id"].map(lambda loan_id: position(loan_id, seed))
    test = place < test_share
    reference = ~test & (place < test_share + reference_share)
    return {"train": loans[~test & ~reference], "test": loans[test], "reference": loans[reference]}


def main() -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())["loan-pricing"]["prepare"]
    DATA.mkdir(parents=True, exist_ok=True)
    for name, part in split(pd.read_csv(SOURCE), **params).items():
        part.to_parquet(DATA / f"{name}.parquet", index=False)


if __name__ == "__main__":
    main()
