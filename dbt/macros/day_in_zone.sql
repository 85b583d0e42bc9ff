{# The day of an instant in a time zone, such as 'America/New_York', as a date. #}
{% macro day_in_zone(instant, zone) -%}
    {{ return(adapter.dispatch('day_in_zone')(instant, zone)) }}
{%- endmacro %}

{# Standard SQL; DuckDB and Redshift read it so. #}
{% macro default__day_in_zone(instant, zone) -%}
    cast({{ instant }} at time zone '{{ zone }}' as date)
{%- endmacro %}

{% macro bigquery__day_in_zone(instant, zone) -%}
    date({{ instant }}, '{{ zone }}')
{%- endmacro %}

{% macro snowflake__day_in_zone(instant, zone) -%}
    to_date(convert_timezone('{{ zone }}', {{ instant }}))
{%- endmacro %}
