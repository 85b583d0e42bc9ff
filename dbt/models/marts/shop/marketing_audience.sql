{{ config(enabled=has_purpose('marketing')) }}

select
    users.user_id,
    users.email,
    users.country,
    users.user_segment,
    users.signup_date,
    users.is_active,
    users.order_count,
    users.last_order_at
from {{ ref('user_dim') }} as users
where {{ consented('marketing', 'users.user_id') }}
