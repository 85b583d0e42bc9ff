-- What the stand-in for Stripe keeps in the shop's database: views that read the shop's card payments as Stripe would, and
-- beside them only what Stripe has by itself: an event log, deliveries, deletions, prices that are no more. Triggers
-- write the events inside the shop's own transactions, so that an event is there if and only if its cause is. A
-- statement ends with a line of "-- ;".

CREATE SCHEMA services_stripe
-- ;
CREATE TABLE services_stripe.clock (version integer NOT NULL, at timestamptz NOT NULL)
-- ;
-- Lists go newest first by these two. Everything else they need, the shop's own indexes give.
CREATE INDEX IF NOT EXISTS services_stripe_payments ON public.payments (created_at, payment_id)
-- ;
CREATE INDEX IF NOT EXISTS services_stripe_users ON public.users (created_at, user_id)
-- ;
-- Half a percent of what was paid is disputed: few enough to be sorted at every page.
CREATE INDEX IF NOT EXISTS services_stripe_disputed ON public.payments (created_at)
WHERE method IN ('card', 'apple_pay') AND status = 'succeeded' AND uuid_hash(payment_id) % 200 = 0
-- ;
-- Stripe forgets no charge because the shop deletes an order: what was taken is given back, and both stay.
CREATE TABLE services_stripe.kept_payments (LIKE public.payments, PRIMARY KEY (payment_id))
-- ;
CREATE INDEX ON services_stripe.kept_payments (created_at, payment_id)
-- ;
CREATE INDEX ON services_stripe.kept_payments (order_id)
-- ;
-- An invoice's lines stay as they were when it was made. (Deletes that cascade fire their triggers only when all rows
-- are gone, the order's too.)
CREATE TABLE services_stripe.kept_items (LIKE public.order_items, PRIMARY KEY (order_item_id))
-- ;
CREATE INDEX ON services_stripe.kept_items (order_id)
-- ;
CREATE TABLE services_stripe.deleted_customers (user_id bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())
-- ;
CREATE TABLE services_stripe.prices (
    price_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id integer NOT NULL,
    cents bigint NOT NULL,
    recurring boolean NOT NULL,
    created_at timestamptz NOT NULL,
    retired_at timestamptz
)
-- ;
CREATE INDEX ON services_stripe.prices (product_id)
-- ;
CREATE TABLE services_stripe.subscriptions (
    subscription_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL,
    created_at timestamptz NOT NULL,
    canceled_at timestamptz
)
-- ;
CREATE INDEX ON services_stripe.subscriptions (user_id)
-- ;
CREATE TABLE services_stripe.events (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL,
    type text NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    now_row jsonb,      -- the shop's row as it was made by what happened, where the row alone does not tell
    old_row jsonb,
    queued boolean NOT NULL DEFAULT false
)
-- ;
CREATE INDEX ON services_stripe.events (created_at, seq)
-- ;
CREATE INDEX ON services_stripe.events (seq) WHERE NOT queued
-- ;
CREATE TABLE services_stripe.endpoints (
    endpoint_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url text NOT NULL,
    types text[] NOT NULL,
    thin boolean NOT NULL,
    version text,
    secrets text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
-- ;
CREATE TABLE services_stripe.deliveries (
    seq bigint NOT NULL,
    endpoint_id bigint NOT NULL REFERENCES services_stripe.endpoints ON DELETE CASCADE,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz DEFAULT now(),    -- NULL when it was delivered or given up
    delivered_at timestamptz,
    PRIMARY KEY (seq, endpoint_id)
)
-- ;
CREATE INDEX ON services_stripe.deliveries (due_at) WHERE due_at IS NOT NULL
-- ;
-- No condition within the union: only then can PostgreSQL read it in the order of the tables' indexes.
CREATE VIEW services_stripe.all_payments AS
SELECT payment_id, order_id, user_id, round(amount * 100)::bigint AS cents, method, status, created_at FROM public.payments
UNION ALL
SELECT payment_id, order_id, user_id, round(amount * 100)::bigint, method, status, created_at
FROM services_stripe.kept_payments
-- ;
CREATE VIEW services_stripe.card_payments AS
SELECT * FROM services_stripe.all_payments WHERE method IN ('card', 'apple_pay') AND cents IS NOT NULL
-- ;
CREATE VIEW services_stripe.charges AS
SELECT *, (cents * 29 + 500) / 1000 + 30 AS fee FROM services_stripe.card_payments WHERE status IN ('succeeded', 'failed')
-- ;
-- A payment intent is an order's; the order's first attempt by card gives it its name and its time.
CREATE VIEW services_stripe.intents AS
SELECT c.* FROM services_stripe.charges c WHERE NOT EXISTS (
    SELECT FROM services_stripe.charges earlier WHERE earlier.order_id = c.order_id
    AND (earlier.created_at, earlier.payment_id) < (c.created_at, c.payment_id)
)
-- ;
CREATE VIEW services_stripe.refunds AS SELECT * FROM services_stripe.card_payments WHERE status = 'refunded'
-- ;
-- Opened nine days after the charge, decided eleven days later.
CREATE VIEW services_stripe.disputes AS
SELECT payment_id, order_id, user_id, cents, created_at AS charged_at, created_at + interval '216 hours' AS created_at,
       created_at + interval '480 hours' AS closed_at, uuid_hash(payment_id) / 200 % 2 = 0 AS won
FROM services_stripe.card_payments
WHERE method IN ('card', 'apple_pay') AND status = 'succeeded' AND uuid_hash(payment_id) % 200 = 0
AND created_at <= now() - interval '216 hours'
-- ;
-- Everything that moves the balance but payouts. ``source`` orders what moves at the same instant.
CREATE VIEW services_stripe.moves AS
SELECT 'c' AS source, payment_id, created_at, cents, fee FROM services_stripe.charges WHERE status = 'succeeded'
UNION ALL SELECT 'r', payment_id, created_at, cents, 0 FROM services_stripe.refunds
UNION ALL SELECT 'd', payment_id, created_at, -cents, 1500 FROM services_stripe.disputes
UNION ALL SELECT 'w', payment_id, closed_at, cents, -1500 FROM services_stripe.disputes WHERE won AND closed_at <= now()
-- ;
-- What moved in a day (UTC) is paid out two days later, at six.
CREATE VIEW services_stripe.payouts AS
SELECT at::date AS day, at + interval '54 hours' AS created_at
FROM generate_series(
    (SELECT date_trunc('day', min(created_at) AT TIME ZONE 'UTC') FROM services_stripe.card_payments) AT TIME ZONE 'UTC',
    now() - interval '54 hours', interval '24 hours'
) AS at
WHERE EXISTS (
    SELECT FROM services_stripe.card_payments WHERE created_at >= at AND created_at < at + interval '24 hours'
    AND status IN ('succeeded', 'refunded')
)
-- ;
CREATE VIEW services_stripe.invoice_items AS
SELECT * FROM services_stripe.kept_items
UNION ALL
SELECT i.* FROM public.order_items i
WHERE NOT EXISTS (SELECT FROM services_stripe.kept_items k WHERE k.order_item_id = i.order_item_id)
-- ;
-- The events of one row of payments, in the order in which Stripe makes them.
CREATE FUNCTION services_stripe.payment_events(payment uuid, its_order bigint, its_status text, first uuid)
RETURNS TABLE (type text, kind text, key text) LANGUAGE sql STABLE AS $$
    SELECT e.type, e.kind, e.key::text FROM (VALUES
        ('payment_intent.created', 'payment_intent', first, its_status IN ('succeeded', 'failed') AND payment = first),
        ('invoice.created', 'invoice', first, its_status IN ('succeeded', 'failed') AND payment = first AND its_order % 4 = 0),
        ('invoice.finalized', 'invoice', first, its_status IN ('succeeded', 'failed') AND payment = first AND its_order % 4 = 0),
        ('charge.succeeded', 'charge', payment, its_status = 'succeeded'),
        ('payment_intent.succeeded', 'payment_intent', first, its_status = 'succeeded'),
        ('invoice.paid', 'invoice', first, its_status = 'succeeded' AND its_order % 4 = 0),
        ('charge.failed', 'charge', payment, its_status = 'failed'),
        ('payment_intent.payment_failed', 'payment_intent', first, its_status = 'failed'),
        ('invoice.payment_failed', 'invoice', first, its_status = 'failed' AND its_order % 4 = 0),
        ('refund.created', 'refund', payment, its_status = 'refunded'),
        ('credit_note.created', 'credit_note', payment, its_status = 'refunded' AND its_order % 4 = 0 AND first IS NOT NULL)
    ) AS e (type, kind, key, applies) WHERE e.applies
    UNION ALL
    SELECT 'charge.refunded', 'charge', c.payment_id::text FROM services_stripe.charges c
    WHERE its_status = 'refunded' AND c.order_id = its_order AND c.status = 'succeeded'
$$
-- ;
CREATE FUNCTION services_stripe.first_attempt(its_order bigint) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT payment_id FROM services_stripe.charges WHERE order_id = its_order ORDER BY created_at, payment_id LIMIT 1
$$
-- ;
CREATE FUNCTION services_stripe.paid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO services_stripe.events (created_at, type, kind, key)
    SELECT now(), e.type, e.kind, e.key FROM fresh p,
    services_stripe.payment_events(p.payment_id, p.order_id, p.status, services_stripe.first_attempt(p.order_id)) e
    WHERE p.method IN ('card', 'apple_pay') AND p.amount IS NOT NULL;
    RETURN NULL;
END $$
-- ;
CREATE FUNCTION services_stripe.payment_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO services_stripe.events (created_at, type, kind, key)
    SELECT now(), CASE WHEN p.status = 'refunded' THEN 'refund.updated' ELSE 'charge.updated' END,
           CASE WHEN p.status = 'refunded' THEN 'refund' ELSE 'charge' END, p.payment_id::text
    FROM fresh p WHERE p.method IN ('card', 'apple_pay') AND p.amount IS NOT NULL;
    RETURN NULL;
END $$
-- ;
CREATE FUNCTION services_stripe.payment_deleted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO services_stripe.kept_payments
    SELECT * FROM gone WHERE method IN ('card', 'apple_pay') AND amount IS NOT NULL ON CONFLICT DO NOTHING;
    WITH given_back AS (
        INSERT INTO services_stripe.kept_payments
        SELECT uuidv7(), g.order_id, g.user_id, -g.amount, g.method, 'refunded', now(), now(), now() FROM gone g
        WHERE g.method IN ('card', 'apple_pay') AND g.status = 'succeeded' AND g.amount IS NOT NULL
        AND NOT EXISTS (SELECT FROM services_stripe.refunds r WHERE r.order_id = g.order_id)
        RETURNING *
    )
    INSERT INTO services_stripe.events (created_at, type, kind, key)
    SELECT now(), e.type, e.kind, e.key FROM given_back p,
    services_stripe.payment_events(p.payment_id, p.order_id, p.status, services_stripe.first_attempt(p.order_id)) e;
    RETURN NULL;
END $$
-- ;
CREATE FUNCTION services_stripe.item_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO services_stripe.kept_items
    SELECT g.* FROM gone g WHERE g.order_id % 4 = 0
    AND (EXISTS (SELECT FROM services_stripe.charges c WHERE c.order_id = g.order_id)
        OR NOT EXISTS (SELECT FROM public.orders o WHERE o.order_id = g.order_id))
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$
-- ;
CREATE FUNCTION services_stripe.customer_row(u public.users) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('user_id', u.user_id, 'email', u.email, 'phone', u.phone, 'first_name', u.first_name,
        'last_name', u.last_name, 'country', u.country, 'segment', u.segment, 'created_at', u.created_at)
$$
-- ;
CREATE FUNCTION services_stripe.user_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE changed boolean := TG_OP = 'INSERT';
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM services_stripe.delete_customer(OLD.user_id, services_stripe.customer_row(OLD));
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        changed := services_stripe.customer_row(NEW) IS DISTINCT FROM services_stripe.customer_row(OLD);
    END IF;
    IF NOT changed OR EXISTS (SELECT FROM services_stripe.deleted_customers d WHERE d.user_id = NEW.user_id) THEN
        RETURN NULL;
    END IF;
    INSERT INTO services_stripe.events (created_at, type, kind, key, now_row, old_row) VALUES (
        now(), CASE TG_OP WHEN 'INSERT' THEN 'customer.created' ELSE 'customer.updated' END, 'customer', NEW.user_id::text,
        services_stripe.customer_row(NEW), CASE TG_OP WHEN 'UPDATE' THEN services_stripe.customer_row(OLD) END
    );
    IF TG_OP = 'UPDATE' AND OLD.segment = 'vip' AND NEW.segment IS DISTINCT FROM 'vip' THEN
        PERFORM services_stripe.cancel(NEW.user_id);
    ELSIF NEW.segment = 'vip' AND (TG_OP = 'INSERT' OR OLD.segment IS DISTINCT FROM 'vip') THEN
        WITH made AS (
            INSERT INTO services_stripe.subscriptions (user_id, created_at) VALUES (NEW.user_id, now()) RETURNING *
        )
        INSERT INTO services_stripe.events (created_at, type, kind, key)
        SELECT now(), 'customer.subscription.created', 'subscription', subscription_id::text FROM made;
    END IF;
    RETURN NULL;
END $$
-- ;
CREATE FUNCTION services_stripe.cancel(whose bigint) RETURNS void LANGUAGE sql AS $$
    WITH ended AS (
        UPDATE services_stripe.subscriptions SET canceled_at = now() WHERE user_id = whose AND canceled_at IS NULL RETURNING *
    )
    INSERT INTO services_stripe.events (created_at, type, kind, key)
    SELECT now(), 'customer.subscription.deleted', 'subscription', subscription_id::text FROM ended
$$
-- ;
CREATE FUNCTION services_stripe.delete_customer(whose bigint, was jsonb) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO services_stripe.deleted_customers (user_id) VALUES (whose) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM services_stripe.cancel(whose);
    INSERT INTO services_stripe.events (created_at, type, kind, key, now_row)
    VALUES (now(), 'customer.deleted', 'customer', whose::text, was);
    RETURN true;
END $$
-- ;
CREATE FUNCTION services_stripe.product_row(p public.products) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('product_id', p.product_id, 'sku', p.sku, 'product_name', p.product_name,
        'category', p.category, 'is_active', p.is_active, 'created_at', p.created_at, 'updated_at', p.updated_at)
$$
-- ;
CREATE FUNCTION services_stripe.product_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'INSERT' OR NEW.price IS DISTINCT FROM OLD.price THEN
        WITH retired AS (
            UPDATE services_stripe.prices SET retired_at = now()
            WHERE product_id = NEW.product_id AND retired_at IS NULL RETURNING *
        )
        INSERT INTO services_stripe.events (created_at, type, kind, key)
        SELECT now(), 'price.updated', 'price', price_id::text FROM retired;
        WITH made AS (
            INSERT INTO services_stripe.prices (product_id, cents, recurring, created_at)
            SELECT NEW.product_id, round(NEW.price * 100)::bigint, recurring, now()
            FROM (VALUES (false), (true)) AS r (recurring) WHERE NEW.price IS NOT NULL RETURNING *
        )
        INSERT INTO services_stripe.events (created_at, type, kind, key)
        SELECT now(), 'price.created', 'price', price_id::text FROM made;
    END IF;
    INSERT INTO services_stripe.events (created_at, type, kind, key, now_row, old_row) VALUES (
        now(), CASE TG_OP WHEN 'INSERT' THEN 'product.created' ELSE 'product.updated' END, 'product', NEW.product_id::text,
        services_stripe.product_row(NEW), CASE TG_OP WHEN 'UPDATE' THEN services_stripe.product_row(OLD) END
    );
    RETURN NULL;
END $$
-- ;
-- What only time brings about: disputes and payouts. After a pause the events come late, and say so.
CREATE FUNCTION services_stripe.tick() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    since timestamptz;
BEGIN
    SELECT at INTO since FROM services_stripe.clock FOR UPDATE;
    IF now() - since < interval '1 second' THEN RETURN; END IF;
    INSERT INTO services_stripe.events (created_at, type, kind, key)
    SELECT greatest(at, since, CASE WHEN since > now() - interval '29 days' THEN now() - interval '5 seconds' END), type, kind, key
    FROM (
        SELECT created_at AS at, 1, 'charge.dispute.created' AS type, 'dispute' AS kind, payment_id::text AS key
        FROM services_stripe.disputes
        UNION ALL SELECT created_at, 2, 'charge.dispute.funds_withdrawn', 'dispute', payment_id::text FROM services_stripe.disputes
        UNION ALL SELECT closed_at, 3, 'charge.dispute.closed', 'dispute', payment_id::text FROM services_stripe.disputes
        UNION ALL SELECT closed_at, 4, 'charge.dispute.funds_reinstated', 'dispute', payment_id::text
        FROM services_stripe.disputes WHERE won
        UNION ALL SELECT created_at, 5, 'payout.created', 'payout', day::text
        FROM services_stripe.payouts WHERE created_at > since - interval '48 hours'
        UNION ALL SELECT created_at + interval '24 hours', 6, 'payout.paid', 'payout', day::text
        FROM services_stripe.payouts WHERE created_at > since - interval '48 hours'
    ) AS due (at, nth, type, kind, key)
    WHERE at > since AND at <= now() ORDER BY at, nth;
    UPDATE services_stripe.clock SET at = now();
END $$
-- ;
CREATE TRIGGER services_stripe_paid AFTER INSERT ON public.payments
REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION services_stripe.paid()
-- ;
CREATE TRIGGER services_stripe_changed AFTER UPDATE ON public.payments
REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION services_stripe.payment_changed()
-- ;
CREATE TRIGGER services_stripe_deleted AFTER DELETE ON public.payments
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION services_stripe.payment_deleted()
-- ;
CREATE TRIGGER services_stripe_changed AFTER UPDATE ON public.order_items
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION services_stripe.item_changed()
-- ;
CREATE TRIGGER services_stripe_deleted AFTER DELETE ON public.order_items
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION services_stripe.item_changed()
-- ;
CREATE TRIGGER services_stripe_changed AFTER INSERT OR UPDATE OR DELETE ON public.users
FOR EACH ROW EXECUTE FUNCTION services_stripe.user_changed()
-- ;
CREATE TRIGGER services_stripe_changed AFTER INSERT OR UPDATE ON public.products
FOR EACH ROW EXECUTE FUNCTION services_stripe.product_changed()
-- ;
INSERT INTO services_stripe.prices (product_id, cents, recurring, created_at)
SELECT product_id, round(price * 100)::bigint, recurring, created_at
FROM public.products CROSS JOIN (VALUES (false), (true)) AS r (recurring) WHERE price IS NOT NULL
ORDER BY product_id, recurring
-- ;
-- The best customers have a plan; some businesses had one for half a year.
INSERT INTO services_stripe.subscriptions (user_id, created_at, canceled_at)
SELECT user_id, created_at + interval '240 hours', CASE WHEN segment = 'vip' THEN NULL ELSE created_at + interval '4600 hours' END
FROM public.users
WHERE created_at < now() - interval '240 hours'
AND (segment = 'vip' OR segment = 'business' AND user_id % 5 = 0 AND created_at < now() - interval '4600 hours')
ORDER BY created_at, user_id
-- ;
-- The last thirty days of events, from what the shop's rows tell.
INSERT INTO services_stripe.events (created_at, type, kind, key, queued)
SELECT at, type, kind, key, true FROM (
    SELECT p.created_at AS at, e.type, e.kind, e.key FROM services_stripe.card_payments p,
    services_stripe.payment_events(p.payment_id, p.order_id, p.status, services_stripe.first_attempt(p.order_id)) e
    WHERE p.created_at > now() - interval '30 days'
    UNION ALL SELECT created_at, 'customer.created', 'customer', user_id::text FROM public.users
    UNION ALL SELECT updated_at, 'customer.updated', 'customer', user_id::text FROM public.users WHERE updated_at > created_at
    UNION ALL SELECT updated_at, 'product.updated', 'product', product_id::text FROM public.products WHERE updated_at > created_at
    UNION ALL SELECT created_at, 'customer.subscription.created', 'subscription', subscription_id::text
    FROM services_stripe.subscriptions
    UNION ALL SELECT canceled_at, 'customer.subscription.deleted', 'subscription', subscription_id::text
    FROM services_stripe.subscriptions
) AS past WHERE at > now() - interval '30 days' AND at <= now() ORDER BY at
-- ;
INSERT INTO services_stripe.clock VALUES (1, now() - interval '30 days')
-- ;
SELECT services_stripe.tick()
-- ;
UPDATE services_stripe.events SET queued = true WHERE NOT queued
