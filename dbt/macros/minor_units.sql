{# An API's amount, a whole number of the currency's smallest unit, as money. Most currencies have hundredths. Of those
   that Stripe takes, some have no smaller unit, and some have thousandths, whose last digit is always 0 there
   (https://docs.stripe.com/currencies). So two places are exact in all of them. #}
{% macro money_of_minor_units(amount, currency) -%}
    {%- set whole = "'bif', 'clp', 'djf', 'gnf', 'jpy', 'kmf', 'krw', 'mga', 'pyg', 'rwf', 'vnd', 'vuv', 'xaf', 'xof', 'xpf'" -%}
    {%- set thousandths = "'bhd', 'jod', 'kwd', 'omr', 'tnd'" -%}
    {%- set hundredths -%}
        case
            when lower({{ currency }}) in ({{ whole }}) then 100 * {{ amount }}
            when lower({{ currency }}) in ({{ thousandths }}) then {{ whole_quotient(amount, '10') }}
            else {{ amount }}
        end
    {%- endset -%}
    {{ money_of_cents(hundredths) }}
{%- endmacro %}
