{# When a snapshot finds a row deleted: an instant with its zone, as `_loaded_at` is. DuckDB's
   own adapter drops the zone here, and dbt then warns at every run. #}
{% macro duckdb__snapshot_get_time() -%}
    {{ current_timestamp() }}
{%- endmacro %}
