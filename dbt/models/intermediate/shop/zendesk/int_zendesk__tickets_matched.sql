-- Who asked: by the number that the shop gave Zendesk, else by the e-mail address, which is hashed alike on both sides.
with emails as (

    select email, min(user_id) as user_id
    from {{ ref('stg_shop__users') }}
    where email is not null
    group by email
    having count(*) = 1

)

select
    tickets.ticket_id,
    coalesce(users.user_id, emails.user_id) as user_id,
    orders.order_id,
    tickets.created_date,
    tickets.is_deleted
from {{ ref('stg_zendesk__tickets') }} as tickets
left join {{ ref('stg_zendesk__users') }} as requesters on tickets.requester_id = requesters.zendesk_user_id
left join {{ ref('stg_shop__users') }} as users
    on requesters.user_reference = cast(users.user_id as {{ dbt.type_string() }})
left join emails on requesters.email = emails.email
left join {{ ref('stg_shop__orders') }} as orders
    on tickets.order_reference = cast(orders.order_id as {{ dbt.type_string() }})
