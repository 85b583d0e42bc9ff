{# So many minutes, hours or days before an instant with its zone. dbt's own `dateadd` loses the zone on BigQuery, which
   then compares it with no other instant. #}
{% macro before(instant, count, unit) -%}
    {{ return(adapter.dispatch('before')(instant, count, unit)) }}
{%- endmacro %}

{% macro default__before(instant, count, unit) -%}
    ({{ instant }} - interval '{{ count }} {{ unit }}')
{%- endmacro %}

{% macro bigquery__before(instant, count, unit) -%}
    timestamp_sub({{ instant }}, interval {{ count }} {{ unit }})
{%- endmacro %}

{% macro snowflake__before(instant, count, unit) -%}
    dateadd('{{ unit }}', -{{ count }}, {{ instant }})
{%- endmacro %}

{# The UTC day so many days ago. #}
{% macro days_ago(count) -%}
    {{ return(utc_day(before(dbt.current_timestamp(), count, 'day'))) }}
{%- endmacro %}

{# An instant that is written down, in UTC. #}
{% macro instant(text) -%}
    cast('{{ text }}+00:00' as {{ column_type('timestamptz') }})
{%- endmacro %}

{# `where:` of a test is plain text, in which no macro can be asked: `{an_hour_ago}` there is that instant in the engine's words. #}
{% macro default__get_where_subquery(relation) -%}
    {%- set where = config.get('where', '') -%}
    {%- if not where -%} {{ return(relation) }} {%- endif -%}
    {%- set where = where.replace('{an_hour_ago}', before(dbt.current_timestamp(), 1, 'hour')) -%}
    {{ return('(select * from ' ~ relation ~ ' where ' ~ where ~ ') as dbt_subquery') }}
{%- endmacro %}
