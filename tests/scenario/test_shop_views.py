# SPDX-License-Identifier: Apache-2.0
"""The shop's list of orders and its reports, made of events alone: what they show, to whom, how soon, and that both can
be made anew."""

import csv
import re

import pytest
from conftest import SHOP_FILE, named, wait_for
from test_shop import ended, new_product, new_user, order_body, place

STAFF = {"user": "clerk", "roles": ("staff",)}


@pytest.fixture(name="shop", scope="module", params=("embedded", "schemas"))
def shop_fixture(request, start):
    """schemas: both on PostgreSQL."""
    system = start(SHOP_FILE, named(request.param))
    yield system
    system.stop(check=False)


def seen(shop, answer):
    """Whatever was published up to this answer is waited for."""
    return {"Freehold-Wait": answer.headers["freehold-at"]}


def own_list(shop, user, headers=None, **query):
    text = "&".join(f"{name}={value}" for name, value in query.items())
    answer = shop.http("GET", f"/api/users/{user}/orders?{text}", headers=headers)
    assert answer.status == 200, answer
    return answer


def at_rest(shop):
    wait_for("all comes to rest", shop.at_rest)


def test_an_order_is_listed_with_all_that_belongs_to_it(shop):
    ada, lamp = new_user(shop, "Ada"), new_product(shop, 10, price=500)
    good = ended(shop, place(shop, ada, (lamp, 2)))
    declined = ended(shop, place(shop, ada, (lamp, 1), token="tok_declined"))
    nowhere = shop.http("POST", "/api/orders", {**order_body(ada, (lamp, 3)), "address": "5 Coral Row, Atlantis"})
    nowhere = ended(shop, nowhere.body["id"])
    at_rest(shop)
    answer = own_list(shop, ada)
    assert answer.headers["freehold-as-of"] and int(answer.headers["age"]) >= 1
    shown = [{name: one[name] for name in ("id", "status", "total", "payment", "shipment")} for one in answer.body]
    assert shown == [
        {"id": nowhere["id"], "status": "CANCELLED", "total": 1500, "payment": "REFUNDED", "shipment": None},
        {"id": declined["id"], "status": "CANCELLED", "total": 500, "payment": None, "shipment": None},
        {"id": good["id"], "status": "CONFIRMED", "total": 1000, "payment": "CHARGED", "shipment": "SENT"}]
    assert answer.body[2]["created_at"] == good["created_at"]
    assert {one["user_name"] for one in answer.body} == {"Ada"}
    assert answer.body[2]["items"] == [{"product_id": lamp, "product_name": "Lamp", "quantity": 2, "price": 500}]

    assert shop.call("shipping", "DELETE", f"/api/shipments/{good['shipment_id']}").status == 204
    wait_for("it is known that nothing was sent", lambda: own_list(shop, ada).body[2]["shipment"] == "CANCELLED")


def test_who_waits_sees_what_was_changed(shop):
    eve, lamp = new_user(shop, "Eve"), new_product(shop)
    for i in range(5):
        ordered = shop.http("POST", "/api/orders", order_body(eve, (lamp, 1)))
        [newest] = own_list(shop, eve, seen(shop, ordered), limit=1).body
        assert newest["id"] == ordered.body["id"]
        renamed = shop.http("PATCH", f"/api/users/{eve}", {"name": f"Eve {i}"})
        assert {one["user_name"] for one in own_list(shop, eve, seen(shop, renamed)).body} == {f"Eve {i}"}
        other = shop.http("PATCH", f"/api/products/{lamp}", {"name": f"Lamp {i}"}, **STAFF)
        assert {one["items"][0]["product_name"] for one in own_list(shop, eve, seen(shop, other)).body} == {f"Lamp {i}"}
    gone = shop.http("DELETE", f"/api/users/{eve}")
    assert {one["user_name"] for one in own_list(shop, eve, seen(shop, gone)).body} == {None}


def test_it_is_listed_page_by_page_the_newest_first(shop):
    ada, lamp = new_user(shop), new_product(shop, 20)
    placed = [place(shop, ada, (lamp, 1)) for _ in range(5)]
    at_rest(shop)
    found, path = [], f"/api/users/{ada}/orders?limit=2"
    while path:
        answer = shop.http("GET", path)
        found.append([one["id"] for one in answer.body])
        following = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("link", ""))
        path = following and following.group(1)
    assert found == [placed[:2:-1], placed[2:0:-1], placed[:1]]
    assert shop.http("GET", f"/api/users/{ada}/orders?limit=101").status == 400


