-- A schema that discover must get right: names that need quotes in YAML and in SQL, names that
-- fold into one, no keys and strange keys, views, partitions, odd types.
create schema "Sales.2024";
set search_path to "Sales.2024";

create table "Order Items" (
    "Order No" int, "Line: #1" int, "it's ""odd""" text, "null" text, "yes" int, "1e3" int, "~" int,
    primary key ("Line: #1", "Order No"));
insert into "Order Items" values (1, 1, 'x', 'n', 1, 2, 3), (1, 2, E'a\nb', null, null, null, null);
create table "Order_Items" (id int primary key);
create table "order-items" (id int primary key);
create table "a.b" (id int primary key, "Größe" numeric(8,3), "tab	name" text, "two
lines" int, "bell" int);
insert into "a.b" values (1, 1.5, 'x', 2, 3);
create table "tr\ail""s'" (id int primary key);
create table "123" (id int primary key, updated_at timestamptz);
insert into "123" values (1, now());
create table "注文" ("鍵" int primary key, "値" text);
insert into "注文" values (1, '値');

create table no_key (n int, note text);
comment on table no_key is E'Says: "things" # and\nmore';
insert into no_key values (1, 'a'), (1, 'a'), (null, null);
create table nullable_key (a int unique, b int);
create table by_unique (a int not null, b text not null, c int not null unique, unique (a, b));
insert into by_unique values (1, 'x', 7);
create table partial_key (a int not null);
create unique index on partial_key (a) where a > 5;
create table deferred (a int not null unique deferrable initially deferred);

create type mood as enum ('sad', 'ok');
create type pair as (a int, b text);
create domain positive as int check (value > 0);
create type text as enum ('not', 'builtin');
create table odd_types (
    m mood primary key, p pair, pos positive, r int4range, i interval, j jsonb, mm money, ms mood[],
    ip_net inet, lsn pg_lsn, b bit(3), grants aclitem, single "char", v int2vector, fake "Sales.2024".text);
insert into odd_types values (
    'sad', row(1, 'x'), 3, '[1,5)', '1 day', '{"a": 1}', '1.50', '{sad,ok}',
    '10.0.0.1', '0/16', '101', makeaclitem(10, 10, 'SELECT', true), 'x', '1 2 3', 'builtin');

create table measured (day date, n int, primary key (day, n)) partition by range (day);
create table measured_1 partition of measured for values from ('2026-01-01') to ('2027-01-01');
insert into measured values ('2026-01-05', 1);
create view "A View" as select n, note from no_key;
create materialized view matter as select count(*) as n from "a.b";
create table empty_one ();
