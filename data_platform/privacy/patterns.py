"""Which personal data a text holds, by its values: anywhere in the text, as in a note that somebody wrote. Pure.

Each kind is checked by more than its shape, because a check that raises false alarms is soon ignored: a telephone number is one that
its country gives out, a card's number and an IBAN have their check digits. Of kinds whose check a number passes by
chance, a column is judged by how many of what looks like one pass.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module

EMAIL, PHONE, IBAN, CARD, NATIONAL_ID, IP = (
    "email addresses", "telephone numbers", "IBANs", "payment card numbers", "national identity numbers", "IP addresses",
)  # fmt: skip
LOOKS_MAX = 20_000
"""Characters of a text that are searched."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """``shape`` finds what looks like one, ``is_one`` checks the text found. ``share`` and ``least``: of the lookalikes in a column's
    values this share and this number must pass."""

    kind: str
    shape: re.Pattern[str]
    is_one: Callable[[str], bool]
    share: float = 0.0
    least: int = 1


_FILE = re.compile(r"\.(png|jpe?g|gif|svg|webp|js|css|html?|php|pdf|mp[34]|zip|local|localhost|internal|invalid)$", re.I)  # fmt: skip


def _email(text: str) -> bool:
    return len(text) <= 254 and ".." not in text and _FILE.search(text) is None


def _phone(text: str) -> bool:
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, None))
    except phonenumbers.NumberParseException:
        return False


_ISSUERS = re.compile(
    r"4\d{12}(\d{3}){0,2}|(5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|(6011|65\d{2}|64[4-9]\d)\d{12}|3(0[0-5]|[689]\d)\d{11}|35(2[89]|[3-8]\d)\d{12}"
)


def _card(text: str) -> bool:
    digits = re.sub(r"[ -]", "", text)
    return _ISSUERS.fullmatch(digits) is not None and _by("luhn")(digits)


def _ip(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _by(module: str) -> Callable[[str], bool]:
    """The check of `python-stdnum`; a text that it cannot read is none."""

    def valid(text: str) -> bool:
        try:
            return bool(import_module(f"stdnum.{module}").is_valid(text))
        except Exception:  # junk makes some of its modules raise anything
            return False

    return valid


def _national(shape: str, module: str, share: float = 0.0, least: int = 1) -> Pattern:
    return Pattern(NATIONAL_ID, re.compile(rf"(?<![\w.+-]){shape}(?![\w-])"), _by(module), share, least)


_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
PATTERNS: tuple[Pattern, ...] = (
    Pattern(EMAIL, re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[a-z0-9-]{1,63}\.)+[a-z]{2,24}(?![\w-])", re.I), _email),
    Pattern(PHONE, re.compile(r"(?<![\w+])\+[1-9](?:[ ()./-]{0,2}\d){7,14}(?!\d)"), _phone),
    Pattern(IBAN, re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)"), _by("iban")),
    Pattern(CARD, re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-]|\.\d)"), _card, 0.5),
    Pattern(IP, re.compile(rf"(?<![\w./-])(?:{_OCTET}\.){{3}}{_OCTET}(?![\w-]|\.\d)"), _ip),
    Pattern(IP, re.compile(r"(?<![\w:.])(?:[0-9a-f]{1,4}:){2,7}(?::?[0-9a-f]{1,4}){1,7}(?![\w:])", re.I), _ip),
    _national(r"\d{3}-\d{2}-\d{4}", "us.ssn"),
    _national(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]", "gb.nino"),
    _national(r"\d{3}\.\d{3}\.\d{3}-\d{2}", "br.cpf"),
    _national(r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", "it.codicefiscale"),
    _national(r"[XYZ\d]\d{7}-?[A-HJ-NP-TV-Z]", "es.nif", 0.5),
    _national(r"[12] ?\d{2} ?[01]\d ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}", "fr.nir", 0.5),
    _national(r"\d{6}[-+A]\d{3}[\dA-Y]", "fi.hetu", 0.5),
    _national(r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z\d]\d", "mx.curp"),
    # digits alone: one in ten numbers passes by chance
    _national(r"\d{11}", "pl.pesel", 0.9, 10),
    _national(r"\d{9}", "nl.bsn", 0.9, 10),
    _national(r"\d{11}", "de.idnr", 0.9, 10),
)  # fmt: skip


def found(texts: Iterable[str], patterns: Iterable[Pattern] = PATTERNS) -> Mapping[str, int]:
    """By kind of personal data, how many of the ``texts`` of a column hold it. Only kinds that the column as a whole holds."""
    known = tuple(patterns)
    alike, real, holders = Counter[int](), Counter[int](), Counter[int]()
    for text in texts:
        for number, pattern in enumerate(known):
            looks = [one.group() for one in pattern.shape.finditer(text[:LOOKS_MAX])]
            good = sum(map(pattern.is_one, looks))
            alike[number] += len(looks)
            real[number] += good
            holders[number] += good > 0
    kinds: dict[str, int] = {}
    for number, pattern in enumerate(known):
        if real[number] >= pattern.least and real[number] > pattern.share * alike[number]:
            kinds[pattern.kind] = max(kinds.get(pattern.kind, 0), holders[number])
    return kinds
