{# Generated from catalog/sources by `data-platform validate --write`: change the catalog instead.
   The tables of each source: what `has_source` asks. #}
{% macro catalog_tables() -%}
    {{ return({
        'files': ['marketing_spend', 'calls', 'stock', 'product_feed', 'supplier_prices'],
        'shop': ['users', 'products', 'orders', 'order_items', 'payments', 'events'],
        'spark': ['user_sessions'],
        'stripe': ['customers', 'charges', 'payment_intents', 'invoices', 'invoice_lines', 'subscriptions', 'subscription_items', 'refunds', 'disputes', 'credit_notes', 'credit_note_lines', 'balance_transactions', 'payouts', 'products', 'prices'],
        'web': ['traffic', 'pages', 'events', 'conversions', 'ecommerce'],
        'zendesk': ['tickets', 'metric_sets', 'users', 'organizations', 'ticket_events', 'ticket_metric_events', 'satisfaction_ratings', 'macros', 'views'],
    }) }}
{%- endmacro %}
