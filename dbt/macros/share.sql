{# A line's share of its order's amount, in proportion to `weight`, a whole number not below zero
   (`cents`). Of the amount that falls on the lines up to and including this one, cut to cents, the
   share is what the lines before do not have. So the shares of an order add up to its amount to the
   cent, each is less than a cent off its exact part, a line of no weight gets nothing, and the same
   rows give the same shares. Whole numbers throughout: nothing depends on an engine's rounding. #}
{% macro share(amount, weight, per='order_id', in_order='line_number') -%}
    {%- set whole -%} sum({{ weight }}) over (partition by {{ per }}) {%- endset -%}
    {%- set through -%}
        sum({{ weight }}) over (
            partition by {{ per }} order by {{ in_order }} rows between unbounded preceding and current row
        )
    {%- endset -%}
    {{ money_of_cents(
        whole_quotient(cents(amount) ~ ' * ' ~ through, whole)
        ~ ' - ' ~ whole_quotient(cents(amount) ~ ' * (' ~ through ~ ' - ' ~ weight ~ ')', whole)
    ) }}
{%- endmacro %}

{# An amount as a whole number of cents, wide enough to be multiplied by another. #}
{% macro cents(amount) -%}
    {{ return(adapter.dispatch('cents')(amount)) }}
{%- endmacro %}

{% macro default__cents(amount) -%}
    cast(100 * ({{ amount }}) as decimal(38, 0))
{%- endmacro %}

{% macro duckdb__cents(amount) -%}
    cast(100 * ({{ amount }}) as hugeint)
{%- endmacro %}

{% macro bigquery__cents(amount) -%}
    round(cast(100 * ({{ amount }}) as bignumeric))
{%- endmacro %}

{% macro money_of_cents(cents) -%}
    {{ return(adapter.dispatch('money_of_cents')(cents)) }}
{%- endmacro %}

{% macro default__money_of_cents(cents) -%}
    cast(cast({{ cents }} as decimal(18, 0)) * 0.01 as decimal(18, 2))
{%- endmacro %}

{# Two whole numbers are divided as floating-point numbers there. #}
{% macro bigquery__money_of_cents(cents) -%}
    cast({{ cents }} as numeric) / 100
{%- endmacro %}

{# A quotient of whole numbers without what is after its point. #}
{% macro whole_quotient(dividend, divisor) -%}
    {{ return(adapter.dispatch('whole_quotient')(dividend, divisor)) }}
{%- endmacro %}

{# Redshift and Snowflake round a quotient to some places: without its remainder it has none. #}
{% macro default__whole_quotient(dividend, divisor) -%}
    (({{ dividend }} - mod({{ dividend }}, {{ divisor }})) / {{ divisor }})
{%- endmacro %}

{% macro duckdb__whole_quotient(dividend, divisor) -%}
    (({{ dividend }}) // ({{ divisor }}))
{%- endmacro %}

{% macro bigquery__whole_quotient(dividend, divisor) -%}
    div({{ dividend }}, {{ divisor }})
{%- endmacro %}
