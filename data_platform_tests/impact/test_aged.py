"""Which models lose rows by a rule of their raw table, and which last without telling how old a row is."""

from __future__ import annotations

from data_platform.column_lineage import ColumnOf, Taken
from data_platform.impact.aged import aged
from data_platform.impact.graph import Graph, Relation
from data_platform.impact.people import derived_from, totals_from
from data_platform.privacy.erasure.frozen import holders
from data_platform.privacy.retention.rule import AgedModel
from data_platform.privacy.subjects.graph import Link, Subject
from data_platform.privacy.subjects.place import Place
from data_platform.sync.erasing.derived import Derived
from data_platform.tables import TableId

EVENTS, USERS, VISITS = (TableId("shop", name) for name in ("events", "users", "visits"))
RAW = ("raw_shop", "events")


def model(name: str, how: str, columns: dict[str, str], reads: tuple[str, str] = RAW) -> Relation:
    """``columns`` by name: the column of ``reads`` that each is, as it is."""
    return Relation(
        "marts",
        name,
        "model",
        f"marts/{name}",
        tuple(columns),
        values={mine: (ColumnOf(*reads, theirs),) for mine, theirs in columns.items()},
        taken={mine: frozenset({Taken(ColumnOf(*reads, theirs))}) for mine, theirs in columns.items()},
        reads=frozenset({reads}),
        definitions={"": f"{how} 0123"}
        | {mine: f"text {'.'.join(reads)} AS e\ne.{theirs} AS {mine}" for mine, theirs in columns.items()},
    )


def test_models_that_hand_on_the_day_and_those_that_last_without_it() -> None:
    relations = (
        Relation(*RAW, "raw", "raw/shop/events", ("occurred_at", "user_id")),
        model("clicks", "incremental", {"at": "occurred_at", "person": "user_id"}),
        model("people", "table", {"person": "user_id"}),
        model("counts", "incremental", {"person": "person"}, ("marts", "people")),
        model("history", "snapshot", {"who": "person", "day": "at"}, ("marts", "clicks")),
        model("elsewhere", "incremental", {"x": "y"}, ("raw_shop", "orders")),
    )
    graph = Graph({each.key: each for each in relations})
    assert aged(graph, {EVENTS: ("occurred_at", ("user_id",))}) == [
        AgedModel(EVENTS, "marts", "clicks", "at", {"user_id": "person"}),
        AgedModel(EVENTS, "marts", "history", "day", {"user_id": "who"}),
        AgedModel(EVENTS, "marts", "counts", None, {}),
    ]


def test_models_that_hand_on_a_person_s_key_and_those_that_say_something_of_them_without_it() -> None:
    """A sum is nobody's: its columns have no class."""
    relations = (
        Relation(*RAW, "raw", "raw/shop/events", ("event_id", "user_id")),
        model("staged", "view", {"user_id": "user_id"}),
        model("clicks", "incremental", {"id": "event_id"}),
        model("days", "table", {"n": "occurred_at"}, ("marts", "staged")),
        model("history", "snapshot", {"n": "n"}, ("marts", "days")),
        model("shown", "view", {"n": "n"}, ("marts", "days")),
        model("sums", "table", {"n": "n"}, ("marts", "days")),
        model("elsewhere", "table", {"x": "y"}, ("raw_shop", "orders")),
    )
    key = Place(EVENTS, "event_id")
    assert derived_from(
        Graph({each.key: each for each in relations}),
        [(key, key)],
        {("marts", name): {RAW} for name in ("days", "history", "shown")},
    ) == [
        Derived(key, "marts", "clicks", "id"),
        Derived(key, "marts", "days", None),
        Derived(key, "marts", "history", None, lasting=True),
    ]


def test_models_of_a_table_to_which_no_other_is_linked_are_followed_by_its_link() -> None:
    """Its own key is never frozen, so a model with that alone hands on nothing by which its rows could be found."""
    keys = {USERS: Place(USERS, "user_id"), EVENTS: Place(EVENTS, "event_id")}
    links = (
        Link(Place(EVENTS, "user_id"), keys[USERS]),
        Link(Place(VISITS, "payload", ("user",)), keys[USERS]),
    )
    subject = Subject("customer", "", {"id": (keys[USERS],)}, links)
    relations = (
        Relation(*RAW, "raw", "raw/shop/events", ("event_id", "user_id")),
        model("clicks", "incremental", {"person": "user_id", "id": "event_id"}),
        model("numbers", "incremental", {"id": "event_id"}),
        model("seen", "table", {"text": "payload"}, ("raw_shop", "visits")),
    )
    found = derived_from(
        Graph({each.key: each for each in relations}),
        holders(subject, keys),
        {("marts", name): {RAW, ("raw_shop", "visits")} for name in ("clicks", "numbers", "seen")},
    )
    assert found == [
        Derived(keys[USERS], "marts", "clicks", "person"),
        Derived(keys[USERS], "marts", "numbers", None, lasting=True),
        Derived(keys[USERS], "marts", "seen", None),
    ]


def test_sums_that_outlive_a_build_and_have_nobody_in_them() -> None:
    relations = (
        Relation(*RAW, "raw", "raw/shop/events", ("event_id", "user_id")),
        model("clicks", "incremental", {"id": "event_id"}),
        model("days", "table", {"n": "occurred_at"}),
        model("totals", "incremental", {"n": "n"}, ("marts", "days")),
        model("totals_then", "snapshot", {"n": "n"}, ("marts", "totals")),
        model("said", "incremental", {"text": "n"}, ("marts", "days")),
        model("elsewhere", "incremental", {"x": "y"}, ("raw_shop", "orders")),
    )
    key = Place(EVENTS, "event_id")
    known = [Derived(key, "marts", "clicks", "id"), Derived(key, "marts", "said", None, lasting=True)]
    found = totals_from(
        Graph({each.key: each for each in relations}), [(key, key), (Place(EVENTS, "user_id"), key)], known
    )
    assert found == [
        Derived(key, "marts", "totals", None, lasting=True, sums=True),
        Derived(key, "marts", "totals_then", None, lasting=True, sums=True),
    ]
