{# The text of a top-level key of a JSON object; NULL where the key is missing. #}
{% macro json_text(json, key) -%}
    {{ return(adapter.dispatch('json_text')(json, key)) }}
{%- endmacro %}

{# Snowflake, over JSON kept as text. #}
{% macro default__json_text(json, key) -%}
    json_extract_path_text({{ json }}, '{{ key }}')
{%- endmacro %}

{# A key that is missing is an empty text there. #}
{% macro redshift__json_text(json, key) -%}
    nullif(json_extract_path_text({{ json }}, '{{ key }}'), '')
{%- endmacro %}

{% macro duckdb__json_text(json, key) -%}
    json_extract_string({{ json }}, '$.{{ key }}')
{%- endmacro %}

{% macro bigquery__json_text(json, key) -%}
    json_value({{ json }}, '$.{{ key }}')
{%- endmacro %}
