{# The UTC day of an instant, as a date. #}
{% macro utc_day(instant) -%}
    {{ return(adapter.dispatch('utc_day')(instant)) }}
{%- endmacro %}

{# Standard SQL; DuckDB and Redshift read it so. #}
{% macro default__utc_day(instant) -%}
    cast({{ instant }} at time zone 'UTC' as date)
{%- endmacro %}

{% macro bigquery__utc_day(instant) -%}
    date({{ instant }}, 'UTC')
{%- endmacro %}

{% macro snowflake__utc_day(instant) -%}
    to_date(convert_timezone('UTC', {{ instant }}))
{%- endmacro %}
