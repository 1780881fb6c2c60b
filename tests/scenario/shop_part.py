# SPDX-License-Identifier: Apache-2.0
"""The part of the shop's own tests that `make test` runs by RabbitMQ and by Kafka: those in which a service shows what
others have published, and what becomes of it when one of them is killed. `make test-buses` runs all of them. Sanitized
programs run the shop's whole suites by the feed, and none of them here."""

import pytest
import test_shop as whole
from conftest import SANITIZED

if not SANITIZED:
    from test_shop import (test_a_product_that_is_created_again_has_its_new_stock,  # noqa: F401 the tests
                           test_a_product_shows_its_stock_and_whether_that_is_little,
                           test_a_user_deleted_while_the_order_runs_does_not_hold_it_up,
                           test_a_user_who_is_gone_shows_as_deleted,
                           test_a_users_history_has_each_confirmed_order_once_the_newest_first,
                           test_an_order_is_confirmed_paid_and_counted, test_orders_show_the_new_names_of_users_and_products,
                           test_products_are_found_by_all_of_their_words,
                           test_what_can_not_be_sent_is_paid_back_and_goes_back_to_the_shelf)

    @pytest.mark.parametrize("away", ["users", "orders"])  # a publisher, and one that subscribes to three
    def test_a_killed_service_leaves_the_others_answering_and_catches_up(shop, away):
        whole.test_a_killed_service_leaves_the_others_answering_and_catches_up(shop, away)
