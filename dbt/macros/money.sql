{# Amounts are exact decimals with two places, sums included. #}
{% macro money(expression) -%}
    {{ return(adapter.dispatch('money')(expression)) }}
{%- endmacro %}

{% macro default__money(expression) -%}
    cast({{ expression }} as decimal(18, 2))
{%- endmacro %}

{# NUMERIC with its default precision: a narrower one cannot be asked for in a cast there. #}
{% macro bigquery__money(expression) -%}
    cast({{ expression }} as numeric)
{%- endmacro %}

{# An average amount, rounded; NULL where there is nothing to average. #}
{% macro money_per(amount, count) -%}
    {{ money('round(' ~ amount ~ ' / nullif(' ~ count ~ ', 0), 2)') }}
{%- endmacro %}
