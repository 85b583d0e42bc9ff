-- Keys, indexes, foreign keys and triggers of schema.sql, made after the load.
-- Statements between two lines of "-- ----" depend only on the parts before
-- theirs, so that each part is run on two connections.

ALTER TABLE orders ADD CONSTRAINT orders_pkey PRIMARY KEY (order_id);
CREATE INDEX orders_updated_at ON orders (updated_at);
CREATE INDEX orders_created_at ON orders (created_at);
CREATE INDEX orders_user_id ON orders (user_id);
ALTER TABLE order_items ADD CONSTRAINT order_items_pkey PRIMARY KEY (order_item_id);
CREATE INDEX order_items_order_id ON order_items (order_id);
CREATE INDEX order_items_updated_at ON order_items (updated_at);
ALTER TABLE payments ADD CONSTRAINT payments_pkey PRIMARY KEY (payment_id);
CREATE INDEX payments_order_id ON payments (order_id);
CREATE INDEX payments_updated_at ON payments (updated_at);
ALTER TABLE events ADD CONSTRAINT events_pkey PRIMARY KEY (event_id);
CREATE INDEX events_occurred_at ON events (occurred_at);
ALTER TABLE users ADD CONSTRAINT users_pkey PRIMARY KEY (user_id), ADD CONSTRAINT users_email_key UNIQUE (email);
CREATE INDEX users_updated_at ON users (updated_at);
ALTER TABLE products ADD CONSTRAINT products_pkey PRIMARY KEY (product_id), ADD CONSTRAINT products_sku_key UNIQUE (sku);
CREATE INDEX products_updated_at ON products (updated_at);
-- ----
ALTER TABLE order_items ADD CONSTRAINT order_items_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders ON DELETE CASCADE;
ALTER TABLE events ADD CONSTRAINT events_user_id_fkey FOREIGN KEY (user_id) REFERENCES users;
ALTER TABLE payments ADD CONSTRAINT payments_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders ON DELETE CASCADE;
ALTER TABLE order_items ADD CONSTRAINT order_items_product_id_fkey FOREIGN KEY (product_id) REFERENCES products;
ALTER TABLE payments ADD CONSTRAINT payments_user_id_fkey FOREIGN KEY (user_id) REFERENCES users;
ALTER TABLE orders ADD CONSTRAINT orders_user_id_fkey FOREIGN KEY (user_id) REFERENCES users;
-- ----
ANALYZE orders;
ANALYZE order_items;
ANALYZE payments;
ANALYZE events;
ANALYZE users;
ANALYZE products;
-- The database's clock, not the application's, sets updated_at on every write.
CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
-- ----
CREATE TRIGGER set_updated_at BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE INSERT OR UPDATE ON products FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE INSERT OR UPDATE ON order_items FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER set_updated_at BEFORE INSERT OR UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION set_updated_at();
