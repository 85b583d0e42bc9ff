{# A model's schema is the one its folder declares (`marts`, not `analytics_marts`): every
   environment has a warehouse of its own, so nothing needs to be told apart by prefix. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
