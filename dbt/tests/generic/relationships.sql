{# As dbt's own `relationships`: every value of the column is one of `field` in `to`. Only what two reads
   at different moments cannot explain counts: the tables of a source are not always read at once, and a
   slice takes deleted rows out of one table alone. A row counts once the other table was read as late
   as it (`settled_orphans`). #}
{% test relationships(model, column_name, to, field) %}
{%- set settled = settled_orphans(model, column_name, to, field) -%}
with child as (
    select {{ column_name }} as from_field from {{ model }} where {{ column_name }} is not null
),

parent as (
    select {{ field }} as to_field from {{ to }}
)

select from_field
from child
left join parent on child.from_field = parent.to_field
where
    parent.to_field is null
    {%- if settled %}
    and from_field in ({{ settled }})
    {%- endif %}
{% endtest %}
