"""Who sees which orders, and which history; and the streams of both."""

from django.db import migrations

from ayb_realtime.operations import EnableRealtime

POLICIES = """
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE shop_orderevent ENABLE ROW LEVEL SECURITY;
CREATE POLICY orders_customer ON orders
    USING (customer_id = current_setting('ayb.user_id')::bigint);
CREATE POLICY history_customer ON shop_orderevent
    USING (customer_id = current_setting('ayb.user_id')::bigint);
"""


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial"), ("ayb_realtime", "0001_initial")]
    operations = [migrations.RunSQL(POLICIES), EnableRealtime("Order"), EnableRealtime("OrderEvent")]
