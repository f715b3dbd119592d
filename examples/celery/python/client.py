"""Calls Go's tasks. A type checker knows what they take and return: mypy --strict client.py"""

import os
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import go_tasks

if TYPE_CHECKING:
    celery: Any
else:
    import celery

app = celery.Celery("client", broker=os.environ["BROKER"], backend="rpc://")


def main() -> None:
    placed = datetime(2026, 8, 20, 12, tzinfo=timezone.utc)
    order: go_tasks.Order = {
        "id": 7,
        "placed": go_tasks.timestamp(placed),
        "lines": [{"article": "tea", "count": 3, "price": 4.5}],
    }
    quote = go_tasks.price.delay(order, 0.1, timedelta(days=1)).get(timeout=30)
    print("the order costs", quote["total"])
    print("until", go_tasks.parse_timestamp(quote["until"]).date())

    printed = go_tasks.label.s("1234", placed, b"\x89PNG", "Ada Lovelace", "London").apply_async(countdown=0.5)
    print("the label is", go_tasks.decode_bytes(printed.get(timeout=30)))

    receipt: str = go_tasks.checkout.apply_async((12, 9.5), expires=60).get(timeout=30)
    print("the receipt is", receipt)

    cart = app.signature("billing.cart", args=(5,), queue="example-billing")
    chain = celery.chain(cart, go_tasks.price.partial(0.5, timedelta(days=1)))
    print("the cart costs", chain.apply_async().get(timeout=30)["total"])

    order["lines"] = []
    try:
        go_tasks.price.delay(order, 0.0, timedelta(0)).get(timeout=30)
    except Exception as e:
        print("refused:", e)


if __name__ == "__main__":
    main()
