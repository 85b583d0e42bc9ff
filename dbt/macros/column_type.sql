{# A type as the engine names it, in a cast or in a contract. Contracts and `landed` say types in DuckDB's words. #}
{% macro column_type(type) -%}
    {{ return(adapter.dispatch('column_type')(type)) }}
{%- endmacro %}

{% macro default__column_type(type) -%}
    {{ return(type) }}
{%- endmacro %}

{# A cast there takes no precision: NUMERIC has 29 digits before the point and 9 after it, BIGNUMERIC 38 and 38. #}
{% macro bigquery__column_type(type) -%}
    {%- set names = {
        'varchar': 'string', 'uuid': 'string', 'timestamptz': 'timestamp', 'double': 'float64', 'bigint': 'int64',
        'integer': 'int64', 'boolean': 'bool'
    } -%}
    {%- if not type.startswith('decimal') -%} {{ return(names.get(type, type)) }} {%- endif -%}
    {%- set digits, places = type[8:-1].split(',') | map('int') -%}
    {{ return('numeric' if places <= 9 and digits - places <= 29 else 'bignumeric') }}
{%- endmacro %}

{# VARCHAR alone is 256 bytes there, and a cast to it cuts without an error. #}
{% macro redshift__column_type(type) -%}
    {{ return({'double': 'double precision', 'varchar': 'varchar(65535)', 'uuid': 'varchar(36)'}.get(type, type)) }}
{%- endmacro %}

{% macro snowflake__column_type(type) -%}
    {{ return({'timestamptz': 'timestamp_tz', 'uuid': 'varchar'}.get(type, type)) }}
{%- endmacro %}

{# dbt's own, after the types of the contract are the engine's. #}
{% macro default__get_table_columns_and_constraints() -%}
    {%- do _types_of_the_engine(model['columns']) -%}
    {{ return(table_columns_and_constraints()) }}
{%- endmacro %}

{% macro default__get_assert_columns_equivalent(sql) -%}
    {%- do _types_of_the_engine(model['columns']) -%}
    {{ return(assert_columns_equivalent(sql)) }}
{%- endmacro %}

{% macro _types_of_the_engine(columns) -%}
    {%- for column in columns.values() if column.get('data_type') -%}
        {%- do column.update({'data_type': column_type(column['data_type'])}) -%}
    {%- endfor -%}
{%- endmacro %}
