# SPDX-License-Identifier: Apache-2.0
"""The shop's own tests, with products and payments on MongoDB: not one line of a service differs."""

import pytest

import mongodb
from test_shop import *  # noqa: F401,F403 the tests


@pytest.fixture(scope="module", params=sorted(mongodb.VARIABLES))
def shop(request, start, tmp_path_factory):
    system = start(mongodb.shop_file(tmp_path_factory.mktemp("mongodb"), request.param))
    yield system
    system.stop(check=False)
