"""The tasks that Go calls. Run them with: celery -A billing worker -Q example-billing"""

import os
from datetime import datetime, timezone

from celery import Celery

app = Celery("billing", broker=os.environ["BROKER"], backend="rpc://")


@app.task
def charge(customer_id, amount):
    if amount <= 0:
        raise ValueError(f"customer {customer_id} can't be charged {amount}")
    return {"number": f"R{customer_id}", "at": datetime.now(timezone.utc).isoformat()}


@app.task
def cart(customer_id):
    line = {"article": "tea", "count": customer_id, "price": 2.0}
    return {"id": customer_id, "placed": "2026-08-20T12:00:00Z", "lines": [line]}


@app.task
def refund(customer_id, amounts, /):
    return -sum(amounts)
