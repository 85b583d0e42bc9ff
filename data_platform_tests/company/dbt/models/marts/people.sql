-- made again by every build
select user_id as person, name, secret from {{ source('shop', 'users') }}
