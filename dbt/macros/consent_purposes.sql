{# Generated from catalog/subjects.yaml by `data-platform validate --write`: change the catalog instead.
   What holds for a person who never answered, by purpose: what `consented` asks. #}
{% macro consent_purposes() -%}
    {{ return({
        'marketing': 'denied',
    }) }}
{%- endmacro %}
