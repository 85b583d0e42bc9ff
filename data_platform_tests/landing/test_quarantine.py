"""The file of rejected records, and its sealing."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_platform.errors import ConfigurationError
from data_platform.landing import quarantine
from data_platform.landing.sealing import Sealer
from data_platform.sources import rejected
from data_platform.sources.rejected import Rejected, RejectedFile

KEY = b"a key of a test, long enough to be taken"


@given(st.binary(max_size=200), st.text(max_size=20))
def test_what_is_sealed_opens_at_its_place_under_its_key_alone(value: bytes, place: str) -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(value, place)
    assert sealer.open(sealed, place) == value
    assert sealed != sealer.seal(value, place), "equal values are not seen to be equal"
    for other, where in ((Sealer(KEY + b"!"), place), (sealer, place + "!")):
        with pytest.raises(ConfigurationError, match="does not open"):
            other.open(sealed, where)
    with pytest.raises(ConfigurationError):
        sealer.open(sealed[:-1], place)


def test_many_records_are_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejected, "HELD_BYTES", 10_000)
    file = RejectedFile(tmp_path / "rejected.parquet")
    sent = [Rejected(f"reason {n % 3}", f"line {n}", bytes([n % 256]) * (n * 7 % 900)) for n in range(1000)]
    for one in sent:
        file.add(one)
    file.close()
    assert file.files == ((tmp_path / "rejected.parquet", 1000),)
    assert pq.ParquetFile(tmp_path / "rejected.parquet").num_row_groups > 5
    for name, sealer in (("clear", None), ("sealed", Sealer(KEY))):
        made = tmp_path / f"{name}.parquet"
        assert quarantine.write([path for path, _ in file.files] * 2, made, "the/key", sealer) == 2000
        rows = pq.read_table(made).to_pylist()
        opened = [
            one["bytes"] if sealer is None else sealer.open(one["bytes"], f"Record {n} of the/key")
            for n, one in enumerate(rows)
        ]
        assert opened == [one.bytes for one in sent] * 2
        assert [one["origin"] for one in rows] == [one.origin for one in sent] * 2


def test_no_record_is_no_file(tmp_path: Path) -> None:
    file = RejectedFile(tmp_path / "none.parquet")
    file.close()
    assert file.files == () and not list(tmp_path.iterdir())