def test_each_sees_their_own_and_staff_all(shop):
    ada, eve, lamp = new_user(shop), new_user(shop, "Eve"), new_product(shop)
    order = ended(shop, place(shop, ada, (lamp, 1)))
    at_rest(shop)
    for path in ("/api/views/orders", "/api/reports/outcomes", "/api/reports/sales_by_day",
                 "/api/reports/sales_by_category"):
        assert shop.http("GET", path, user=ada).status == 403, path
        assert shop.http("GET", path, nobody=True).status == 401, path
        assert shop.http("GET", path, **STAFF).status == 200, path
    own = f"/api/users/{ada}/orders"
    assert [one["id"] for one in shop.http("GET", own, user=ada).body] == [order["id"]]
    assert shop.http("GET", own, user=eve).status == shop.http("GET", own, **STAFF).status == 404
    assert shop.http("GET", own, nobody=True).status == 401
    [newest] = shop.http("GET", "/api/views/orders?limit=1", **STAFF).body
    assert newest == own_list(shop, ada).body[0]
    cancelled = shop.http("GET", "/api/views/orders?status=CANCELLED&limit=100", **STAFF).body
    assert {one["status"] for one in cancelled} <= {"CANCELLED"} and newest not in cancelled
    assert shop.http("GET", "/api/views/orders?status=LOST", **STAFF).status == 400


def reports_of(shop, query=""):
    return {name: shop.http("GET", f"/api/reports/{name}{query}", **STAFF).body
            for name in ("sales_by_day", "sales_by_category", "outcomes")}


def test_reports_add_up_what_was_ordered(shop, tmp_path):
    ada, kind = new_user(shop), "kind-of-lamp"
    lamp, sofa = new_product(shop, 50, price=300, category=kind), new_product(shop, 50, price=1000)
    at_rest(shop)
    before = reports_of(shop)
    day = ended(shop, place(shop, ada, (lamp, 2), (sofa, 1)))["created_at"][:10]
    ended(shop, place(shop, ada, (lamp, 1)))
    ended(shop, place(shop, ada, (lamp, 3), token="tok_declined"))
    at_rest(shop)
    after = reports_of(shop)

    def more(name, by, value):
        """What has come to this row."""
        [now] = [row for row in after[name] if row[by] == value]
        then = next((row for row in before[name] if row[by] == value), {})
        return {member: count - then.get(member, 0) for member, count in now.items() if member in ("orders", "quantity", "cents")}

    assert more("sales_by_day", "day", day) == {"orders": 2, "cents": 1900}
    assert more("sales_by_category", "category", kind) == {"orders": 2, "quantity": 3, "cents": 900}
    assert more("sales_by_category", "category", None) == {"orders": 1, "quantity": 1, "cents": 1000}
    assert more("outcomes", "refused_by", "charge") == {"orders": 1, "cents": 900}

    assert shop.http("PATCH", f"/api/products/{lamp}", {"category": "other-kind"}, **STAFF).status == 200
    at_rest(shop)
    kinds = {row["category"]: row["cents"] for row in reports_of(shop)["sales_by_category"]}
    assert kinds["other-kind"] == 900 and kind not in kinds
    assert reports_of(shop, "?from_day=9999") == reports_of(shop, "?to_day=0") == dict.fromkeys(after, [])
    assert reports_of(shop, f"?from_day={day}&to_day=9999")["sales_by_day"][-1]["day"] >= day

    folder = tmp_path / "sales"
    shop.command("report", "reports", "from_day=0", "--csv", "--out", str(folder), "--state", shop.state)
    files = {path.name: list(csv.DictReader(path.open(newline=""))) for path in folder.iterdir()}
    assert {name.removesuffix(".csv"): [{key: text or None for key, text in row.items()} for row in rows]
            for name, rows in files.items()} == {
        name: [{key: None if value is None else str(value) for key, value in row.items()} for row in rows]
        for name, rows in reports_of(shop).items()}


def test_both_can_be_made_anew(shop):
    ada, lamp = new_user(shop), new_product(shop, category="anew")
    for _ in range(2):
        ended(shop, place(shop, ada, (lamp, 1)))
    at_rest(shop)
    before = shop.http("GET", "/api/views/orders?limit=100", **STAFF).body, reports_of(shop)
    for service in ("views", "reports"):
        done = shop.command("rebuild", service, "--state", shop.state, check=False)
        refused = shop.profile and f'GRANT CREATE ON DATABASE "shop" TO "shop_{service}"' in done.stderr
        assert done.returncode == 0 or refused, done  # the database that services share is the server's own
    at_rest(shop)
    assert (shop.http("GET", "/api/views/orders?limit=100", **STAFF).body, reports_of(shop)) == before
    assert len(before[0]) > 1 and before[0][0]["items"][0]["product_id"] == lamp
