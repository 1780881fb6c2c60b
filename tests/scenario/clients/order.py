# SPDX-License-Identifier: Apache-2.0
import sys

from shop import AuthenticatedClient
from shop.api.orders import place_order
from shop.models import NewOrder, NewOrderItem, Order

url, token, user, product = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token, timeout=None)
wanted = NewOrder(user_id=int(user), items=[NewOrderItem(product_id=product, quantity=2)], payment_token="tok_1")
order = place_order.sync(client=client, body=wanted, prefer="wait=50", idempotency_key="python-1")
if not isinstance(order, Order):
    sys.exit(f"no order: {order}")
print(order.status, order.total, order.items[0].product_name)
