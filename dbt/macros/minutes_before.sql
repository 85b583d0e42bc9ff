{# So many minutes before an instant with its zone. dbt's own `dateadd` loses the zone on BigQuery. #}
{% macro minutes_before(instant, count) -%}
    {{ return(adapter.dispatch('minutes_before')(instant, count)) }}
{%- endmacro %}

{% macro default__minutes_before(instant, count) -%}
    ({{ instant }} - interval '{{ count }} minute')
{%- endmacro %}

{% macro bigquery__minutes_before(instant, count) -%}
    timestamp_sub({{ instant }}, interval {{ count }} minute)
{%- endmacro %}

{% macro snowflake__minutes_before(instant, count) -%}
    dateadd('minute', -{{ count }}, {{ instant }})
{%- endmacro %}
