{# A column of the platform's own records or of a raw table that is a word of SQL's, quoted as it is there. #}
{% macro raw_name(column) -%}
    {{ return(adapter.dispatch('raw_name')(column)) }}
{%- endmacro %}

{% macro default__raw_name(column) -%}
    {{ return(adapter.quote(column)) }}
{%- endmacro %}

{# Names are upper case in the platform's tables there, so that nobody has to quote them. #}
{% macro snowflake__raw_name(column) -%}
    {{ return(adapter.quote(column | upper)) }}
{%- endmacro %}

{# The columns that a table has now; none in a unit test, where `this` is but the name of a mock. #}
{% macro column_names(relation) -%}
    {%- if relation is string -%} {{ return([]) }} {%- endif -%}
    {{ return(adapter.get_columns_in_relation(relation) | map(attribute='name') | map('lower') | list) }}
{%- endmacro %}
