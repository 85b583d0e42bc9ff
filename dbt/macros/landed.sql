{# The raw table as a subquery with exactly `columns`: each name with its type, or with the raw column that it
   renames and its type. An API's table has only the columns that its records had so far, and none before its first
   sync: what is not there is NULL, and a table that is not there has no rows. JSON is asked
   for as text (`varchar`). #}
{% macro landed(source_name, table_name, columns) -%}
    {%- set raw = source(source_name, table_name) if has_source(source_name, table_name) else none -%}
    {%- set there = {} -%}
    {%- if raw and var('whole_catalog', false) -%}
        {%- for name, told in columns.items() %}
            {%- set renamed = name if told is string else told[0] %}
            {%- do there.update({renamed | lower: adapter.quote(renamed)}) -%}
        {%- endfor -%}
    {%- elif execute and raw -%}
        {%- set relation = adapter.get_relation(raw.database, raw.schema, raw.identifier) -%}
        {%- for column in (adapter.get_columns_in_relation(relation) if relation else []) -%}
            {%- do there.update({column.name | lower: adapter.quote(column.name)}) -%}
        {%- endfor -%}
    {%- endif -%}
    (
        select
            {%- for name, told in columns.items() %}
            {%- set renamed, type = (name, told) if told is string else told %}
            cast({{ there.get(renamed | lower, 'null') }} as {{ column_type(type) }}) as {{ name }}
            {{- "," if not loop.last }}
            {%- endfor %}
        from {{ raw if there else '(select 1 as nothing) as nothing where 1 = 0' }}
    )
{%- endmacro %}
