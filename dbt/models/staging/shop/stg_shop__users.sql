-- The names and the social security number are redacted at the door and so left out here.
select
    user_id,
    email,
    phone,
    age,
    country,
    segment,
    marketing_opt_in,
    created_at,
    updated_at,
    _loaded_at
from {{ source('shop', 'users') }}
