"""Whether sealed values can be opened, and whether a copy of their keys is at hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from data_platform.errors import DataPlatformError
from data_platform.findings import Finding, failed
from data_platform.keystore.copies import YOUNG, copies
from data_platform.sync import Platform
from data_platform.words import plural


def look_at_keystore(platform: Platform) -> Iterator[Finding]:
    """Nothing is made: a keystore that was never used stays so. No finding without a keystore."""
    config = platform.environment.keystore
    if config is None:
        return
    try:
        found = platform.keystore().status()
    except DataPlatformError as error:
        yield failed("keystore", error)
        return
    what = f"{plural(found.subjects, 'key')} in {found.place}, wrapped by {found.master}."
    if not found.number:
        what = f"{found.place} answers; nothing was sealed yet."
    if found.nobody:
        yield Finding(
            "keystore",
            "warn",
            f"{what} Rows that name no subject were sealed in {', '.join(found.nobody)}.",
            "No erasure reaches these rows, for they have one key together: see that the subject column is never NULL.",
        )
    else:
        yield Finding("keystore", "ok", what)
    if not found.number:
        return
    now, rule = platform.clock(), config.backups
    there = copies(platform.catalog.root / rule.path) if rule else []
    if rule is None or not there or now - there[-1].made_at > YOUNG:
        yield Finding(
            "keystore copies",
            "warn",
            "There is no copy of the keystore."
            if not there
            else f"The newest copy is older than {plural(YOUNG.days, 'day')}.",
            "If the keystore is lost, nothing that is sealed can be read. Run `data-platform keystore backup` each day.",
        )
    elif now - there[0].made_at > timedelta(days=rule.keep_days):
        yield Finding(
            "keystore copies",
            "fail",
            f"A copy is older than {plural(rule.keep_days, 'day')}: keys that were destroyed since live on in it.",
            "Run `data-platform keystore backup`, which removes it.",
        )
    else:
        yield Finding("keystore copies", "ok", f"{plural(len(there), 'copy')}, none too old.")
