{# A model's schema is the one its folder declares (`marts`, not `analytics_marts`): every
   environment has a warehouse of its own, so nothing needs to be told apart by prefix. Where another
   warehouse can only be the same one with other names, the platform gives their prefix. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ schema_prefix() if custom_schema_name else '' }}{{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}

{% macro schema_prefix() -%}
    {{ return(env_var('DATA_PLATFORM_SCHEMA_PREFIX', '')) }}
{%- endmacro %}
