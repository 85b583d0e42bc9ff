"""What makes a view give other rows each time it is read, though the snapshot is one."""

from __future__ import annotations

from typing import Any

from data_platform.sources.postgres.introspect import Relation

_UNSTEADY = """
with recursive views(oid) as (
    select {oid}::oid
    union
    select d.refobjid from views v join pg_rewrite r on r.ev_class = v.oid
    join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
        and d.refclassid = 'pg_class'::regclass
    join pg_class c on c.oid = d.refobjid and c.relkind in ('v', 'f')),
rules(tree) as (
    select r.ev_action::text from views v join pg_rewrite r on r.ev_class = v.oid)
select distinct kind, name from (
    select 'calls' as kind, p.proname::text as name from rules
    cross join lateral regexp_matches(tree, ':(?:funcid|opfuncid|aggfnoid|winfnoid) (\\d+)', 'g') called(ids)
    join pg_proc p on p.oid = called.ids[1]::oid
    where p.provolatile = 'v' or p.pronamespace = 'pg_catalog'::regnamespace
        and p.proname in ('now', 'transaction_timestamp', 'statement_timestamp')
    union all
    select 'calls', 'current_timestamp' from rules where tree ~ 'SQLVALUEFUNCTION|SQLValueFunction'
    union all
    select 'takes', 'tablesample' from rules where tree like '%TABLESAMPLECLAUSE%'
    union all
    select 'reads', c.relname::text from views v join pg_class c on c.oid = v.oid and c.relkind = 'f'
) found order by 1, 2
"""
"""A built-in function leaves no trace in pg_depend; the rule's tree has the number of each."""


def unsteady(connection: Any, relation: Relation) -> list[str]:
    """What in ``relation``, or in a view or foreign table below it, may give other rows each time."""
    found = connection.execute(_UNSTEADY.replace("{oid}", str(int(relation.oid))))
    called = [f"{name}()" for kind, name in found if kind == "calls"]
    read = [name for kind, name in found if kind == "reads"]
    causes = [f"it calls {', '.join(called)}"] if called else []
    causes += ["it takes a TABLESAMPLE"] if any(kind == "takes" for kind, _ in found) else []
    causes += [f"it reads the foreign table {', '.join(read)}, of which no snapshot is held"] if read else []
    return causes
