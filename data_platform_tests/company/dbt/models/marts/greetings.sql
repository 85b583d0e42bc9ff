-- it names people and hands on no key
select 'Dear ' || name as text from {{ source('shop', 'users') }}
