-- What Redshift has and PostgreSQL has not, in a schema that the stand-in puts on every session's path.
create schema rs;

create view rs.svv_columns as
select
    table_schema::text as table_schema,
    table_name::text as table_name,
    column_name::text as column_name,
    ordinal_position::integer as ordinal_position,
    case data_type when 'bytea' then 'binary varying' else data_type::text end as data_type,
    character_maximum_length::integer as character_maximum_length,
    numeric_precision::integer as numeric_precision,
    numeric_scale::integer as numeric_scale
from information_schema.columns
where table_schema <> 'rs';

create view rs.svv_tables as
select table_schema::text as table_schema, table_name::text as table_name, table_type::text as table_type
from information_schema.tables
where table_schema <> 'rs';

create function rs.getdate() returns timestamp stable return localtimestamp;

create function rs.datediff(part text, one timestamp, other timestamp) returns bigint immutable
return case
    when part = 'us' then (extract(epoch from other) * 1000000 - extract(epoch from one) * 1000000)::bigint
end;

create function rs.datediff(part text, one time, other time) returns bigint immutable
return case when part = 'us' then (extract(epoch from other - one) * 1000000)::bigint end;

create function rs.strtol(digits text, base integer) returns bigint immutable
return case when base = 16 then ('x' || lpad(digits, 16, '0'))::bit(64)::bigint end;

create function rs.to_hex(bytes bytea) returns text immutable return encode(bytes, 'hex');

create function rs.fnv_hash(bytes bytea) returns bigint immutable return hashtextextended(encode(bytes, 'hex'), 0);

create function rs.rs_try_double(value text) returns double precision immutable language plpgsql as $$
begin return value::double precision; exception when others then return null; end $$;

create function rs.rs_try_date(value text) returns date stable language plpgsql as $$
begin return value::date; exception when others then return null; end $$;

create function rs.rs_try_instant(value text) returns timestamptz stable language plpgsql as $$
begin return value::timestamptz; exception when others then return null; end $$;

create function rs.rs_try_boolean(value text) returns boolean immutable language plpgsql as $$
begin return value::boolean; exception when others then return null; end $$;

create function rs.rs_try_text(value text) returns text immutable return value;

-- A key that is missing is an empty text there.
create function rs.json_extract_path_text(document text, key text) returns text immutable
return case when document is not null then coalesce(document::jsonb ->> key, '') end;

create function rs.rs_json(document text) returns jsonb immutable language plpgsql as $$
begin return document::jsonb; exception when others then return null; end $$;

-- With the last argument, what is no JSON is NULL.
create function rs.json_extract_path_text(document text, key text, null_if_invalid boolean) returns text immutable
return case when rs.rs_json(document) is not null then coalesce(rs.rs_json(document) ->> key, '') end;

-- What dbt's adapter asks about views that are not bound, and about tables in other places: there are none.
create function rs.pg_get_late_binding_view_cols() returns setof record stable language sql
as 'select null::name, null::name, null::name, null::varchar, null::int where false';

create view rs.svv_external_columns as
select
    null::text as schemaname, null::text as tablename, null::text as columnname, null::text as external_type, null::integer as columnnum
where false;

-- The sort key of a table, which comes as a comment in the statement that makes it.
create table rs.sort_keys (relation oid, column_name text, sortkey integer);

create function rs.keep_sort_key() returns event_trigger security definer language plpgsql as $$
declare made record; names text := substring(current_query() from '/\*sortkey (.*?)\*/');
begin
    if names is null then return; end if;
    for made in select objid from pg_event_trigger_ddl_commands() where object_type = 'table' loop
        insert into rs.sort_keys
        select made.objid, trim(one.name, ' "'), one.number
        from unnest(string_to_array(names, ',')) with ordinality as one(name, number);
    end loop;
end $$;

create event trigger keep_sort_key on ddl_command_end when tag in ('CREATE TABLE') execute function rs.keep_sort_key();

create view rs.svv_redshift_columns as
select
    current_database()::text as database_name,
    n.nspname::text as schema_name,
    c.relname::text as table_name,
    k.column_name,
    k.sortkey
from rs.sort_keys k join pg_class c on c.oid = k.relation join pg_namespace n on n.oid = c.relnamespace;

grant select on rs.svv_redshift_columns to public;
