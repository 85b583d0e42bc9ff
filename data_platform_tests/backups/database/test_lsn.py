"""Positions and segment names, as PostgreSQL spells them."""

from __future__ import annotations

import pytest

from data_platform.backups.database.lsn import Lsn, Segment

MB = 1 << 20


@pytest.mark.parametrize("text", ["0/0", "0/16B3748", "1/0", "A/FFFFFFFF", "FFFFFFFF/FFFFFFFF"])
def test_a_position_is_spelled_as_it_was_read(text: str) -> None:
    assert str(Lsn.parse(text)) == text


@pytest.mark.parametrize("text", ["", "0", "0/", "x/1", "0/16B3748 ", "0/123456789", "0x1/2"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="WAL position"):
        Lsn.parse(text)


def test_positions_are_ordered_as_numbers() -> None:
    assert Lsn.parse("2/0") > Lsn.parse("1/FFFFFFFF") > Lsn.parse("0/FFFFFFF")
    assert Lsn.parse("1/0") - Lsn.parse("0/FFFFFF00") == 256
    assert str(Lsn.parse("0/FFFFFF00") + 256) == "1/0"


@pytest.mark.parametrize(
    ("lsn", "size", "name"),
    [  # pg_walfile_name() of a server with this segment size
        ("0/16B3748", 16 * MB, "000000030000000000000001"),
        ("1/0", 16 * MB, "000000030000000100000000"),
        ("1/FF000000", 16 * MB, "0000000300000001000000FF"),
        ("1/0", MB, "000000030000000100000000"),
        ("0/FFF00000", MB, "000000030000000000000FFF"),
        ("2/C0000000", 1024 * MB, "000000030000000200000003"),
    ],
)
def test_a_segment_has_the_name_that_the_server_gives_it(lsn: str, size: int, name: str) -> None:
    segment = Segment.at(3, Lsn.parse(lsn), size)
    assert segment.name == name
    assert Segment.parse(name, size) == segment
    assert segment.start <= Lsn.parse(lsn) < segment.end == segment.next.start


@pytest.mark.parametrize(
    "name", ["", "00000001.history", "000000010000000000000100", "00000001000000000000000g"]
)
def test_what_is_no_segment_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name of a WAL segment"):
        Segment.parse(name, 16 * MB)
