{# Whether the person whose consent key `column` holds agrees to a purpose of catalog/subjects.yaml, for the WHERE of a model that
   is made for it. A row of nobody (NULL) is out. Without an answer a person is out where the purpose says
   `otherwise: denied`, and in where it says `granted`. dbt reads models that are left out too, so only a run fails. #}
{% macro consented(purpose, column) -%}
    {%- set otherwise = consent_purposes().get(purpose) -%}
    {%- if otherwise is none -%}
        {%- if execute -%}
            {{ exceptions.raise_compiler_error("The purpose '" ~ purpose ~ "' is not in catalog/subjects.yaml. Add it there and run"
                ~ " `data-platform validate --write`, or correct it.") }}
        {%- endif -%}
        {{ return('1 = 0') }}
    {%- endif -%}
    {%- set key -%} cast({{ column }} as {{ column_type('varchar') }}) {%- endset -%}
    {%- if otherwise == 'denied' -%}
        {{ key }} in (
            select subject_key from {{ ref('consents') }} where purpose = '{{ purpose }}' and counts
        )
    {%- else -%}
        ({{ key }} is not null and {{ key }} not in (
            select subject_key from {{ ref('consents') }}
            where purpose = '{{ purpose }}' and state = 'withdrawn' and subject_key is not null
        ))
    {%- endif -%}
{%- endmacro %}

{# Whether the catalog has the purpose: `config(enabled=has_purpose('marketing'))` leaves a model out where it does not. #}
{% macro has_purpose(purpose) -%}
    {{ return(purpose in consent_purposes()) }}
{%- endmacro %}
