"""One line of YAML as a rule. ``rule_sql.py`` beside this package makes its SQL, ``evaluate.py`` runs it.

    revenue >= 0                    a column and a number, a date, a 'text', true, today, now
    paid_at >= created_at           or another column
    user_id not null
    email contains "@"
    age between 0 and 150           both ends included
    status in [paid, 'on hold']     also: not in
    sku matches "^[A-Z]{3}-"        a regular expression (RE2), found anywhere in the text
    null_rate(coupon_code) <= 0.05  the share of rows where it is NULL; 0.05 if nothing is written
    unique(user_id, day)            no two rows have the same values
    user_id references users.id     each value is in a column of another table
    sum(revenue) >= 0               a figure of the whole table, or of each day or group: ``per day``
    number increases over at        from row to row, in the order of another column
    day has no gap longer than 1 day

``model.py`` is what a rule is; ``parse.py`` reads a line or a mapping, ``rows.py`` the forms that one row answers,
``tables.py`` those that need several, ``sql.py`` what is written in SQL, ``values.py`` the values.

A NULL passes every row rule except ``not null``. A value that cannot be compared fails: text that is not a number fails ``>= 0``.
Numbers are compared as double precision, dates as days in UTC.
"""

from data_platform.quality.rules.model import FORMS, Operand, OperandKind, Rule
from data_platform.quality.rules.parse import parse_rule

__all__ = ["FORMS", "Operand", "OperandKind", "Rule", "parse_rule"]
