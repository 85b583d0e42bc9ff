{# Whether the catalog has the source; with `table_name`, whether it has that table of it. The answer is in
   catalog_tables.sql, which `data-platform validate --write` writes, so dbt knows it when it parses. The platform's
   own records are always a source. #}
{% macro has_source(source_name, table_name=none) -%}
    {%- if source_name in ('data_platform', 'privacy') -%} {{ return(true) }} {%- endif -%}
    {%- set tables = catalog_tables().get(source_name, []) -%}
    {{ return(tables | length > 0 if table_name is none else table_name in tables) }}
{%- endmacro %}

{# Whether the catalog has the table and the warehouse too: a source may be in the catalog and not be configured. While
   dbt parses, the catalog alone decides, so that what a model may refer to is known. With the variable `whole_catalog` it
   always does: then models can be compiled without a warehouse. #}
{% macro has_landed(source_name, table_name) -%}
    {%- if not has_source(source_name, table_name) -%} {{ return(false) }} {%- endif -%}
    {%- if not execute or var('whole_catalog', false) -%} {{ return(true) }} {%- endif -%}
    {%- for table in graph.get('sources', {}).values() if table.source_name == source_name and table.name == table_name -%}
        {{ return(adapter.get_relation(table.database, table.schema, table.identifier) is not none) }}
    {%- endfor -%}
    {{ return(false) }}
{%- endmacro %}

{# The expression, or NULL of its type: what is not known of a company without such a source. #}
{% macro where_known(known, expression, type) -%}
    {%- if known -%} {{ expression }} {%- else -%} cast(null as {{ column_type(type) }}) {%- endif -%}
{%- endmacro %}
