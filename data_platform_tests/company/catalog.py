"""What the catalog of the company says: its sources, whose rows are whose, where everything lies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from data_platform.landing.redaction import KEY_VARIABLE

SECRETS = {
    KEY_VARIABLE: "a key that only the company uses, long enough",
    "DATA_PLATFORM_HASH_KEY": "another key that only the company uses",
    "DATA_PLATFORM_MASTER_KEY": "a master key that only the company uses",
    "HOOKS_SECRET": "whsec_a1",
}
SHOP: dict[str, Any] = {
    "users": {
        "key": "user_id",
        "cursor": "updated_at",
        "cursor_clock": "database",
        "subject": {"column": "user_id", "as": "shopper"},
        "columns": {"user_id": "The key.", "email": "A hash.", "name": "In clear.", "secret": "Sealed."},
        "personal": {"email": "hash", "name": "keep", "secret": "seal"},
    },
    "orders": {
        "key": "order_id",
        "cursor": "updated_at",
        "cursor_clock": "database",
        "partition": "created_at",
        "subject": {"column": "user_id", "as": "shopper"},
        "columns": {"order_id": "The key.", "user_id": "Whose.", "note": "In clear.", "secret": "Sealed."},
        "personal": {"note": "keep", "secret": "seal"},
    },
    "items": {"key": "item_id", "personal": {"engraving": "keep"}},
    "visits": {"key": "visit_id", "personal": {"payload": "keep"}},
}
OFFICE = {"letters": {"files": "letters/*.ndjson", "key": "letter_id", "personal": {"text": "keep"}}}
HOOKS = {
    "events": {"personal": {"payload": "keep"}},
    "orders": {"events": "order.*", "record": "data.order", "personal": {"gift": "keep"}},
}
PAYMENTS = {
    "customers": {"subject": "id", "personal": {"email": "hash", "name": "keep", "phone": "seal"}},
    "charges": {"personal": {"description": "keep"}},
    "refunds": {"personal": {"reason": "keep"}},
}
DESK = {
    "users": {"key": "id", "personal": {"email": "hash", "name": "keep"}},
    "tickets": {
        "key": "id",
        "subject": "requester_id",
        "personal": {"subject": "keep", "description": "seal"},
    },
}
SUBJECTS = {
    "customer": {
        "lookups": {
            "email": ["shop/users.email", "stripe/customers.email", "zendesk/users.email"],
            "user_id": "shop/users.user_id",
        },
        "links": {
            "shop/orders.user_id": "shop/users.user_id",
            "shop/items.order_id": "shop/orders.order_id",
            "shop/visits.payload.user": "shop/users.user_id",
            "office/letters.user_id": "shop/users.user_id",
            "hooks/orders.user_id": "shop/users.user_id",
            "hooks/events.payload.data.order.user_id": "shop/users.user_id",
            "stripe/customers.metadata.user_id": "shop/users.user_id",
            "stripe/charges.customer": "stripe/customers.id",
            "stripe/refunds.charge": "stripe/charges.id",
            "zendesk/users.email": "shop/users.email",
            "zendesk/tickets.requester_id": "zendesk/users.id",
        },
    }
}
START = date(2026, 1, 1)
Store = Mapping[str, Any]


def write(root: Path, landing: Store, store: Store, copies: Mapping[str, Store]) -> None:
    """Write it below ``root``. ``landing``, ``store`` and ``copies`` are blocks of platform.yaml."""
    local = {
        "landing": dict(landing),
        "warehouse": {"kind": "duckdb", "path": "warehouse.duckdb", "wait_seconds": 120, "threads": 1},
        "keystore": {"kind": "sqlite", "path": "keys/keystore.sqlite", "backups": {"path": "key-copies"}},
        "backups": {"store": dict(store), "copies": {n: dict(c) for n, c in copies.items()}, "start": str(START)},
    }  # fmt: skip
    start = {"start": str(START)}
    sources: dict[str, Any] = {
        "shop": {
            "kind": "postgres", "tables": SHOP, **start,
            "connection": {"url_env": "SHOP_URL", "lock_timeout_seconds": 2},
        },
        "office": {
            "kind": "files", "tables": OFFICE, **start,
            "connection": {"path": "exports", "settle_seconds": 0},
        },
        "hooks": {
            "kind": "webhook", "tables": HOOKS, **start,
            "connection": {"secret_env": "HOOKS_SECRET", "scheme": "stripe"},
        },
        "stripe": {
            "kind": "stripe", "tables": PAYMENTS,
            "connection": {
                "api_key_env": "STRIPE_KEY", "api_base_env": "STRIPE_URL", "look_back_seconds": 2,
                "requests_per_second": 1_000,
            },
        },
        "zendesk": {
            "kind": "zendesk", "tables": DESK,
            "connection": {"url_env": "DESK_URL", "oauth_token_env": "DESK_TOKEN", "exports_per_minute": 1_000},
        },
    }  # fmt: skip
    documents = {"platform": {"environments": {"local": local}}, "subjects": {"subjects": SUBJECTS}}
    documents |= {f"sources/{name}": {"source": name, **file} for name, file in sources.items()}
    (root / "catalog/sources").mkdir(parents=True)
    for name, document in documents.items():
        (root / f"catalog/{name}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
