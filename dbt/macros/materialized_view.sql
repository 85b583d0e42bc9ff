{# How a model is stored, one line of its configuration each: a materialized view, and a table partitioned by day. #}

{# The engine's own kind of materialized view, or `otherwise` where it has none. `materialized_views: false` among the
   variables of dbt_project.yml makes it `otherwise` everywhere. #}
{% macro materialized_view_or(otherwise) -%}
    {{ return(_materialized_view() if has_materialized_views() else otherwise) }}
{%- endmacro %}

{% macro has_materialized_views() -%}
    {{ return(var('materialized_views') and _materialized_view() != '') }}
{%- endmacro %}

{% macro _materialized_view() -%}
    {{ return({
        'bigquery': 'materialized_view', 'redshift': 'materialized_view', 'snowflake': 'dynamic_table'
    }.get(target.type, '')) }}
{%- endmacro %}

{# What each engine wants to be told of one. dbt refreshes it when it builds the model, and nothing else has to: the raw
   tables change in loads alone, after which the model is built. Snowflake computes it whole: by what changed it could only as
   long as no raw table is made anew, since change tracking ends with a table. #}
{% macro of_materialized_view() -%}
    {%- if not has_materialized_views() -%} {{ return({}) }} {%- endif -%}
    {{ return({
        'bigquery': {'enable_refresh': false},
        'redshift': {'auto_refresh': false},
        'snowflake': {'snowflake_warehouse': target.warehouse, 'refresh_mode': 'FULL', 'initialize': 'ON_CREATE'}
    }[target.type]) }}
{%- endmacro %}

{# A model to select from. A materialized view of BigQuery and of Redshift may read tables alone, no views: so the text of
   a view stands in place of its name, and that of the views which it reads. #}
{% macro of_tables_alone(name) -%}
    {%- if not has_materialized_views() or 'nodes' not in graph -%} {{ return(ref(name)) }} {%- endif -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name == name -%}
        {%- if node.config.materialized != 'view' -%} {{ return(ref(name)) }} {%- endif -%}
        {%- set text = node.raw_code.replace('{{ ref(', '{{ of_tables_alone(') -%}
        {{ return('(\n' ~ render(text) ~ '\n)') }}
    {%- endfor -%}
{%- endmacro %}

{# How an incremental run takes out the days that it computes again: by partition where a day is one. #}
{% macro days_replaced_by() -%}
    {{ return('insert_overwrite' if target.type == 'bigquery' else 'delete+insert') }}
{%- endmacro %}

{# A table that is read by day: partitioned by the days of a date column and clustered by others on BigQuery, clustered by
   all of them on Snowflake, sorted by them on Redshift. DuckDB keeps the smallest and greatest value of each group of rows. #}
{% macro stored_by_day(day, columns=[]) -%}
    {{ return({
        'bigquery': {
            'partition_by': {'field': day, 'data_type': 'date', 'granularity': 'day'}, 'cluster_by': columns or none
        },
        'snowflake': {'cluster_by': [day] + columns},
        'redshift': {'sort_type': 'compound', 'sort': [day] + columns}
    }.get(target.type, {})) }}
{%- endmacro %}

{# A hook of a table. A materialized view has no rows to delete. #}
{% macro delete_where(condition) -%}
    {%- if not has_materialized_views() -%} delete from {{ this }} where {{ condition }} {%- endif -%}
{%- endmacro %}

{# As dbt's own, with what BigQuery asks for a definition with an outer join: it computes such a view whole, and must be
   told how old an answer may be. An older one it computes from the tables. #}
{% macro bigquery__get_create_materialized_view_as_sql(relation, sql) -%}
    create materialized view if not exists {{ relation }}
    {{ _options_of_materialized_view() }}
    as {{ sql }}
{%- endmacro %}

{% macro bigquery__get_replace_materialized_view_as_sql(relation, sql) -%}
    create or replace materialized view {{ relation }}
    {{ _options_of_materialized_view() }}
    as {{ sql }}
{%- endmacro %}

{# BigQuery refuses to read or to refresh a view one of whose tables was recreated, and a load that changes the shape of a
   raw table recreates it. So each run recreates the view, which computes nothing, and fills it as a refresh would. This
   also takes up a changed definition, which dbt does not notice there. #}
{% macro bigquery__refresh_materialized_view(relation) -%}
    {{ bigquery__get_replace_materialized_view_as_sql(relation, sql) }};
    call bq.refresh_materialized_view('{{ relation.database }}.{{ relation.schema }}.{{ relation.identifier }}')
{%- endmacro %}

{% macro _options_of_materialized_view() -%}
    options (
        enable_refresh = false,
        max_staleness = interval '24:0:0' hour to second,
        allow_non_incremental_definition = true
    )
{%- endmacro %}
