{# Amounts are exact decimals with two places, sums included. #}
{% macro money(expression) -%}
    {{ return(adapter.dispatch('money')(expression)) }}
{%- endmacro %}

{% macro default__money(expression) -%}
    cast({{ expression }} as decimal(18, 2))
{%- endmacro %}

{# NUMERIC has nine places there, and a cast to fewer cannot be asked for. #}
{% macro bigquery__money(expression) -%}
    round(cast({{ expression }} as numeric), 2)
{%- endmacro %}

{# An average amount, half a cent rounded away from zero; NULL where there is nothing to average. In whole numbers: some
   engines divide decimals as floating-point numbers, in which 2.01 / 2 is a little less than 1.005. #}
{% macro money_per(amount, count) -%}
    {%- set doubled = '2 * ' ~ cents(amount) ~ ' + case when ' ~ amount ~ ' < 0 then -1 else 1 end * ' ~ count -%}
    {{ money_of_cents(whole_quotient('(' ~ doubled ~ ')', '(2 * nullif(' ~ count ~ ', 0))')) }}
{%- endmacro %}
